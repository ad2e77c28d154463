"""Rows that belong to another security.

    swapped_symbols  two symbols of one answer carry each other's rows, for a session or a stretch
    foreign_bar      a row whose prices all lie far beyond all prices of the rows before and after it

A market that jumps stays connected: the bar overlaps the range before or after it, or nearly. In sp500_5yr no bar lies
beyond both of its neighbours by more than 1.37, and those that come near are rows of another date; in the vintages of
July 2015 only CSB does, which carries another security's 318 for two sessions at 10.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from market_assets.domain.plausibility.series import BarSeries, BoolArray, IntArray

BEYOND: Final = 1.5
"""How far a whole bar lies beyond both neighbours before it is taken for another security's."""

THIN: Final = 10_000.0
"""Turnover, in the bars' currency, below which a few odd trades are the market: on 2015-07-14 the warrant MEILW traded
1,000 times 0.038 between sessions at 0.12."""

LONGEST: Final = 3
"""Sessions for which rows of another security are told from a market that rose and fell."""

APART: Final = float(np.log(1.4))
"""Smallest log distance of two prices at which a change of places can be told from a move."""

LANDED: Final = 0.06
"""How near, in log, a price must come to the other symbol's last one. Two fits at once, there and back, are no
chance."""

LANDED_WITHOUT_RETURN: Final = 0.03
"""The same where the swap lasts to the end of the answer; volumes must have changed places as well."""

BUSY: Final = float(np.log(2.5))
"""How much, in log, volume changes from one session to the next without another reason."""


@dataclass(frozen=True)
class Swap:
    """Rows of two symbols that carry each other's values, in order of sessions."""

    left: IntArray
    right: IntArray


def foreign_bars(series: BarSeries) -> BoolArray:
    """Rows, up to LONGEST beside each other, that lie beyond the rows before and after them; shape (rows,)."""
    found = np.zeros(len(series.close), bool)
    with np.errstate(invalid="ignore"):
        steps = np.flatnonzero(series.beyond_before() > BEYOND)
    position = 0
    while position < len(steps) - 1:
        back = _return(series, steps[position : position + LONGEST + 1])
        rows = slice(int(steps[position]), int(steps[position + back]))
        if back and float((series.close[rows] * series.volume[rows]).sum()) >= THIN:
            found[rows] = True
        position += back + 1
    return found & series.judged


def _return(series: BarSeries, steps: IntArray) -> int:
    """Which of the steps after the first leads back to where the bars were before it; 0 if none does."""
    before = int(steps[0]) - 1
    for number, step in enumerate(steps[1:], start=1):
        if step - before > LONGEST + 1 or series.code[step] != series.code[before]:
            return 0
        between = np.arange(before + 1, step)
        if not _apart(series, before, step) and all(
            _apart(series, row, before) and _apart(series, row, step) for row in between
        ):
            return number
    return 0


def _apart(series: BarSeries, one: int, other: int) -> bool:
    """Whether two whole bars of a symbol lie far from each other, on one share basis."""
    first, last = sorted((int(one), int(other)))
    ratio = float(np.prod(series.ratio[first + 1 : last + 1]))
    high, low = series.high[first] / ratio, series.low[first] / ratio
    return bool(max(series.low[last] / high, low / series.high[last]) > BEYOND)


def swaps(series: BarSeries) -> list[Swap]:
    """Pairs of symbols that changed places, with the rows of each stretch."""
    with np.errstate(invalid="ignore"):
        stepped = np.flatnonzero((np.abs(series.jump) > APART / 2) & (np.abs(series.gap) > APART / 2))
    if not len(stepped):
        return []
    crossings: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for left, right in _crossings(series, stepped):
        crossings.setdefault((int(series.code[left]), int(series.code[right])), []).append((left, right))
    first = np.searchsorted(series.code, np.arange(len(series.symbols) + 1))
    found = []
    for (left, right), steps in crossings.items():
        spans = (int(first[left]), int(first[left + 1])), (int(first[right]), int(first[right + 1]))
        # There and back, there and back; what is left over has no return.
        for start, end in zip(steps[::2], [*steps[1::2], None], strict=False):
            if end is None and not _volumes_crossed(series, *start):
                continue
            found.append(_stretch(series, spans, start, end))
    return [swap for swap in found if len(swap.left)]


def _crossings(series: BarSeries, stepped: IntArray) -> Iterator[tuple[int, int]]:
    """Pairs of rows of one session at which each symbol lands on the other's last price, by session."""
    stepped = stepped[np.lexsort((series.code[stepped], series.day[stepped]))]
    starts = np.flatnonzero(np.diff(series.day[stepped], prepend=-1))
    for start, end in pairwise([*starts, len(stepped)]):
        rows = stepped[start:end]
        if len(rows) < 2 or (series.jump[rows] > 0).all() or (series.jump[rows] < 0).all():
            continue
        now, before = np.log(series.close[rows]), np.log(series.close[rows - 1])
        landed = np.abs(now[:, None] - before[None, :])
        apart = np.abs(before[:, None] - before[None, :]) > APART
        mutual = np.triu((landed <= LANDED) & (landed.T <= LANDED) & apart, 1)
        for left, right in zip(*np.nonzero(mutual), strict=True):
            yield int(rows[left]), int(rows[right])


def _volumes_crossed(series: BarSeries, left: int, right: int) -> bool:
    """Whether prices fit closely and each volume is the other's last one rather than its own."""
    volume, price = np.log(np.maximum(series.volume, 1.0)), np.log(series.close)
    for one, other in ((left, right), (right, left)):
        moved, crossed = abs(volume[one] - volume[one - 1]), abs(volume[one] - volume[other - 1])
        if abs(price[one] - price[other - 1]) > LANDED_WITHOUT_RETURN or crossed > BUSY or moved < BUSY:
            return False
    return True


def _stretch(
    series: BarSeries,
    spans: tuple[tuple[int, int], tuple[int, int]],
    start: tuple[int, int],
    end: tuple[int, int] | None,
) -> Swap:
    """Rows of both symbols from one crossing to the next, at the sessions both have.

    Without a return the rows after the crossing are the swapped ones if stored bars stand before it, else those on the
    shorter side.
    """
    ends = end or (spans[0][1], spans[1][1])
    rows = [np.arange(start[side], ends[side]) for side in (0, 1)]
    if end is None and series.judged[spans[0][0]] and start[0] - spans[0][0] < len(rows[0]):
        rows = [np.arange(spans[side][0], start[side]) for side in (0, 1)]
    left, right = (side[series.judged[side]] for side in rows)
    _, at_left, at_right = np.intersect1d(series.day[left], series.day[right], return_indices=True)
    return Swap(left[at_left], right[at_right])
