"""A delisting takes several sources on several sessions; one voice is not enough, and a trade in between undoes it."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_assets.domain.listings import delistings, is_telling, revived

SESSIONS = pd.bdate_range("2024-01-02", periods=8).astype("datetime64[us]")
LAST = pd.Series({"A": SESSIONS[0], "B": SESSIONS[0]})


def evidence(*rows: tuple[str, str, int, str, int | None]) -> pd.DataFrame:
    """symbol, source, number of the session, finding, number of the stated last session."""
    frame = pd.DataFrame(
        [
            (symbol, source, SESSIONS[day], finding, pd.NaT if last is None else SESSIONS[last])
            for symbol, source, day, finding, last in rows
        ],
        columns=["symbol", "source", "session", "finding", "last_session"],
    )
    return frame.astype({"session": "datetime64[us]", "last_session": "datetime64[us]"})


def gone(source: str, *days: int, symbol: str = "A", last: int | None = None) -> list[tuple]:
    return [(symbol, source, day, "absent" if last is None else "ended", last) for day in days]


def found(*rows: tuple, sources: int = 2, sessions: int = 3) -> dict[str, pd.Timestamp]:
    frame = delistings(evidence(*rows), LAST, sources=sources, sessions=sessions)
    return dict(zip(frame["symbol"], frame["last_session"], strict=True))


def test_one_source_never_delists_however_often_it_says_so() -> None:
    assert found(*gone("one", 1, 2, 3, 4, 5, 6)) == {}


def test_two_sources_on_three_sessions_do_with_the_session_of_the_last_bar() -> None:
    assert found(*gone("one", 1, 2, 3), *gone("two", 2, 3, 4)) == {"A": SESSIONS[0]}


def test_two_sources_on_too_few_sessions_do_not() -> None:
    assert found(*gone("one", 1, 2, 3), *gone("two", 2, 3)) == {}


def test_a_trade_in_between_starts_the_count_again() -> None:
    rows = [*gone("one", 1, 2, 4, 5), *gone("two", 1, 2, 4, 5), ("A", "three", 3, "traded", None)]
    assert found(*rows) == {}
    assert found(*rows, *gone("one", 6), *gone("two", 6)) == {"A": SESSIONS[0]}


def test_a_stated_last_session_is_believed_over_the_last_bar() -> None:
    assert found(*gone("one", 3, 4, 5, last=2), *gone("two", 3, 4, 5)) == {"A": SESSIONS[2]}


def test_symbols_are_judged_apart() -> None:
    assert found(*gone("one", 1, 2, 3), *gone("two", 1, 2, 3, symbol="B")) == {}


def test_a_symbol_without_a_bar_or_a_stated_session_has_no_end() -> None:
    assert found(*gone("one", 1, 2, 3, symbol="Z"), *gone("two", 1, 2, 3, symbol="Z")) == {}


def test_no_evidence_is_no_delisting() -> None:
    assert found() == {}
    assert revived(evidence()) == []


@settings(max_examples=40)
@given(
    days=st.lists(
        st.tuples(st.sampled_from(["one", "two", "three"]), st.integers(1, 7)), unique=True, min_size=1, max_size=21
    )
)
def test_the_decision_is_the_count_of_sources_with_enough_sessions(days: list[tuple[str, int]]) -> None:
    rows = [("A", source, day, "absent", None) for source, day in days]
    enough = [name for name in ("one", "two", "three") if sum(source == name for source, _ in days) >= 3]
    assert bool(found(*rows)) == (len(enough) >= 2)
    assert found(*rows, ("A", "four", 7, "traded", None)) == {}


def test_a_trade_after_the_evidence_revives() -> None:
    assert revived(evidence(*gone("one", 1, 2), ("A", "two", 3, "traded", None))) == ["A"]
    assert revived(evidence(*gone("one", 1, 4), ("A", "two", 3, "traded", None))) == []


@pytest.mark.parametrize(
    ("asked", "unknown", "telling"), [(1, 1, True), (4, 4, True), (5, 5, False), (100, 20, True), (100, 21, False)]
)
def test_a_source_that_misses_much_of_what_it_is_asked_speaks_about_itself(
    asked: int, unknown: int, telling: bool
) -> None:
    assert is_telling(asked, unknown) is telling
