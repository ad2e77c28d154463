"""When an index is rebalanced.

Belongs here: from a list of sessions to the sessions after whose close a composition changes. A decision at
a session
uses only sessions up to it: whether the close before it was a rebalance is known the moment it opens,
without a calendar of the future.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from market_assets.domain.indices.arrays import BoolArray, DayArray, IntArray
from market_assets.domain.indices.rules import WEEKDAYS, RebalanceSchedule

_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday


def opens_new_composition(schedule: RebalanceSchedule, sessions: DayArray) -> BoolArray:
    """Whether each session is the first with a new composition, the close before it being a rebalance.

    Args:
        sessions: the index's sessions, datetime64[D], increasing, without gaps in the calendar.

    Returns:
        bool array of the same length. The first session is False: there is no close before it to judge.
    """
    first = np.zeros(len(sessions), np.bool_)
    if schedule.frequency == "never" or len(sessions) < 2:
        return first
    if schedule.frequency == "daily":
        first[1:] = True
        return first
    scheduled = scheduled_days(schedule, sessions[0], sessions[-1])
    # The last session at or before a scheduled day closes with the rebalance, so the first one after it
    # opens with it.
    opening = np.searchsorted(sessions, scheduled, side="right")
    first[opening[(opening > 0) & (opening < len(sessions))]] = True
    return first


def scheduled_days(schedule: RebalanceSchedule, start: np.datetime64, end: np.datetime64) -> DayArray:
    """The schedule's days in the months of [start, end], sessions or not, datetime64[D].

    Of a schedule without weekday these are the last calendar days of its months. A month without a fifth
    such weekday has no day.
    """
    months: DayArray = np.arange(start.astype("datetime64[M]"), end.astype("datetime64[M]") + 1)
    months = months[np.isin(months.astype(np.int64) % 12 + 1, schedule.months)]
    begin: DayArray = months.astype("datetime64[D]")
    after: DayArray = (months + np.timedelta64(1, "M")).astype("datetime64[D]")
    last = after + _days(np.full(len(after), -1))
    if schedule.weekday is None:
        return last
    weekday = WEEKDAYS.index(schedule.weekday)
    if schedule.nth == -1:
        return last - _days((_weekday(last) - weekday) % 7)
    day = begin + _days((weekday - _weekday(begin)) % 7 + 7 * (schedule.nth - 1))
    return day[day <= last]


def _days(count: IntArray) -> npt.NDArray[np.timedelta64]:
    return count.astype("timedelta64[D]")


def _weekday(days: DayArray) -> IntArray:
    """Monday = 0."""
    return (days.astype(np.int64) + _EPOCH_WEEKDAY) % 7
