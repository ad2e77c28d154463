"""Source `yahoo`: daily history from Yahoo Finance through yfinance.

Belongs here: which securities are asked for, and what bars, actions and facts follow from the answers. Does not belong
here: how a history is asked for (`yahoo_history.py`), the client and its errors (`yahoo_client.py`, `yahoo_errors.py`),
Yahoo's names (`yahoo_exchanges.py`).

Yahoo's prices with auto_adjust=False are split-adjusted, and so are its dividends. The splits since the range are
therefore part of every answer; dividends are given back as traded. Its adjusted closes are handed over beside them.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import MarketError, UnexpectedPayload
from market_assets.fetching.limits import Limits
from market_assets.sources.adjusted_closes import frame_of
from market_assets.sources.base import (
    BY_SYMBOL,
    Coverage,
    FetchRequest,
    FetchResult,
    PriceSource,
    SecurityRef,
    SymbolFailure,
)
from market_assets.sources.frames import ACTION_COLUMNS, ACTIONS, BARS, SECURITIES
from market_assets.sources.options import SourceContext, SourceOptions
from market_assets.sources.yahoo_chart import Event
from market_assets.sources.yahoo_client import YahooClient
from market_assets.sources.yahoo_evidence import COLUMNS, Series, local_date
from market_assets.sources.yahoo_exchanges import EXCHANGES, major_currency, yahoo_symbol
from market_assets.sources.yahoo_history import Question, YahooHistories

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
class _Answer:
    """What is known of one security afterwards. Plain arrays: thousands of small frames would cost more than Yahoo.

    Attributes:
        ref: the security.
        days: dates of its bars, datetime64[D].
        bars: open, high, low, close, volume of each, in currency; shape (bars, 5).
        adjusted: adjusted close of each, NaN where there is none; shape (bars,).
        actions: (ex-date, kind, value) of each event.
        currency: currency of prices and values.
        security: row of the securities frame, None when nothing is known.
        failure: why there is no answer.
        requests: HTTP requests made.
    """

    ref: SecurityRef
    days: npt.NDArray[np.datetime64] = field(default_factory=lambda: np.empty(0, "datetime64[D]"))
    bars: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 5)))
    adjusted: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    actions: tuple[tuple[np.datetime64, str, float], ...] = ()
    currency: str = ""
    security: dict[str, Any] | None = None
    failure: SymbolFailure | None = None
    requests: int = 0


class YahooSource(PriceSource):
    """Yahoo's split-adjusted bars of closed sessions, with splits and dividends. Share counts are not asked for."""

    basis: PriceBasis = "split_adjusted"
    batch = BY_SYMBOL
    limits = Limits()

    def __init__(self, name: str, options: YahooOptions, context: SourceContext, session: Any = None) -> None:
        """Nothing is asked yet.

        Args:
            name: label of the rows.
            options: checked options.
            context: calendar and clock; guard and cache of the requests.
            session: a requests or curl_cffi session to use instead of a new one.
        """
        self.name, self._options, self._context = name, options, context
        self.provides = Coverage(frozenset(EXCHANGES))
        self._client = YahooClient(
            timeout=options.timeout_seconds,
            endpoint=options.endpoint,
            session=session,
            pace=context.guard.limiter.take,
        )
        self._histories = YahooHistories(name, self._client, context)

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> YahooSource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, YahooOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def _fetch(self, request: FetchRequest) -> FetchResult:
        sessions = {
            exchange: self._context.closed_sessions(exchange, request.start, request.end)
            for exchange in sorted({ref.exchange for ref in request.symbols})
        }
        # A range without a closed session needs no question: its answer is known to be empty.
        questions = [(ref, sessions[ref.exchange]) for ref in request.symbols if len(sessions[ref.exchange])]
        with ThreadPoolExecutor(self._options.threads, thread_name_prefix=self.name) as pool:
            answers = list(pool.map(self._answer, questions))
        securities = [answer.security for answer in answers if answer.security is not None]
        return FetchResult(
            bars=self._bars(answers),
            actions=self._actions(answers),
            adjusted_closes=frame_of(
                self.name, [(answer.ref.symbol, answer.days, answer.adjusted) for answer in answers]
            ),
            securities=pd.DataFrame(securities) if securities else SECURITIES.empty(),
            failures=tuple(answer.failure for answer in answers if answer.failure is not None),
            requests_made=sum(answer.requests for answer in answers),
            origin=self.name,
        )

    def _answer(self, asked: tuple[SecurityRef, pd.DatetimeIndex]) -> _Answer:
        ref, sessions = asked
        symbol = self._options.symbols.get(ref.symbol) or yahoo_symbol(ref.symbol, ref.exchange)
        self._client.reset()
        try:
            series = self._histories.of(Question(symbol, EXCHANGES[ref.exchange][1], ref.exchange, sessions))
            return self._read(ref, symbol, sessions, series)
        except MarketError as error:
            return _Answer(ref, failure=SymbolFailure.from_error(ref.symbol, error), requests=self._client.requests)

    def _read(self, ref: SecurityRef, symbol: str, sessions: pd.DatetimeIndex, series: Series) -> _Answer:
        """What one history says of a security.

        Raises:
            UnexpectedPayload: it has bars and names no currency.
        """
        requests = self._client.requests
        currency, unit = major_currency(str(series.facts.get("currency") or ""))
        security = self._security(ref, series.facts, currency) if series.facts else None
        if len(series.days) == 0 and not series.events:
            return _Answer(ref, security=security, requests=requests)
        if not currency:
            raise UnexpectedPayload(f"Yahoo: {symbol}: the answer names no currency. Use another source for it.")
        bars = series.bars * np.array([unit] * 4 + [1.0])
        actions = _actions_of(series.events, sessions[-1].to_datetime64(), unit)
        return _Answer(ref, series.days, bars, series.adjusted * unit, actions, currency, security, requests=requests)

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
                **{name: values[:, position] for position, name in enumerate(COLUMNS.values())},
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
        first = local_date(facts, "firstTradeDate")
        return {
            "symbol": ref.symbol,
            "exchange": ref.exchange,
            "name": str(facts.get("longName") or facts.get("shortName") or ref.symbol),
            "currency": currency or ref.currency,
            "first_session": pd.NaT if first is None else pd.Timestamp(first),
            "last_session": pd.NaT,
            "source": self.name,
        }


def _actions_of(
    events: tuple[Event, ...], last: np.datetime64, unit: float
) -> tuple[tuple[np.datetime64, str, float], ...]:
    """Each split, and each distribution up to `last` as traded on its ex-date, latest first.

    Yahoo divides a distribution by the splits after it. Multiplied back, its six decimals carry an error of the product
    of those splits; the amount is rounded to the decimals that are left.
    """
    actions: list[tuple[np.datetime64, str, float]] = []
    later = 1.0
    for day, of_day in itertools.groupby(reversed(events), key=lambda event: event.day):
        today = tuple(of_day)
        scale = later * unit
        digits = _AMOUNT_DIGITS - math.ceil(math.log10(max(scale, 1.0)))
        for event in today:
            if event.kind == "split":
                actions.append((day, event.kind, event.value))
                later *= event.value
            elif day <= last:
                actions.append((day, event.kind, round(event.value * scale, digits)))
    return tuple(actions)
