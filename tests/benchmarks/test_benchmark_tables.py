"""Numbers in the documents are those of results.json, to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import report, tables

MACHINE = {"cores": 2, "processor": "P", "memory_gb": 8.0, "python": "3.11.7"}
BULK = {
    "what": "a load",
    "unit": "s",
    "ours": {"median": 30.0},
    "floor": {"what": "a script", "median": 10.0},
    "target": "<= 40 s",
    "met": True,
    "facts": {"peak_mb": 1234.5},
}


def rendered(text: str, **figures: dict[str, Any]) -> str:
    return tables.rendered(text, {"machine": MACHINE, "figures": figures})


@pytest.mark.parametrize("document", tables.DOCUMENTS, ids=lambda file: file.name)
def test_the_tables_of_the_documents_are_those_of_the_results(document):
    text = document.read_text(encoding="utf-8")
    assert "<!-- benchmarks:" in text
    assert tables.rendered(text, report.load()) == text, "run python -m benchmarks.tables"


def test_a_table_replaces_what_stood_between_its_comments_and_nothing_else():
    text = "before\n<!-- benchmarks: bulk -->\nold\n<!-- /benchmarks -->\nafter\n"
    found = rendered(text, bulk=BULK, other=BULK)
    assert found.startswith("before\n<!-- benchmarks: bulk -->\n| measured")
    assert found.endswith("<!-- /benchmarks -->\nafter\n")
    assert "| a load | 30 s, 1,234 MB | 10: a script | <= 40 s, met |" in found
    assert found.count("a load") == 1
    assert "old" not in found
    assert rendered(found, bulk=BULK) == found


def test_figures_come_in_the_order_in_which_they_are_named():
    one, two = {**BULK, "what": "first"}, {**BULK, "what": "second", "met": False}
    found = rendered("<!-- benchmarks: b* a* -->\n<!-- /benchmarks -->", a1=one, b1=two)
    assert found.index("second") < found.index("first")
    assert "**missed**" in found
