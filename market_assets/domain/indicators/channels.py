"""Price channels: Keltner, Donchian, Ichimoku."""

from __future__ import annotations

from market_assets.domain.indicators.bars import Bars, lag
from market_assets.domain.indicators.definition import PRICE, Array, Indicator, Output
from market_assets.domain.indicators.volatility import average_true_range


def keltner(bars: Bars, *, length: int, range_length: int, multiple: float) -> tuple[Array, Array, Array]:
    """EMA of the close, and the EMA plus and minus a multiple of the average true range."""
    middle = bars.ema(bars.close, length, state="keltner_middle")
    half = multiple * average_true_range(bars, range_length)
    return middle + half, middle, middle - half


def donchian(bars: Bars, *, length: int) -> tuple[Array, Array, Array]:
    """Highest high, lowest low and their mean."""
    upper, lower = bars.highest_high(length), bars.lowest_low(length)
    return upper, 0.5 * (upper + lower), lower


def ichimoku(bars: Bars, *, conversion: int, base: int, span: int) -> tuple[Array, Array, Array, Array]:
    """Conversion line, base line and the two leading spans as they are drawn at the bar.

    A leading span is drawn `base` bars after the one it is computed at. The lagging span (chikou) is the close drawn
    `base` bars earlier: at any session it is a price of the future, so there is no such column.
    """
    lines = [donchian(bars, length=length)[1] for length in (conversion, base, span)]
    return lines[0], lines[1], lag(0.5 * (lines[0] + lines[1]), base), lag(lines[2], base)


def _price(name: str, description: str, warm_up: int, *, positive: bool = True) -> Output:
    return Output(name, PRICE, description, warm_up, bounds=(0.0 if positive else None, None), price_degree=1)


ENTRIES = (
    Indicator(
        name="keltner",
        function=keltner,
        inputs=("high", "low", "close"),
        parameters={"length": 20, "range_length": 10, "multiple": 2.0},
        outputs=(
            _price("keltner_upper", "Upper Keltner channel (20, 10, 2).", 19),
            _price("keltner_middle", "Middle Keltner channel, EMA 20 of the close.", 19),
            _price("keltner_lower", "Lower Keltner channel (20, 10, 2).", 19, positive=False),
        ),
        formula="middle = EMA20(close); upper, lower = middle +- 2 x ATR10",
        source="Keltner, How to Make Money in Commodities (1960), as revised by Raschke with EMA and ATR",
        kind="recursive",
        carry=("keltner_middle", "atr_10"),
        ascending=("keltner_lower", "keltner_middle", "keltner_upper"),
    ),
    Indicator(
        name="donchian",
        function=donchian,
        inputs=("high", "low"),
        parameters={"length": 20},
        outputs=(
            _price("donchian_upper", "Highest high of 20 sessions.", 19),
            _price("donchian_middle", "Mean of the Donchian upper and lower channel.", 19),
            _price("donchian_lower", "Lowest low of 20 sessions.", 19),
        ),
        formula="upper = max(high, 20); lower = min(low, 20); middle = (upper + lower) / 2",
        source="Donchian, High Finance in Copper (Financial Analysts Journal, 1960)",
        ascending=("donchian_lower", "donchian_middle", "donchian_upper"),
    ),
    Indicator(
        name="ichimoku",
        function=ichimoku,
        inputs=("high", "low"),
        parameters={"conversion": 9, "base": 26, "span": 52},
        outputs=(
            _price("ichimoku_conversion", "Conversion line (tenkan-sen), mid-range of 9 sessions.", 8),
            _price("ichimoku_base", "Base line (kijun-sen), mid-range of 26 sessions.", 25),
            _price("ichimoku_span_a", "Leading span A (senkou span A) computed 26 sessions before.", 51),
            _price("ichimoku_span_b", "Leading span B (senkou span B) computed 26 sessions before.", 77),
        ),
        formula=(
            "mid(n) = (max(high, n) + min(low, n)) / 2; conversion = mid(9); base = mid(26); "
            "span A = (conversion + base) / 2 at t-26; span B = mid(52) at t-26"
        ),
        source="Hosoda, Ichimoku Kinko Hyo (1969); Elliott, Ichimoku Charts (2007), chapter 2",
    ),
)
