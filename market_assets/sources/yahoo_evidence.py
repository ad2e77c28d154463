"""Whether an answer of Yahoo is believed: the right security, whole, and as recent as its own facts say.

Belongs here: an answer as arrays, and the reasons to ask again. Does not belong here: asking (`yahoo_history.py`).

Yahoo tells when a security first and last traded. Sessions in between that an answer lacks at an end of its range look
like an answer that was cut off; but a security may also have been suspended. A second answer decides, to a smaller
range: if it shows any of those sessions, the first one was cut off; if it lacks them too, they are believed to be
missing. An answer without any bars is asked again as often as the retry policy has it before that is considered.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.errors import AnswerCutOff, SourceUnavailable, UnexpectedPayload
from market_assets.sources.adjusted_closes import unshown
from market_assets.sources.yahoo_chart import Event, History

COLUMNS: Final = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}
"""Yahoo's columns -> ours."""

MISSING_AT_AN_END: Final = 5
"""So many sessions missing at an end of a range look like an answer that was cut off; fewer may just be late."""

QUARTER: Final = dt.timedelta(days=100)
SOME_DAYS: Final = dt.timedelta(days=14)

Days = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Series:
    """What Yahoo says of one security in a range of days.

    Attributes:
        days: dates of its bars, ascending, datetime64[D].
        bars: open, high, low, close, volume of each as Yahoo shows them; shape (bars, 5).
        events: by day; those after the range are splits.
        facts: Yahoo's facts, empty when it gave none.
        adjusted: adjusted close of each bar, on a scale of the stretch's own (see `adjusted_closes.py`); NaN where
            Yahoo shows none. Shape (bars,).
    """

    days: Days
    bars: npt.NDArray[np.float64]
    events: tuple[Event, ...]
    facts: dict[str, Any]
    adjusted: npt.NDArray[np.float64]

    @classmethod
    def empty(cls) -> Series:
        """Nothing."""
        return cls(np.empty(0, "datetime64[D]"), np.empty((0, len(COLUMNS))), (), {}, np.empty(0))

    def packed(self) -> bytes:
        """As the cache keeps it: read again without yfinance, which takes as long for an answer as Yahoo does."""
        events = [(str(event.day), event.kind, event.value) for event in self.events]
        # yfinance makes a Timestamp of a moment; its text means the same to `local_date`.
        header = json.dumps({"rows": len(self.days), "events": events, "facts": self.facts}, default=str).encode()
        return header + b"\n" + self.days.astype("int64").tobytes() + self.bars.tobytes() + self.adjusted.tobytes()

    @classmethod
    def unpacked(cls, kept: bytes) -> Series:
        """The inverse of `packed`."""
        line, content = kept.split(b"\n", 1)
        header = json.loads(line)
        rows = int(header["rows"])
        days = np.frombuffer(content, "int64", rows).astype("datetime64[D]")
        values = np.frombuffer(content, "float64", offset=8 * rows)
        bars, adjusted = values[: rows * len(COLUMNS)].reshape(rows, len(COLUMNS)), values[rows * len(COLUMNS) :]
        events = tuple(Event(np.datetime64(day), kind, value) for day, kind, value in header["events"])
        return cls(days, bars, events, header["facts"], adjusted)


def cut(history: History, first: dt.date, last: dt.date) -> Series:
    """What `history` says of the days from `first` to `last`, and the splits since."""
    low, high = np.datetime64(first), np.datetime64(last)
    events = tuple(
        event for event in history.events if event.day >= low and (event.day <= high or event.kind == "split")
    )
    if history.frame.empty:
        nothing = Series.empty()
        return Series(nothing.days, nothing.bars, events, history.metadata, nothing.adjusted)
    days = _days_of(history)
    bars = np.column_stack([history.frame[column].to_numpy("float64") for column in COLUMNS])
    shown = "Adj Close" in history.frame
    adjusted = history.frame["Adj Close"].to_numpy("float64") if shown else unshown(days)
    # Where an event has no bar of its day, yfinance invents a row for it: no prices, no volume.
    happens = np.isin(days, np.array([event.day for event in history.events], "datetime64[D]"))
    invented = happens & np.isnan(bars[:, :4]).all(axis=1) & (bars[:, 4] == 0)
    asked = (days >= low) & (days <= high) & ~invented
    return Series(days[asked], bars[asked], events, history.metadata, adjusted[asked])


def require_same_security(symbol: str, zone: str, facts: dict[str, Any]) -> None:
    """Raise UnexpectedPayload unless the facts, if any, are about `symbol` in a zone like `zone`."""
    if facts:
        _require_same_symbol(symbol, facts)
        _require_same_zone(symbol, zone, facts)


def require_recent(symbol: str, history: History, slack: dt.timedelta, asked_after: dt.date | None = None) -> None:
    """Raise AnswerCutOff if an answer that reaches to the present ends more than `slack` before the last trade.

    Splits are among what would be missing. An answer without rows is not judged, unless the security traded after
    `asked_after`, the day before the range.
    """
    traded = local_date(history.metadata, "regularMarketTime")
    if traded is None:
        return
    days = _days_of(history)
    newest = days.max().astype(object) if len(days) else asked_after
    if newest is not None and traded - newest > (slack if len(days) else dt.timedelta(0)):
        raise AnswerCutOff(
            f"Yahoo: {symbol}: the answer ends on {newest}, although it traded until {traded}. Ask again."
        )


class Evidence:
    """What the answers about one security have shown so far, from the newest range to older ones.

    Args:
        symbol: Yahoo's symbol, for messages.
    """

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._facts: dict[str, Any] = {}
        # Sessions that an answer lacked at an end of its range, and no other answer has shown.
        self._doubted: set[dt.date] = set()
        # Whether the newer range lacks its first sessions, and that is believed.
        self._gap = False
        # The error for an answer without bars that other answers make believable.
        self._explained: SourceUnavailable | None = None

    def unlisted(self, last: dt.date) -> bool:
        """Whether the security had not listed by `last`."""
        first = local_date(self._facts, "firstTradeDate")
        return first is not None and first > last

    def require_whole(self, series: Series, sessions: Days) -> None:
        """Raise unless `series` has what a whole answer about `sessions` has.

        Raises:
            AnswerCutOff: sessions are missing at an end, and no other answer has missed them yet.
            SourceUnavailable: there are no bars, although the security traded.
        """
        lacking = _lacking(series, sessions)
        if not lacking:
            return
        known = lacking <= self._doubted
        if len(series.days) == 0:
            error = self._empty(series, sessions)
            self._explained = error if known or self._gap else None
            raise error
        shown = self._doubted & set(series.days.tolist())
        if known and not shown:
            return
        self._doubted = (self._doubted - shown) | lacking
        raise AnswerCutOff(
            f"Yahoo: {self._symbol}: {len(lacking)} of {len(sessions)} sessions from {sessions[0]} to {sessions[-1]} "
            "are missing at an end of the answer, although it traded before and after. Ask for less at a time."
        )

    def explains(self, error: SourceUnavailable) -> bool:
        """Whether what is known of the security makes the empty answers that ended in `error` believable."""
        believed = error is self._explained
        self._gap = self._gap or believed
        return believed

    def noted(self, series: Series, sessions: Days) -> Series:
        """`series`, remembered as the answer about `sessions`."""
        self._facts = series.facts or self._facts
        if len(series.days):
            self._gap = sessions[0].astype(object) in _lacking(series, sessions)
        return series

    def _empty(self, series: Series, sessions: Days) -> SourceUnavailable:
        first, latest = local_date(series.facts, "firstTradeDate"), local_date(series.facts, "regularMarketTime")
        return SourceUnavailable(
            f"Yahoo: {self._symbol}: an empty answer for {len(sessions)} sessions from {sessions[0]}, although it "
            f"trades since {first or 'an unknown day'} until {latest or 'an unknown day'}. Ask again."
        )


def local_date(facts: dict[str, Any], key: str) -> dt.date | None:
    """Exchange-local date of a moment in Yahoo's facts: seconds since 1970, or the Timestamp yfinance makes of them."""
    value = facts.get(key)
    if value is None:
        return None
    if isinstance(value, int | float):
        zone = str(facts.get("exchangeTimezoneName") or "UTC")
        return dt.datetime.fromtimestamp(value, ZoneInfo(zone)).date()
    return pd.Timestamp(value).date()


def _lacking(series: Series, sessions: Days) -> set[dt.date]:
    """Sessions within the security's life that are missing at an end of `series`, or all of them."""
    if not series.facts:
        return set()  # Yahoo said in so many words that it has nothing there
    first, latest = local_date(series.facts, "firstTradeDate"), local_date(series.facts, "regularMarketTime")
    lived = sessions
    if first is not None:
        lived = lived[lived >= np.datetime64(first)]
    if latest is not None:
        lived = lived[lived <= np.datetime64(latest)]
    if len(series.days) == 0:
        return set(lived.tolist())
    ends = (lived[lived < series.days[0]], lived[lived > series.days[-1]])
    return {day for end in ends if len(end) >= MISSING_AT_AN_END for day in end.tolist()}


def _days_of(history: History) -> Days:
    return pd.DatetimeIndex(history.frame.index).tz_localize(None).to_numpy("datetime64[D]")


def _require_same_symbol(symbol: str, facts: dict[str, Any]) -> None:
    answered = str(facts.get("symbol", ""))
    if answered.upper() != symbol.upper():
        raise UnexpectedPayload(
            f"Yahoo: asked for {symbol}, answered for {answered or 'no symbol'}. If the security has been renamed, "
            "correct `symbols` of the source."
        )


def _require_same_zone(symbol: str, zone: str, facts: dict[str, Any]) -> None:
    """Zones may differ in name (Asia/Calcutta), not in what they do to a date."""
    answered = str(facts.get("exchangeTimezoneName", ""))
    try:
        same = all(
            dt.datetime(year, month, 1, tzinfo=ZoneInfo(zone)).utcoffset()
            == dt.datetime(year, month, 1, tzinfo=ZoneInfo(answered)).utcoffset()
            for year in (2010, 2024)
            for month in (1, 7)
        )
    except (KeyError, ValueError):
        same = False
    if not same:
        raise UnexpectedPayload(
            f"Yahoo: {symbol} is dated in {answered or 'no zone'} instead of {zone}: sessions would be off by a day. "
            "Check the exchange in the universe."
        )
