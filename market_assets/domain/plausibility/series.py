"""Bars of an answer and the stored bars around them as arrays, and the returns that corporate actions do not explain.

Belongs here: order, neighbours, events between neighbours. Does not belong here: any rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Five = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]

VALUES: Final = ("open", "high", "low", "close", "volume")
SPLITS: Final = ("split", "stock_dividend")
CASH: Final = ("cash_dividend", "special_dividend", "spin_off")
DAYS: Final = 10_000_000
"""Above any day number: symbol code x this + day sorts by both."""


@dataclass(frozen=True)
class BarSeries:
    """As-traded bars by symbol and session, arrays of shape (rows,).

    Attributes:
        symbols: names; `code` counts in it.
        code: symbol of each row, ascending.
        day: session as days since 1970, ascending within a symbol.
        position: row of the examined frame, -1 for a stored bar that is only context.
        open, high, low, close, volume: as traded.
        split_code, split_day, split_ratio: the splits of these symbols, shape (splits,), by symbol and day.
        ratio: new shares per old share that take effect at the row, 1.0 if none.
        cash: cash per share that takes effect at the row, 0.0 if none.
    """

    symbols: pd.Index
    code: IntArray
    day: IntArray
    position: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    split_code: IntArray
    split_day: IntArray
    split_ratio: FloatArray
    ratio: FloatArray
    cash: FloatArray

    @classmethod
    def build(cls, bars: pd.DataFrame, actions: pd.DataFrame, context: pd.DataFrame) -> BarSeries:
        """Lay out `bars` between the bars of `context`.

        Args:
            bars: symbol, session, open, high, low, close, volume; as traded, finite, one row per symbol and session,
                by symbol and session.
            actions: symbol, ex_date, kind, value.
            context: as `bars`, any order: stored bars of other sessions. A session that is in `bars` is ignored.
        """
        code, symbols = pd.factorize(bars["symbol"])
        code = code.astype(np.int64)
        day = days_of(bars["session"])
        columns = [bars[name].to_numpy(np.float64) for name in VALUES]
        position = np.arange(len(bars), dtype=np.int64)
        around = symbols.get_indexer(pd.Index(context["symbol"])).astype(np.int64)
        keys = code * DAYS + day
        beside = around * DAYS + days_of(context["session"])
        known = (around >= 0) & (np.append(keys, -1)[np.searchsorted(keys, beside)] != beside)
        if known.any():
            code = np.concatenate([code, around[known]])
            day = np.concatenate([day, days_of(context["session"])[known]])
            columns = [
                np.concatenate([values, context[name].to_numpy(np.float64)[known]])
                for name, values in zip(VALUES, columns, strict=True)
            ]
            position = np.concatenate([position, np.full(int(known.sum()), -1, np.int64)])
            order = np.lexsort((day, code))
            code, day, position = code[order], day[order], position[order]
            columns = [values[order] for values in columns]
            keys = code * DAYS + day
        split, cash = _events(symbols, actions, SPLITS), _events(symbols, actions, CASH)
        return cls(
            symbols,
            code,
            day,
            position,
            *_five(columns),
            split_code=split[0],
            split_day=split[1],
            split_ratio=split[2],
            ratio=_at_rows(keys, code, split, np.multiply, 1.0),
            cash=_at_rows(keys, code, cash, np.add, 0.0),
        )

    def without(self, gone: BoolArray) -> BarSeries:
        """The series without some rows; events of a row that is gone take effect at the next one."""
        if not gone.any():
            return self
        keep = ~gone
        moved = gone & ((self.ratio != 1.0) | (self.cash != 0.0))
        ratio, cash = self.ratio, self.cash
        if moved.any():
            ratio, cash = ratio.copy(), cash.copy()
            for row in np.flatnonzero(moved):
                following = row + 1
                if following < len(ratio) and self.code[following] == self.code[row]:
                    ratio[following] *= ratio[row]
                    cash[following] += cash[row]
        return BarSeries(
            self.symbols,
            self.code[keep],
            self.day[keep],
            self.position[keep],
            *_five([values[keep] for values in self.values]),
            self.split_code,
            self.split_day,
            self.split_ratio,
            ratio[keep],
            cash[keep],
        )

    @property
    def values(self) -> Five:
        """Open, high, low, close, volume."""
        return self.open, self.high, self.low, self.close, self.volume

    @cached_property
    def judged(self) -> BoolArray:
        """Rows of the examined frame, as opposed to context."""
        judged: BoolArray = self.position >= 0
        return judged

    @cached_property
    def follows(self) -> BoolArray:
        """Rows with a row of the same symbol before them."""
        same = np.zeros(len(self.code), bool)
        same[1:] = self.code[1:] == self.code[:-1]
        return same

    @cached_property
    def expected(self) -> FloatArray:
        """Close before, on the share basis of the row and without the cash that leaves at it; NaN without one.

        Cash that is not below the price is left out: it is a fault of the action (see `distributions`).
        """
        before = np.full(len(self.close), np.nan)
        before[1:] = np.where(self.follows[1:], self.close[:-1], np.nan) / self.ratio[1:]
        return np.where(self.cash < before, before - self.cash, before)

    @cached_property
    def jump(self) -> FloatArray:
        """log(close / expected): the return that no event explains; NaN without a row before."""
        moved: FloatArray = np.log(self.close / self.expected)
        return moved

    @cached_property
    def gap(self) -> FloatArray:
        """log(open / expected): the part of it that happened over night."""
        moved: FloatArray = np.log(self.open / self.expected)
        return moved

    def beyond_before(self) -> FloatArray:
        """How far each whole bar lies beyond the one before it; shape (rows,), NaN without one.

        Above 1: its low over that one's high, or that one's low over its high. Events between them are taken out.
        """
        out = np.full(len(self.close), np.nan)
        row = np.flatnonzero(self.follows)
        back = self.expected[row] / self.close[row - 1]
        out[row] = np.maximum(self.low[row] / (self.high[row - 1] * back), self.low[row - 1] * back / self.high[row])
        return out


def _five(columns: list[FloatArray]) -> Five:
    opened, high, low, close, volume = columns
    return opened, high, low, close, volume


def days_of(sessions: pd.Series) -> IntArray:
    """Dates as days since 1970."""
    return sessions.to_numpy("datetime64[D]").astype(np.int64)


def _events(symbols: pd.Index, actions: pd.DataFrame, kinds: tuple[str, ...]) -> tuple[IntArray, IntArray, FloatArray]:
    """Symbol code, day and value of the events of `kinds`, by symbol and day; unusable values are left out."""
    table = actions[actions["kind"].isin(kinds) & (actions["value"] > 0)]
    code = symbols.get_indexer(pd.Index(table["symbol"])).astype(np.int64)
    day = days_of(table["ex_date"])
    value = table["value"].to_numpy(np.float64) + (table["kind"] == "stock_dividend").to_numpy(np.float64)
    order = np.lexsort((day, code))
    order = order[code[order] >= 0]
    return code[order], day[order], value[order]


def _at_rows(
    keys: IntArray, code: IntArray, events: tuple[IntArray, IntArray, FloatArray], combine: np.ufunc, none: float
) -> FloatArray:
    """Events combined at the first row of their symbol on or after their day; `none` elsewhere."""
    out = np.full(len(keys), none)
    at, day, value = events
    row = np.searchsorted(keys, at * DAYS + day)
    inside = np.append(code, -1)[row] == at
    combine.at(out, row[inside], value[inside])
    return out
