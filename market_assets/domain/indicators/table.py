"""The frame of bars as arrays: checked once here, trusted by the rest of the package.

Here: the contract of the input frame, symbol boundaries, which bars are complete. Not here: computing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from market_assets.domain.indicators.definition import INPUTS, Array
from market_assets.errors import InputError, SchemaMismatch

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

PRICES = ("open", "high", "low", "close")
FACTORS = ("price_factor", "volume_factor")
REQUIRED = (*PRICES, "volume", *FACTORS)


@dataclass(frozen=True)
class BarTable:
    """Bars sorted by (symbol, session), as they came, gaps included.

    Attributes:
        symbols: name of each symbol: (symbols,).
        starts: first row of each symbol and, last, the number of rows: (symbols + 1,).
        sessions: datetime64[D], (n,).
        columns: every input, price_factor and volume_factor: (n,) float64; benchmark is NaN when the frame has none.
        complete: for each input, the rows at which it is usable.
    """

    symbols: list[str]
    starts: Rows
    sessions: NDArray[np.datetime64]
    columns: Mapping[str, Array]
    complete: Mapping[str, Mask]

    @classmethod
    def read(cls, bars: pd.DataFrame) -> Self:
        """Check the frame and take its columns, without copying where it can.

        Raises:
            SchemaMismatch: a column is missing, not float64, or the rows are not sorted by (symbol, session).
            InputError: a factor is missing at a bar that has prices.
        """
        columns = {name: _floats(bars, name) for name in REQUIRED}
        columns["benchmark"] = _floats(bars, "benchmark") if "benchmark" in bars else np.full(len(bars), np.nan)
        sessions = _sessions(bars)
        starts = _boundaries(bars)
        symbols = [str(symbol) for symbol in bars["symbol"].iloc[starts[:-1]]]
        _check_order(symbols, starts, sessions)
        complete = {name: _usable(columns[name], allow_zero=name == "volume") for name in INPUTS}
        _check_factors(bars, columns, complete)
        return cls(symbols, starts, sessions, columns, complete)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.sessions)

    def complete_for(self, inputs: Iterable[str]) -> Mask:
        """Rows at which all of `inputs` are usable."""
        return np.asarray(np.logical_and.reduce([self.complete[name] for name in inputs]), dtype=bool)


def _floats(bars: pd.DataFrame, name: str) -> Array:
    if name not in bars:
        raise SchemaMismatch(f"bars lack the column {name}; needed: symbol, session, {', '.join(REQUIRED)}")
    column = bars[name]
    if column.dtype != np.float64:
        raise SchemaMismatch(f"bars.{name} is {column.dtype}, must be float64: cast it where the frame is read")
    return np.ascontiguousarray(column.to_numpy())


def _sessions(bars: pd.DataFrame) -> NDArray[np.datetime64]:
    if "session" not in bars or not pd.api.types.is_datetime64_dtype(bars["session"]):
        raise SchemaMismatch("bars.session must be a datetime64 column without time zone")
    if bars["session"].hasnans:
        raise SchemaMismatch("bars.session holds a missing value: every bar needs its session")
    return bars["session"].to_numpy("datetime64[D]")


def _boundaries(bars: pd.DataFrame) -> Rows:
    if "symbol" not in bars:
        raise SchemaMismatch("bars lack the column symbol")
    symbol = bars["symbol"].array
    changes = np.flatnonzero(np.asarray(symbol[1:] != symbol[:-1], dtype=bool)) + 1
    edge = [0] if len(bars) else []
    return np.concatenate((edge, changes, [len(bars)])).astype(np.int64)


def _check_order(symbols: list[str], starts: Rows, sessions: NDArray[np.datetime64]) -> None:
    if len(set(symbols)) < len(symbols):
        twice = next(symbol for i, symbol in enumerate(symbols) if symbol in symbols[:i])
        raise SchemaMismatch(f"bars of {twice} are not contiguous: sort the frame by (symbol, session)")
    backwards = np.diff(sessions) <= np.timedelta64(0, "D")
    backwards[starts[1:-1] - 1] = False
    if backwards.any():
        row = int(np.flatnonzero(backwards)[0])
        symbol = symbols[int(np.searchsorted(starts, row, side="right")) - 1]
        raise SchemaMismatch(
            f"bars of {symbol}: session {sessions[row + 1]} follows {sessions[row]}; "
            "give one bar for each session, sorted by (symbol, session)"
        )


def _usable(values: Array, *, allow_zero: bool) -> Mask:
    return np.asarray(np.isfinite(values) & (values >= 0.0 if allow_zero else values > 0.0), dtype=bool)


def _check_factors(bars: pd.DataFrame, columns: Mapping[str, Array], complete: Mapping[str, Mask]) -> None:
    priced = np.logical_or.reduce([complete[name] for name in PRICES])
    for name in FACTORS:
        bad = priced & ~_usable(columns[name], allow_zero=False)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            bar = bars.iloc[row]
            raise InputError(
                f"{name} of {bar['symbol']} at {bar['session']:%Y-%m-%d} is {columns[name][row]}, must be finite and "
                "positive wherever there is a price: check the corporate actions of this symbol"
            )
