"""Returns and the position of the price inside its own year."""

from __future__ import annotations

import numpy as np

from market_assets.domain.indicators.bars import Bars, lag
from market_assets.domain.indicators.definition import PRICE, RATIO, Array, Indicator, Output
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


def _simple_return(length: int) -> Indicator:
    name = f"return_{length}"
    return Indicator(
        name=name,
        function=simple_return,
        inputs=("close",),
        parameters={"length": length},
        outputs=(Output(name, RATIO, f"Simple total return over {length} sessions.", length, bounds=(-1.0, None)),),
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
)
