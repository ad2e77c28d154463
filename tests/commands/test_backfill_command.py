"""Options of `market backfill` that are checked before anything is asked or written."""

from __future__ import annotations

import pytest
from scripted_vendor import ScriptedPlatform, ScriptedVendor

from market_assets.commands.backfill import _members
from market_assets.errors import InputError


@pytest.fixture
def platform(tmp_path) -> ScriptedPlatform:
    return ScriptedPlatform(tmp_path, "postgresql://nowhere", [ScriptedVendor("desk")], {"A": "XNYS", "B": "XNYS"})


@pytest.mark.parametrize(("given", "tag"), [("A", "A"), (" B, A ,", "A,B"), ("A,A", "A")])
def test_symbols_are_written_into_the_tag_once_and_in_order(platform, given, tag):
    assert _members(platform, given) == tag


@pytest.mark.parametrize(("given", "problem"), [("A,ZZZ", "universe.csv: ZZZ"), (",", "no symbol is named")])
def test_a_symbol_outside_of_the_universe_is_refused_with_the_file(platform, given, problem):
    with pytest.raises(InputError, match=problem):
        _members(platform, given)
