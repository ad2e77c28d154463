"""docs/reference.md is what the code says, and the code says something of every key."""

from __future__ import annotations

import re

from market_assets import reference
from market_assets.sources.registry import KINDS


def test_the_page_is_up_to_date():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `python -m market_assets.reference`"


def test_every_key_has_a_meaning_and_stands_once():
    for section in re.split(r"^## ", reference.page(), flags=re.MULTILINE)[1:]:
        title, *lines = section.splitlines()
        rows = [line for line in lines if line.startswith("| `")]
        assert [row for row in rows if re.search(r"\|\s*\|$", row)] == [], title
        keys = [row.split("`")[1] for row in rows]
        assert len(keys) == len(set(keys)), title


def test_every_kind_of_source_is_there():
    assert re.findall(r"^## Options of source `(\w+)`", reference.page(), re.MULTILINE) == list(KINDS)


def test_texts_of_a_base_class_count_and_one_text_may_describe_several():
    class Base:
        """Base.

        Attributes:
            one: of the base,
                over two lines.
            two, three: both.
        """

    class Derived(Base):
        """Derived.

        Attributes:
            two: its own.
        """

    assert reference.attributes(Derived) == {"one": "of the base, over two lines.", "two": "its own.", "three": "both."}
