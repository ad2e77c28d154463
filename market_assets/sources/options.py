"""What every source is built from: its options in the configuration, and what the platform lends it.

Belongs here: the base of the typed options and the context. Does not belong here: the options of one kind (they stand
beside the source they configure) or reading market.yaml (`market_assets.config`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import pandas as pd
from pydantic import BaseModel, ConfigDict

from market_assets.domain.calendars import build_calendar
from market_assets.fetching.cache import HttpCache
from market_assets.fetching.guard import Guard

UNSETTLED_SESSIONS: Final = 10
"""Latest closed sessions that are always asked for: vendors still correct them."""

SessionsFunction: TypeAlias = Callable[[str, dt.date, dt.date], pd.DatetimeIndex]
ClosedThroughFunction: TypeAlias = Callable[[str], dt.date]


class SourceOptions(BaseModel):
    """Options of one kind of source. Unknown keys are refused, values are not coerced between types."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=False)


def utc_now() -> dt.datetime:
    """The present moment, with its zone."""
    return dt.datetime.now(dt.UTC)


def calendar_sessions(exchange: str, start: dt.date, end: dt.date) -> pd.DatetimeIndex:
    """Sessions of `exchange` from `start` to `end` by exchange_calendars, without the platform's own overrides."""
    calendar = build_calendar(exchange, dt.date(start.year, 1, 1), dt.date(end.year, 12, 31))
    return calendar.sessions(max(pd.Timestamp(start), calendar.first_day), min(pd.Timestamp(end), calendar.last_day))


@dataclass(frozen=True)
class SourceContext:
    """What the platform lends a source.

    Attributes:
        base_dir: folder that relative paths in the options start from (that of the configuration file).
        cache_dir: folder a source may keep files in that it can do without; created when needed.
        sessions: sessions of an exchange between two dates; the platform passes its calendar with overrides.
        closed_through: last session of an exchange that has closed by now; None: by exchange_calendars and `now`. Bars
            of later sessions are never returned.
        now: clock, replaced in tests.
        guard: the door that every request to a vendor goes through: pace, retries, circuit breaker.
        cache: answers kept on disk, None when there is none.
        fresh: the caller wants what the vendor says now, not what it said: the cache is neither read nor written.
    """

    base_dir: Path = field(default_factory=Path.cwd)
    cache_dir: Path = field(default_factory=lambda: Path.cwd() / ".market" / "cache")
    sessions: SessionsFunction = calendar_sessions
    closed_through: ClosedThroughFunction | None = None
    now: Callable[[], dt.datetime] = utc_now
    guard: Guard = field(default_factory=Guard.free)
    cache: HttpCache | None = None
    fresh: bool = False

    def last_closed(self, exchange: str) -> dt.date:
        """Last session of `exchange` that has closed."""
        if self.closed_through is not None:
            return self.closed_through(exchange)
        today = self.now().date()
        calendar = build_calendar(exchange, dt.date(today.year - 1, 1, 1), dt.date(today.year + 1, 12, 31))
        closed = calendar.last_closed_session(self.now())
        return closed.date() if closed is not None else dt.date.min

    def keeps(self, exchange: str, last: dt.date) -> bool:
        """Whether answers about sessions of `exchange` up to `last` may be kept and read from the cache.

        They may when at least UNSETTLED_SESSIONS later sessions have closed.
        """
        if self.cache is None or not self.cache.enabled or self.fresh:
            return False
        closed = self.last_closed(exchange)
        if (closed - last).days > 2 * UNSETTLED_SESSIONS + 20:
            return True  # without a look at the calendar: no closure lasts that long
        day = dt.timedelta(days=1)
        return closed > last and len(self.sessions(exchange, last + day, closed)) >= UNSETTLED_SESSIONS

    def closed_sessions(self, exchange: str, start: dt.date, end: dt.date) -> pd.DatetimeIndex:
        """Sessions from `start` to `end` that have closed: vendors show today's row while it is still forming."""
        end = min(end, self.last_closed(exchange))
        return self.sessions(exchange, start, end) if start <= end else pd.DatetimeIndex([]).as_unit("us")

    def resolve(self, path: Path) -> Path:
        """`path` if absolute, else below `base_dir`."""
        path = path.expanduser()
        return path if path.is_absolute() else self.base_dir / path
