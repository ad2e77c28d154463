"""The bars of several symbols in contiguous arrays: what every indicator function computes on.

Here: the arrays, the series that several indicators share (computed once, on first use) and the three ways a series is
followed through a symbol: lag, exponential smoothing, running total. Not here: formulas of indicators.

Symbols follow each other without a gap, so that arithmetic and rolling windows run over all of them in one vectorised
call. A lag or window of n bars therefore reaches into the previous symbol during the first n bars of a symbol; those
rows lie inside the warm-up that the engine blanks. Whatever has memory (smoothing, running totals) works symbol by
symbol and never crosses a boundary.

Continuing from a stored value: `resume` marks, for each symbol, the bar whose state is known. Smoothing starts there
from the stored state instead of from the first bars, and earlier rows are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from inspect import unwrap

import numpy as np
from numpy.typing import NDArray

from market_assets.domain.indicators.definition import Array
from market_assets.domain.indicators.windows import RollingComoment, RollingExtreme, RollingSum

# Two prices closer than this, relative to their size, are the same price. Equal prices as traded differ by rounding
# (some 1e-16) once they are multiplied by adjustment factors; one tick of the dearest listed share is 1e-8 of it. Each
# indicator that branches on a comparison uses it, or a later dividend would flip a tie and change the past.
TIE = 1e-11

Smoother = Callable[[Array, int], Array]
"""A TA-Lib function, unwrapped: the wrapper looks for pandas and polars, at half the cost of a short series."""


@dataclass(frozen=True)
class Bars:
    """Bars without gaps: every input of the indicators computed on them is present in every row.

    Attributes:
        columns: open, high, low, close, volume and benchmark as arrays (n,) float64, those that the indicators need.
        starts: first row of each symbol and, last, the number of rows: (symbols + 1,).
        resume: row whose state is known, -1 where a symbol starts from its first bar: (symbols,).
        states: stored state columns at `resume`, in the basis of the bars, each (symbols,).
        price_factor: adjusted over as-traded price at each bar: (n,).
        volume_factor: split-adjusted over as-traded volume at each bar: (n,).
    """

    columns: Mapping[str, Array]
    starts: Sequence[int]
    resume: Sequence[int]
    states: Mapping[str, Array]
    price_factor: Array
    volume_factor: Array
    _shared: dict[tuple[object, ...], Array] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Number of bars, all symbols together."""
        return self.starts[-1]

    @property
    def open(self) -> Array:
        """Opening price, adjusted."""
        return self.columns["open"]

    @property
    def high(self) -> Array:
        """Highest price, adjusted."""
        return self.columns["high"]

    @property
    def low(self) -> Array:
        """Lowest price, adjusted."""
        return self.columns["low"]

    @property
    def close(self) -> Array:
        """Closing price, adjusted."""
        return self.columns["close"]

    @property
    def volume(self) -> Array:
        """Shares traded, split-adjusted."""
        return self.columns["volume"]

    @cached_property
    def spans(self) -> list[tuple[int, int, int, int]]:
        """(index of the symbol, first row, row after the last, resume row or -1) of each symbol."""
        return [
            (i, start, stop, resume)
            for i, (start, stop, resume) in enumerate(zip(self.starts, self.starts[1:], self.resume, strict=False))
        ]

    @cached_property
    def position(self) -> NDArray[np.int64]:
        """Number of earlier bars of the same symbol: (n,)."""
        starts = np.asarray(self.starts)
        return np.asarray(np.arange(len(self)) - np.repeat(starts[:-1], np.diff(starts)), dtype=np.int64)

    @cached_property
    def first_bars(self) -> NDArray[np.int64]:
        """Row of the first bar of each symbol that has one."""
        return np.flatnonzero(self.position == 0)

    def shared(self, key: tuple[object, ...], compute: Callable[[], Array]) -> Array:
        """The array stored under `key`, computed on first use; callers never write into it."""
        if key not in self._shared:
            self._shared[key] = compute()
        return self._shared[key]

    # --- series that several indicators use ---

    @cached_property
    def previous_close(self) -> Array:
        """Close of the bar before."""
        return lag(self.close, 1)

    @cached_property
    def change(self) -> Array:
        """Close minus previous close, ties exactly zero."""
        return untied(self.close - self.previous_close, self.close)

    @cached_property
    def simple_return(self) -> Array:
        """Close over previous close, minus one; exactly zero for an unchanged close."""
        return self.change / self.previous_close

    @cached_property
    def log_return(self) -> Array:
        """Natural logarithm of close over previous close, exactly zero for an unchanged close."""
        return np.asarray(np.log(self.close / self.previous_close) * (self.change != 0.0))

    @cached_property
    def typical_price(self) -> Array:
        """(high + low + close) / 3."""
        return (self.high + self.low + self.close) / 3.0

    @cached_property
    def true_range(self) -> Array:
        """Largest of high - low, |high - previous close|, |low - previous close| (Wilder 1978)."""
        return np.maximum(self.high, self.previous_close) - np.minimum(self.low, self.previous_close)

    @cached_property
    def log_range(self) -> Array:
        """Natural logarithm of high over low."""
        return np.log(self.high / self.low)

    @cached_property
    def log_move(self) -> Array:
        """Natural logarithm of close over open."""
        return np.log(self.close / self.open)

    @cached_property
    def close_sum(self) -> RollingSum:
        """Rolling sums of the close."""
        return RollingSum(self.close)

    @cached_property
    def close_moment(self) -> RollingComoment:
        """Rolling squared deviations of the close."""
        return RollingComoment(self.close_sum)

    @cached_property
    def log_return_moment(self) -> RollingComoment:
        """Rolling squared deviations of the log return."""
        return RollingComoment(RollingSum(self.log_return))

    @cached_property
    def volume_sum(self) -> RollingSum:
        """Rolling sums of the volume."""
        return RollingSum(self.volume)

    @cached_property
    def highest_high(self) -> RollingExtreme:
        """Rolling maximum of the high."""
        return RollingExtreme(self.high, np.maximum)

    @cached_property
    def lowest_low(self) -> RollingExtreme:
        """Rolling minimum of the low."""
        return RollingExtreme(self.low, np.minimum)

    # --- series with memory ---

    def ema(self, values: Array, length: int, *, first: int = 0, state: str | None = None) -> Array:
        """Exponential moving average with alpha = 2 / (length + 1), seeded with the mean of the first `length` values.

        Args:
            values: (n,) series to smooth.
            length: number of bars.
            first: bars at the start of each symbol at which `values` is not defined yet.
            state: column that stores this average.

        Returns:
            (n,), NaN before the seed of a symbol and before its resume row.
        """
        from talib import EMA

        return self._smooth(unwrap(EMA), values, length, first, self._state(state))

    def wilder(self, values: Array, length: int, *, first: int = 0, state: str | Array | None = None) -> Array:
        """Wilder's moving average, alpha = 1 / length, seeded with the mean of the first `length` values.

        Args and result as `ema`; `state` may also be the values (symbols,) themselves.
        """
        from talib import RMA

        return self._smooth(
            unwrap(RMA), values, length, first, state if isinstance(state, np.ndarray) else self._state(state)
        )

    def running_total(self, values: Array, *, state: str) -> Array:
        """Sum from the first bar of each symbol, continued from the stored total at its resume row."""
        out = np.empty_like(values)
        known = self.states.get(state)
        for i, start, stop, resume in self.spans:
            if resume < 0 or known is None:
                np.cumsum(values[start:stop], out=out[start:stop])
            else:
                out[start:resume] = np.nan
                out[resume] = known[i]
                out[resume + 1 : stop] = values[resume + 1 : stop]
                np.cumsum(out[resume:stop], out=out[resume:stop])
        return out

    def _state(self, column: str | None) -> Array | None:
        return None if column is None else self.states.get(column)

    def _smooth(self, average: Smoother, values: Array, length: int, first: int, state: Array | None) -> Array:
        out = np.empty_like(values)
        for i, start, stop, resume in self.spans:
            if resume < 0 or state is None:
                begin = min(start + first, stop)
                out[start:begin] = np.nan
                out[begin:stop] = average(values[begin:stop], length)
            else:
                # The mean of `length` equal values is that value: the average starts as if it had never stopped.
                seeded = np.empty(length + stop - resume - 1)
                seeded[:length], seeded[length:] = state[i], values[resume + 1 : stop]
                out[start:resume] = np.nan
                out[resume] = state[i]
                out[resume + 1 : stop] = average(seeded, length)[length:]
        return out


def lag(values: Array, bars: int) -> Array:
    """The value `bars` rows before; NaN in the first rows of the array."""
    out = np.empty_like(values)
    out[:bars] = np.nan
    out[bars:] = values[: max(len(values) - bars, 0)]
    return out


def untied(difference: Array, scale: Array) -> Array:
    """`difference` with rounding noise (below TIE x scale) set to exactly zero, in place."""
    difference *= ~(np.abs(difference) <= TIE * scale)
    difference += 0.0  # no negative zeros
    return difference
