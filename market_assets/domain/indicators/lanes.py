"""Symbols side by side: the layout for indicators that must be followed bar by bar.

Here: from contiguous symbols to a matrix with one row for each step and one column for each symbol, and back. Not
here: what a step does (the family modules).

Columns are sorted by length, the longest first, so that the symbols still running at a step are the first so many
columns of its row: a slice, without a mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from market_assets.domain.indicators.bars import Bars
from market_assets.domain.indicators.definition import Array

SIDE_BY_SIDE = 8
"""Columns copied together: what one line of the processor's cache holds of a row."""


class Lanes:
    """The symbols of `bars` from a first bar each, as columns.

    Attributes:
        symbols: index of the symbol of each column: (lanes,).
        rows: row of `bars` of its first bar: (lanes,).
        resumed: whether that bar is one whose state is stored: (lanes,).
        running: number of columns that have a bar at each step: (steps,), never increasing.
    """

    def __init__(self, bars: Bars, start: int) -> None:
        """Columns begin at bar number `start` of a symbol, or at its resume row where there is one.

        Args:
            bars: the bars.
            start: bars of each symbol before the first one of its column.
        """
        spans = np.array(bars.spans, dtype=np.int64).reshape(-1, 4)
        resumed = spans[:, 3] >= 0
        first = np.where(resumed, spans[:, 3], spans[:, 1] + start)
        length = np.maximum(spans[:, 2] - first, 0)
        order = np.argsort(-length, kind="stable")[: int((length > 0).sum())]
        self.symbols, self.rows, self.resumed = spans[order, 0], first[order], resumed[order]
        self._lengths = length[order]
        steps = int(self._lengths[0]) if len(order) else 0
        self.running = np.searchsorted(-self._lengths, -np.arange(steps), side="left")
        self._size = len(bars)

    def matrix(self, *arrays: Array) -> Array:
        """Arrays (n,) as a matrix (steps, arrays, lanes); undefined after the end of a symbol."""
        out = np.empty((len(self.running), len(arrays), len(self.rows)))
        for lane, (row, length) in enumerate(self._columns()):
            for i, values in enumerate(arrays):
                out[:length, i, lane] = values[row : row + length]
        return out

    def states(self, bars: Bars, columns: Sequence[str], first: Array) -> Array:
        """State at the first bar of each column, (columns, lanes): the stored one, or `first` where there is none."""
        out = first.copy()
        for i, column in enumerate(columns):
            if column in bars.states:
                out[i, self.resumed] = bars.states[column][self.symbols[self.resumed]]
        return out

    def columns(self, matrix: Array) -> NDArray[np.float64]:
        """A matrix (steps, k, lanes) as k arrays: (k, n), NaN before the first bar of each column."""
        out = np.full((matrix.shape[1], self._size), np.nan)
        places = self._columns()
        for begin in range(0, len(places), SIDE_BY_SIDE):
            for i, target in enumerate(out):
                turned = np.ascontiguousarray(matrix[:, i, begin : begin + SIDE_BY_SIDE].T)
                for lane, (row, length) in enumerate(places[begin : begin + SIDE_BY_SIDE]):
                    target[row : row + length] = turned[lane, :length]
        return out

    def _columns(self) -> list[tuple[int, int]]:
        return list(zip(self.rows.tolist(), self._lengths.tolist(), strict=True))
