"""Returns and the position of the price inside its own year."""

from __future__ import annotations

import numpy as np

from market_assets.domain.indicators.bars import TIE, Bars, lag
from market_assets.domain.indicators.definition import PRICE, RATIO, SESSIONS, Array, Indicator, Output
from market_assets.domain.indicators.windows import RollingExtreme

YEAR = 252


def simple_return(bars: Bars, *, length: int) -> tuple[Array]:
    """Close over the close `length` bars before, minus one."""
    return (bars.close / lag(bars.close, length) - 1.0,)


def highest(bars: Bars, *, length: int) -> tuple[Array]:
    """Highest high of the last `length` bars."""
    return (bars.highest_high(length),)


def lowest(bars: Bars, *, length: int) -> tuple[Array]:
    """Lowest low of the last `length` bars."""
    return (bars.lowest_low(length),)


def drawdown(bars: Bars, *, length: int) -> tuple[Array]:
    """Close over the highest close of the last `length` bars, minus one."""
    return (bars.close / RollingExtreme(bars.close, np.maximum)(length) - 1.0,)


def momentum(bars: Bars, *, length: int, skip: int) -> tuple[Array]:
    """Return over `length` bars without the last `skip`."""
    return (lag(bars.close, skip) / lag(bars.close, length) - 1.0,)


def proximity(bars: Bars, *, length: int) -> tuple[Array]:
    """Close over the highest high of the last `length` bars."""
    return (bars.close / bars.highest_high(length),)


def drawdown_duration(bars: Bars) -> tuple[Array, Array]:
    """Bars since the highest close so far, and that close; an equal close starts anew."""
    duration, peak = np.full(len(bars), np.nan), np.full(len(bars), np.nan)
    for i, start, stop, resume in bars.spans:
        begin = max(start, resume)
        close = bars.close[begin:stop].copy()
        waited = 0.0
        if resume >= 0:
            close[0], waited = bars.states["peak_close"][i], bars.states["drawdown_duration"][i]
        peak[begin:stop] = np.maximum.accumulate(close)
        bar = np.arange(len(close), dtype=np.float64)
        at_peak = close >= peak[begin:stop] * (1.0 - TIE)
        last = np.where(at_peak, bar, -waited)
        last[:1] = -waited
        duration[begin:stop] = bar - np.maximum.accumulate(last)
    return duration, peak


def _simple_return(length: int) -> Indicator:
    name = f"return_{length}"
    return Indicator(
        name=name,
        function=simple_return,
        inputs=("close",),
        parameters={"length": length},
        outputs=(
            Output(
                name,
                RATIO,
                f"Simple total return over {length} session{'s' if length > 1 else ''}.",
                length,
                bounds=(-1.0, None),
            ),
        ),
        formula=f"close(t) / close(t-{length}) - 1",
        source="Campbell, Lo, MacKinlay, The Econometrics of Financial Markets (1997), section 1.4",
    )


ENTRIES = (
    *(_simple_return(length) for length in (1, 5, 21, YEAR)),
    Indicator(
        name="high_252",
        function=highest,
        inputs=("high",),
        parameters={"length": YEAR},
        outputs=(
            Output("high_252", PRICE, "Highest high of 252 sessions.", YEAR - 1, bounds=(0.0, None), price_degree=1),
        ),
        formula="max(high(t-251..t))",
        source="exchange statistics (52-week high)",
    ),
    Indicator(
        name="low_252",
        function=lowest,
        inputs=("low",),
        parameters={"length": YEAR},
        outputs=(
            Output("low_252", PRICE, "Lowest low of 252 sessions.", YEAR - 1, bounds=(0.0, None), price_degree=1),
        ),
        formula="min(low(t-251..t))",
        source="exchange statistics (52-week low)",
    ),
    Indicator(
        name="drawdown_252",
        function=drawdown,
        inputs=("close",),
        parameters={"length": YEAR},
        outputs=(
            Output(
                "drawdown_252",
                RATIO,
                "Close relative to the highest close of 252 sessions, zero at the peak.",
                YEAR - 1,
                bounds=(-1.0, 0.0),
            ),
        ),
        formula="close(t) / max(close(t-251..t)) - 1",
        source="Magdon-Ismail, Atiya, Maximum Drawdown (Risk, 2004)",
    ),
    Indicator(
        name="momentum_12_1",
        function=momentum,
        inputs=("close",),
        parameters={"length": YEAR, "skip": 21},
        outputs=(
            Output("momentum_12_1", RATIO, "Return of twelve months without the last one.", YEAR, bounds=(-1.0, None)),
        ),
        formula="close(t-21) / close(t-252) - 1",
        source="Jegadeesh, Titman, Returns to Buying Winners and Selling Losers (Journal of Finance, 1993)",
    ),
    Indicator(
        name="proximity_252",
        function=proximity,
        inputs=("high", "close"),
        parameters={"length": YEAR},
        outputs=(
            Output("proximity_252", RATIO, "Close over the highest high of 252 sessions.", YEAR - 1, bounds=(0.0, 1.0)),
        ),
        formula="close(t) / max(high(t-251..t))",
        source="George, Hwang, The 52-Week High and Momentum Investing (Journal of Finance, 2004)",
    ),
    Indicator(
        name="drawdown_duration",
        function=drawdown_duration,
        inputs=("close",),
        outputs=(
            Output("drawdown_duration", SESSIONS, "Sessions since the highest close so far.", 0, bounds=(0.0, None)),
            Output("peak_close", PRICE, "Highest close since the first bar.", 0, bounds=(0.0, None), price_degree=1),
        ),
        formula="t - last session at which close = max(close(0..t))",
        source="Magdon-Ismail, Atiya, Maximum Drawdown (Risk, 2004)",
        kind="cumulative",
        carry=("drawdown_duration", "peak_close"),
    ),
)
