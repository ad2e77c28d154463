"""What a careless vendor does to synthetic bars: rewriting history, and planted faults with a record of each.

Belongs here: changing arrays of bars in place, and saying which bar got which fault. Does not belong here: finding
faults (`quality`), or the market itself (`synthetic_market.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from market_assets.sources.counter_random import DayArray, FloatArray, KeyArray, uniform
from market_assets.sources.synthetic_market import Bars
from market_assets.sources.synthetic_options import FaultKind, SyntheticOptions

NO_FAULT: Final = -1
FaultArray = npt.NDArray[np.int8]
Cells = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

SPLIT_FAULTS: Final[frozenset[FaultKind]] = frozenset({"split_not_applied", "split_applied_twice"})


def restate(bars: Bars, keys: KeyArray, days: DayArray, options: SyntheticOptions) -> None:
    """Apply the rewritings 1 to `options.vintage` in order: most change the volume, some the close by a cent or two."""
    for number in range(1, options.vintage + 1):
        hit = uniform(keys, f"restated.{number}", days) < options.restatement_rate
        draw = uniform(keys, f"restated.{number}.how", days)
        volume = hit & (draw < 0.8)
        factor = 0.9 + 0.25 * draw
        bars.volume[volume] = np.maximum(np.rint(bars.volume * factor), 1.0)[volume]
        price = hit & ~volume
        bars.close[price] += np.where(draw > 0.9, 0.02, 0.01)[price]
        bars.high[price] = np.maximum(bars.high, bars.close)[price]


def plan_faults(
    keys: KeyArray, days: DayArray, ratio: FloatArray, last_of_week: npt.NDArray[np.bool_], options: SyntheticOptions
) -> FaultArray:
    """Position in `options.faults` of the fault of each bar, NO_FAULT for most; shape (sessions, companies).

    Args:
        keys: of the companies.
        days: sessions as days since 1970.
        ratio: split ratios; a fault of splits needs one.
        last_of_week: sessions after which the next day is none; a phantom session needs such a day.
        options: kinds and rate.
    """
    plan = np.full((len(days), len(keys)), NO_FAULT, np.int8)
    draw = uniform(keys, "fault", days)
    anywhere = [kind for kind in options.faults if kind not in SPLIT_FAULTS]
    if anywhere:
        hit = draw < options.fault_rate
        chosen = (uniform(keys, "fault.kind", days) * len(anywhere)).astype(np.int8)
        position = np.array([options.faults.index(kind) for kind in anywhere], np.int8)
        plan[hit] = position[chosen[hit]]
        if "phantom_session" in anywhere:
            plan[(plan == options.faults.index("phantom_session")) & ~last_of_week[:, None]] = NO_FAULT
        if "stale_repeat" in anywhere:
            # The first row has nothing to repeat: it is the market's first session, or one before the range.
            plan[0, plan[0] == options.faults.index("stale_repeat")] = NO_FAULT
    of_splits = [kind for kind in options.faults if kind in SPLIT_FAULTS]
    if of_splits:
        chosen = (uniform(keys, "fault.split", days) * 2 * len(of_splits)).astype(np.int8)
        for number, kind in enumerate(of_splits):
            plan[(ratio != 1.0) & (chosen == number)] = options.faults.index(kind)
    return plan


def apply_faults(bars: Bars, plan: FaultArray, ratio: FloatArray, options: SyntheticOptions) -> None:
    """Change the prices and volumes that the plan names, in place.

    Faults that add, remove or relabel rows (duplicate_row, missing_bar, phantom_session, wrong_currency) are left to
    the caller.
    """
    # Stale repeats first, while the session before still has its own values: a repeat must not depend on whether that
    # session, which may lie outside the range asked for, carries a fault itself.
    for kind in sorted(_CHANGES, key=lambda kind: kind != "stale_repeat"):
        if kind in options.faults:
            rows, columns = np.nonzero(plan == options.faults.index(kind))
            _CHANGES[kind](bars, (rows, columns), ratio)


def _prices(bars: Bars) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    return bars.open, bars.high, bars.low, bars.close


def _scale_prices(bars: Bars, cells: Cells, factor: FloatArray | float) -> None:
    for values in _prices(bars):
        values[cells] *= factor


def _unit_100x(bars: Bars, cells: Cells, _: FloatArray) -> None:
    _scale_prices(bars, cells, 100.0)


def _foreign_bar(bars: Bars, cells: Cells, _: FloatArray) -> None:
    # As if two symbols' rows were swapped: a consistent bar at another company's price and volume.
    _scale_prices(bars, cells, np.where(bars.volume[cells] % 2 == 0, 3.7, 0.29))
    bars.volume[cells] = np.rint(bars.volume[cells] * 0.37) + 1.0


def _zero_price(bars: Bars, cells: Cells, _: FloatArray) -> None:
    for values in (*_prices(bars), bars.volume):
        values[cells] = 0.0


def _nan_row(bars: Bars, cells: Cells, _: FloatArray) -> None:
    for values in _prices(bars):
        values[cells] = np.nan


def _negative_volume(bars: Bars, cells: Cells, _: FloatArray) -> None:
    bars.volume[cells] *= -1.0


def _inverted_range(bars: Bars, cells: Cells, _: FloatArray) -> None:
    bars.high[cells], bars.low[cells] = bars.low[cells] - 0.01, bars.high[cells] + 0.01


def _stale_repeat(bars: Bars, cells: Cells, _: FloatArray) -> None:
    rows, columns = (index[cells[0] > 0] for index in cells)
    for values in (*_prices(bars), bars.volume):
        values[rows, columns] = values[rows - 1, columns]


def _split_not_applied(bars: Bars, cells: Cells, ratio: FloatArray) -> None:
    _scale_prices(bars, cells, ratio[cells])
    bars.volume[cells] /= ratio[cells]


def _split_applied_twice(bars: Bars, cells: Cells, ratio: FloatArray) -> None:
    _scale_prices(bars, cells, 1.0 / ratio[cells])
    bars.volume[cells] *= ratio[cells]


_CHANGES: Final[dict[FaultKind, Callable[[Bars, Cells, FloatArray], None]]] = {
    "foreign_bar": _foreign_bar,
    "inverted_range": _inverted_range,
    "nan_row": _nan_row,
    "negative_volume": _negative_volume,
    "split_applied_twice": _split_applied_twice,
    "split_not_applied": _split_not_applied,
    "stale_repeat": _stale_repeat,
    "unit_100x": _unit_100x,
    "zero_price": _zero_price,
}
