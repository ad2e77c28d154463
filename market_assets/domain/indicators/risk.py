"""Statistics of returns: realised skewness and kurtosis, beta and correlation against a benchmark, illiquidity."""

from __future__ import annotations

import math

import numpy as np

from market_assets.domain.indicators.bars import Bars, lag, untied
from market_assets.domain.indicators.definition import RATIO, Array, Indicator, Output
from market_assets.domain.indicators.windows import RollingSum

EQUAL_RETURNS = 1e-13
"""Squared deviations below this part of the squares are the rounding of returns that are all equal."""


def realised_moments(bars: Bars, *, length: int) -> tuple[Array, Array]:
    """Realised skewness and kurtosis: powers of returns over their sum of squares, mean return taken as zero."""
    square = bars.log_return**2
    total = RollingSum(square)(length)
    skewness = math.sqrt(length) * RollingSum(bars.log_return * square)(length) / (total * np.sqrt(total))
    kurtosis = length * RollingSum(square * square)(length) / total**2
    # A single return that is not zero lies on the bound; rounding must not put it beyond.
    limit = math.sqrt(length)
    return np.clip(skewness, -limit, limit), np.clip(kurtosis, 1.0, float(length))


def benchmark_regression(bars: Bars, *, length: int) -> tuple[Array, Array]:
    """Slope and correlation of the stock's returns on those of the benchmark.

    From sums of squares and products: a mean daily return is so small beside its deviations that nothing is lost by
    subtracting it at the end. What is left of returns that are all equal is rounding, and counts as none.
    """
    level = bars.columns["benchmark"]
    before = lag(level, 1)
    own, other = bars.simple_return, untied(level - before, level) / before
    own_sum, other_sum = RollingSum(own)(length), RollingSum(other)(length)
    joint = RollingSum(own * other)(length) - own_sum * other_sum / length
    own_square = _about_mean(RollingSum(own * own)(length), own_sum, length)
    other_square = _about_mean(RollingSum(other * other)(length), other_sum, length)
    return joint / other_square, np.clip(joint / np.sqrt(own_square * other_square), -1.0, 1.0)


def _about_mean(squares: Array, total: Array, length: int) -> Array:
    """Sum of squared deviations from the mean, NaN where there are none."""
    deviations = squares - total * total / length
    deviations[deviations <= EQUAL_RETURNS * squares] = np.nan
    return deviations


def amihud(bars: Bars, *, length: int) -> tuple[Array]:
    """Mean of |return| per million of traded value, over the bars of the window that traded.

    Value is as traded at each bar: a dividend inside the window does not shrink the value of the days before it.
    """
    basis = bars.price_factor * bars.volume_factor
    value = bars.close * bars.volume / basis
    traded = value > 0.0
    impact = np.where(traded, np.abs(bars.simple_return) / np.where(traded, value, 1.0), 0.0)
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
                null_when="the benchmark's 252 returns are all equal",
            ),
            Output(
                "correlation_252",
                RATIO,
                "Correlation of 252 daily returns with those of the benchmark.",
                252,
                bounds=(-1.0, 1.0),
                null_when="252 returns of close or benchmark are all equal",
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
