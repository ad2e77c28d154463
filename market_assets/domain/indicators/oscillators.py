"""Oscillators of the price: RSI, stochastic, CCI, Williams %R, ultimate oscillator, Aroon, TRIX."""

from __future__ import annotations

import numpy as np

from market_assets.domain.indicators.bars import TIE, Bars, lag
from market_assets.domain.indicators.definition import PERCENT, PRICE, Array, Indicator, Output
from market_assets.domain.indicators.trend import WILDER
from market_assets.domain.indicators.windows import RollingSum, bars_since_extreme


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


def commodity_channel_index(bars: Bars, *, length: int) -> tuple[Array]:
    """Distance of the typical price from its mean in units of 0.015 mean absolute deviations."""
    typical = bars.typical_price
    mean = RollingSum(typical)(length) / length
    deviation = np.zeros_like(mean)
    for bars_ago in range(length):
        deviation += np.abs(lag(typical, bars_ago) - mean)
    deviation /= length
    deviation[deviation <= TIE * mean] = np.nan
    return ((typical - mean) / (0.015 * deviation),)


def williams_r(bars: Bars, *, length: int) -> tuple[Array]:
    """Distance of the close from the highest high, in percent of the range, negative."""
    highest = bars.highest_high(length)
    width = highest - bars.lowest_low(length)
    width[width <= TIE * highest] = np.nan
    return (-100.0 * ((highest - bars.close) / width),)


def ultimate_oscillator(bars: Bars, *, short: int) -> tuple[Array]:
    """Buying pressure over true range for windows of short, 2 x short and 4 x short bars, weighted 4, 2 and 1."""
    pressure = RollingSum(bars.close - np.minimum(bars.low, bars.previous_close))(short)
    true_range = RollingSum(bars.true_range)(short)
    total = 4.0 * pressure / np.where(true_range <= TIE * bars.close, np.nan, true_range)
    for weight, length in ((2.0, short), (1.0, 2 * short)):
        pressure, true_range = pressure + lag(pressure, length), true_range + lag(true_range, length)
        total += weight * pressure / true_range
    return (100.0 / 7.0 * total,)


def aroon(bars: Bars, *, length: int) -> tuple[Array, Array, Array]:
    """How recent the highest high and the lowest low of length + 1 bars are; of equal ones the latest counts."""
    up = 100.0 * ((length - bars_since_extreme(bars.high, length + 1, tie=TIE, highest=True)) / length)
    down = 100.0 * ((length - bars_since_extreme(bars.low, length + 1, tie=TIE, highest=False)) / length)
    return up, down, up - down


def trix(bars: Bars, *, length: int) -> tuple[Array, Array, Array, Array]:
    """Change of a triple EMA of the close in percent, and the three averages."""
    names = [f"trix_{length}_ema{i}" for i in (1, 2, 3)]
    once = bars.ema(bars.close, length, state=names[0])
    twice = bars.ema(once, length, first=length - 1, state=names[1])
    thrice = bars.ema(twice, length, first=2 * (length - 1), state=names[2])
    return 100.0 * (thrice / lag(thrice, 1) - 1.0), once, twice, thrice


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
    Indicator(
        name="cci_20",
        function=commodity_channel_index,
        inputs=("high", "low", "close"),
        parameters={"length": 20},
        outputs=(
            Output(
                "cci_20",
                "dimensionless",
                "Commodity channel index over 20 sessions.",
                19,
                null_when="the typical price has not changed over 20 sessions",
            ),
        ),
        formula="(typical - SMA20(typical)) / (0.015 x mean |typical - SMA20(typical)|)",
        source="Lambert, Commodity Channel Index (Commodities, October 1980)",
    ),
    Indicator(
        name="williams_r_14",
        function=williams_r,
        inputs=("high", "low", "close"),
        parameters={"length": 14},
        outputs=(
            Output(
                "williams_r_14",
                PERCENT,
                "Williams %R over 14 sessions.",
                13,
                bounds=(-100.0, 0.0),
                null_when="high = low over 14 sessions",
            ),
        ),
        formula="-100 x (max(high, 14) - close) / (max(high, 14) - min(low, 14))",
        source="Williams, How I Made One Million Dollars Last Year Trading Commodities (1979)",
    ),
    Indicator(
        name="ultimate_oscillator",
        function=ultimate_oscillator,
        inputs=("high", "low", "close"),
        parameters={"short": 7},
        outputs=(
            Output(
                "ultimate_oscillator",
                PERCENT,
                "Ultimate oscillator over 7, 14 and 28 sessions.",
                28,
                bounds=(0.0, 100.0),
                null_when="no true range over 7 sessions",
            ),
        ),
        formula="100 x (4 A7 + 2 A14 + A28) / 7, A(n) = sum(close - min(low, previous close), n) / sum(true range, n)",
        source="Williams, The Ultimate Oscillator (Technical Analysis of Stocks & Commodities, 1985)",
    ),
    Indicator(
        name="aroon_25",
        function=aroon,
        inputs=("high", "low"),
        parameters={"length": 25},
        outputs=(
            Output("aroon_up_25", PERCENT, "Recency of the highest high of 26 sessions.", 25, bounds=(0.0, 100.0)),
            Output("aroon_down_25", PERCENT, "Recency of the lowest low of 26 sessions.", 25, bounds=(0.0, 100.0)),
            Output("aroon_oscillator_25", PERCENT, "Aroon up minus Aroon down.", 25, bounds=(-100.0, 100.0)),
        ),
        formula="up = 100 x (25 - sessions since max(high, 26)) / 25; down likewise with min(low, 26)",
        source="Chande, The Time Price Oscillator (Technical Analysis of Stocks & Commodities, 1995)",
    ),
    Indicator(
        name="trix_15",
        function=trix,
        inputs=("close",),
        parameters={"length": 15},
        outputs=(
            Output("trix_15", PERCENT, "Daily change of the triple EMA 15 of the close.", 43),
            *(
                Output(
                    f"trix_15_ema{i}",
                    PRICE,
                    f"EMA 15 applied {times} to the close; state of TRIX 15.",
                    14 * i,
                    bounds=(0.0, None),
                    price_degree=1,
                    state=True,
                )
                for i, times in ((1, "once"), (2, "twice"), (3, "three times"))
            ),
        ),
        formula="100 x (e3(t) / e3(t-1) - 1), e3 = EMA15(EMA15(EMA15(close)))",
        source="Hutson, Good TRIX (Technical Analysis of Stocks & Commodities, 1983)",
        kind="recursive",
        carry=("trix_15_ema1", "trix_15_ema2", "trix_15_ema3"),
    ),
)
