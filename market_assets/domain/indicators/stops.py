"""Trailing stops: Parabolic SAR and Supertrend.

Both branch at every bar on a comparison of price and stop, so no lookback makes a late start equal to an early one: two
paths may never meet. Their whole state is therefore stored in columns and carried.

The loops are plain Python over floats: a bar depends on the one before through a branch, so there is nothing to
vectorise along a symbol, and running all symbols side by side costs more for few symbols than it saves for many.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from market_assets.domain.indicators.bars import TIE, Bars, lag
from market_assets.domain.indicators.definition import PRICE, RATIO, Array, Indicator, Output
from market_assets.domain.indicators.trend import WILDER
from market_assets.domain.indicators.volatility import average_true_range

SIDE = "1 (long) or -1 (short)"

# Stop, side, extreme, acceleration factor after a bar.
SarState = tuple[float, float, float, float]


def parabolic_sar(bars: Bars, *, step: float, maximum: float) -> tuple[Array, Array, Array, Array]:
    """Stop, side, extreme price and acceleration factor after each bar."""
    columns = ("psar", "psar_side", "psar_extreme", "psar_acceleration")
    out = np.full((len(columns), len(bars)), np.nan)
    reads = _sar_reads(bars)
    for i, start, stop, resume in bars.spans:
        if resume >= 0:
            first, state = resume, tuple(float(bars.states[column][i]) for column in columns)
        elif stop - start > 1:
            first, state = start, _first_position(bars, start)
        else:
            continue
        out[:, first] = state
        path = _sar_path(state, reads[:, first:stop].tolist(), step, maximum)
        out[:, first + 1 : stop] = np.array(path).reshape(-1, len(columns)).T
    return out[0], out[1], out[2], out[3]


def _sar_reads(bars: Bars) -> Array:
    """What a step reads at a bar: (4, n).

    High, low, and the levels that a long and a short stop may not pass: the extremes of the two previous bars. As in
    TA-Lib the first bar does not limit the stop of the third, and the second limits its own.
    """
    limits = []
    for series, nearer in ((bars.low, np.minimum), (bars.high, np.maximum)):
        before = lag(series, 1)
        limit = nearer(before, lag(series, 2))
        second, third = np.flatnonzero(bars.position == 1), np.flatnonzero(bars.position == 2)
        limit[second] = nearer(before[second], series[second])
        limit[third] = before[third]
        limits.append(limit)
    return np.stack((bars.high, bars.low, *limits))


def _first_position(bars: Bars, start: int) -> SarState:
    """Started as TA-Lib: the side of the larger directional movement of the first two bars, the stop opposite."""
    high, low = bars.high, bars.low
    fall, rise = low[start] - low[start + 1], high[start + 1] - high[start]
    short = fall > max(rise, 0.0) + TIE * high[start + 1]
    stop = float(high[start] if short else low[start])
    return stop, -1.0 if short else 1.0, stop, 0.0


def _sar_path(state: Iterable[float], reads: list[list[float]], step: float, maximum: float) -> list[float]:
    """States after each bar but the first, one after another in one flat list."""
    stop, side, extreme, factor = state
    path: list[float] = []
    bars = zip(*reads, strict=True)
    high_before, low_before, *_ = next(bars)
    for high, low, floor, ceiling in bars:
        margin = TIE * high
        stop += factor * (extreme - stop)
        if side > 0.0:
            stop = min(stop, floor)
            if low <= stop + margin:
                stop, side, extreme, factor = max(extreme, high, high_before), -1.0, low, step
            elif high > extreme + margin:
                extreme = high
                if factor < maximum:
                    factor = min(factor + step, maximum)
        else:
            stop = max(stop, ceiling)
            if high >= stop - margin:
                stop, side, extreme, factor = min(extreme, low, low_before), 1.0, high, step
            elif low < extreme - margin:
                extreme = low
                if factor < maximum:
                    factor = min(factor + step, maximum)
        path += (stop, side, extreme, factor)
        high_before, low_before = high, low
    return path


def supertrend(bars: Bars, *, length: int, multiple: float) -> tuple[Array, Array, Array, Array]:
    """Trailing line, side, and the final upper and lower band that the next bar compares with.

    The upper band follows the basic band down only, until a close above it sets it anew; the lower band mirrors it. The
    side turns when the close crosses the band behind it, and is long at first, as in TA-Lib.
    """
    half = multiple * average_true_range(bars, length)
    middle = 0.5 * (bars.high + bars.low)
    margin = TIE * bars.close
    upper = _trailing_band(bars, middle + half, bars.close - margin, "supertrend_upper", length)
    lower = -_trailing_band(bars, half - middle, -bars.close - margin, "supertrend_lower", length)
    turns = np.where(bars.close + margin < lower, -1.0, np.where(bars.close - margin > upper, 1.0, 0.0))
    side = np.full(len(bars), np.nan)
    for i, start, stop, resume in bars.spans:
        first = start + length if resume < 0 else resume
        if first < stop:
            turns[first] = 1.0 if resume < 0 else bars.states["supertrend_side"][i]
            bar = np.arange(first, stop)
            side[first:stop] = turns[np.maximum.accumulate(np.where(turns[first:stop] == 0.0, first, bar))]
    return np.where(side > 0.0, lower, upper), side, upper, lower


def _trailing_band(bars: Bars, basic: Array, crossing: Array, state: str, length: int) -> Array:
    """The band above the price, (n,): `basic` where it is lower than before or the last close crossed the band."""
    sign = 1.0 if state.endswith("upper") else -1.0
    out = np.full(len(bars), np.nan)
    for i, start, stop, resume in bars.spans:
        first = start + length if resume < 0 else resume
        if first < stop:
            band = float(basic[first]) if resume < 0 else sign * float(bars.states[state][i])
            out[first] = band
            steps = zip(basic[first + 1 : stop].tolist(), crossing[first : stop - 1].tolist(), strict=True)
            out[first + 1 : stop] = [band := (new if new < band or crossed > band else band) for new, crossed in steps]
    return out


ENTRIES = (
    Indicator(
        name="psar",
        function=parabolic_sar,
        inputs=("high", "low"),
        parameters={"step": 0.02, "maximum": 0.2},
        outputs=(
            Output("psar", PRICE, "Parabolic stop and reverse, acceleration 0.02 to 0.2.", 1, (0.0, None), 1),
            Output("psar_side", SIDE, "Side of the parabolic position after the session.", 1, (-1.0, 1.0)),
            Output(
                "psar_extreme", PRICE, "Extreme price of the position; state of PSAR.", 1, (0.0, None), 1, state=True
            ),
            Output("psar_acceleration", RATIO, "Acceleration factor; state of PSAR.", 1, (0.0, 0.2), state=True),
        ),
        formula=(
            "sar(t) = sar(t-1) + a x (extreme - sar(t-1)), not beyond the adverse extremes of t-1 and t-2; a grows by "
            "0.02 with each new extreme to at most 0.2; when the price touches it the side turns and sar is the extreme"
        ),
        source=f"{WILDER}, section II; start as TA-Lib SAR",
        kind="recursive",
        carry=("psar", "psar_side", "psar_extreme", "psar_acceleration"),
    ),
    Indicator(
        name="supertrend",
        function=supertrend,
        inputs=("high", "low", "close"),
        parameters={"length": 10, "multiple": 3.0},
        outputs=(
            Output("supertrend", PRICE, "Supertrend line (10, 3).", 10, price_degree=1),
            Output("supertrend_side", SIDE, "Side of the Supertrend after the session.", 10, (-1.0, 1.0)),
            Output("supertrend_upper", PRICE, "Final upper band; state of Supertrend.", 10, (0.0, None), 1, state=True),
            Output("supertrend_lower", PRICE, "Final lower band; state of Supertrend.", 10, price_degree=1, state=True),
        ),
        formula=(
            "bands = (high + low) / 2 +- 3 x ATR10; the upper band only falls until the close exceeds it, the lower "
            "only rises until the close is below it; the side turns when the close crosses it; line = band of the side"
        ),
        source="Seban, Tout le monde mérite d'être riche (2008); start as TA-Lib SUPERTREND",
        kind="recursive",
        carry=("supertrend_side", "supertrend_upper", "supertrend_lower", "atr_10"),
    ),
)
