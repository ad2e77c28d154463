"""Trading sessions as daily partitions, and the calendars they come from.

Belongs here: calendars of the configured exchanges with the override file read from disk, the partitions definition
that every session-partitioned asset shares, the moment a session becomes a partition, and the sessions of a run. Does
not belong here: calendar arithmetic (domain/calendars.py) and launching runs (sensors.py).

A partition is a day on which at least one configured exchange trades. Its window ends at the next midnight of the
configured time zone, and only then does Dagster know the partition. Athens midnight is 22:00 UTC in winter and 21:00
in summer, hence 17:00 in New York, and 18:00 in the weeks in which only one side has changed its clocks.

Excluded days. A weekday on which no exchange trades is one cron expression, valid for ever. A weekday with a few
special sessions (XBOM's Saturdays) is a cron expression for the months without one, and single dates in the others.
Holidays are single dates, to 31 December of next year or as far as an exchange's calendar goes: later weekdays count as
open until the location is loaded again. The list changes once a year and not with every load: Dagster identifies a
partitions definition by all its exclusions, and drops what it derived from an old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from dagster import AssetCheckExecutionContext, AssetExecutionContext, DailyPartitionsDefinition
from dagster._core.definitions.partitions.context import partition_loading_context

from market_assets.domain.calendar_overrides import Override, parse_overrides
from market_assets.domain.calendars import ExchangeCalendar, build_calendar, closed_days, known_exchanges
from market_assets.errors import ConfigError

if TYPE_CHECKING:
    from dagster._core.instance import DynamicPartitionsStore

TIMEZONE = "Europe/Athens"
KEY_FORMAT = "%Y-%m-%d"


class SessionPartitions(DailyPartitionsDefinition):
    """Daily partitions that are listed once and not by every step.

    Dagster lists all keys for each unpartitioned step that reads a partitioned asset, checks and marts among them, at
    17 microseconds a key: 40 years of sessions cost a day's run 1.5 s. Between two loads of the code location a list
    changes only by a later last key. In all else this is its base class, as which Dagster knows and stores it.
    """

    def get_partition_keys(
        self, current_time: datetime | None = None, dynamic_partitions_store: DynamicPartitionsStore | None = None
    ) -> Sequence[str]:
        """See the base class."""
        with partition_loading_context(current_time, dynamic_partitions_store):
            last = self.get_last_partition_key()
            listed: Sequence[str] | None = self.__dict__.get("_listed")
            if not listed or listed[-1] != last:
                listed = super().get_partition_keys()
                self.__dict__["_listed"] = listed
            return list(listed)


def load_calendars(
    exchanges: Sequence[str], start: date, overrides: Path | None = None, today: date | None = None
) -> tuple[ExchangeCalendar, ...]:
    """Calendars of `exchanges` from a year before `start` to 31 December of next year, corrected by the override file.

    Args:
        exchanges: exchange_calendars names; doubles are dropped, order is kept.
        start: first partition. The year before it lets rebalance rules look back.
        overrides: the override file; None = none.
        today: the day from which next year is counted; None = today in UTC.

    Raises:
        ConfigError: the override file cannot be read, or an exchange has no calendar.
        InputError: a row of the override file cannot be used.
    """
    year = (today or datetime.now(UTC).date()).year
    rows: tuple[Override, ...] = ()
    if overrides is not None:
        try:
            text = overrides.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot read the calendar overrides: {error.strerror}", file=str(overrides), allowed="a CSV file"
            ) from error
        rows = parse_overrides(text, file=str(overrides), known_exchanges=known_exchanges())
    first, last = date(start.year - 1, 1, 1), date(year + 1, 12, 31)
    return tuple(build_calendar(exchange, first, last, rows) for exchange in dict.fromkeys(exchanges))


def session_partitions(
    calendars: Sequence[ExchangeCalendar], start: date, end: date | None = None, timezone: str = TIMEZONE
) -> DailyPartitionsDefinition:
    """The partitions definition shared by all session-partitioned assets. Never combine it with end_offset.

    Args:
        calendars: configured exchanges, at least one.
        start: first partition, or the first session after it.
        end: last partition, inclusive; None = open.
        timezone: zone whose midnight ends a session day.

    Raises:
        ValueError: no calendar.
    """
    if not calendars:
        raise ValueError("session partitions need the calendar of at least one exchange")
    horizon = max(calendar.last_day for calendar in calendars)
    return SessionPartitions(
        start_date=start.isoformat(),
        end_date=None if end is None else (end + timedelta(days=1)).isoformat(),
        timezone=timezone,
        exclusions=_exclusions(calendars, pd.Timestamp(start), horizon),
    )


def available_at(session: date, timezone: str = TIMEZONE) -> datetime:
    """UTC moment from which Dagster knows the partition of `session`: the midnight that ends the day in `timezone`."""
    midnight = pd.Timestamp(session).normalize() + timedelta(days=1)
    return midnight.tz_localize(timezone).tz_convert("UTC").to_pydatetime()


def run_range(context: AssetExecutionContext | AssetCheckExecutionContext) -> tuple[date, date]:
    """First and last session of the run's partitions; equal in a run of one partition."""
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)


def run_sessions(context: AssetExecutionContext | AssetCheckExecutionContext) -> pd.DatetimeIndex:
    """All sessions of the run's partitions, ascending, as tz-naive midnights (datetime64[us])."""
    return pd.DatetimeIndex(list(context.partition_keys), name="session").as_unit("us")


def _exclusions(
    calendars: Sequence[ExchangeCalendar], start: pd.Timestamp, horizon: pd.Timestamp
) -> list[str | datetime]:
    """Cron expressions and dates that remove every day on which no exchange trades."""
    closed = closed_days(calendars, start, horizon)
    traded = pd.date_range(start, horizon, freq="D").difference(closed)
    regular = frozenset[int]().union(*(calendar.regular_weekdays for calendar in calendars))
    exclusions: list[str | datetime] = []
    listed = np.ones(len(closed), dtype=bool)
    for weekday in sorted(set(range(7)) - regular):
        special = set(traded.month[traded.day_of_week == weekday])
        months = [month for month in range(1, 13) if month not in special]
        if months:
            field = ",".join(map(str, months)) if special else "*"
            exclusions.append(f"0 0 * {field} {(weekday + 1) % 7}")  # cron counts from Sunday, pandas from Monday
            listed &= ~((closed.day_of_week == weekday) & closed.month.isin(months))
    return exclusions + [day.to_pydatetime() for day in closed[listed]]
