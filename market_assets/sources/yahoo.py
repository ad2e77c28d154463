"""Source `yahoo`: daily history from Yahoo Finance through yfinance.

Belongs here: which question is asked for each security, and what bars, actions and facts follow from the answer. Does
not belong here: the client and its errors (`yahoo_client.py`), Yahoo's names (`yahoo_exchanges.py`).

Yahoo's prices with auto_adjust=False are split-adjusted, and so are its dividends. Each question therefore reaches to
the present, whatever the end of the range: the splits since then are in the bars. Dividends are given back as traded.
"""

from __future__ import annotations

import datetime as dt
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import MarketError, SourceUnavailable, UnexpectedPayload
from market_assets.fetching.limits import Limits
from market_assets.sources.base import (
    Coverage,
    FetchRequest,
    FetchResult,
    PriceSource,
    SecurityRef,
    SymbolFailure,
)
from market_assets.sources.frames import ACTION_COLUMNS, ACTIONS, BARS, SECURITIES
from market_assets.sources.options import SourceContext, SourceOptions
from market_assets.sources.yahoo_client import History, YahooClient
from market_assets.sources.yahoo_exchanges import EXCHANGES, major_currency, yahoo_symbol

_COLUMNS: Final = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}
_DISTRIBUTIONS: Final = {"Dividends": "cash_dividend", "Capital Gains": "special_dividend"}
_EVENTS: Final = ("Stock Splits", *_DISTRIBUTIONS)
_AMOUNT_DIGITS: Final = 6  # Yahoo rounds split-adjusted dividends to this many decimals


class YahooOptions(SourceOptions):
    """Options of Yahoo.

    Attributes:
        threads: symbols asked for at a time.
        timeout_seconds: time without a byte after which a request fails.
        symbols: platform symbol -> Yahoo symbol, where the rule (BRK.B -> BRK-B, suffix of the exchange) does not hold.
        endpoint: address that stands in for every Yahoo host; for tests and gateways.
    """

    threads: int = Field(default=4, ge=1, le=16)
    timeout_seconds: float = Field(default=20.0, gt=0, le=300)
    symbols: dict[str, str] = Field(default_factory=dict)
    endpoint: str | None = Field(default=None, pattern=r"^https?://")


@dataclass(frozen=True)
class _Question:
    """One security, and the closed sessions that bars are wanted for."""

    ref: SecurityRef
    sessions: pd.DatetimeIndex


@dataclass(frozen=True)
class _Answer:
    """What is known of one security afterwards. Plain arrays: thousands of small frames would cost more than Yahoo.

    Attributes:
        ref: the security.
        days: dates of its bars, datetime64[D].
        bars: open, high, low, close, volume of each, in currency; shape (bars, 5).
        actions: (ex-date, kind, value) of each event.
        currency: currency of prices and values.
        security: row of the securities frame, None when nothing is known.
        failure: why there is no answer.
        requests: HTTP requests made.
    """

    ref: SecurityRef
    days: npt.NDArray[np.datetime64] = field(default_factory=lambda: np.empty(0, "datetime64[D]"))
    bars: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 5)))
    actions: tuple[tuple[np.datetime64, str, float], ...] = ()
    currency: str = ""
    security: dict[str, Any] | None = None
    failure: SymbolFailure | None = None
    requests: int = 0


class YahooSource(PriceSource):
    """Yahoo's split-adjusted bars of closed sessions, with splits and dividends. Share counts are not asked for."""

    basis: PriceBasis = "split_adjusted"
    limits = Limits()

    def __init__(self, name: str, options: YahooOptions, context: SourceContext, session: Any = None) -> None:
        """Nothing is asked yet.

        Args:
            name: label of the rows.
            options: checked options.
            context: calendar and clock.
            session: a requests or curl_cffi session to use instead of a new one.
        """
        self.name, self._options, self._context = name, options, context
        self.provides = Coverage(frozenset(EXCHANGES))
        self._client = YahooClient(timeout=options.timeout_seconds, endpoint=options.endpoint, session=session)

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> YahooSource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, YahooOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def _fetch(self, request: FetchRequest) -> FetchResult:
        sessions = {
            exchange: self._closed_sessions(exchange, request)
            for exchange in sorted({ref.exchange for ref in request.symbols})
        }
        # A range without a closed session needs no question: its answer is known to be empty.
        questions = [_Question(ref, sessions[ref.exchange]) for ref in request.symbols if len(sessions[ref.exchange])]
        with ThreadPoolExecutor(self._options.threads, thread_name_prefix=self.name) as pool:
            answers = list(pool.map(self._answer, questions))
        securities = [answer.security for answer in answers if answer.security is not None]
        return FetchResult(
            bars=self._bars(answers),
            actions=self._actions(answers),
            securities=pd.DataFrame(securities) if securities else SECURITIES.empty(),
            failures=tuple(answer.failure for answer in answers if answer.failure is not None),
            requests_made=sum(answer.requests for answer in answers),
            origin=self.name,
        )

    def _closed_sessions(self, exchange: str, request: FetchRequest) -> pd.DatetimeIndex:
        """Sessions of the range that have closed. Yahoo shows today's row while it is still forming."""
        end = min(request.end, self._context.last_closed(exchange))
        if end < request.start:
            return pd.DatetimeIndex([]).as_unit("us")
        return self._context.sessions(exchange, request.start, end)

    def _answer(self, question: _Question) -> _Answer:
        ref = question.ref
        symbol = self._options.symbols.get(ref.symbol) or yahoo_symbol(ref.symbol, ref.exchange)
        try:
            history = self._client.history(symbol, EXCHANGES[ref.exchange][1], question.sessions[0].date())
            return self._read(question, symbol, history)
        except MarketError as error:
            return _Answer(ref, failure=SymbolFailure.from_error(ref.symbol, error), requests=self._client.requests)

    def _read(self, question: _Question, symbol: str, history: History) -> _Answer:
        """What one answer says of the question.

        Raises:
            UnexpectedPayload: the answer is about another symbol, in another zone, or names no currency.
            SourceUnavailable: an empty answer for sessions on which the security traded.
        """
        ref, facts, frame = question.ref, history.metadata, history.frame
        if facts:
            _require_same_symbol(symbol, facts)
            _require_same_zone(symbol, EXCHANGES[ref.exchange][1], facts)
        currency, unit = major_currency(str(facts.get("currency") or ""))
        security = self._security(ref, facts, currency) if facts else None
        if frame.empty:
            _require_plausible(symbol, facts, question.sessions)
            return _Answer(ref, security=security, requests=history.requests)
        if not currency:
            raise UnexpectedPayload(f"Yahoo: {symbol}: the answer names no currency. Use another source for it.")

        first, last = question.sessions[[0, -1]].to_numpy("datetime64[D]")
        days = pd.DatetimeIndex(frame.index).tz_localize(None).to_numpy("datetime64[D]")
        bars = np.column_stack([frame[column].to_numpy("float64") for column in _COLUMNS])
        bars[:, :4] *= unit
        # Where an event has no bar of its day, yfinance invents a row for it: no prices, no volume.
        happens = sum(frame[column].to_numpy("float64") for column in _EVENTS if column in frame) > 0
        invented = happens & np.isnan(bars[:, :4]).all(axis=1) & (bars[:, 4] == 0)
        asked = (days >= first) & (days <= last) & ~invented
        if not asked.any():
            _require_plausible(symbol, facts, question.sessions)
        actions = _actions_of(frame[happens & (days >= first)], last, unit)
        return _Answer(ref, days[asked], bars[asked], actions, currency, security, requests=history.requests)

    def _bars(self, answers: list[_Answer]) -> pd.DataFrame:
        answers = [answer for answer in answers if len(answer.days)]
        if not answers:
            return BARS.empty()
        counts = [len(answer.days) for answer in answers]
        values = np.concatenate([answer.bars for answer in answers])
        return pd.DataFrame(
            {
                "symbol": np.repeat([answer.ref.symbol for answer in answers], counts),
                "session": np.concatenate([answer.days for answer in answers]).astype("datetime64[us]"),
                "source": self.name,
                **{name: values[:, position] for position, name in enumerate(_COLUMNS.values())},
                "currency": np.repeat([answer.currency for answer in answers], counts),
            }
        )

    def _actions(self, answers: list[_Answer]) -> pd.DataFrame:
        rows = [
            (answer.ref.symbol, pd.Timestamp(day), kind, self.name, value, answer.currency, None)
            for answer in answers
            for day, kind, value in answer.actions
        ]
        return pd.DataFrame(rows, columns=list(ACTION_COLUMNS)) if rows else ACTIONS.empty()

    def _security(self, ref: SecurityRef, facts: dict[str, Any], currency: str) -> dict[str, Any]:
        """Facts of the security. Yahoo does not say when one is delisted, and no failure of ours says it either."""
        first = _local_date(facts, "firstTradeDate")
        return {
            "symbol": ref.symbol,
            "exchange": ref.exchange,
            "name": str(facts.get("longName") or facts.get("shortName") or ref.symbol),
            "currency": currency or ref.currency,
            "first_session": pd.NaT if first is None else pd.Timestamp(first),
            "last_session": pd.NaT,
            "source": self.name,
        }


def _actions_of(events: pd.DataFrame, last: np.datetime64, unit: float) -> tuple[tuple[np.datetime64, str, float], ...]:
    """Each split, and each distribution up to `last` as traded on its ex-date, latest first.

    Yahoo divides a distribution by the splits after it. Multiplied back, its six decimals carry an error of the product
    of those splits; the amount is rounded to the decimals that are left.
    """
    days = pd.DatetimeIndex(events.index).tz_localize(None).to_numpy("datetime64[D]")
    columns = {name: events[name].to_numpy("float64") for name in _EVENTS if name in events}
    actions: list[tuple[np.datetime64, str, float]] = []
    later = 1.0
    for row in reversed(range(len(days))):
        scale = later * unit
        digits = _AMOUNT_DIGITS - math.ceil(math.log10(max(scale, 1.0)))
        for name, kind in _DISTRIBUTIONS.items():
            if name in columns and columns[name][row] > 0 and days[row] <= last:
                actions.append((days[row], kind, round(columns[name][row] * scale, digits)))
        ratio = columns["Stock Splits"][row]
        if ratio > 0:
            actions.append((days[row], "split", float(ratio)))
            later *= ratio
    return tuple(actions)


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


def _require_plausible(symbol: str, facts: dict[str, Any], sessions: pd.DatetimeIndex) -> None:
    """An answer without bars is believed only of a security that had not listed yet or had stopped trading."""
    first, latest = _local_date(facts, "firstTradeDate"), _local_date(facts, "regularMarketTime")
    unlisted = first is not None and first > sessions[-1].date()
    gone = latest is not None and latest < sessions[0].date()
    if facts and not unlisted and not gone:
        raise SourceUnavailable(
            f"Yahoo: {symbol}: an empty answer for {len(sessions)} sessions from {sessions[0].date()}, although it "
            f"trades since {first or 'an unknown day'} until {latest or 'an unknown day'}. Ask again."
        )


def _local_date(facts: dict[str, Any], key: str) -> dt.date | None:
    """Exchange-local date of a moment in Yahoo's facts: seconds since 1970, or the Timestamp yfinance makes of them."""
    value = facts.get(key)
    if value is None:
        return None
    if isinstance(value, int | float):
        zone = str(facts.get("exchangeTimezoneName") or "UTC")
        return dt.datetime.fromtimestamp(value, ZoneInfo(zone)).date()
    return pd.Timestamp(value).date()
