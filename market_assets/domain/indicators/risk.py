"""Statistics of returns: realised skewness and kurtosis, beta and correlation against a benchmark, illiquidity."""

from __future__ import annotations

import math

import numpy as np

from market_assets.domain.indicators.bars import Bars, lag, untied
from market_assets.domain.indicators.definition import RATIO, Array, Indicator, Output
from market_assets.domain.indicators.windows import RollingComoment, RollingSum


def realised_moments(bars: Bars, *, length: int) -> tuple[Array, Array]:
    """Realised skewness and kurtosis: powers of returns over their sum of squares, mean return taken as zero."""
    square = bars.log_return**2
    total = RollingSum(square)(length)
    skewness = math.sqrt(length) * RollingSum(bars.log_return * square)(length) / total**1.5
    kurtosis = length * RollingSum(square * square)(length) / total**2
    # A single return that is not zero lies on the bound; rounding must not put it beyond.
    limit = math.sqrt(length)
    return np.clip(skewness, -limit, limit), np.clip(kurtosis, 1.0, float(length))


def benchmark_regression(bars: Bars, *, length: int) -> tuple[Array, Array]:
    """Slope and correlation of the stock's returns on those of the benchmark."""
    own = RollingSum(bars.change / bars.previous_close)
    level = bars.columns["benchmark"]
    before = lag(level, 1)
    other = RollingSum(untied(level - before, level) / before)
    joint = RollingComoment(own, other)(length)
    own_square, other_square = RollingComoment(own)(length), RollingComoment(other)(length)
    return joint / other_square, np.clip(joint / np.sqrt(own_square * other_square), -1.0, 1.0)


def amihud(bars: Bars, *, length: int) -> tuple[Array]:
    """Mean of |return| per million of traded value, over the bars of the window that traded.

    Value is as traded at each bar: a dividend inside the window does not shrink the value of the days before it.
    """
    basis = bars.price_factor * bars.volume_factor
    value = bars.close * bars.volume / basis
    traded = value > 0.0
    impact = np.where(traded, np.abs(bars.change / bars.previous_close) / np.where(traded, value, 1.0), 0.0)
    mean = RollingSum(impact)(length) / RollingSum(traded.astype(np.float64))(length)
    return (1e6 * mean / basis,)


ENTRIES = (
    Indicator(
        name="realised_moments",
        function=realised_moments,
        inputs=("close",),
        parameters={"length": 60},
        outputs=(
            Output(
                "realised_skewness_60",
                "dimensionless",
                "Realised skewness of 60 daily log returns.",
                60,
                bounds=(-8.0, 8.0),
                null_when="the close has not changed over 60 sessions",
            ),
            Output(
                "realised_kurtosis_60",
                "dimensionless",
                "Realised kurtosis of 60 daily log returns; 3 for a normal distribution.",
                60,
                bounds=(1.0, 60.0),
                null_when="the close has not changed over 60 sessions",
            ),
        ),
        formula="skewness = sqrt(60) x sum(r^3) / sum(r^2)^1.5; kurtosis = 60 x sum(r^4) / sum(r^2)^2",
        source="Amaya, Christoffersen, Jacobs, Vasquez, Does Realized Skewness Predict the Cross-Section of Equity "
        "Returns? (Journal of Financial Economics, 2015), equations 3 and 4, with daily returns",
    ),
    Indicator(
        name="benchmark_252",
        function=benchmark_regression,
        inputs=("close", "benchmark"),
        parameters={"length": 252},
        outputs=(
            Output(
                "beta_252",
                RATIO,
                "Slope of 252 daily returns on those of the benchmark.",
                252,
                null_when="the benchmark has not moved over 252 sessions",
            ),
            Output(
                "correlation_252",
                RATIO,
                "Correlation of 252 daily returns with those of the benchmark.",
                252,
                bounds=(-1.0, 1.0),
                null_when="close or benchmark has not moved over 252 sessions",
            ),
        ),
        formula="beta = cov(r, b) / var(b); correlation = cov(r, b) / sqrt(var(r) var(b)); 252 simple returns",
        source="Sharpe, A Simplified Model for Portfolio Analysis (1963)",
    ),
    Indicator(
        name="amihud_21",
        function=amihud,
        inputs=("close", "volume"),
        parameters={"length": 21},
        outputs=(
            Output(
                "amihud_21",
                "ratio per million of currency",
                "Amihud illiquidity: mean absolute return per million of value traded, 21 sessions.",
                21,
                bounds=(0.0, None),
                price_degree=-1,
                volume_degree=-1,
                null_when="no volume over 21 sessions",
            ),
        ),
        formula="1e6 x mean(|r| / (close x volume as traded)) over those of 21 sessions with volume",
        source="Amihud, Illiquidity and Stock Returns (Journal of Financial Markets, 2002), equation 1",
    ),
)
