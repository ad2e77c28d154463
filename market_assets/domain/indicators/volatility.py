"""Volatility: average true range, Bollinger bands, standard deviation of returns."""

from __future__ import annotations

import numpy as np

from market_assets.domain.indicators.bars import TIE, Bars
from market_assets.domain.indicators.definition import (
    ANNUALISED,
    PERCENT,
    PRICE,
    RATIO,
    Array,
    Indicator,
    Output,
)
from market_assets.domain.indicators.trend import WILDER

SESSIONS_PER_YEAR = 252.0


def atr(bars: Bars, *, length: int) -> tuple[Array]:
    """Average true range, seeded with the mean of the first `length` true ranges."""
    return (average_true_range(bars, length),)


def natr(bars: Bars, *, length: int) -> tuple[Array]:
    """Average true range as a percentage of the close."""
    return (100.0 * average_true_range(bars, length) / bars.close,)


def bollinger(bars: Bars, *, length: int, deviations: float) -> tuple[Array, Array, Array, Array, Array]:
    """Upper, middle and lower band, %B and bandwidth."""
    middle = bars.close_sum(length) / length
    half = deviations * np.sqrt(bars.close_moment(length) / length)
    half[half <= TIE * middle] = 0.0
    upper, lower = middle + half, middle - half
    half[half == 0.0] = np.nan
    return upper, middle, lower, 0.5 + 0.5 * (bars.close - middle) / half, (upper - lower) / middle


def return_volatility(bars: Bars, *, length: int) -> tuple[Array]:
    """Annualised sample standard deviation of log returns."""
    return (np.sqrt(bars.log_return_moment(length) * (SESSIONS_PER_YEAR / (length - 1))),)


def average_true_range(bars: Bars, length: int) -> Array:
    """Wilder average of the true range, (n,); continues from the column atr_<length>."""
    name = f"atr_{length}"
    return bars.shared((name,), lambda: bars.wilder(bars.true_range, length, first=1, state=name))


def _atr(length: int) -> Indicator:
    name = f"atr_{length}"
    description = f"Average true range over {length} sessions."
    return Indicator(
        name=name,
        function=atr,
        inputs=("high", "low", "close"),
        parameters={"length": length},
        outputs=(Output(name, PRICE, description, length, price_degree=1, bounds=(0.0, None)),),
        formula=f"Wilder{length}(true range), first value the mean of {length} true ranges",
        source=f"{WILDER}, section III",
        kind="recursive",
        carry=(name,),
    )


def _volatility(length: int) -> Indicator:
    name = f"volatility_{length}"
    return Indicator(
        name=name,
        function=return_volatility,
        inputs=("close",),
        parameters={"length": length},
        outputs=(
            Output(
                name,
                ANNUALISED,
                f"Sample standard deviation of {length} daily log returns, annualised with 252 sessions.",
                length,
                bounds=(0.0, None),
            ),
        ),
        formula=f"sqrt(252 x sum((r - mean r)^2) / {length - 1}), r = ln(close(t) / close(t-1)), {length} returns",
        source="Hull, Options, Futures, and Other Derivatives (2018), section 15.4",
    )


ENTRIES = (
    Indicator(
        name="bollinger",
        function=bollinger,
        inputs=("close",),
        parameters={"length": 20, "deviations": 2.0},
        outputs=(
            Output("bollinger_upper", PRICE, "Upper Bollinger band (20, 2).", 19, price_degree=1, bounds=(0.0, None)),
            Output("bollinger_middle", PRICE, "Middle Bollinger band, SMA 20.", 19, price_degree=1, bounds=(0.0, None)),
            Output("bollinger_lower", PRICE, "Lower Bollinger band (20, 2).", 19, price_degree=1),
            Output(
                "bollinger_percent_b",
                RATIO,
                "Position of the close in the bands: 0 at the lower, 1 at the upper.",
                19,
                null_when="the close has not changed over 20 sessions",
            ),
            Output("bollinger_bandwidth", RATIO, "Distance of the bands over the middle band.", 19, bounds=(0.0, None)),
        ),
        formula=(
            "middle = SMA20; upper, lower = middle +- 2 x population standard deviation of 20 closes; "
            "%B = (close - lower) / (upper - lower); bandwidth = (upper - lower) / middle"
        ),
        source="Bollinger, Bollinger on Bollinger Bands (2001), chapters 7 and 8",
        ascending=("bollinger_lower", "bollinger_middle", "bollinger_upper"),
    ),
    _atr(14),
    Indicator(
        name="natr_14",
        function=natr,
        inputs=("high", "low", "close"),
        parameters={"length": 14},
        outputs=(Output("natr_14", PERCENT, "ATR 14 as a percentage of the close.", 14, bounds=(0.0, None)),),
        formula="100 x ATR14 / close",
        source="Forman, Normalized Average True Range (Technical Analysis of Stocks & Commodities, 2006)",
        kind="recursive",
        carry=("atr_14",),
    ),
    *(_volatility(length) for length in (20, 60)),
    _atr(10),
)
