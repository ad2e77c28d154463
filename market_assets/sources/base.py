"""The contract of a price vendor: what may be asked, what comes back, and what a source promises about it.

Belongs here: `PriceSource` and the values that cross it. Does not belong here: any vendor's format or protocol (one
module per kind beside this one), retries, rate limits and checkpoints (they wrap a source), or conversion between price
bases (`market_assets.domain.adjustments`).

A source reports; it does not judge. Bars come in the declared basis with the rows the vendor sent, duplicates included,
so that rows received can be reconciled with rows stored and quarantined. What goes wrong for one symbol is a
`SymbolFailure` in the result; an exception means that the whole request could not be answered.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, get_args

import pandas as pd

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import InputError, MarketError, SchemaMismatch, SourceRejected, TransientError
from market_assets.fetching.limits import Limits
from market_assets.sources.frames import ACTION_KINDS, ACTIONS, ADJUSTED_CLOSES, BARS, SECURITIES, SHARES, FrameSchema

if TYPE_CHECKING:
    from market_assets.sources.options import SourceContext, SourceOptions

PRICE_BASES: Final[tuple[PriceBasis, ...]] = get_args(PriceBasis)
"""as_traded: as printed on the tape; split_adjusted: divided by later splits; adjusted: also by later dividends."""


@dataclass(frozen=True, slots=True)
class SecurityRef:
    """A security as the universe names it.

    Attributes:
        symbol: ticker in the platform's spelling; a source translates it to its vendor's.
        exchange: exchange_calendars name (XNYS, XNAS, XLON, ...).
        currency: ISO 4217 code the universe expects prices in.
    """

    symbol: str
    exchange: str
    currency: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a source can answer for. A security or session outside is a failure without a request.

    Attributes:
        exchanges: exchange names, or None when the source does not depend on the exchange.
        first_session: first date it can hold, None when unknown.
        last_session: last date it can hold, None when it goes on.
    """

    exchanges: frozenset[str] | None = None
    first_session: dt.date | None = None
    last_session: dt.date | None = None

    def answers(self, exchange: str) -> bool:
        """Whether securities of `exchange` may be asked for."""
        return self.exchanges is None or exchange in self.exchanges


@dataclass(frozen=True, slots=True)
class Batch:
    """How a source likes to be asked: the most of each that goes into one request.

    Attributes:
        symbols: securities; None = as many as the configuration puts into one chunk.
        days: calendar days of the range; None = the whole range.
    """

    symbols: int | None = None
    days: int | None = None

    def securities(self, chunk: int) -> int:
        """Securities in one request, where the configuration puts `chunk` into one.

        A source that is cut by days has every security in one answer: `symbols` then outranks the configuration.
        """
        if self.symbols is None:
            return chunk
        return self.symbols if self.days is not None else min(self.symbols, chunk)


BY_SYMBOL = Batch(symbols=50)
"""For a vendor that is asked symbol by symbol over a network: what was answered and not yet committed is all that a
crash makes us ask for again, and rules that compare symbols still see many of them side by side."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Securities and an inclusive range of dates.

    Raises:
        InputError: the range is reversed, or a symbol is asked for twice.
    """

    symbols: tuple[SecurityRef, ...]
    start: dt.date
    end: dt.date

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise InputError(f"the range {self.start} to {self.end} is reversed; give the earlier date first")
        names = [ref.symbol for ref in self.symbols]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise InputError(f"symbols asked for twice in one request: {', '.join(twice)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Ticker of each security asked for, in order."""
        return tuple(ref.symbol for ref in self.symbols)


@dataclass(frozen=True, slots=True)
class SymbolFailure:
    """Why one symbol has no answer.

    Attributes:
        symbol: ticker as asked for.
        error: class name of the error in `market_assets.errors` (SourceRejected, RateLimited, ...): what to count by.
        cause: what happened, in a sentence that says what to do next.
        retryable: whether the same request may succeed later.
        unknown: whether the source does not know the symbol: evidence of a delisting, one voice of several.
    """

    symbol: str
    error: str
    cause: str
    retryable: bool
    unknown: bool = False

    @classmethod
    def from_error(cls, symbol: str, error: MarketError) -> SymbolFailure:
        """The failure that `error` means for `symbol`; retryability is read from its type."""
        unknown = isinstance(error, SourceRejected) and error.unknown
        return cls(symbol, type(error).__name__, str(error), isinstance(error, TransientError), unknown)


@dataclass(frozen=True)
class FetchResult:
    """What a source answered. Frames are typed and ordered on construction (see `market_assets.sources.frames`).

    Attributes:
        bars: BAR_COLUMNS in the source's basis, every row as sent. Volume in shares of the same split basis.
        actions: ACTION_COLUMNS, values as traded on the ex-date whatever the basis of the bars. Those of the asked
            range; a source that is not as-traded adds each later one it has already applied to the bars.
        securities: SECURITY_COLUMNS, one row for each known security asked for. first_session and last_session are
            the listing as far as the source knows it (NaT: unknown, or still listed).
        shares: SHARES_COLUMNS effective in the asked range, and the last count before it.
        adjusted_closes: ADJUSTED_CLOSE_COLUMNS, where the vendor gives its own adjusted close beside other prices; of
            one scale for each symbol (see `market_assets.sources.adjusted_closes`).
        failures: symbols that could not be answered; such a symbol has no rows in `bars`.
        requests_made: calls to the vendor (HTTP requests, or files read).
        known_at: when the vendor showed this answer; None means now.
        origin: where the rows come from, for messages and metadata (source name; file).
    """

    bars: pd.DataFrame = field(default_factory=BARS.empty)
    actions: pd.DataFrame = field(default_factory=ACTIONS.empty)
    securities: pd.DataFrame = field(default_factory=SECURITIES.empty)
    shares: pd.DataFrame = field(default_factory=SHARES.empty)
    adjusted_closes: pd.DataFrame = field(default_factory=ADJUSTED_CLOSES.empty)
    failures: tuple[SymbolFailure, ...] = ()
    requests_made: int = 0
    known_at: dt.datetime | None = None
    origin: str = "source"

    def __post_init__(self) -> None:
        frames: tuple[tuple[str, FrameSchema], ...] = (
            ("bars", BARS),
            ("actions", ACTIONS),
            ("securities", SECURITIES),
            ("shares", SHARES),
            ("adjusted_closes", ADJUSTED_CLOSES),
        )
        for name, schema in frames:
            object.__setattr__(self, name, schema.conform(getattr(self, name), self.origin))
        unknown = sorted(set(self.actions["kind"].unique()) - set(ACTION_KINDS))
        if unknown:
            raise SchemaMismatch(
                f"{self.origin}: actions of unknown kind {', '.join(unknown)}; known: {', '.join(ACTION_KINDS)}."
            )
        if self.known_at is not None and self.known_at.tzinfo is None:
            raise SchemaMismatch(f"{self.origin}: known_at {self.known_at} has no time zone.")

    @property
    def duplicate_bars(self) -> int:
        """Bars that repeat the key (symbol, session, source) of an earlier row; they are kept in `bars`."""
        return BARS.duplicates(self.bars)

    @property
    def failed_symbols(self) -> frozenset[str]:
        """Symbols with a failure."""
        return frozenset(failure.symbol for failure in self.failures)


class PriceSource(ABC):
    """A vendor of daily bars behind one contract.

    Subclasses implement `_fetch` (and `_fetch_vintages` if they know when each row was shown). Callers use `fetch` and
    `fetch_vintages`, which check the answer against the request.

    Two calls with equal requests give equal answers as long as the vendor's data do not change. A source keeps no state
    that a caller can see, and may be used from one thread at a time.

    Attributes:
        name: label in the `source` column of every row; unique among the configured sources.
        basis: price basis of every bar it returns.
        provides: what it can answer for.
        batch: how much of it to ask for at once.
        authoritative: whether a last session that it states ends the listing. A vendor over a network is one voice of
            several (`market_assets.domain.listings`); files of one's own are believed.
        limits: how a vendor of this kind may be asked, where the configuration does not say; None: it is asked over no
            network and needs no guard.
    """

    name: str
    basis: PriceBasis
    provides: Coverage
    batch: Batch = Batch()
    limits: ClassVar[Limits | None] = None
    authoritative: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> PriceSource:
        """Build the source from its validated options (the class named by `registry.KINDS`)."""

    @abstractmethod
    def _fetch(self, request: FetchRequest) -> FetchResult:
        """Answer a request whose securities are all covered; may be of no securities."""

    def _fetch_vintages(self, request: FetchRequest) -> Iterator[FetchResult]:
        """Answer one result per moment of knowledge, oldest first."""
        yield self._fetch(request)

    def known_securities(self) -> tuple[SecurityRef, ...]:
        """Securities this source can list by itself; empty for a vendor that has to be asked by name."""
        return ()

    def fetch(self, request: FetchRequest) -> FetchResult:
        """The latest answer for each symbol of the request.

        Raises:
            TransientError, TerminalError: nothing of the request could be answered (vendor dead, key refused).
            SchemaMismatch: the source broke this contract.
        """
        covered, refused = self._split(request)
        result = self._fetch(covered)
        return self._checked(_with_failures(result, refused), request)

    def fetch_vintages(self, request: FetchRequest) -> Iterator[FetchResult]:
        """The same, one result per moment of knowledge, oldest first; a source without vintages yields one.

        Writing the results in order, each with its `known_at`, rebuilds what was known at every moment. Failures of
        symbols that the source does not cover are in the first result.
        """
        covered, refused = self._split(request)
        for result in self._fetch_vintages(covered):
            yield self._checked(_with_failures(result, refused), request)
            refused = ()

    def _split(self, request: FetchRequest) -> tuple[FetchRequest, tuple[SymbolFailure, ...]]:
        covered = tuple(ref for ref in request.symbols if self.provides.answers(ref.exchange))
        allowed = ", ".join(sorted(self.provides.exchanges or ()))
        refused = tuple(
            SymbolFailure(
                ref.symbol,
                "SourceRejected",
                f"source {self.name} has no data of exchange {ref.exchange} ({ref.symbol}); it covers {allowed}. "
                "Add a source for that exchange or correct the universe.",
                retryable=False,
            )
            for ref in request.symbols
            if not self.provides.answers(ref.exchange)
        )
        return replace(request, symbols=covered), refused

    def _checked(self, result: FetchResult, request: FetchRequest) -> FetchResult:
        asked = set(request.names)
        for name, date_column in (
            ("bars", "session"),
            ("actions", "ex_date"),
            ("securities", ""),
            ("shares", ""),
            ("adjusted_closes", "session"),
        ):
            frame: pd.DataFrame = getattr(result, name)
            self._require_known(set(frame["symbol"].unique()) - asked, name, "symbols that were not asked for")
            self._require_known(set(frame["source"].unique()) - {self.name}, name, "another source's label")
            if date_column and len(frame):
                low, high = frame[date_column].min().date(), frame[date_column].max().date()
                open_ended = name == "actions" and self.basis != "as_traded"
                if low < request.start or (high > request.end and not open_ended):
                    raise SchemaMismatch(
                        f"source {self.name} returned {name} from {low} to {high} for a request of "
                        f"{request.start} to {request.end}; cut the answer to the range asked for."
                    )
        both = result.failed_symbols & set(result.bars["symbol"].unique())
        self._require_known(both, "bars", "symbols that it also reports as failed")
        self._require_known(result.failed_symbols - asked, "failures", "symbols that were not asked for")
        return result

    def _require_known(self, found: Iterable[str], name: str, what: str) -> None:
        wrong = sorted(found)
        if wrong:
            raise SchemaMismatch(f"source {self.name} returned {name} with {what}: {', '.join(wrong[:5])}.")


def unknown_symbol(source: str, symbol: str, remedy: str) -> SymbolFailure:
    """The failure of a symbol that the source has never heard of."""
    error = SourceRejected(f"source {source} does not know {symbol}. {remedy}", unknown=True)
    return SymbolFailure.from_error(symbol, error)


def _with_failures(result: FetchResult, failures: tuple[SymbolFailure, ...]) -> FetchResult:
    return replace(result, failures=(*failures, *result.failures)) if failures else result
