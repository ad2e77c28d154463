"""Prices of one row that contradict each other.

inverted_range        high below low; with both exchanged the row would be a bar, which is what is proposed
price_outside_range   open or close outside low to high, by more than a rounding or an auction explains
just_outside_range    the same by less: a warning
"""

from __future__ import annotations

from typing import Final

import numpy as np

from market_assets.domain.plausibility.series import BarSeries, BoolArray, FloatArray

OUTSIDE: Final = 0.05
"""Part of the price by which open or close may lie outside the range. Vendors take the official close from an auction
or a quote and the range from trading: on the London market closes lie up to 2.9 % outside (ABDP.L in known_bad)."""

ROUNDING: Final = 1e-9
"""Part of the price by which numbers may differ because they are binary fractions."""


def inverted(series: BarSeries) -> BoolArray:
    """Rows whose high is below their low."""
    return (series.high < series.low) & series.judged


def exchanged_is_a_bar(series: BarSeries) -> BoolArray:
    """Rows whose open and close lie between high and low once these are exchanged."""
    lowest, highest = np.minimum(series.open, series.close), np.maximum(series.open, series.close)
    room = 1.0 + OUTSIDE
    return (series.high <= lowest * room) & (series.low * room >= highest)


def outside(series: BarSeries) -> FloatArray:
    """Part of the price by which open or close lie outside low to high, 0 inside; shape (rows,)."""
    above = np.maximum(series.open, series.close) / series.high - 1.0
    below = 1.0 - np.minimum(series.open, series.close) / series.low
    beyond = np.maximum(above, below)
    return np.where(series.judged & (beyond > ROUNDING), beyond, 0.0)
