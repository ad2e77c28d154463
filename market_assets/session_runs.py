"""Which sessions to load now: the plan behind the session-close sensor.

Belongs here: pure planning from calendars, partitions, a clock and a cursor. Does not belong here: Dagster's sensor
interface (sensors.py) and what a run does (assets).

A session of an exchange is due when it has closed, the settle delay has passed, and its day is a partition: midnight in
the partitions' time zone has passed, see partitions.py. The cursor holds the last session asked for, by exchange.

- First evaluation: only the latest session is due, and none of a range that ended long ago. History is loaded on
  purpose, with `market backfill`.
- Afterwards everything since the cursor is due, in one run over the range: after downtime nothing is lost.
- Exchanges share partitions. New York, London and Bombay have all closed by midnight in Athens, so their sessions of
  one day are due in the same evaluation and make one run. An exchange that settles later makes its own run of the same
  partition afterwards: ingestion asks for every symbol whose session has closed, and writes only what is new.
- The run key names exchanges and sessions, so an evaluation that is repeated, with its cursor lost or a daemon killed
  between launching and saving, asks for the same run and Dagster launches it once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.domain.calendars import ExchangeCalendar
from market_assets.errors import InputError
from market_assets.partitions import available_at

if TYPE_CHECKING:
    from dagster import DailyPartitionsDefinition

STILL_LIVE = timedelta(days=7)
"""A range whose last partition became one longer ago is history: no first run for it."""

Cursor = Mapping[str, date]
"""Exchange -> last session asked for."""


@dataclass(frozen=True)
class SessionSpan:
    """The days that are partitions.

    Attributes:
        first: first day.
        last: last day, None = open.
        timezone: zone whose midnight turns a day into a partition.
    """

    first: date
    last: date | None
    timezone: str

    @classmethod
    def of(cls, partitions: DailyPartitionsDefinition) -> SessionSpan:
        """The span of a partitions definition."""
        end = partitions.end
        return cls(
            partitions.start.date(), None if end is None else end.date() - timedelta(days=1), partitions.timezone
        )

    def last_available(self, now: datetime) -> date:
        """Latest day that is a partition at `now`."""
        yesterday = pd.Timestamp(now).tz_convert(self.timezone).date() - timedelta(days=1)
        return yesterday if self.last is None else min(yesterday, self.last)


@dataclass(frozen=True)
class SessionRun:
    """One run over the partitions of [first, last].

    Attributes:
        first: first partition.
        last: last partition.
        due: exchange -> its own first and last due session, in order of exchange.
    """

    first: date
    last: date
    due: Mapping[str, tuple[date, date]]

    @property
    def run_key(self) -> str:
        """Identical for identical work."""
        return "+".join(f"{exchange}:{first}:{last}" for exchange, (first, last) in self.due.items())


@dataclass(frozen=True)
class SessionPlan:
    """What to launch, and what to remember.

    Attributes:
        run: None = nothing is due.
        cursor: to be saved once the run is launched.
        waiting: for each exchange, what comes next and when; shown while nothing is due.
        problems: exchanges that could not be planned, with the remedy.
    """

    run: SessionRun | None
    cursor: Cursor
    waiting: tuple[str, ...]
    problems: tuple[str, ...]


def plan_session_runs(
    calendars: Sequence[ExchangeCalendar], span: SessionSpan, now: datetime, cursor: Cursor, settle: timedelta
) -> SessionPlan:
    """Decide which partitions to load at `now`. An exchange whose calendar has run out does not stop the others.

    Args:
        calendars: configured exchanges.
        span: days that are partitions.
        now: aware moment.
        cursor: last session asked for; an exchange that is not in it is new.
        settle: wait after a close before its bars are taken as final.
    """
    due: dict[str, tuple[date, date]] = {}
    asked, waiting, problems = dict(cursor), [], []
    for calendar in sorted(calendars, key=lambda calendar: calendar.exchange):
        try:
            ready = _last_ready(calendar, span, now, settle)
            sessions = [] if ready is None else _due(calendar, span, now, ready, cursor.get(calendar.exchange))
            if sessions:
                due[calendar.exchange] = sessions[0], sessions[-1]
                asked[calendar.exchange] = sessions[-1]
            else:
                waiting.append(_next(calendar, span, ready, settle))
        except InputError as error:
            problems.append(str(error))
    run = None
    if due:
        run = SessionRun(min(first for first, _ in due.values()), max(last for _, last in due.values()), due)
    return SessionPlan(run, asked, tuple(waiting), tuple(problems))


def read_cursor(text: str | None) -> dict[str, date]:
    """Cursor from its stored form; None = nothing asked for yet."""
    return {exchange: date.fromisoformat(day) for exchange, day in json.loads(text or "{}").items()}


def write_cursor(cursor: Cursor) -> str:
    """Stored form of a cursor."""
    return json.dumps({exchange: day.isoformat() for exchange, day in sorted(cursor.items())})


def _last_ready(calendar: ExchangeCalendar, span: SessionSpan, now: datetime, settle: timedelta) -> date | None:
    """Latest session of the exchange that has closed, has settled and is a partition."""
    closed = calendar.last_closed_session(now, settle)
    available = span.last_available(now)
    if closed is None or available < span.first:
        return None
    if closed.date() > available:
        closed = calendar.previous_session(available + timedelta(days=1))
    return closed.date() if closed.date() >= span.first else None


def _due(calendar: ExchangeCalendar, span: SessionSpan, now: datetime, ready: date, asked: date | None) -> list[date]:
    """Sessions to load, ascending; `ready` is the last one that could be."""
    if asked is None:
        over = span.last is not None and now > available_at(span.last, span.timezone) + STILL_LIVE
        return [] if over else [ready]
    first = max(asked + timedelta(days=1), span.first)
    return [day.date() for day in calendar.sessions(first, ready)] if first <= ready else []


def _next(calendar: ExchangeCalendar, span: SessionSpan, ready: date | None, settle: timedelta) -> str:
    """What is waited for, in one line."""
    day = calendar.next_session(span.first - timedelta(days=1) if ready is None else ready).date()
    if span.last is not None and day > span.last:
        return f"{calendar.exchange}: the last partition is {span.last}"
    at = max(calendar.session_close(day) + settle, pd.Timestamp(available_at(day, span.timezone)))
    return f"{calendar.exchange}: session {day} is due at {at:%Y-%m-%d %H:%M} UTC"
