"""When an answer of Yahoo is believed: cut off and suspended look alike until a second answer decides."""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import pytest

from market_assets.errors import AnswerCutOff, SourceUnavailable
from market_assets.sources.yahoo_chart import Event, History
from market_assets.sources.yahoo_evidence import Evidence, Series, local_date, require_recent

SESSIONS = np.arange("2020-01-01", "2020-04-10", dtype="datetime64[D]")  # a hundred days, weekends for simplicity too
FACTS = {"firstTradeDate": pd.Timestamp("2015-01-02"), "regularMarketTime": pd.Timestamp("2020-06-01")}


def series(first: int, last: int, **facts: Any) -> Series:
    """Bars of the sessions at [first, last)."""
    days = SESSIONS[first:last]
    return Series(days, np.ones((len(days), 5)), (), {**FACTS, **facts}, np.ones(len(days)))


@pytest.fixture
def evidence() -> Evidence:
    return Evidence("IBM")


@pytest.mark.parametrize("rows", [0, 100])
def test_a_kept_stretch_is_the_stretch_that_was_answered(rows: int) -> None:
    moment = pd.Timestamp("2020-06-01 16:00", tz="America/New_York")
    events = (Event(np.datetime64("2020-02-03"), "cash_dividend", 0.1), Event(np.datetime64("2020-03-02"), "split", 2))
    bars = np.random.default_rng(1).normal(50, 10, (rows, 5))
    bars[rows // 2 :, 3] = np.nan
    facts = {"symbol": "IBM", "longName": None, "regularMarketTime": moment}
    answered = Series(SESSIONS[:rows], bars, events, facts, bars[:, 3] * 0.9)
    kept = Series.unpacked(answered.packed())
    assert kept.days.dtype == answered.days.dtype
    np.testing.assert_array_equal(kept.days, answered.days)
    np.testing.assert_array_equal(kept.bars, answered.bars)
    np.testing.assert_array_equal(kept.adjusted, answered.adjusted)
    assert kept.events == events
    assert local_date(kept.facts, "regularMarketTime") == dt.date(2020, 6, 1)
    assert (kept.facts["symbol"], kept.facts["longName"]) == ("IBM", None)


@pytest.mark.parametrize("ends", [(0, 100), (4, 100), (0, 96), (4, 96)])
def test_a_whole_answer_and_a_late_bar_or_two_are_believed(evidence: Evidence, ends: tuple[int, int]) -> None:
    evidence.require_whole(series(*ends), SESSIONS)


@pytest.mark.parametrize("ends", [(5, 100), (0, 95), (40, 60)])
def test_sessions_missing_at_an_end_are_doubted(evidence: Evidence, ends: tuple[int, int]) -> None:
    with pytest.raises(AnswerCutOff, match="of 100 sessions from 2020-01-01 to 2020-04-09 are missing"):
        evidence.require_whole(series(*ends), SESSIONS)


def test_holes_inside_are_not_an_answer_that_was_cut_off(evidence: Evidence) -> None:
    whole = series(0, 100)
    kept = np.r_[0:30, 70:100]
    evidence.require_whole(Series(whole.days[kept], whole.bars[kept], (), FACTS, whole.adjusted[kept]), SESSIONS)


def test_a_second_answer_that_lacks_the_same_is_believed(evidence: Evidence) -> None:
    with pytest.raises(AnswerCutOff):
        evidence.require_whole(series(0, 80), SESSIONS)
    evidence.require_whole(series(50, 80), SESSIONS[50:])


def test_a_second_answer_that_shows_some_of_it_proves_the_first_was_cut_off(evidence: Evidence) -> None:
    with pytest.raises(AnswerCutOff):
        evidence.require_whole(series(0, 50), SESSIONS)
    with pytest.raises(AnswerCutOff):
        evidence.require_whole(series(50, 75), SESSIONS[50:])
    evidence.require_whole(series(75, 100), SESSIONS[75:])


@pytest.mark.parametrize(
    "facts",
    [
        {"firstTradeDate": pd.Timestamp("2020-06-01")},
        {"regularMarketTime": pd.Timestamp("2019-12-31")},
    ],
)
def test_before_the_listing_and_after_the_end_nothing_is_missing(evidence: Evidence, facts: dict[str, Any]) -> None:
    evidence.require_whole(series(0, 0, **facts), SESSIONS)


def test_only_the_life_of_the_security_counts(evidence: Evidence) -> None:
    life = {"firstTradeDate": pd.Timestamp(SESSIONS[20]), "regularMarketTime": pd.Timestamp(SESSIONS[79])}
    evidence.require_whole(series(20, 80, **life), SESSIONS)


def empty(evidence: Evidence, sessions: Any) -> SourceUnavailable:
    with pytest.raises(SourceUnavailable, match="an empty answer") as raised:
        evidence.require_whole(series(0, 0), sessions)
    assert not isinstance(raised.value, AnswerCutOff)
    return raised.value


def test_an_empty_answer_alone_explains_nothing(evidence: Evidence) -> None:
    assert not evidence.explains(empty(evidence, SESSIONS))


def test_an_empty_answer_about_sessions_that_another_one_lacked_is_explained(evidence: Evidence) -> None:
    with pytest.raises(AnswerCutOff):
        evidence.require_whole(series(0, 30), SESSIONS)
    assert evidence.explains(empty(evidence, SESSIONS[50:]))


def test_a_gap_that_is_believed_may_go_on_in_the_older_range(evidence: Evidence) -> None:
    with pytest.raises(AnswerCutOff):
        evidence.require_whole(series(70, 100), SESSIONS)
    evidence.require_whole(series(70, 100), SESSIONS[50:])
    evidence.noted(series(70, 100), SESSIONS[50:])
    assert evidence.explains(empty(evidence, SESSIONS[:50]))


def test_a_security_is_not_asked_about_before_it_listed(evidence: Evidence) -> None:
    assert not evidence.unlisted(dt.date(2010, 1, 4))
    evidence.noted(series(0, 100), SESSIONS)
    assert evidence.unlisted(dt.date(2015, 1, 1))
    assert not evidence.unlisted(dt.date(2015, 1, 2))


@pytest.mark.parametrize(
    ("rows", "traded", "believed"),
    [
        (["2020-05-29"], "2020-06-01", True),
        (["2020-05-01"], "2020-06-01", False),
        ([], "2020-06-01", False),
        ([], "2020-04-09", True),  # it has not traded since
        ([], None, True),
    ],
)
def test_an_answer_up_to_the_present_reaches_the_last_trade(
    rows: list[str], traded: str | None, believed: bool
) -> None:
    """Otherwise the latest splits might be missing."""
    facts = {"regularMarketTime": None if traded is None else pd.Timestamp(traded)}
    history = History(pd.DataFrame(index=pd.DatetimeIndex(rows).tz_localize("America/New_York")), (), facts, b"")
    expected = nullcontext() if believed else pytest.raises(AnswerCutOff, match="although it traded until 2020-06-01")
    with expected:
        require_recent("IBM", history, dt.timedelta(days=14), dt.date(2020, 4, 9))
