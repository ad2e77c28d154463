"""Tables of measured numbers in the documents, written from results.json so that they cannot be wrong.

A table stands between two comments, of which the first names the figures, in order; * stands for any text:

    <!-- benchmarks: pipeline.bulk queries.* -->
    <!-- /benchmarks -->

`python -m benchmarks.tables` writes them, as `make bench` does at its end; a test compares them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from benchmarks import report
from benchmarks.inputs import PROJECT

DOCUMENTS = (PROJECT / "README.md", PROJECT / "docs" / "scaling.md")
_TABLE = re.compile(r"(<!-- benchmarks: ([^>]+?) -->\n).*?(<!-- /benchmarks -->)", re.DOTALL)


def rendered(text: str, results: Mapping[str, Any]) -> str:
    """`text` with each table as `results` has it."""
    return _TABLE.sub(lambda found: found[1] + _table(found[2].split(), results) + found[3], text)


def _table(patterns: list[str], results: Mapping[str, Any]) -> str:
    lines = ["| measured | | beside it | target |", "|---|---|---|---|"]
    lines += [_row(entry) for entry in _chosen(patterns, results["figures"])]
    return "\n".join([*lines, "", _machine(results["machine"]), ""])


def _chosen(patterns: list[str], figures: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for pattern in patterns:
        yield from (entry for name, entry in figures.items() if fnmatchcase(name, pattern))


def _row(entry: Mapping[str, Any]) -> str:
    beside = []
    if "floor" in entry:
        beside.append(f"{_number(entry['floor']['median'])}: {entry['floor']['what']}")
    if "peer" in entry:
        beside.append(f"{_number(entry['peer']['median'])}: {entry['peer']['what']}")
    facts = entry["facts"]
    shown = [f"{_number(entry['ours']['median'])} {entry['unit']}"]
    if "peak_mb" in facts:
        shown.append(f"{_number(facts['peak_mb'])} MB")
    if "p95_ms" in facts:
        shown.append(f"p95 {_number(facts['p95_ms'])}")
    met = {True: ", met", False: ", **missed**", None: ""}[entry["met"]]
    return f"| {entry['what']} | {', '.join(shown)} | {'; '.join(beside)} | {entry['target']}{met} |"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _machine(machine: Mapping[str, Any]) -> str:
    return (
        f"Medians on {machine['cores']} cores ({machine['processor']}), {machine['memory_gb']:g} GB, "
        f"Python {machine['python']}; every figure with its spread is in benchmarks/results.json."
    )


def main() -> int:
    """Write every table of every document."""
    results = report.load()
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        document.write_text(rendered(text, results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
