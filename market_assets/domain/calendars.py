"""Trading calendars: which days an exchange trades, and when each session opens and closes.

Belongs here: sessions of exchange_calendars corrected by overrides, and questions about them. Does not belong here:
the override file (calendar_overrides.py), sessions as partitions (partitions.py), reacting to a close (sensors.py).

Sessions are tz-naive midnights (datetime64[us]), opens and closes are UTC. A calendar answers only for the days it
knows, first_day to last_day: beyond them it raises, because a guessed holiday would be a silent gap in the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.domain.calendar_overrides import Override
from market_assets.errors import ConfigError, InputError

if TYPE_CHECKING:
    from types import ModuleType

Day = date | pd.Timestamp

REGULAR_WEEKDAY: Final = 20  # a weekday with more sessions than this in a calendar is one of its regular weekdays
HOURS: Final = ("opens_at", "closes_at")
USUAL_HOURS: Final = 21  # sessions around a special one whose most frequent hours are taken as regular


@dataclass(frozen=True, eq=False)
class ExchangeCalendar:
    """The sessions of one exchange between two days.

    Attributes:
        exchange: exchange_calendars name.
        timezone: time zone of the exchange, such as America/New_York.
        first_day: first day the calendar knows.
        last_day: last day the calendar knows; a session after it is unknown, not absent.
        schedule: index `session` (unique, ascending), columns opens_at and closes_at (datetime64[us, UTC]).
    """

    exchange: str
    timezone: str
    first_day: pd.Timestamp
    last_day: pd.Timestamp
    schedule: pd.DataFrame

    def sessions(self, start: Day | None = None, end: Day | None = None) -> pd.DatetimeIndex:
        """Sessions in [start, end], None = as far as the calendar goes.

        Raises:
            InputError: the calendar does not know all of [start, end].
        """
        first = self.first_day if start is None else self._known(start)
        last = self.last_day if end is None else self._known(end)
        index = cast("pd.DatetimeIndex", self.schedule.index)
        return index[index.searchsorted(first) : index.searchsorted(last, side="right")]

    def is_session(self, day: Day) -> bool:
        """Whether the exchange trades on `day`.

        Raises:
            InputError: the calendar does not know the day.
        """
        return self._known(day) in self.schedule.index

    def session_open(self, session: Day) -> pd.Timestamp:
        """UTC moment at which `session` opens.

        Raises:
            InputError: not a session of this exchange.
        """
        return self._moment(session, "opens_at")

    def session_close(self, session: Day) -> pd.Timestamp:
        """UTC moment at which `session` closes; half days close early.

        Raises:
            InputError: not a session of this exchange.
        """
        return self._moment(session, "closes_at")

    def next_session(self, day: Day) -> pd.Timestamp:
        """First session after `day`, which need not be one.

        Raises:
            InputError: the calendar ends before it.
        """
        index = self.schedule.index
        return self._at(day, int(index.searchsorted(self._known(day), side="right")), "after")

    def previous_session(self, day: Day) -> pd.Timestamp:
        """Last session before `day`, which need not be one.

        Raises:
            InputError: the calendar starts after it.
        """
        return self._at(day, int(self.schedule.index.searchsorted(self._known(day))) - 1, "before")

    def last_closed_session(self, now: datetime, settle: timedelta = timedelta(0)) -> pd.Timestamp | None:
        """The latest session that closed at least `settle` before `now`.

        Args:
            now: aware moment.
            settle: time the exchange or vendor needs after the close until its data is final.

        Returns:
            The session, or None when none of the calendar's sessions has closed by then.

        Raises:
            InputError: `now` lies after the days the calendar knows, so a session may be missing.
            ValueError: `now` is naive.
        """
        if now.tzinfo is None:
            raise ValueError("now must be timezone-aware")
        local_day = pd.Timestamp(now).tz_convert(self.timezone).tz_localize(None).normalize()
        if local_day > self.last_day:
            raise InputError(self._unknown(local_day))
        closed = int(self._closes.searchsorted(pd.Timestamp(now) - settle, side="right"))
        return cast("pd.Timestamp", self.schedule.index[closed - 1]) if closed else None

    @cached_property
    def _closes(self) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(self.schedule["closes_at"])

    @cached_property
    def regular_weekdays(self) -> frozenset[int]:
        """Weekdays (Monday = 0) on which the exchange trades as a rule; special weekend sessions do not make one."""
        counts = np.bincount(cast("pd.DatetimeIndex", self.schedule.index).day_of_week, minlength=7)
        return frozenset(int(weekday) for weekday in np.flatnonzero(counts > REGULAR_WEEKDAY))

    def may_trade(self, days: pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
        """Whether each day is a session; a day the calendar does not know counts when it is a regular weekday."""
        known = (days >= self.first_day) & (days <= self.last_day)
        regular = days.day_of_week.isin(sorted(self.regular_weekdays))
        return np.where(known, days.isin(self.schedule.index), regular)

    def _known(self, day: Day) -> pd.Timestamp:
        moment = pd.Timestamp(day)
        if not self.first_day <= moment <= self.last_day:
            raise InputError(self._unknown(moment))
        return moment

    def _unknown(self, day: pd.Timestamp) -> str:
        return (
            f"{self.exchange}: the calendar knows {self.first_day:%Y-%m-%d} to {self.last_day:%Y-%m-%d}, "
            f"not {day:%Y-%m-%d}; upgrade exchange_calendars, or ask within these days"
        )

    def _moment(self, session: Day, column: str) -> pd.Timestamp:
        day = self._known(session)
        if day not in self.schedule.index:
            raise InputError(
                f"{self.exchange}: {day:%Y-%m-%d} is no session; if the exchange did trade, add it to the override file"
            )
        return cast("pd.Timestamp", self.schedule[column].loc[day])

    def _at(self, day: Day, position: int, side: str) -> pd.Timestamp:
        if not 0 <= position < len(self.schedule):
            raise InputError(f"{self.exchange}: no session {side} {day:%Y-%m-%d} is known")
        return cast("pd.Timestamp", self.schedule.index[position])


def closed_days(calendars: Sequence[ExchangeCalendar], start: Day, end: Day) -> pd.DatetimeIndex:
    """Days in [start, end], weekends included, on which none of the exchanges trades.

    A day that a calendar does not know is taken to be open on the weekdays on which that exchange regularly trades:
    listing an unknown day as closed would hide a session, listing it as open shows at worst an empty one.
    """
    days = pd.date_range(start, end, freq="D", unit="us")
    traded = np.zeros(len(days), dtype=bool)
    for calendar in calendars:
        traded |= calendar.may_trade(days)
    return days[~traded]


@lru_cache(maxsize=64)
def build_calendar(exchange: str, start: date, end: date, overrides: tuple[Override, ...] = ()) -> ExchangeCalendar:
    """Calendar of one exchange, corrected by its overrides. Cached: building one takes 0.02 to 0.2 s.

    Args:
        exchange: exchange_calendars name.
        start: first day wanted; the calendar starts later where exchange_calendars does.
        end: last day wanted; the calendar ends earlier where exchange_calendars does.
        overrides: rows of any exchange; those of others and of days outside are not used.

    Raises:
        ConfigError: no such exchange, or its calendar cannot be built.
        InputError: an override does not fit the calendar, such as an early close on a closed day.
    """
    published = _published(exchange, start, end)
    first_day = max(pd.Timestamp(start), published.bound_min() or pd.Timestamp(start)).as_unit("us")
    last_day = min(pd.Timestamp(end), published.bound_max() or pd.Timestamp(end)).as_unit("us")
    timezone = str(published.tz)
    regular = pd.DataFrame(
        {"opens_at": published.opens, "closes_at": published.closes},
        index=pd.DatetimeIndex(published.sessions.to_numpy(), name="session").as_unit("us"),
    ).astype("datetime64[us, UTC]")
    schedule = regular.copy()
    for override in overrides:
        day = pd.Timestamp(override.session).as_unit("us")
        if override.exchange != exchange or not first_day <= day <= last_day:
            continue
        if override.kind == "closed":
            schedule = schedule.drop(index=day, errors="ignore")
        else:
            schedule.loc[day] = list(_corrected_hours(override, regular, timezone))
    return ExchangeCalendar(exchange, timezone, first_day, last_day, schedule.sort_index())


def known_exchanges() -> list[str]:
    """Names that exchange_calendars accepts, aliases included, sorted."""
    return list(_library().get_calendar_names(include_aliases=True, sort=True))


def _library() -> ModuleType:
    import exchange_calendars  # here: 0.15 s that a run without calendars need not pay

    return cast("ModuleType", exchange_calendars)


def _published(exchange: str, start: date, end: date) -> Any:
    """The calendar as exchange_calendars has it, over as much of [start, end] as it covers."""
    library = _library()
    try:
        try:
            return library.get_calendar(exchange, start=start, end=end)
        except ValueError:
            # Bounds are only known from a built calendar: build it as shipped, then ask within them.
            shipped = library.get_calendar(exchange)
            first, last = (pd.Timestamp(day) for day in (start, end))
            return library.get_calendar(
                exchange,
                start=max(first, shipped.bound_min() or first),
                end=min(last, shipped.bound_max() or last),
            )
    except library.errors.InvalidCalendarName as error:
        raise ConfigError(
            "unknown exchange",
            file="universe file",
            key="exchange",
            value=exchange,
            allowed="exchange_calendars names, such as XNYS, XBOM or XLON",
        ) from error
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"exchange_calendars cannot build its calendar for {start} to {end}: {error}",
            file="universe file",
            key="exchange",
            value=exchange,
            allowed="another exchange, or a release of exchange_calendars that fits the installed pandas",
        ) from error


def _corrected_hours(override: Override, regular: pd.DataFrame, timezone: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Open and close of an overridden day that has trading."""
    day = pd.Timestamp(override.session).as_unit("us")
    if day in regular.index:
        opens_at, closes_at = (cast("pd.Timestamp", regular[name].loc[day]) for name in HOURS)
    elif override.kind == "special_session":
        opens_at, closes_at = _usual_hours(day, regular, timezone)
    else:
        raise InputError(
            f"{override.origin}: {override.exchange} has no session on {override.session} whose hours could change; "
            "use special_session for a day with trading"
        )
    if override.opens_at is not None:
        opens_at = _moment(day, override.opens_at, timezone)
    if override.closes_at is not None:
        closes_at = _moment(day, override.closes_at, timezone)
    if opens_at >= closes_at:
        raise InputError(f"{override.origin}: the session would open at {opens_at} and close at {closes_at}")
    return opens_at, closes_at


def _usual_hours(day: pd.Timestamp, regular: pd.DataFrame, timezone: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The most frequent local hours of the sessions around `day`, on that day."""
    middle = int(regular.index.searchsorted(day))
    around = regular.iloc[max(middle - USUAL_HOURS // 2, 0) : middle + USUAL_HOURS // 2]
    local = [around[name].dt.tz_convert(timezone).dt.time.mode()[0] for name in HOURS]
    return _moment(day, local[0], timezone), _moment(day, local[1], timezone)


def _moment(day: pd.Timestamp, local: time, timezone: str) -> pd.Timestamp:
    return pd.Timestamp(datetime.combine(day.date(), local), tz=timezone).tz_convert("UTC").as_unit("us")
