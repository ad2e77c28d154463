"""Trailing stops: Parabolic SAR and Supertrend.

Both branch at every bar on a comparison of price and stop, so no lookback makes a late start equal to an early one: two
paths may never meet. Their whole state is therefore stored in columns and carried. A bar depends on the one before
through a branch, so nothing can be vectorised along a symbol; symbols do not depend on each other and are walked side
by side (lanes.py).
"""

from __future__ import annotations

import numpy as np

from market_assets.domain.indicators.bars import TIE, Bars, lag
from market_assets.domain.indicators.definition import PRICE, RATIO, Array, Indicator, Output
from market_assets.domain.indicators.lanes import Lanes
from market_assets.domain.indicators.trend import WILDER
from market_assets.domain.indicators.volatility import average_true_range

SIDE = "1 (long) or -1 (short)"
SAR_STATE = ("psar", "psar_side", "psar_extreme", "psar_acceleration")
BANDS = ("supertrend_upper", "supertrend_lower")


def parabolic_sar(bars: Bars, *, step: float, maximum: float) -> tuple[Array, Array, Array, Array]:
    """Stop, side, extreme price and acceleration factor after each bar.

    A short position is a long one in prices of opposite sign, so there is one rule: prices, stop and extreme are
    multiplied by the side.
    """
    lanes = Lanes(bars, 0)
    long, short = _sar_reads(bars, lanes)
    state = lanes.states(bars, SAR_STATE, _first_positions(bars, lanes))
    state[[0, 2]] *= state[1]
    path = np.empty((len(lanes.running), *state.shape))
    path[:1] = state
    for t, running in enumerate(lanes.running[1:].tolist(), start=1):
        stop, side, extreme, factor = state[:, :running]
        is_long = side > 0.0
        best, worst, limit = np.where(is_long, long[t, :, :running], short[t, :, :running])
        margin = TIE * long[t, 0, :running]
        stop += factor * (extreme - stop)
        np.minimum(stop, limit, out=stop)
        turned = (worst <= stop + margin).nonzero()[0]
        best_before = np.where(is_long[turned], long[t - 1, 0, turned], short[t - 1, 0, turned])
        peak = np.maximum(np.maximum(extreme[turned], best[turned]), best_before)
        extended = best > extreme + margin
        np.copyto(extreme, best, where=extended)
        np.add(factor, step, out=factor, where=extended)
        np.minimum(factor, maximum, out=factor)
        stop[turned], side[turned], extreme[turned], factor[turned] = -peak, -side[turned], -worst[turned], step
        path[t, :, :running] = state[:, :running]
    path[:, [0, 2]] *= path[:, 1:2]
    out = lanes.columns(path)
    return out[0], out[1], out[2], out[3]


def _sar_reads(bars: Bars, lanes: Lanes) -> tuple[Array, Array]:
    """What a step reads, (steps, 3, lanes) for a long and for a short position: best and worst price, stop's limit.

    The limit is the worse of the two previous bars' worst prices. As in TA-Lib the first bar does not limit the stop of
    the third, and the second limits its own.
    """
    limits = []
    for series, nearer in ((bars.low, np.minimum), (bars.high, np.maximum)):
        before = lag(series, 1)
        limit = nearer(before, lag(series, 2))
        second, third = np.flatnonzero(bars.position == 1), np.flatnonzero(bars.position == 2)
        limit[second] = nearer(before[second], series[second])
        limit[third] = before[third]
        limits.append(limit)
    long = lanes.matrix(bars.high, bars.low, limits[0])
    short = lanes.matrix(bars.low, bars.high, limits[1])
    return long, np.negative(short, out=short)


def _first_positions(bars: Bars, lanes: Lanes) -> Array:
    """State after the first bar, (4, lanes), started as TA-Lib.

    The side of the larger directional movement of the first two bars, the stop opposite.
    """
    first, second = lanes.rows, np.minimum(lanes.rows + 1, len(bars) - 1)
    fall, rise = bars.low[first] - bars.low[second], bars.high[second] - bars.high[first]
    is_short = fall > np.maximum(rise, 0.0) + TIE * bars.high[second]
    stop = np.where(is_short, bars.high[first], bars.low[first])
    return np.stack((stop, np.where(is_short, -1.0, 1.0), stop, np.zeros(len(first))))


def supertrend(bars: Bars, *, length: int, multiple: float) -> tuple[Array, Array, Array, Array]:
    """Trailing line, side, and the final upper and lower band that the next bar compares with.

    The upper band follows the basic band down only, until a close above it sets it anew; the lower band mirrors it. The
    side turns when the close crosses the band behind it, and is long at first, as in TA-Lib.
    """
    upper, lower = _trailing_bands(bars, multiple * average_true_range(bars, length), length)
    margin = TIE * bars.close
    turns = np.where(bars.close + margin < lower, -1.0, np.where(bars.close - margin > upper, 1.0, 0.0))
    side = np.full(len(bars), np.nan)
    for i, start, stop, resume in bars.spans:
        first = start + length if resume < 0 else resume
        if first < stop:
            turns[first] = 1.0 if resume < 0 else bars.states["supertrend_side"][i]
            bar = np.arange(first, stop)
            side[first:stop] = turns[np.maximum.accumulate(np.where(turns[first:stop] == 0.0, first, bar))]
    return np.where(side > 0.0, lower, upper), side, upper, lower


def _trailing_bands(bars: Bars, half: Array, length: int) -> tuple[Array, Array]:
    """Upper and lower band: the basic one where it is nearer than before or the last close crossed the band.

    The lower band is an upper one in prices of opposite sign.
    """
    lanes = Lanes(bars, length)
    middle, margin = 0.5 * (bars.high + bars.low), TIE * bars.close
    reads = lanes.matrix(middle + half, half - middle, bars.close - margin, -bars.close - margin)
    path, opposite = reads[:, :2], np.array([[1.0], [-1.0]])
    if len(path):
        path[0] = opposite * lanes.states(bars, BANDS, opposite * path[0])
    for t, running in enumerate(lanes.running[1:].tolist(), start=1):
        before, basic = path[t - 1, :, :running], path[t, :, :running]
        kept = ~((basic < before) | (reads[t - 1, 2:, :running] > before))
        np.copyto(basic, before, where=kept)
    upper, lower = lanes.columns(path)
    return upper, np.negative(lower, out=lower)


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
        carry=SAR_STATE,
        stepwise=True,
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
        carry=("supertrend_side", *BANDS, "atr_10"),
        stepwise=True,
    ),
)
