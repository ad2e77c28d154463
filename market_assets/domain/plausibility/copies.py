"""Rows that a vendor copied from another session of the same symbol.

    stale_repeat     the row before, once more: the vendor answered before it had the session
    misdated_repeat  a row of some other session under this date

A copy equals its original in open, high, low, close and volume. A symbol that hardly trades may repeat a price for
days, so a row counts only if it has a range and a volume no two sessions share by chance.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from market_assets.domain.plausibility.series import BarSeries, BoolArray, IntArray

REPEATED_VOLUME: Final = 1_000.0
"""Volume from which equal rows of two sessions are no chance. In the vintages of July 2015, rows that repeat the
session before with a volume at all have 100 or 200 shares and one price."""


def stale_repeats(series: BarSeries) -> BoolArray:
    """Rows equal to the row before them, in all five values; shape (rows,)."""
    repeated = np.zeros(len(series.close), bool)
    same = series.follows[1:].copy()
    for values in series.values:
        same &= values[1:] == values[:-1]
    repeated[1:] = same & _telling(series)[1:]
    return repeated & series.judged


def misdated_repeats(series: BarSeries) -> BoolArray:
    """Rows equal to a row of another session of their symbol, all but the one that fits its neighbours best.

    Call it on a series without stale repeats.
    """
    found = np.zeros(len(series.close), bool)
    rows = np.flatnonzero(_telling(series))
    if not len(rows):
        return found
    originals: dict[tuple[float, ...], list[int]] = {}
    for row in rows[pd.Series(_fingerprints(series, rows)).duplicated(keep=False).to_numpy()]:
        key = (float(series.code[row]), *(float(values[row]) for values in series.values))
        originals.setdefault(key, []).append(int(row))
    for group in originals.values():
        if len(group) > 1:
            best = min(group, key=lambda row: (series.judged[row], _misfit(series, row), row))
            found[[row for row in group if row != best]] = True
    return found & series.judged


def _telling(series: BarSeries) -> BoolArray:
    return (series.high > series.low) & (series.volume >= REPEATED_VOLUME)


def _fingerprints(series: BarSeries, rows: IntArray) -> IntArray:
    """A number per row that is equal for equal rows of a symbol."""
    mixed = series.code[rows] * np.int64(1_000_003)
    for values in series.values:
        mixed = mixed * np.int64(1_099_511_628_211) ^ values[rows].view(np.int64)
    return mixed


def _misfit(series: BarSeries, row: int) -> float:
    """How much the way over this row is longer than the way past it, in log prices."""
    into = series.jump[row] if series.follows[row] else 0.0
    following = row + 1 < len(series.close) and series.follows[row + 1]
    out = series.jump[row + 1] if following else 0.0
    return float(abs(into) + abs(out) - abs(into + out))
