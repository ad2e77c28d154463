"""Moving averages and what is built from them: SMA, EMA, MACD, the directional movement system."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from market_assets.domain.indicators.bars import TIE, Bars, lag
from market_assets.domain.indicators.definition import PERCENT, PRICE, Array, Indicator, Output

WILDER = "Wilder, New Concepts in Technical Trading Systems (1978)"


def sma(bars: Bars, *, length: int) -> tuple[Array]:
    """Arithmetic mean of the last `length` closes."""
    return (bars.close_sum(length) / length,)


def ema(bars: Bars, *, length: int) -> tuple[Array]:
    """Exponential moving average of the close, seeded with the SMA."""
    return (_close_ema(bars, length),)


def macd(bars: Bars, *, fast: int, slow: int, signal: int) -> tuple[Array, Array, Array]:
    """MACD line, its signal line and their difference.

    Both averages are seeded with their own SMA, so that the line is EMA(fast) - EMA(slow) from its first bar; TA-Lib
    seeds the fast one late and reaches the same value some hundred bars on.
    """
    line = _close_ema(bars, fast) - _close_ema(bars, slow)
    signal_line = bars.ema(line, signal, first=slow - 1, state="macd_signal")
    return line, signal_line, line - signal_line


def directional_movement(bars: Bars, *, length: int) -> tuple[Array, Array, Array, Array]:
    """ADX, +DI, -DI and the smoothed true range they are measured in.

    Seeding as TA-Lib: the first average counts the first bar, which has no movement, as zero.
    """
    up, down, true_range = _directional_moves(bars)
    states = bars.states
    range_state = states.get(f"adx_{length}_true_range")
    plus_state = None if range_state is None else states[f"plus_di_{length}"] * range_state / 100.0
    minus_state = None if range_state is None else states[f"minus_di_{length}"] * range_state / 100.0
    average_range = bars.wilder(true_range, length, state=range_state)
    plus = _percent(bars.wilder(up, length, state=plus_state), average_range)
    minus = _percent(bars.wilder(down, length, state=minus_state), average_range)
    index = _percent(np.abs(plus - minus), plus + minus)
    adx = bars.wilder(index, length, first=length, state=f"adx_{length}")
    return adx, plus, minus, average_range


def _close_ema(bars: Bars, length: int) -> Array:
    name = f"ema_{length}"
    return bars.shared((name,), lambda: bars.ema(bars.close, length, state=name))


def _directional_moves(bars: Bars) -> tuple[Array, Array, Array]:
    """Upward and downward movement (only the larger of the two counts, a tie counts for neither) and true range."""
    rise, fall = bars.high - lag(bars.high, 1), lag(bars.low, 1) - bars.low
    margin = TIE * bars.high
    up = rise * (rise > np.maximum(fall, 0.0) + margin)
    down = fall * (fall > np.maximum(rise, 0.0) + margin)
    true_range = bars.true_range.copy()
    for series in (up, down, true_range):
        series[bars.first_bars] = 0.0
    return up, down, true_range


def _percent(part: Array, whole: Array) -> Array:
    """100 x part / whole; zero where nothing has moved yet."""
    return np.asarray(100.0 * (part / (whole + (whole == 0.0))))


def _average(function: Callable[..., tuple[Array]], kind: str, length: int, formula: str) -> Indicator:
    """A moving average of the close; an exponential one continues from its own column."""
    name = f"{function.__name__}_{length}"
    recursive = function is ema
    return Indicator(
        name=name,
        function=function,
        inputs=("close",),
        parameters={"length": length},
        outputs=(
            Output(
                name,
                PRICE,
                f"{kind} moving average of the close over {length} sessions.",
                length - 1,
                bounds=(0.0, None),
                price_degree=1,
            ),
        ),
        formula=formula,
        source="Murphy, Technical Analysis of the Financial Markets (1999), chapter 9",
        kind="recursive" if recursive else "window",
        carry=(name,) if recursive else (),
    )


ENTRIES = (
    *(_average(sma, "Simple", n, f"sum(close(t-{n - 1}..t)) / {n}") for n in (20, 50, 200)),
    *(
        _average(ema, "Exponential", n, f"ema(t-1) + 2/{n + 1} x (close(t) - ema(t-1)); first value SMA({n})")
        for n in (12, 26)
    ),
    Indicator(
        name="macd",
        function=macd,
        inputs=("close",),
        parameters={"fast": 12, "slow": 26, "signal": 9},
        outputs=(
            Output("macd", PRICE, "EMA 12 minus EMA 26 of the close.", 25, price_degree=1),
            Output("macd_signal", PRICE, "EMA 9 of the MACD line.", 33, price_degree=1),
            Output("macd_histogram", PRICE, "MACD line minus its signal line.", 33, price_degree=1),
        ),
        formula="macd = EMA12(close) - EMA26(close); signal = EMA9(macd); histogram = macd - signal",
        source="Appel, Technical Analysis: Power Tools for Active Investors (2005), chapter 8",
        kind="recursive",
        carry=("ema_12", "ema_26", "macd_signal"),
    ),
    Indicator(
        name="adx_14",
        function=directional_movement,
        inputs=("high", "low", "close"),
        parameters={"length": 14},
        outputs=(
            Output("adx_14", PERCENT, "Average directional index over 14 sessions.", 27, bounds=(0.0, 100.0)),
            Output("plus_di_14", PERCENT, "Positive directional indicator, 14 sessions.", 14, bounds=(0.0, 100.0)),
            Output("minus_di_14", PERCENT, "Negative directional indicator, 14 sessions.", 14, bounds=(0.0, 100.0)),
            Output(
                "adx_14_true_range",
                PRICE,
                "Wilder average of the true range as the directional indicators use it; state of ADX 14.",
                14,
                bounds=(0.0, None),
                price_degree=1,
                state=True,
            ),
        ),
        formula=(
            "+DM = rise of the high if it exceeds the fall of the low and zero, else 0; -DM the mirror image; "
            "DI = 100 x Wilder14(DM) / Wilder14(true range); DX = 100 x |+DI - -DI| / (+DI + -DI); "
            "ADX = Wilder14(DX), first value the mean of 14 DX"
        ),
        source=f"{WILDER}, section IV; seeding as TA-Lib ADX, PLUS_DI, MINUS_DI",
        kind="recursive",
        carry=("adx_14", "plus_di_14", "minus_di_14", "adx_14_true_range"),
    ),
)
