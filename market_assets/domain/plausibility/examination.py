"""All rules on the bars of one answer, in order: which row each holds back, what it warns of, what repair it proposes.

Rows that one rule holds back are no neighbours for the next: a copy or a row at a hundred times its price would make
the rows beside it look wrong. A row is held under the first rule that it breaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from market_assets.domain.adjustments import PriceBasis
from market_assets.domain.plausibility import copies, crossings, levels, ranges
from market_assets.domain.plausibility.series import VALUES, BarSeries, BoolArray, FloatArray

HOLDING_RULES: Final[Mapping[str, str]] = {
    "inverted_range": "high is below low",
    "price_outside_range": f"open or close lies outside low to high by more than {ranges.OUTSIDE:.1%}",
    "stale_repeat": "open, high, low, close and volume are those of the session before",
    "split_not_applied": "the price is off by the ratio of a split nearby: the split was not applied to this row",
    "split_applied_twice": "the price is off by the ratio of a split nearby: the split was applied once too often",
    "unit_100x": "the price is a hundred times, or a hundredth of, the price around it: pence against pounds",
    "misdated_repeat": "open, high, low, close and volume are those of another session, where they fit better",
    "swapped_symbols": "two symbols of the answer carry each other's rows",
    "foreign_bar": "every price lies far beyond every price of the sessions before and after",
}
"""Rule that holds a row back -> what it means, in the order in which they are tried."""

WARNINGS: Final[Mapping[str, str]] = {
    "just_outside_range": "open or close lies outside low to high by little",
    "unexplained_jump": "the whole bar moved by half or more over night and no action says why",
}
"""Rule that only warns -> what it means. The row is stored."""

JUMPED: Final = 1.5
"""How far a whole bar lies beyond the one before when it is warned of."""


@dataclass(frozen=True)
class Findings:
    """What was found in the bars of one answer.

    Attributes:
        rule: rule each row is held back under, "" for a row that may be stored; on the index of the bars.
        warning: rule each stored row is warned of, "" for none; on the same index.
        proposals: open, high, low, close, volume as traded, as they would be right; for the rows that a known repair
            exists for, on their index.
    """

    rule: pd.Series
    warning: pd.Series
    proposals: pd.DataFrame


class _Verdicts:
    """Findings under construction, by position in the frame."""

    def __init__(self, size: int) -> None:
        self.rule = np.full(size, "", object)
        self.warning = np.full(size, "", object)
        self.repaired = np.zeros(size, bool)
        self.repairs = np.full((size, len(VALUES)), np.nan)

    def hold(self, series: BarSeries, rows: BoolArray, rule: str) -> None:
        self.rule[series.position[rows]] = rule

    def propose(self, series: BarSeries, rows: BoolArray, values: Sequence[FloatArray]) -> None:
        at = series.position[rows]
        self.repaired[at] = True
        self.repairs[at] = np.column_stack(values)


def examine(bars: pd.DataFrame, actions: pd.DataFrame, context: pd.DataFrame, *, basis: PriceBasis) -> Findings:
    """Find the faults in the bars of one answer.

    Args:
        bars: as traded (`BAR_COLUMNS`), one row per symbol and session, by symbol and session, prices above zero.
        actions: of the same source: symbol, ex_date, kind, value; later ones too where the vendor has applied them.
        context: stored bars of the same source around the answer, at least the last one of each symbol before it;
            empty if there are none. They are taken to be right.
        basis: of the vendor, before the bars were converted to as traded.
    """
    verdicts = _Verdicts(len(bars))
    if len(bars):
        _examine(BarSeries.build(bars, actions, context), basis, verdicts)
    return Findings(
        pd.Series(verdicts.rule, index=bars.index, dtype="str"),
        pd.Series(verdicts.warning, index=bars.index, dtype="str"),
        pd.DataFrame(verdicts.repairs, index=bars.index, columns=list(VALUES))[verdicts.repaired],
    )


def _examine(series: BarSeries, basis: PriceBasis, verdicts: _Verdicts) -> None:
    series = _ranges(series, verdicts)
    stale = copies.stale_repeats(series)
    verdicts.hold(series, stale, "stale_repeat")
    series = _levels(series.without(stale), basis, verdicts)
    misdated = copies.misdated_repeats(series)
    verdicts.hold(series, misdated, "misdated_repeat")
    series = _swaps(series.without(misdated), verdicts)
    foreign = crossings.foreign_bars(series)
    verdicts.hold(series, foreign, "foreign_bar")
    series = series.without(foreign)
    with np.errstate(invalid="ignore"):
        jumped = series.judged & (series.beyond_before() > JUMPED)
    verdicts.warning[series.position[jumped]] = "unexplained_jump"


def _ranges(series: BarSeries, verdicts: _Verdicts) -> BarSeries:
    inverted = ranges.inverted(series)
    verdicts.hold(series, inverted, "inverted_range")
    exchanged = inverted & ranges.exchanged_is_a_bar(series)
    opened, high, low, close, volume = (column[exchanged] for column in series.values)
    verdicts.propose(series, exchanged, (opened, low, high, close, volume))
    beyond = np.where(inverted, 0.0, ranges.outside(series))
    far = beyond > ranges.OUTSIDE + ranges.ROUNDING
    verdicts.hold(series, far, "price_outside_range")
    verdicts.warning[series.position[(beyond > 0) & ~far]] = "just_outside_range"
    return series.without(inverted | far)


def _levels(series: BarSeries, basis: PriceBasis, verdicts: _Verdicts) -> BarSeries:
    found = levels.find_levels(series, basis)
    wrong_unit, wrong_split = found.unit != 0, found.split != 0
    verdicts.hold(series, wrong_unit, "unit_100x")
    verdicts.hold(series, wrong_split & ~found.applied_twice, "split_not_applied")
    verdicts.hold(series, wrong_split & found.applied_twice, "split_applied_twice")
    wrong = wrong_unit | wrong_split
    price, shares = np.exp(-found.split[wrong] - found.unit[wrong]), np.exp(found.split[wrong])
    repaired = [column[wrong] * price for column in series.values[:4]]
    verdicts.propose(series, wrong, (*repaired, series.volume[wrong] * shares))
    return series.without(wrong)


def _swaps(series: BarSeries, verdicts: _Verdicts) -> BarSeries:
    swapped = np.zeros(len(series.close), bool)
    source = np.arange(len(series.close))
    for swap in crossings.swaps(series):
        swapped[swap.left] = swapped[swap.right] = True
        source[swap.left], source[swap.right] = swap.right, swap.left
    verdicts.hold(series, swapped, "swapped_symbols")
    verdicts.propose(series, swapped, [column[source[swapped]] for column in series.values])
    return series.without(swapped)
