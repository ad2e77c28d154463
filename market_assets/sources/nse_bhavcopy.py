"""Source `nse_bhavcopy`: the daily price file (bhavcopy) of the National Stock Exchange of India, zipped CSV by day.

Belongs here: which file holds a session and what its rows say. Does not belong here: transport (`http.py`).

One file holds every security of one session, as traded: older files are not rewritten after a split or bonus. Until
2024-07-05 it is cmDDMMMYYYYbhav.csv.zip, since 2024-07-08 the UDiFF file BhavCopy_NSE_CM_0_0_0_YYYYMMDD_F_0000.csv.zip.
exchange_calendars knows no NSE; XBOM is the calendar of the exchange next door, with the same holidays. Securities of
the NSE are therefore listed in the universe with exchange XBOM, and the few days on which only one of both trades are
answered by the file itself: it does not exist (404) where there was no session.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pandas as pd
from pydantic import Field

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import AnswerCutOff, SourceUnavailable
from market_assets.fetching.limits import Limits
from market_assets.sources.base import Batch, Coverage, FetchRequest, FetchResult, PriceSource, unknown_symbol
from market_assets.sources.by_symbol import VALUES, number
from market_assets.sources.frames import BARS, SECURITIES
from market_assets.sources.http import Call, HttpClient
from market_assets.sources.options import SourceContext, SourceOptions

ENDPOINT: Final = "https://nsearchives.nseindia.com"
EXCHANGE: Final = "XBOM"
CURRENCY: Final = "INR"

UDIFF_SINCE: Final = dt.date(2024, 7, 8)
FIRST_SESSION: Final = dt.date(1994, 11, 3)
PUBLISHED_WITHIN: Final = dt.timedelta(days=3)
"""A file that is missing for longer will not come: there was no session."""

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
"""The archive does not answer clients that introduce themselves as scripts."""

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")  # in any locale
_LOOKBACK_SESSIONS: Final = 5


@dataclass(frozen=True)
class _Layout:
    """Names of the columns: symbol, series, date, security name ("" when there is none), then the five values."""

    symbol: str
    series: str
    date: str
    name: str
    values: tuple[str, ...]


LEGACY: Final = _Layout("SYMBOL", "SERIES", "TIMESTAMP", "", ("OPEN", "HIGH", "LOW", "CLOSE", "TOTTRDQTY"))
UDIFF: Final = _Layout(
    "TckrSymb", "SctySrs", "TradDt", "FinInstrmNm", ("OpnPric", "HghPric", "LwPric", "ClsPric", "TtlTradgVol")
)


class NseBhavcopyOptions(SourceOptions):
    """Options of the NSE's daily files.

    Attributes:
        series: series that are read; where a security traded in several on one day, the first of them.
        threads: files asked for at a time.
        timeout_seconds: time for a whole file.
        symbols: platform symbol -> the NSE's, where they differ.
        user_agent: what the client introduces itself as.
        endpoint: address that stands in for the archive; for tests and mirrors.
    """

    series: tuple[str, ...] = Field(default=("EQ", "BE"), min_length=1)
    threads: int = Field(default=2, ge=1, le=8)
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    symbols: dict[str, str] = Field(default_factory=dict)
    user_agent: str = BROWSER
    endpoint: str | None = Field(default=None, pattern=r"^https?://")


@dataclass(frozen=True)
class _Day:
    """One file: symbol -> five values, and symbol -> name where the file has names."""

    bars: Mapping[str, tuple[float, ...]]
    names: Mapping[str, str]


class NseBhavcopySource(PriceSource):
    """As-traded bars of the NSE, one request a session for all symbols. Its files hold no actions."""

    basis: PriceBasis = "as_traded"
    limits = Limits(requests_per_second=1.0, burst=5)
    # Wide, since every symbol of a day is in the one file; short, since one file that cannot be had fails its range.
    batch = Batch(symbols=10_000, days=7)

    def __init__(self, name: str, options: NseBhavcopyOptions, context: SourceContext) -> None:
        """Nothing is asked yet."""
        self.name, self._options, self._context = name, options, context
        self.provides = Coverage(frozenset({EXCHANGE}), first_session=FIRST_SESSION)
        self._newest: tuple[dt.date, _Day] | None = None
        self._client = HttpClient(
            "NSE",
            name,
            options.endpoint or ENDPOINT,
            context,
            timeout=options.timeout_seconds,
            headers={"User-Agent": options.user_agent},
        )

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> NseBhavcopySource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, NseBhavcopyOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def _fetch(self, request: FetchRequest) -> FetchResult:
        closed = self._context.last_closed(EXCHANGE)
        first, last = max(request.start, FIRST_SESSION), min(request.end, closed)
        if not request.symbols or first > last:
            return FetchResult(origin=self.name)
        sessions: list[dt.date] = self._context.sessions(EXCHANGE, first, last).date.tolist()
        with ThreadPoolExecutor(self._options.threads, thread_name_prefix=self.name) as pool:
            answers = list(pool.map(self._day, sessions))
        days = {day: file for day, (file, _) in zip(sessions, answers, strict=True) if file is not None}
        requests = sum(count for _, count in answers)

        named = {ref.symbol: self._options.symbols.get(ref.symbol, ref.symbol) for ref in request.symbols}
        missing = [symbol for symbol, theirs in named.items() if not any(theirs in file.bars for file in days.values())]
        failures = []
        if missing and sessions:
            latest, count = self._latest(closed)
            requests += count
            failures = [
                unknown_symbol(self.name, symbol, "Neither the files of the range nor the latest one have it.")
                for symbol in missing
                if named[symbol] not in latest.bars
            ]
        return FetchResult(
            bars=self._bars(days, named),
            securities=self._securities(days, named),
            failures=tuple(failures),
            requests_made=requests,
            origin=self.name,
        )

    def _day(self, day: dt.date) -> tuple[_Day | None, int]:
        """The file of one session, None when there was none, and the requests made.

        Raises:
            SourceUnavailable: it is not there yet.
            MarketError: it cannot be had or read.
        """
        self._client.spent()
        about = f"bhavcopy of {day}"
        call = Call(_path(day), {}, about, form="zip", keep=self._context.keeps(EXCHANGE, day))

        def absent() -> None:
            if self._context.now().date() - day <= PUBLISHED_WITHIN:
                raise SourceUnavailable(f"NSE: {about}: not published yet. Ask again later.")

        file = self._client.ask(call, lambda text: _read(text, day, self._options.series), absent=absent)
        return file, self._client.spent()

    def _latest(self, closed: dt.date) -> tuple[_Day, int]:
        """The newest file that exists, and the requests made. Kept: a backfill asks for it with every window."""
        if self._newest is not None and self._newest[0] == closed:
            return self._newest[1], 0
        sessions: list[dt.date] = self._context.sessions(EXCHANGE, closed - dt.timedelta(days=21), closed).date.tolist()
        requests = 0
        for day in reversed(sessions[-_LOOKBACK_SESSIONS:]):
            file, count = self._day(day)
            requests += count
            if file is not None:
                self._newest = (closed, file)
                return file, requests
        raise SourceUnavailable(
            f"NSE: no bhavcopy of the {_LOOKBACK_SESSIONS} sessions up to {closed}. Ask again later."
        )

    def _bars(self, days: Mapping[dt.date, _Day], named: Mapping[str, str]) -> pd.DataFrame:
        rows = [
            (symbol, pd.Timestamp(day), self.name, *file.bars[theirs], CURRENCY)
            for day, file in days.items()
            for symbol, theirs in named.items()
            if theirs in file.bars
        ]
        return (
            pd.DataFrame(rows, columns=["symbol", "session", "source", *VALUES, "currency"]) if rows else BARS.empty()
        )

    def _securities(self, days: Mapping[dt.date, _Day], named: Mapping[str, str]) -> pd.DataFrame:
        """Name of each security in its newest file; the older files have none."""
        names = {theirs: name for file in days.values() for theirs, name in file.names.items()}
        rows = [
            {
                "symbol": symbol,
                "exchange": EXCHANGE,
                "name": names[theirs],
                "currency": CURRENCY,
                "first_session": pd.NaT,
                "last_session": pd.NaT,
                "source": self.name,
            }
            for symbol, theirs in named.items()
            if theirs in names
        ]
        return pd.DataFrame(rows) if rows else SECURITIES.empty()


def _path(day: dt.date) -> str:
    if day >= UDIFF_SINCE:
        return f"/content/cm/BhavCopy_NSE_CM_0_0_0_{day:%Y%m%d}_F_0000.csv.zip"
    month = _MONTHS[day.month - 1]
    return f"/content/historical/EQUITIES/{day.year}/{month}/cm{day.day:02d}{month}{day.year}bhav.csv.zip"


def _read(text: str, day: dt.date, series: tuple[str, ...]) -> _Day:
    """Rows of the wanted series.

    Raises:
        KeyError: a column is missing.
        ValueError: a row of another day, or a number that is none.
        AnswerCutOff: no rows, or a row that ends early.
    """
    reader = csv.reader(text.strip().splitlines())
    header = [name.strip() for name in next(reader)]
    layout = UDIFF if UDIFF.symbol in header else LEGACY
    at = {name: header.index(name) for name in (layout.symbol, layout.series, layout.date, *layout.values)}
    bars: dict[str, tuple[float, ...]] = {}
    names: dict[str, str] = {}
    rank: dict[str, int] = {}
    rows = 0
    for row in reader:
        rows += 1
        if len(row) <= max(at.values()):
            raise AnswerCutOff(f"NSE: bhavcopy of {day}: cut off in row {rows}. Ask again.")
        found = _date(row[at[layout.date]].strip())
        if found != day:
            raise ValueError(f"a row of {found}")
        symbol, kind = row[at[layout.symbol]].strip(), row[at[layout.series]].strip()
        if kind not in series or rank.get(symbol, len(series)) <= series.index(kind):
            continue
        rank[symbol] = series.index(kind)
        bars[symbol] = tuple(number(row[at[name]].strip()) for name in layout.values)
        if layout.name:
            names[symbol] = row[header.index(layout.name)].strip() or symbol
    if not rows:
        raise AnswerCutOff(f"NSE: bhavcopy of {day}: a file without rows. Ask again.")
    return _Day(bars, names)


def _date(text: str) -> dt.date:
    """Date of a row: 2024-07-08, 05-JUL-2024, or 05-JUL-24 in some old files.

    Raises:
        ValueError: anything else.
    """
    if text[:4].isdecimal():
        return dt.date.fromisoformat(text)
    day, month, year = text.split("-")
    full = int(year) + (0 if len(year) == 4 else 2000 if int(year) < 90 else 1900)
    return dt.date(full, _MONTHS.index(month.upper()) + 1, int(day))
