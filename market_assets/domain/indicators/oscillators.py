"""Bounded oscillators of the price: RSI and stochastic."""

from __future__ import annotations

import numpy as np

from market_assets.domain.indicators.bars import TIE, Bars
from market_assets.domain.indicators.definition import PERCENT, PRICE, Array, Indicator, Output
from market_assets.domain.indicators.trend import WILDER
from market_assets.domain.indicators.windows import RollingSum


def rsi(bars: Bars, *, length: int) -> tuple[Array, Array, Array]:
    """Relative strength index with the average gain and loss it is made of."""
    gain = np.maximum(bars.change, 0.0)
    loss = gain - bars.change
    gain = bars.wilder(gain, length, first=1, state=f"rsi_{length}_gain")
    loss = bars.wilder(loss, length, first=1, state=f"rsi_{length}_loss")
    return 100.0 * (gain / (gain + loss)), gain, loss


def stochastic(bars: Bars, *, length: int, slowing: int, signal: int) -> tuple[Array, Array]:
    """Slow stochastic: %K smoothed over `slowing` bars, and %D, its mean over `signal` bars."""
    highest, lowest = bars.highest_high(length), bars.lowest_low(length)
    width = highest - lowest
    width[width <= TIE * highest] = np.nan
    slow = RollingSum(100.0 * ((bars.close - lowest) / width))(slowing) / slowing
    return slow, RollingSum(slow)(signal) / signal


ENTRIES = (
    Indicator(
        name="rsi_14",
        function=rsi,
        inputs=("close",),
        parameters={"length": 14},
        outputs=(
            Output(
                "rsi_14",
                PERCENT,
                "Relative strength index over 14 sessions.",
                14,
                bounds=(0.0, 100.0),
                null_when="the close has not changed since the first bar",
            ),
            Output(
                "rsi_14_gain",
                PRICE,
                "Wilder average of the rises of the close; state of RSI 14.",
                14,
                bounds=(0.0, None),
                price_degree=1,
                state=True,
            ),
            Output(
                "rsi_14_loss",
                PRICE,
                "Wilder average of the falls of the close; state of RSI 14.",
                14,
                bounds=(0.0, None),
                price_degree=1,
                state=True,
            ),
        ),
        formula="100 x gain / (gain + loss); gain = Wilder14(max(change, 0)), loss = Wilder14(max(-change, 0))",
        source=f"{WILDER}, section VI",
        kind="recursive",
        carry=("rsi_14_gain", "rsi_14_loss"),
    ),
    Indicator(
        name="stochastic",
        function=stochastic,
        inputs=("high", "low", "close"),
        parameters={"length": 14, "slowing": 3, "signal": 3},
        outputs=(
            Output(
                "stochastic_k",
                PERCENT,
                "Slow %K: position of the close in the range of 14 sessions, mean of 3.",
                15,
                bounds=(0.0, 100.0),
                null_when="high = low over 14 sessions",
            ),
            Output(
                "stochastic_d",
                PERCENT,
                "%D: mean of slow %K over 3 sessions.",
                17,
                bounds=(0.0, 100.0),
                null_when="high = low over 14 sessions",
            ),
        ),
        formula="fast = 100 x (close - min(low, 14)) / (max(high, 14) - min(low, 14)); K = SMA3(fast); D = SMA3(K)",
        source="Lane, Lane's Stochastics (Technical Analysis of Stocks & Commodities, 1984)",
    ),
)
