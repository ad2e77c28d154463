"""Ranges of history that adapt to what a vendor can answer in one request.

Belongs here: how a span of sessions is cut, newest part first, and how the cut is learned. Does not belong here: asking
(the caller's function does) and trying again (`guard.py`): an error that a smaller range cannot cure goes through.
"""

from __future__ import annotations

import datetime as dt
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from market_assets.errors import AnswerCutOff, TimedOut

T = TypeVar("T")

FIVE_YEARS: Final = 1827
"""Days a first request reaches back: any five calendar years, two leap days included."""

MOST_SUCCESSES: Final = 64
"""A window that was too large again and again still tries to grow after this many answers."""


class Window:
    """Days asked for in one request. Shared by all symbols and threads of a source, so that a lesson is learned once.

    It halves when a request was too large and doubles after successes: after one at first, after twice as many each
    time that growing proved wrong, so that a vendor with a firm limit is not asked beyond it again and again.

    Args:
        days: where it starts, and what it never exceeds.
    """

    def __init__(self, days: int = FIVE_YEARS) -> None:
        self._most = max(days, 1)
        self._days = self._most
        self._successes, self._needed = 0, 1
        self._lock = threading.Lock()

    @property
    def days(self) -> int:
        """Days of the next request."""
        return self._days

    def shrink(self, asked: int) -> None:
        """A request of `asked` days was too large. Several that were sent together halve the window once."""
        with self._lock:
            smaller = max(1, asked // 2)
            if smaller < self._days:
                self._days = smaller
                self._successes, self._needed = 0, min(self._needed * 2, MOST_SUCCESSES)

    def grow(self, asked: int) -> None:
        """A request cut at `asked` days was answered. One that was sent before the window grew teaches nothing."""
        with self._lock:
            self._successes += asked >= self._days
            if self._successes >= self._needed and self._days < self._most:
                self._days, self._successes = min(self._most, self._days * 2), 0
                if self._days == self._most:
                    self._needed = 1


def walk(sessions: Sequence[dt.date], ask: Callable[[dt.date, dt.date], T], window: Window) -> list[T]:
    """Answers for all of `sessions`, newest range first; each session is in exactly one of them.

    Args:
        sessions: dates in ascending order, without repeats.
        ask: given the first and last session of a range, answers for both and all between. TimedOut and AnswerCutOff
            mean that the range is to be halved; after a range of one session they are raised.
        window: how far a range reaches; shrinks and grows on the way.

    Raises:
        MarketError: whatever `ask` raises that a smaller range does not cure; nothing is asked after it.
    """
    answers: list[T] = []
    end = len(sessions)
    ceiling = FIVE_YEARS * 100  # other threads may grow the window while this walk still has to shrink its range
    while end > 0:
        size = min(window.days, ceiling)
        first = first_of(sessions, end, size)
        oldest, newest = sessions[first], sessions[end - 1]
        try:
            answers.append(ask(oldest, newest))
        except (TimedOut, AnswerCutOff):
            if end - first == 1:
                raise
            # By the days of the range: it may be shorter than the window, and has to be smaller the next time.
            asked = (newest - oldest).days + 1
            ceiling = asked // 2
            window.shrink(asked)
        else:
            if first > 0:
                window.grow(size)
            ceiling = max(ceiling * 2, 2)
            end = first
    return answers


def first_of(sessions: Sequence[dt.date], end: int, days: int) -> int:
    """Position of the first session of a range of at most `days` days whose last one stands before position `end`.

    A range of years begins with a year and one of months with a month, if it does not reach the oldest session: cuts
    stay where they are while the newest session moves on day by day, and closed ranges are asked in the same words.
    """
    newest = sessions[end - 1]
    earliest = newest - dt.timedelta(days=days - 1)
    if earliest > sessions[0]:
        round_start = _start_of_year(earliest) if days >= 366 else _start_of_month(earliest) if days >= 31 else earliest
        earliest = round_start if round_start <= newest else earliest
    return min(bisect_left(sessions, earliest), end - 1)


def _start_of_year(day: dt.date) -> dt.date:
    """First of January on or after `day`."""
    return day if (day.month, day.day) == (1, 1) else dt.date(day.year + 1, 1, 1)


def _start_of_month(day: dt.date) -> dt.date:
    """First of a month on or after `day`."""
    return day if day.day == 1 else (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
