"""Rebalance days: the nth weekday, the last session, holidays, and no look at the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.domain.indices.rules import WEEKDAYS, RebalanceSchedule
from market_assets.domain.indices.schedule import opens_new_composition, scheduled_days

THIRD_FRIDAY = {"weekday": "friday", "nth": 3}


def days(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[D]")


def openings(schedule: RebalanceSchedule, sessions: pd.DatetimeIndex) -> list[str]:
    calendar = sessions.to_numpy("datetime64[D]")
    return [str(day) for day in calendar[opens_new_composition(schedule, calendar)]]


def test_third_friday_of_the_quarter_opens_on_the_monday_after() -> None:
    sessions = pd.bdate_range("2020-01-01", "2020-12-31")
    schedule = RebalanceSchedule(**THIRD_FRIDAY)
    assert openings(schedule, sessions) == ["2020-03-23", "2020-06-22", "2020-09-21", "2020-12-21"]


def test_third_friday_on_a_holiday_is_effective_after_the_session_before() -> None:
    """Good Friday 2014 was the third Friday of April: the close is Thursday the 17th."""
    sessions = pd.bdate_range("2014-04-01", "2014-04-30").drop("2014-04-18")
    schedule = RebalanceSchedule(frequency="monthly", **THIRD_FRIDAY)
    assert openings(schedule, sessions) == ["2014-04-21"]
    calendar = sessions.to_numpy("datetime64[D]")
    assert calendar[np.flatnonzero(opens_new_composition(schedule, calendar))[0] - 1] == np.datetime64("2014-04-17")


def test_last_session_of_the_month() -> None:
    sessions = pd.bdate_range("2020-01-01", "2020-04-02")
    assert openings(RebalanceSchedule(frequency="monthly"), sessions) == ["2020-02-03", "2020-03-02", "2020-04-01"]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (RebalanceSchedule(frequency="semi_annual"), days("2020-06-30", "2020-12-31")),
        (RebalanceSchedule(frequency="annual", months=(9,)), days("2020-09-30")),
        (RebalanceSchedule(frequency="annual", weekday="monday", nth=1), days("2020-12-07")),
        (RebalanceSchedule(frequency="annual", months=(5,), weekday="friday", nth=-1), days("2020-05-29")),
    ],
)
def test_days_of_a_year(schedule: RebalanceSchedule, expected: np.ndarray) -> None:
    found = scheduled_days(schedule, np.datetime64("2020-01-15"), np.datetime64("2020-12-15"))
    assert found.tolist() == expected.tolist()


def test_month_without_a_fifth_weekday_has_no_rebalance() -> None:
    schedule = RebalanceSchedule(frequency="monthly", weekday="friday", nth=5)
    found = scheduled_days(schedule, np.datetime64("2020-01-01"), np.datetime64("2020-06-30"))
    assert found.tolist() == days("2020-01-31", "2020-05-29").tolist()


def test_daily_and_never() -> None:
    sessions = pd.bdate_range("2020-01-01", periods=3)
    assert openings(RebalanceSchedule(frequency="daily"), sessions) == ["2020-01-02", "2020-01-03"]
    assert openings(RebalanceSchedule(frequency="never"), sessions) == []
    assert openings(RebalanceSchedule(frequency="daily"), sessions[:0]) == []


@given(
    st.sampled_from(["daily", "monthly", "quarterly", "semi_annual", "annual"]),
    st.sampled_from([None, *WEEKDAYS]),
    st.sampled_from([-1, 1, 2, 3, 4, 5]),
    st.integers(0, 2000),
    st.sets(st.integers(0, 399), max_size=60),
    st.integers(1, 340),
)
def test_a_decision_never_needs_a_later_session(
    frequency: str, weekday: str | None, nth: int, start: int, holidays: set[int], upto: int
) -> None:
    dated = weekday is not None and frequency != "daily"
    schedule = RebalanceSchedule(frequency=frequency, weekday=weekday if dated else None, nth=nth if dated else 0)
    calendar = pd.bdate_range("2010-01-01", periods=400) + pd.Timedelta(days=start)
    sessions = np.delete(calendar.to_numpy("datetime64[D]"), sorted(holidays))
    whole = opens_new_composition(schedule, sessions)
    assert whole[:upto].tolist() == opens_new_composition(schedule, sessions[:upto]).tolist()
