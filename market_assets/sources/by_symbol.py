"""Vendors that are asked for one symbol at a time: threads, ranges, empty answers, and frames from what came back.

Belongs here: what is the same for every such vendor. Does not belong here: a vendor's addresses and formats (its own
module), or transport (`http.py`).
"""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from market_assets.errors import MarketError, SourceUnavailable, UnexpectedPayload
from market_assets.fetching.ranges import walk
from market_assets.sources.adjusted_closes import frame_of, unshown, without_joints
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
from market_assets.sources.http import HttpClient
from market_assets.sources.options import SourceContext, SourceOptions

VALUES: Final = ("open", "high", "low", "close", "volume")
EARLIEST: Final = dt.date(1900, 1, 1)
"""First date of a question for a whole history."""

MISSING: Final = frozenset({"", "None", "null", "NaN", "nan", "N/A", "N/D", "-"})
"""Texts that mean "no value" where a number is expected. Any other text is a fault."""


class VendorOptions(SourceOptions):
    """Options of every vendor that is asked by symbol.

    Attributes:
        threads: symbols asked for at a time.
        timeout_seconds: time for a whole answer.
        symbols: platform symbol -> the vendor's, where its rule does not hold.
        endpoint: address that stands in for the vendor's; for tests and gateways.
    """

    threads: int = Field(default=4, ge=1, le=16)
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    symbols: dict[str, str] = Field(default_factory=dict)
    endpoint: str | None = Field(default=None, pattern=r"^https?://")


@dataclass(frozen=True)
class Action:
    """One corporate action: ex-date, kind, value as traded, and its currency where it differs from that of prices."""

    ex_date: dt.date
    kind: str
    value: float
    currency: str = ""


@dataclass(frozen=True)
class Rows:
    """Bars of one security. Plain arrays: thousands of small frames would cost more than the vendor.

    Attributes:
        days: dates, datetime64[D], in the vendor's order.
        bars: open, high, low, close, volume of each; shape (days, 5). NaN where the vendor has no number.
        actions: events that came with the bars.
        adjusted: the vendor's adjusted close of each, NaN where it shows none; shape (days,). None: it never does.
    """

    days: npt.NDArray[np.datetime64] = field(default_factory=lambda: np.empty(0, "datetime64[D]"))
    bars: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 5)))
    actions: tuple[Action, ...] = ()
    adjusted: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        records: Sequence[tuple[str, Sequence[Any]]],
        actions: tuple[Action, ...] = (),
        adjusted: Sequence[Any] | None = None,
    ) -> Rows:
        """Rows from (ISO date, five values) pairs, and the adjusted close of each.

        Raises:
            ValueError, TypeError: a date or a number that is none.
        """
        days = np.array([dt.date.fromisoformat(day) for day, _ in records], "datetime64[D]")
        bars = np.array([[number(value) for value in values] for _, values in records], "float64")
        closes = None if adjusted is None else np.array([number(value) for value in adjusted], "float64")
        return cls(days, bars.reshape(len(records), len(VALUES)), actions, closes)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """All of `parts`, one after the other."""
        if not parts:
            return cls()
        return cls(
            np.concatenate([part.days for part in parts]),
            np.concatenate([part.bars for part in parts]),
            tuple(action for part in parts for action in part.actions),
            without_joints([(part.days, part.adjusted_closes) for part in parts]),
        )

    def within(self, first: dt.date, last: dt.date) -> Rows:
        """Bars and actions from `first` to `last`."""
        asked = (self.days >= np.datetime64(first)) & (self.days <= np.datetime64(last))
        actions = tuple(action for action in self.actions if first <= action.ex_date <= last)
        return Rows(self.days[asked], self.bars[asked], actions, self.adjusted_closes[asked])

    @property
    def adjusted_closes(self) -> npt.NDArray[np.float64]:
        """The adjusted close of each row, NaN where the vendor shows none."""
        return unshown(self.days) if self.adjusted is None else self.adjusted


@dataclass(frozen=True)
class Question:
    """One security, its name at the vendor, and the closed sessions that bars are wanted for; never none."""

    ref: SecurityRef
    symbol: str
    sessions: pd.DatetimeIndex

    @property
    def named(self) -> str:
        """The security in messages: its symbol, and the vendor's if that differs."""
        return self.symbol if self.symbol == self.ref.symbol else f"{self.ref.symbol} ({self.symbol})"

    @property
    def first(self) -> dt.date:
        """First session."""
        return self.sessions[0].date()

    @property
    def last(self) -> dt.date:
        """Last session."""
        return self.sessions[-1].date()


@dataclass(frozen=True)
class Answer:
    """What a vendor says of one security, as traded.

    Attributes:
        ref: the security.
        rows: bars and actions of the asked range, in `currency`.
        currency: ISO 4217 code of prices and values.
        security: name, first_session and last_session for the securities frame; None when nothing is known.
        failure: why there is no answer.
        requests: HTTP requests made.
    """

    ref: SecurityRef
    rows: Rows = field(default_factory=Rows)
    currency: str = ""
    security: Mapping[str, Any] | None = None
    failure: SymbolFailure | None = None
    requests: int = 0


class BySymbolSource(PriceSource):
    """Base of vendors that are asked for one symbol at a time. Subclasses answer one question.

    Args:
        name: label of the rows.
        options: checked options.
        context: calendar, clock, guard and cache.
        client: the vendor's HTTP interface.
        exchanges: exchange -> suffix of the vendor's symbols.
    """

    batch = BY_SYMBOL

    def __init__(
        self,
        name: str,
        options: VendorOptions,
        context: SourceContext,
        client: HttpClient,
        exchanges: Mapping[str, str],
    ) -> None:
        self.name, self.context, self.client = name, context, client
        self.provides = Coverage(frozenset(exchanges))
        self._threads, self._symbols, self._exchanges = options.threads, options.symbols, exchanges
        self._window = context.guard.window

    @abstractmethod
    def answer(self, question: Question) -> tuple[Rows, str, Mapping[str, Any] | None]:
        """Rows (at least those of the asked sessions), currency, and facts of the security.

        Raises:
            MarketError: why there is no answer.
        """

    def vendor_symbol(self, ref: SecurityRef) -> str:
        """The vendor's name of a security: share classes with a hyphen, then the suffix of the exchange."""
        return self._symbols.get(ref.symbol) or ref.symbol.replace(".", "-") + self._exchanges[ref.exchange]

    def bars(self, question: Question, ask: Callable[[dt.date, dt.date], Rows]) -> Rows:
        """Rows of the asked sessions in ranges that adapt to what the vendor can answer.

        An empty answer is common where a vendor means a fault, so it is not believed at once: the whole history is
        asked for, and the range is empty only if it is empty in there too.

        Raises:
            MarketError: the whole history is empty as well (see `without_history`).
        """
        days: list[dt.date] = question.sessions.date.tolist()
        rows = Rows.joined(walk(days, ask, self._window)).within(question.first, question.last)
        if len(rows.days):
            return rows
        everything = ask(EARLIEST, self.context.last_closed(question.ref.exchange))
        if len(everything.days):
            return everything
        raise self.without_history(question)

    def without_history(self, question: Question) -> MarketError:
        """What it means that a vendor knows the symbol but has no bar of it at all: that it fails."""
        return SourceUnavailable(
            f"{self.client.vendor}: {question.named}: an empty answer for {len(question.sessions)} sessions from "
            f"{question.first}, and no bar in its whole history. Ask again; if it persists, check symbol and exchange "
            "in the universe."
        )

    def _fetch(self, request: FetchRequest) -> FetchResult:
        sessions = {
            exchange: self.context.closed_sessions(exchange, request.start, request.end)
            for exchange in sorted({ref.exchange for ref in request.symbols})
        }
        # A range without a closed session needs no question: its answer is known to be empty.
        questions = [
            Question(ref, self.vendor_symbol(ref), sessions[ref.exchange])
            for ref in request.symbols
            if len(sessions[ref.exchange])
        ]
        with ThreadPoolExecutor(self._threads, thread_name_prefix=self.name) as pool:
            answers = list(pool.map(self._answer, questions))
        return FetchResult(
            bars=self._bars(answers),
            actions=self._actions(answers),
            adjusted_closes=frame_of(
                self.name, [(answer.ref.symbol, answer.rows.days, answer.rows.adjusted_closes) for answer in answers]
            ),
            securities=self._securities(answers),
            failures=tuple(answer.failure for answer in answers if answer.failure is not None),
            requests_made=sum(answer.requests for answer in answers),
            origin=self.name,
        )

    def _answer(self, question: Question) -> Answer:
        self.client.spent()
        try:
            rows, currency, security = self.answer(question)
        except MarketError as error:
            failure = SymbolFailure.from_error(question.ref.symbol, error)
            return Answer(question.ref, failure=failure, requests=self.client.spent())
        rows = rows.within(question.first, question.last)
        return Answer(question.ref, rows, currency, security, requests=self.client.spent())

    def _bars(self, answers: Iterable[Answer]) -> pd.DataFrame:
        answers = [answer for answer in answers if len(answer.rows.days)]
        if not answers:
            return BARS.empty()
        counts = [len(answer.rows.days) for answer in answers]
        values = np.concatenate([answer.rows.bars for answer in answers])
        return pd.DataFrame(
            {
                "symbol": np.repeat([answer.ref.symbol for answer in answers], counts),
                "session": np.concatenate([answer.rows.days for answer in answers]).astype("datetime64[us]"),
                "source": self.name,
                **{name: values[:, position] for position, name in enumerate(VALUES)},
                "currency": np.repeat([answer.currency for answer in answers], counts),
            }
        )

    def _actions(self, answers: Iterable[Answer]) -> pd.DataFrame:
        rows = [
            (
                answer.ref.symbol,
                pd.Timestamp(action.ex_date),
                action.kind,
                self.name,
                action.value,
                action.currency or answer.currency,
                None,
            )
            for answer in answers
            for action in _merged(answer.rows.actions)
        ]
        return pd.DataFrame(rows, columns=list(ACTION_COLUMNS)) if rows else ACTIONS.empty()

    def _securities(self, answers: Iterable[Answer]) -> pd.DataFrame:
        rows = [
            {
                "symbol": answer.ref.symbol,
                "exchange": answer.ref.exchange,
                "currency": answer.currency,
                "source": self.name,
                **answer.security,
            }
            for answer in answers
            if answer.security is not None
        ]
        return pd.DataFrame(rows) if rows else SECURITIES.empty()


def require_symbol(vendor: str, asked: str, answered: object) -> None:
    """Refuse an answer about another security.

    Raises:
        UnexpectedPayload: it is.
    """
    if str(answered).upper() != asked.upper():
        raise UnexpectedPayload(
            f"{vendor}: asked for {asked}, answered for {answered or 'no symbol'}. If the security has been renamed, "
            "correct `symbols` of the source."
        )


def _merged(actions: Iterable[Action]) -> list[Action]:
    """One action for each ex-date, kind and currency: repeats are told once, different amounts of one day together."""
    merged: dict[tuple[dt.date, str, str], float] = {}
    for action in dict.fromkeys(actions):
        key = (action.ex_date, action.kind, action.currency)
        known = merged.get(key)
        together = (known or 1.0) * action.value if action.kind == "split" else (known or 0.0) + action.value
        merged[key] = together
    return [Action(day, kind, value, currency) for (day, kind, currency), value in merged.items()]


def number(value: object) -> float:
    """`value` as a number, NaN for none.

    Raises:
        ValueError, TypeError: it is neither a number nor a text that means "no value".
    """
    if value is None or (isinstance(value, str) and value.strip() in MISSING):
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def day_of(value: str) -> dt.date:
    """Date of an ISO text that has no time of day, or midnight UTC.

    Raises:
        ValueError: anything else; what date of the exchange it means cannot be known.
    """
    moment = dt.datetime.fromisoformat(value)
    if moment.time() != dt.time() or (moment.tzinfo is not None and moment.utcoffset() != dt.timedelta(0)):
        raise ValueError(f"{value!r} is a moment, not a date")
    return moment.date()
