"""Ranges that adapt: every session is answered exactly once, whatever a vendor can and cannot answer."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.errors import AnswerCutOff, SourceUnavailable, TimedOut
from market_assets.fetching.ranges import FIVE_YEARS, Window, walk

DAY = dt.timedelta(days=1)


def weekdays(first: dt.date, count: int) -> list[dt.date]:
    days = (first + number * DAY for number in range(count * 2))
    return [day for day in days if day.weekday() < 5][:count]


@given(
    gaps=st.lists(st.integers(1, 90), min_size=1, max_size=300),
    seed=st.integers(0, 10_000),
    failing=st.floats(0, 0.6),
    start=st.integers(1, FIVE_YEARS),
)
def test_every_session_is_answered_exactly_once_whatever_fails(
    gaps: list[int], seed: int, failing: float, start: int
) -> None:
    sessions = [dt.date(2000, 1, 3) + sum(gaps[:position]) * DAY for position in range(len(gaps))]
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    answered = Counter[dt.date]()

    def ask(first: dt.date, last: dt.date) -> tuple[dt.date, dt.date]:
        if first < last and draw.random() < failing:
            raise draw.choice([TimedOut, AnswerCutOff])("too much")
        answered.update(day for day in sessions if first <= day <= last)
        return first, last

    ranges = walk(sessions, ask, Window(start))
    assert answered == dict.fromkeys(sessions, 1)
    assert [last for _, last in ranges] == sorted((last for _, last in ranges), reverse=True)


@given(limit=st.integers(1, 400), count=st.integers(1, 1500))
def test_a_firm_limit_is_found_and_kept(limit: int, count: int) -> None:
    """A vendor that answers `limit` days at most is asked little more than the ranges that it takes."""
    sessions, asked = weekdays(dt.date(2015, 1, 1), count), []

    def ask(first: dt.date, last: dt.date) -> int:
        asked.append((last - first).days + 1)
        if asked[-1] > limit:
            raise TimedOut("too much")
        return asked[-1]

    answers = walk(sessions, ask, Window())
    failures = len(asked) - len(answers)
    assert failures <= 14 + len(answers) // 8


def test_five_years_at_a_time_newest_first() -> None:
    sessions = weekdays(dt.date(2006, 1, 2), 5200)  # to 2025-12-05
    ranges = walk(sessions, lambda first, last: (first, last), Window())
    assert [str(first) for first, _ in ranges] == ["2021-01-01", "2016-01-01", "2011-01-03", "2006-01-02"]
    assert ranges[0][1] == sessions[-1]


def test_cuts_stay_where_they_are_while_days_go_by() -> None:
    sessions = weekdays(dt.date(2006, 1, 2), 5200)
    cuts = {tuple(walk(sessions[:end], lambda first, _: first, Window())[:-1]) for end in range(5150, 5200)}
    assert cuts == {(dt.date(2021, 1, 1), dt.date(2016, 1, 1), dt.date(2011, 1, 3))}


def test_the_window_halves_grows_and_is_shared() -> None:
    window, sessions, asked = Window(400), weekdays(dt.date(2020, 1, 1), 500), []

    def ask(first: dt.date, last: dt.date) -> None:
        asked.append((last - first).days + 1)
        if len(asked) <= 2:
            raise AnswerCutOff("too much")

    walk(sessions, ask, window)
    assert asked[0] > 2 * asked[1] - 62 > 0
    assert asked[1] > asked[2]
    before = window.days
    for _ in range(40):
        walk(sessions, lambda *_: None, window)
    assert before < window.days == 400


def test_many_that_fail_together_halve_once() -> None:
    window = Window(1000)
    for _ in range(8):
        window.shrink(1000)
    assert window.days == 500


def test_a_single_session_that_fails_is_told() -> None:
    def ask(first: dt.date, last: dt.date) -> None:
        raise TimedOut(f"{first} to {last}")

    with pytest.raises(TimedOut, match="2020-01-07 to 2020-01-07"):
        walk(weekdays(dt.date(2020, 1, 1), 5), ask, Window())


def test_what_a_smaller_range_does_not_cure_is_told_at_once() -> None:
    asked = []

    def ask(first: dt.date, last: dt.date) -> None:
        asked.append(first)
        raise SourceUnavailable("down")

    with pytest.raises(SourceUnavailable):
        walk(weekdays(dt.date(2020, 1, 1), 50), ask, Window())
    assert len(asked) == 1
