"""Continuing from stored values: which bar each symbol resumes at and the state it resumes with.

Here: matching rows of the indicator table to bars, bringing stored values into the basis of the bars, refusing states
that do not fit. Not here: the recursions themselves (bars.py).

A stored value is in the basis of its own session. Multiplied by the factors of that session as the bars know them
today it is in the basis of the bars, whatever split or dividend came in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from market_assets.domain.indicators.definition import Array, Output
from market_assets.domain.indicators.table import BarTable, Mask, Rows
from market_assets.errors import InputError, SchemaMismatch


@dataclass(frozen=True)
class Resume:
    """Where the symbols of one group resume.

    Attributes:
        rows: row among the group's complete bars, -1 where a symbol starts from its first bar: (symbols,).
        states: state columns at those rows, in the basis of the bars: each (symbols,), NaN where there is none.
    """

    rows: Rows
    states: Mapping[str, Array]

    @classmethod
    def none(cls, symbols: int) -> Self:
        """Every symbol starts from its first bar."""
        return cls(np.full(symbols, -1), {})


@dataclass(frozen=True)
class Carry:
    """Rows of the indicator table that lie inside the bars.

    Attributes:
        table: the bars.
        rows: row of the bars at which each stored row lies, ascending: (m,).
        symbols: index of the symbol of each stored row: (m,).
        values: stored state columns, each (m,), in the basis of their session.
        cut: last stored row of each symbol, one before its first bar where there is none: (symbols,).
    """

    table: BarTable
    rows: Rows
    symbols: Rows
    values: Mapping[str, Array]
    cut: Rows

    @classmethod
    def read(cls, frame: pd.DataFrame, table: BarTable, columns: Sequence[str]) -> Self:
        """Match stored rows to bars; rows of other symbols and rows older than the bars are left out.

        Raises:
            SchemaMismatch: a column is missing.
            InputError: the last stored session of a symbol is not among its bars.
        """
        missing = {"symbol", "session", *columns} - set(frame.columns)
        if missing:
            raise SchemaMismatch(f"carry lacks the columns {sorted(missing)}: read carry_columns(indicators)")
        index = {symbol: i for i, symbol in enumerate(table.symbols)}
        symbols = np.asarray(frame["symbol"].map(index).fillna(-1), dtype=np.int64)
        days = frame["session"].to_numpy("datetime64[D]")
        order = np.lexsort((days, symbols))
        order = order[symbols[order] >= 0]
        symbols, days = symbols[order], days[order]
        rows, found = _locate(symbols, days, table)
        last = np.append(symbols[1:] != symbols[:-1], True)[: len(symbols)]
        if not found[last].all():
            stray = int(np.flatnonzero(last & ~found)[0])
            name = table.symbols[symbols[stray]]
            raise InputError(
                f"carry of {name}: its last stored session {days[stray]} is not among the bars of {name}; give "
                "lookback_bars(indicators) bars up to and including the last stored session"
            )
        cut = table.starts[:-1] - 1
        cut[symbols[last]] = rows[last]
        values = {name: frame[name].to_numpy(np.float64)[order][found] for name in columns}
        return cls(table, rows[found], symbols[found], values, cut)

    def wanted_rows(self) -> Rows:
        """Rows of the bars after the last stored row of their symbol."""
        symbol = np.repeat(np.arange(len(self.table.symbols)), np.diff(self.table.starts))
        return np.flatnonzero(np.arange(len(self.table)) > self.cut[symbol])

    def resume(self, outputs: Sequence[Output], complete: Mask) -> Resume:
        """State of each symbol at its last stored row with a complete bar.

        A symbol whose state is still null because fewer bars than the warm-up came before starts from its first bar.

        Args:
            outputs: the state columns that the group continues from.
            complete: rows of the bars that the group computes on.

        Raises:
            InputError: a state is missing although its warm-up is over.
        """
        table = self.table
        order = np.concatenate(([0], np.cumsum(complete)))
        before_cut = order[self.cut + 1] - order[table.starts[:-1]]
        stored = np.full(len(table.symbols), -1)
        usable = np.flatnonzero(complete[self.rows])
        stored[self.symbols[usable]] = usable
        has_row = stored >= 0
        at = self.rows[stored[has_row]]
        states, known = {}, has_row.copy()
        for output in outputs:
            state = np.full(len(table.symbols), np.nan)
            state[has_row] = self.values[output.name][stored[has_row]] * rebasing(output, table, at)
            self._check_known(output, state, before_cut)
            states[output.name] = state
            known &= ~np.isnan(state)
        rows = np.full(len(table.symbols), -1)
        rows[known] = order[self.rows[stored[known]]]
        return Resume(rows, states)

    def _check_known(self, output: Output, state: Array, bars_before: Rows) -> None:
        lost = np.isnan(state) & (bars_before > output.warm_up)
        if lost.any():
            i = int(np.flatnonzero(lost)[0])
            name = self.table.symbols[i]
            raise InputError(
                f"carry of {name} up to {self.table.sessions[self.cut[i]]}: {output.name} is null after "
                f"{bars_before[i]} complete bars, its warm-up is {output.warm_up}; pass stored rows back to the last "
                f"complete bar, or compute {name} from its first bar without carry"
            )


def rebasing(output: Output, table: BarTable, rows: Rows) -> Array:
    """Factor (rows,) from the basis of the session to the basis of the bars."""
    price = table.columns["price_factor"][rows] ** output.price_degree
    return np.asarray(price * table.columns["volume_factor"][rows] ** output.volume_degree, dtype=np.float64)


def _locate(symbols: Rows, days: np.ndarray[tuple[int], np.dtype[np.datetime64]], table: BarTable) -> tuple[Rows, Mask]:
    """Row of the bars for each (symbol, session), and whether there is one."""
    span = np.int64(10_000_000)  # more days than any calendar holds: keeps the symbols apart in one sorted key
    owner = np.repeat(np.arange(len(table.symbols)), np.diff(table.starts))
    keys = owner * span + table.sessions.astype(np.int64)
    wanted = symbols * span + days.astype(np.int64)
    rows = np.searchsorted(keys, wanted).astype(np.int64)
    found = np.zeros(len(wanted), dtype=bool)
    inside = rows < len(keys)
    found[inside] = keys[rows[inside]] == wanted[inside]
    return rows, found
