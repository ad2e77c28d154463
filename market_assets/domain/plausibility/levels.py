"""Prices on a wrong scale: a split that was not applied or applied twice, pence taken for pounds.

Such a fault is a step of a known size between two rows: the ratio of a split nearby, or a hundred. Rows between two
steps, or between a step and the end of the series, are on another level. Which level is right is known from the stored
bars; without any, from the basis (a vendor that adjusts for splits has its newest prices right, one that does not its
oldest) or, for a hundred, from where the symbol traded: a price without volume is carried, not seen.

    split_not_applied    price = right price x ratio, volume = right volume / ratio
    split_applied_twice  price = right price / ratio, volume = right volume x ratio
    unit_100x            price = right price x 100 or / 100, volume right

A step counts if the open (the gap over night) and the close both made it: data change scale between two rows, markets
within one. How closely it must be the ratio depends on how far from the ex-date it lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from market_assets.domain.adjustments import PriceBasis
from market_assets.domain.plausibility.series import BarSeries, BoolArray, FloatArray, IntArray

HUNDRED: Final = float(np.log(100.0))
UNIT_TOLERANCE: Final = 0.4
"""Room in a step of a hundred for the market's own move: 67 to 149."""

SMALLEST_UNIT_PRICE: Final = 0.01
"""Below it a hundredfold is a few ticks. In the vintages of July 2015 CUI goes from 0.01 to 4.71: another
security, no unit."""

ON_EX_DATE, NEAR, FAR = 0, 2, 10
"""Rows between a step and the ex-date. A vendor that cuts its history at the wrong row does so within days."""

HIDDEN: Final = 3
"""Rows within which faults beside each other are looked for."""

LONGEST_WAIT: Final = 20
"""Days between two rows across which a step can still be told from a market's move."""


@dataclass(frozen=True)
class Levels:
    """Rows on a wrong scale; arrays of shape (rows,).

    Attributes:
        split: log(price sent / right price) where a split explains it, else 0.
        unit: the same where a hundred explains it, else 0.
        applied_twice: whether `split` is a split too many (else one too few).
    """

    split: FloatArray
    unit: FloatArray
    applied_twice: BoolArray


def find_levels(series: BarSeries, basis: PriceBasis) -> Levels:
    """Find rows whose prices are a split ratio or a hundred away from the rows around them.

    Args:
        series: as-traded bars with their splits.
        basis: the vendor's basis, before the bars were converted.
    """
    size = len(series.close)
    levels = Levels(np.zeros(size), np.zeros(size), np.zeros(size, bool))
    with np.errstate(invalid="ignore"):
        stepped = np.flatnonzero(np.abs(series.jump) > _LEAST_STEP)
    if not len(stepped):
        return levels
    first = np.searchsorted(series.code, np.arange(len(series.symbols) + 1))
    split_first = np.searchsorted(series.split_code, np.arange(len(series.symbols) + 1))
    for symbol in np.unique(series.code[stepped]):
        rows = slice(int(first[symbol]), int(first[symbol + 1]))
        steps = stepped[series.code[stepped] == symbol]
        taken = np.zeros(len(steps), bool)
        for split in range(int(split_first[symbol]), int(split_first[symbol + 1])):
            _mark_split(series, levels, rows, steps, taken, split, basis)
        _mark_unit(series, levels, rows, steps[~taken])
    levels.split[~series.judged] = levels.unit[~series.judged] = 0.0
    return levels


_LEAST_STEP: Final = 0.23  # the smallest step that may count: 0.7 x log 1.4, see _tolerance


def _mark_split(
    series: BarSeries,
    levels: Levels,
    rows: slice,
    steps: IntArray,
    taken: BoolArray,
    split: int,
    basis: PriceBasis,
) -> None:
    """Mark the rows of one symbol that one split's ratio separates from the right level."""
    size = float(np.log(series.split_ratio[split]))
    ex_row = rows.start + int(np.searchsorted(series.day[rows], series.split_day[split]))
    signs = np.zeros(rows.stop - rows.start)
    for number, row in enumerate(steps):
        if taken[number] or series.day[row] - series.day[row - 1] > LONGEST_WAIT:
            continue
        at = int(row) - rows.start
        # All rows of an answer may be on another scale than what is stored, wherever in it the split lies.
        seam = bool(series.judged[row]) and not series.judged[row - 1]
        for sign in (1.0, -1.0):
            # A fault of the ex-date alone is over a row later.
            over = row == ex_row + 1 and signs[at - 1] == -sign
            room = _tolerance(abs(size), ON_EX_DATE if seam or over else abs(int(row) - ex_row))
            if abs(series.jump[row] - sign * size) <= room and abs(series.gap[row] - sign * size) <= room:
                signs[at], taken[number] = sign, True
    if not signs.any():
        return
    level = np.cumsum(_completed(series, rows, steps, signs, 0.3 * abs(size)))
    stored = np.flatnonzero(~series.judged[rows])
    anchor = stored[0] if len(stored) else 0 if basis == "as_traded" else -1
    right = level[anchor]
    wrong = level != right
    levels.split[rows][wrong] += ((level - right) * size)[wrong]
    levels.applied_twice[rows][wrong] = (level - right)[wrong] < 0


def _tolerance(size: float, rows_away: int) -> float:
    """How far a step may be from log(ratio); negative if such a step says nothing.

    On the ex-date a price that does not move by its ratio is wrong, whatever the market did: 30 % of the log ratio,
    from 7:5 on. Elsewhere the market may really halve: near the ex-date 15 %, farther away 5 %, for ratios from 1.8 on.
    """
    if rows_away <= ON_EX_DATE:
        return 0.3 * size if size >= np.log(1.4) else -1.0
    if size < np.log(1.8) or rows_away > FAR:
        return -1.0
    return 0.15 * size + 0.02 if rows_away <= NEAR else 0.05 * size + 0.01


def _mark_unit(series: BarSeries, levels: Levels, rows: slice, steps: IntArray) -> None:
    """Mark the rows of one symbol that a hundred separates from the right level."""
    signs = np.zeros(rows.stop - rows.start)
    for row in steps:
        jump, gap = series.jump[row], series.gap[row]
        low = min(series.close[row], series.expected[row])
        if low >= SMALLEST_UNIT_PRICE and max(abs(abs(jump) - HUNDRED), abs(abs(gap) - HUNDRED)) <= UNIT_TOLERANCE:
            signs[row - rows.start] = np.sign(jump)
    if not signs.any():
        return
    level = np.cumsum(_completed(series, rows, steps, signs, UNIT_TOLERANCE))
    wrong = level != _right_unit(series, rows, level)
    levels.unit[rows][wrong] = ((level - _right_unit(series, rows, level)) * HUNDRED)[wrong]


def _completed(series: BarSeries, rows: slice, steps: IntArray, signs: FloatArray, room: float) -> FloatArray:
    """The steps with those that another fault beside them hides.

    A row at a hundred times its price beside a row of another security makes one step of a hundred and two of other
    sizes. If the price is back where it was within a few rows, the level ended at the first of the others.
    """
    price = np.log(series.close[rows]) + np.cumsum(np.log(series.ratio[rows]))
    other = [int(row) - rows.start for row in steps if signs[row - rows.start] == 0]
    out = signs.copy()
    matched = np.flatnonzero(signs)
    number, start = 0, 0
    while number < len(matched):
        at = matched[number]
        end = matched[number + 1] if number + 1 < len(matched) else len(signs)
        after = [row for row in other if at < row <= at + HIDDEN and row < end]
        before = [row for row in other if at - HIDDEN <= row < at and row > start]
        if after and (np.abs(price[after] - price[at - 1]) <= room).any():
            out[after[0]] = -signs[at]
        elif before and (np.abs(price[at] - price[np.array(before) - 1]) <= room).any():
            out[before[-1]] = -signs[at]
        elif end < len(signs) and signs[end] == -signs[at]:
            number += 1  # there and back: neither hides anything
        start = matched[number]
        number += 1
    return out


def _right_unit(series: BarSeries, rows: slice, level: FloatArray) -> float:
    """The level of the stored bars; else the one with most rows that traded, most rows, the newest row."""
    stored = np.flatnonzero(~series.judged[rows])
    if len(stored):
        return float(level[stored[0]])
    traded = series.volume[rows] > 0
    return max(
        (float(value) for value in np.unique(level)),
        key=lambda value: (int((traded & (level == value)).sum()), int((level == value).sum()), level[-1] == value),
    )
