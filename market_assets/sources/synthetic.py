"""Source `synthetic`: an invented market, the same for every caller with the same seed, as traded.

Belongs here: turning the model's arrays into the frames of the contract. Does not belong here: the model
(`synthetic_market.py`) or what a careless vendor does to it (`synthetic_faults.py`).

Every row is labelled: the name of such a source starts with `synthetic`, and so does every company's. A bar depends on
(seed, symbol, session) alone. Nothing of the future is told: a delisting appears with its last session, not before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import ConfigError
from market_assets.sources.base import (
    Coverage,
    FetchRequest,
    FetchResult,
    PriceSource,
    SecurityRef,
    SymbolFailure,
    unknown_symbol,
)
from market_assets.sources.frames import ACTION_COLUMNS, BAR_COLUMNS, DATE_DTYPE, SECURITY_COLUMNS, SHARES_COLUMNS
from market_assets.sources.options import SourceContext, SourceOptions
from market_assets.sources.synthetic_faults import FaultArray, apply_faults, plan_faults, restate
from market_assets.sources.synthetic_market import (
    Bars,
    Companies,
    Path,
    draw_bars,
    found_companies,
    share_counts,
    simulate,
)
from market_assets.sources.synthetic_options import MarketOptions, SyntheticOptions

BLOCK: Final = 500
"""Companies simulated at a time: their arrays stay in cache, and memory does not grow with the market."""


class _Block(NamedTuple):
    """Companies of one exchange, and the rows of the arrays that the request is about."""

    market: MarketOptions
    companies: Companies
    sessions: pd.DatetimeIndex
    path: Path
    first: int  # row of the first session asked for
    start: pd.Timestamp
    end: pd.Timestamp


@dataclass(frozen=True)
class _Cells:
    """Chosen cells of (sessions, companies) arrays in the order of a frame: by company, then session."""

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]

    @classmethod
    def where(cls, mask: npt.NDArray[np.bool_]) -> _Cells:
        columns, rows = np.nonzero(mask.T)
        return cls(rows, columns)


class SyntheticSource(PriceSource):
    """A seeded market of any size; feasible for 8,000 companies and five years at a time."""

    authoritative = True
    basis: PriceBasis = "as_traded"

    def __init__(self, name: str, options: SyntheticOptions, context: SourceContext) -> None:
        """Raises ConfigError when the name would hide that the rows are invented."""
        if not name.startswith("synthetic"):
            raise ConfigError(
                "the label of invented rows has to say so",
                file="configuration",
                key="sources.name",
                value=name,
                allowed="names that start with synthetic",
            )
        self.name, self._options, self._context = name, options, context
        self.provides = Coverage(frozenset(market.exchange for market in options.markets), options.start)

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> SyntheticSource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, SyntheticOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def known_securities(self) -> tuple[SecurityRef, ...]:
        """All companies, listed or not."""
        return tuple(
            SecurityRef(f"{self._options.prefix}{number:05}", market.exchange, market.currency)
            for number in range(1, self._options.symbols + 1)
            for market in [self._market_of(number)]
        )

    def planted_faults(self, request: FetchRequest) -> pd.DataFrame:
        """Which faults the answer to `request` carries: symbol, session, fault. The yardstick for finding them.

        A phantom session is recorded at the invented day, a missing bar at the day it is missing from.
        """
        parts = [pd.DataFrame(columns=["symbol", "session", "fault"])]
        for block in self._blocks(request):
            _, plan = self._bar_arrays(block)
            plan = np.where(block.path.trades[_window(block)], plan, -1)
            cells = _Cells.where(plan >= 0)
            faults = np.array(self._options.faults, object)[plan[cells.rows, cells.columns]]
            sessions = block.sessions[_window(block)][cells.rows]
            sessions = sessions.where(faults != "phantom_session", sessions + pd.Timedelta(days=1))
            symbols = np.array(block.companies.names, object)[cells.columns]
            part = pd.DataFrame({"symbol": symbols, "session": sessions, "fault": faults})
            parts.append(part[part["session"].between(block.start, block.end)])
        table = pd.concat(parts, ignore_index=True).astype({"symbol": "str", "session": DATE_DTYPE, "fault": "str"})
        return table.sort_values(["symbol", "session"], ignore_index=True)

    def _fetch(self, request: FetchRequest) -> FetchResult:
        bars, actions, securities, shares = [], [], [], []
        for block in self._blocks(request):
            bars.append(self._bars_of(block))
            actions.append(self._actions_of(block))
            securities.append(self._securities_of(block))
            shares.append(self._shares_of(block))
        failures = self._unknown(request)
        if not bars:
            return FetchResult(failures=failures, requests_made=1, origin=self.name)
        return FetchResult(
            bars=pd.concat(bars, ignore_index=True),
            actions=pd.concat(actions, ignore_index=True),
            securities=pd.concat(securities, ignore_index=True),
            shares=pd.concat(shares, ignore_index=True),
            failures=failures,
            requests_made=1,
            origin=self.name,
        )

    def _market_of(self, number: int) -> MarketOptions:
        return self._options.markets[(number - 1) % len(self._options.markets)]

    def _number_of(self, symbol: str) -> int | None:
        digits = symbol.removeprefix(self._options.prefix)
        well_formed = symbol.startswith(self._options.prefix) and len(digits) == 5 and digits.isdecimal()
        number = int(digits) if well_formed else 0
        return number if 1 <= number <= self._options.symbols else None

    def _home(self, ref: SecurityRef) -> MarketOptions | None:
        number = self._number_of(ref.symbol)
        market = self._market_of(number) if number else None
        return market if market and market.exchange == ref.exchange else None

    def _unknown(self, request: FetchRequest) -> tuple[SymbolFailure, ...]:
        listed = f"It invents {self._options.prefix}00001 to {self._options.prefix}{self._options.symbols:05}"
        return tuple(
            unknown_symbol(self.name, ref.symbol, f"{listed}, none of that symbol on {ref.exchange}.")
            for ref in request.symbols
            if self._home(ref) is None
        )

    def _blocks(self, request: FetchRequest) -> Iterator[_Block]:
        """The asked companies in order of symbol, simulated block by block up to the end of the range."""
        for market in self._options.markets:
            sessions = self._sessions(market.exchange, request.end)
            if not len(sessions):
                continue
            names = sorted(ref.symbol for ref in request.symbols if self._home(ref) == market)
            start = pd.Timestamp(max(request.start, self._options.start))
            end = min(pd.Timestamp(request.end), sessions[-1] + pd.Timedelta(days=1))
            for at in range(0, len(names), BLOCK):
                companies = found_companies(tuple(names[at : at + BLOCK]), self._options)
                path = simulate(companies, sessions, self._options)
                first = int(sessions.searchsorted(start))
                yield _Block(market, companies, sessions, path, first, start, end)

    def _sessions(self, exchange: str, end: dt.date) -> pd.DatetimeIndex:
        """Closed sessions of the market from its start; never one that has not closed."""
        if self._context.closed_through is not None:
            end = min(end, self._context.closed_through(exchange))
        start = self._options.start
        if end < start:
            return pd.DatetimeIndex([]).as_unit("us")
        sessions = self._context.sessions(exchange, start, end).as_unit("us")
        if len(sessions) and sessions[0] > pd.Timestamp(start) + pd.Timedelta(days=10):
            raise ConfigError(
                f"the calendar of {exchange} begins on {sessions[0].date()}, after the market",
                file="configuration",
                key="sources.options.start",
                value=str(start),
                allowed=f"{sessions[0].date()} or later",
            )
        return sessions

    def _bar_arrays(self, block: _Block) -> tuple[Bars, FaultArray]:
        """Bars and fault plan of the window (see `_window`), as the vendor would send them."""
        window = _window(block)
        bars, days = draw_bars(block.companies, block.path, window), block.path.days[window]
        restate(bars, block.companies.keys, days, self._options)
        # The day after the last session is free unless it is a session itself, which only the calendar can tell.
        following = self._context.sessions(
            block.market.exchange,
            block.sessions[window][0].date(),
            (block.sessions[-1] + pd.Timedelta(days=1)).date(),
        )
        free_after = ~(block.sessions[window] + pd.Timedelta(days=1)).isin(following)
        ratio = block.path.ratio[window]
        plan = plan_faults(block.companies.keys, days, ratio, free_after, self._options)
        apply_faults(bars, plan, ratio, self._options)
        return bars, plan

    def _bars_of(self, block: _Block) -> pd.DataFrame:
        window = _window(block)
        bars, plan = self._bar_arrays(block)
        cells = _Cells.where(block.path.trades[window])
        values = {
            name: getattr(bars, name)[cells.rows, cells.columns] for name in ("open", "high", "low", "close", "volume")
        }
        frame = pd.DataFrame(
            {
                "symbol": _text(block.companies.names, cells.columns),
                "session": block.sessions[window][cells.rows],
                "source": _text((self.name,), np.zeros(len(cells.rows), np.intp)),
                **values,
                "currency": _text((block.market.currency,), np.zeros(len(cells.rows), np.intp)),
            }
        )
        if self._options.faults:
            frame = self._with_row_faults(frame, plan[cells.rows, cells.columns], block.market.currency)
        asked = frame["session"].between(block.start, block.end)
        return frame.loc[asked].reindex(columns=list(BAR_COLUMNS))

    def _with_row_faults(self, frame: pd.DataFrame, plan: FaultArray, currency: str) -> pd.DataFrame:
        """The faults that add, remove or relabel rows."""
        kinds = np.append(np.array(self._options.faults, object), "")[plan]
        other = "EUR" if currency != "EUR" else "USD"
        frame = frame.assign(currency=frame["currency"].where(kinds != "wrong_currency", other))
        phantom = frame.loc[kinds == "phantom_session"]
        added = phantom.assign(session=phantom["session"] + pd.Timedelta(days=1))
        parts: list[pd.DataFrame] = [frame.loc[kinds != "missing_bar"], frame.loc[kinds == "duplicate_row"], added]
        return pd.concat(parts)

    def _actions_of(self, block: _Block) -> pd.DataFrame:
        parts = []
        for kind, values, none in (
            ("split", block.path.ratio, 1.0),
            ("cash_dividend", block.path.regular, 0.0),
            ("special_dividend", block.path.special, 0.0),
            ("spin_off", block.path.spin_off, 0.0),
        ):
            cells = _Cells.where(values[block.first :] != none)
            parts.append(
                pd.DataFrame(
                    {
                        "symbol": _text(block.companies.names, cells.columns),
                        "ex_date": block.sessions[block.first :][cells.rows],
                        "kind": kind,
                        "source": self.name,
                        "value": values[block.first :][cells.rows, cells.columns],
                        "currency": block.market.currency,
                        "detail": pd.Series(None, index=range(len(cells.rows)), dtype="str"),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)[list(ACTION_COLUMNS)]

    def _securities_of(self, block: _Block) -> pd.DataFrame:
        """Companies listed by the end of the range; a last session is told once it has passed."""
        alive, names = block.path.alive, block.companies.names
        listed = np.asarray(alive.any(axis=0))
        first = block.sessions[alive.argmax(axis=0)]
        last = block.sessions[len(alive) - 1 - alive[::-1].argmax(axis=0)]
        gone = listed & ~alive[-1]
        frame = pd.DataFrame(
            {
                "symbol": list(names),
                "exchange": block.market.exchange,
                "name": [f"Synthetic Company {name.removeprefix(self._options.prefix)}" for name in names],
                "currency": block.market.currency,
                "first_session": first,
                "last_session": last.where(gone),
                "source": self.name,
            }
        )
        return frame.loc[listed].reindex(columns=list(SECURITY_COLUMNS))

    def _shares_of(self, block: _Block) -> pd.DataFrame:
        """Counts that take effect in the range, and the one in force at its beginning."""
        counts, alive = share_counts(block.companies, block.path), block.path.alive
        changed = alive.copy()
        changed[1:] &= (counts[1:] != counts[:-1]) | ~alive[:-1]
        cells = _Cells.where(changed)
        frame = pd.DataFrame(
            {
                "symbol": _text(block.companies.names, cells.columns),
                "effective_date": block.sessions[cells.rows],
                "shares": counts[cells.rows, cells.columns],
                "source": self.name,
            }
        )
        following = pd.Series(frame.groupby("symbol")["effective_date"].shift(-1))
        return frame.loc[~(following <= block.start)].reindex(columns=list(SHARES_COLUMNS))


def _window(block: _Block) -> slice:
    """Rows of the range asked for and one before: a stale repeat copies it, a phantom session may follow it."""
    return slice(max(block.first - 1, 0), None)


def _text(values: tuple[str, ...], positions: npt.NDArray[np.intp]) -> pd.Series:
    """values[positions] as a string column, without making a Python object for each row."""
    return pd.Series(pd.array(list(values), dtype="str").take(positions))
