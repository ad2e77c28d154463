"""Indicators that weigh price with volume."""

from __future__ import annotations

import numpy as np

from market_assets.domain.indicators.bars import TIE, Bars, lag, untied
from market_assets.domain.indicators.definition import PERCENT, PRICE, RATIO, SHARES, Array, Indicator, Output
from market_assets.domain.indicators.windows import RollingSum

HLCV = ("high", "low", "close", "volume")


def on_balance_volume(bars: Bars) -> tuple[Array]:
    """Running total of volume, signed by the change of the close; starts with the volume of the first bar."""
    signed = np.sign(bars.change) * bars.volume
    signed[bars.first_bars] = bars.volume[bars.first_bars]
    return (bars.running_total(signed, state="obv"),)


def money_flow_index(bars: Bars, *, length: int) -> tuple[Array]:
    """Share of the money flow of the last `length` bars that came with a rising typical price."""
    typical = bars.typical_price
    change = untied(typical - lag(typical, 1), typical)
    flow = typical * bars.volume
    positive = RollingSum(flow * (change > 0.0))(length)
    negative = RollingSum(flow * (change < 0.0))(length)
    return (100.0 * (positive / (positive + negative)),)


def rolling_vwap(bars: Bars, *, length: int) -> tuple[Array]:
    """Typical price of the last `length` bars weighted with volume."""
    return (RollingSum(bars.typical_price * bars.volume)(length) / bars.volume_sum(length),)


def volume_ratio(bars: Bars, *, length: int) -> tuple[Array]:
    """Volume over the mean volume of the `length` bars before."""
    return (bars.volume / (lag(bars.volume_sum(length), 1) / length),)


def chaikin_money_flow(bars: Bars, *, length: int) -> tuple[Array]:
    """Volume weighted by the place of the close in its bar, over the volume of the last `length` bars."""
    return (RollingSum(_money_flow(bars))(length) / bars.volume_sum(length),)


def accumulation_distribution(bars: Bars) -> tuple[Array]:
    """Running total of volume weighted by the place of the close in its bar."""
    return (bars.running_total(_money_flow(bars), state="ad_line"),)


def force_index(bars: Bars, *, length: int) -> tuple[Array]:
    """EMA of change of the close times volume."""
    return (bars.ema(bars.change * bars.volume, length, first=1, state=f"force_index_{length}"),)


def _money_flow(bars: Bars) -> Array:
    """Volume times ((close - low) - (high - close)) / (high - low); zero where high = low."""

    def compute() -> Array:
        width = bars.high - bars.low
        place = ((bars.close - bars.low) - (bars.high - bars.close)) / width
        place[width <= TIE * bars.high] = 0.0
        return place * bars.volume

    return bars.shared(("money flow",), compute)


ENTRIES = (
    Indicator(
        name="obv",
        function=on_balance_volume,
        inputs=("close", "volume"),
        outputs=(Output("obv", SHARES, "On-balance volume since the first bar.", 0, volume_degree=1),),
        formula="obv(t-1) + sign(close(t) - close(t-1)) x volume(t); first value volume(0)",
        source="Granville, New Key to Stock Market Profits (1963); first value as TA-Lib OBV",
        kind="cumulative",
        carry=("obv",),
    ),
    Indicator(
        name="mfi_14",
        function=money_flow_index,
        inputs=HLCV,
        parameters={"length": 14},
        outputs=(
            Output(
                "mfi_14",
                PERCENT,
                "Money flow index over 14 sessions.",
                14,
                bounds=(0.0, 100.0),
                null_when="no volume at a changed price over 14 sessions",
            ),
        ),
        formula="100 x up / (up + down): typical price x volume, sums over rising and falling ones of 14 sessions",
        source="Quong, Soudack, Volume-Weighted RSI: Money Flow (Technical Analysis of Stocks & Commodities, 1989)",
    ),
    Indicator(
        name="vwap_20",
        function=rolling_vwap,
        inputs=HLCV,
        parameters={"length": 20},
        outputs=(
            Output(
                "vwap_20",
                PRICE,
                "Volume-weighted average of the typical price over 20 sessions.",
                19,
                bounds=(0.0, None),
                price_degree=1,
                null_when="no volume over 20 sessions",
            ),
        ),
        formula="sum(typical x volume) / sum(volume) over 20 sessions, typical = (high + low + close) / 3",
        source="Berkowitz, Logue, Noser, The Total Cost of Transactions on the NYSE (Journal of Finance, 1988)",
    ),
    Indicator(
        name="volume_ratio_20",
        function=volume_ratio,
        inputs=("volume",),
        parameters={"length": 20},
        outputs=(
            Output(
                "volume_ratio_20",
                RATIO,
                "Volume over the mean volume of the 20 sessions before.",
                20,
                bounds=(0.0, None),
                null_when="no volume over the 20 sessions before",
            ),
        ),
        formula="volume(t) / mean(volume(t-20..t-1))",
        source="TA-Lib RVOL",
    ),
    Indicator(
        name="cmf_20",
        function=chaikin_money_flow,
        inputs=HLCV,
        parameters={"length": 20},
        outputs=(
            Output(
                "cmf_20",
                RATIO,
                "Chaikin money flow over 20 sessions.",
                19,
                bounds=(-1.0, 1.0),
                null_when="no volume over 20 sessions",
            ),
        ),
        formula="sum(m x volume) / sum(volume) over 20 sessions, m = ((close - low) - (high - close)) / (high - low)",
        source="Chaikin; Achelis, Technical Analysis from A to Z (2000)",
    ),
    Indicator(
        name="ad_line",
        function=accumulation_distribution,
        inputs=HLCV,
        outputs=(Output("ad_line", SHARES, "Accumulation/distribution line since the first bar.", 0, volume_degree=1),),
        formula="ad(t-1) + m x volume, m = ((close - low) - (high - close)) / (high - low), 0 where high = low",
        source="Chaikin; Achelis, Technical Analysis from A to Z (2000)",
        kind="cumulative",
        carry=("ad_line",),
    ),
    Indicator(
        name="force_index_13",
        function=force_index,
        inputs=("close", "volume"),
        parameters={"length": 13},
        outputs=(Output("force_index_13", "currency", "Force index, EMA 13.", 13, price_degree=1, volume_degree=1),),
        formula="EMA13((close(t) - close(t-1)) x volume(t))",
        source="Elder, Trading for a Living (1993), section 5",
        kind="recursive",
        carry=("force_index_13",),
    ),
)
