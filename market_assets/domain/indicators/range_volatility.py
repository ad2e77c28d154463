"""Volatility from open, high, low and close: Parkinson, Garman-Klass, Yang-Zhang; each annualised."""

from __future__ import annotations

import math

import numpy as np

from market_assets.domain.indicators.bars import Bars
from market_assets.domain.indicators.definition import ANNUALISED, Array, Indicator, Output
from market_assets.domain.indicators.volatility import SESSIONS_PER_YEAR
from market_assets.domain.indicators.windows import RollingComoment, RollingSum

OHLC = ("open", "high", "low", "close")


def parkinson(bars: Bars, *, length: int) -> tuple[Array]:
    """From the range of high and low."""
    return (_annualised(RollingSum(bars.log_range**2)(length) / (4.0 * math.log(2.0) * length)),)


def garman_klass(bars: Bars, *, length: int) -> tuple[Array]:
    """From range and open-to-close return."""
    daily = 0.5 * bars.log_range**2 - (2.0 * math.log(2.0) - 1.0) * bars.log_move**2
    return (_annualised(RollingSum(daily)(length) / length),)


def yang_zhang(bars: Bars, *, length: int) -> tuple[Array]:
    """From overnight return, open-to-close return and the Rogers-Satchell range term; independent of drift and gaps."""
    move, above = bars.log_move, np.log(bars.high / bars.open)
    overnight, below = bars.log_return - move, above - bars.log_range
    range_term = RollingSum(above * (above - move) + below * (below - move))(length) / length
    overnight_term = RollingComoment(RollingSum(overnight))(length) / (length - 1)
    move_term = RollingComoment(RollingSum(move))(length) / (length - 1)
    weight = 0.34 / (1.34 + (length + 1) / (length - 1))
    return (_annualised(overnight_term + weight * move_term + (1.0 - weight) * range_term),)


def _annualised(variance: Array) -> Array:
    """Square root of a year's variance; a daily variance below zero comes only from bars outside their own range."""
    return np.asarray(np.sqrt(np.maximum(variance, 0.0) * SESSIONS_PER_YEAR))


def _output(name: str, description: str, warm_up: int) -> tuple[Output]:
    return (Output(name, ANNUALISED, description, warm_up, bounds=(0.0, None)),)


ENTRIES = (
    Indicator(
        name="parkinson_20",
        function=parkinson,
        inputs=("high", "low"),
        parameters={"length": 20},
        outputs=_output("parkinson_20", "Parkinson volatility over 20 sessions, annualised.", 19),
        formula="sqrt(252 / (4 ln 2) x mean(ln(high / low)^2)) over 20 sessions",
        source="Parkinson, The Extreme Value Method for Estimating the Variance of the Rate of Return (1980)",
    ),
    Indicator(
        name="garman_klass_20",
        function=garman_klass,
        inputs=OHLC,
        parameters={"length": 20},
        outputs=_output("garman_klass_20", "Garman-Klass volatility over 20 sessions, annualised.", 19),
        formula="sqrt(252 x mean(0.5 ln(high / low)^2 - (2 ln 2 - 1) ln(close / open)^2)) over 20 sessions",
        source="Garman, Klass, On the Estimation of Security Price Volatilities from Historical Data (1980)",
    ),
    Indicator(
        name="yang_zhang_20",
        function=yang_zhang,
        inputs=OHLC,
        parameters={"length": 20},
        outputs=_output("yang_zhang_20", "Yang-Zhang volatility over 20 sessions, annualised.", 20),
        formula=(
            "sqrt(252 x (V(o) + k V(c) + (1 - k) RS)), o = ln(open / previous close), c = ln(close / open), "
            "V sample variance, RS = mean(u (u - c) + d (d - c)), u = ln(high / open), d = ln(low / open), "
            "k = 0.34 / (1.34 + 21/19)"
        ),
        source="Yang, Zhang, Drift-Independent Volatility Estimation Based on High, Low, Open, and Close Prices (2000)",
    ),
)
