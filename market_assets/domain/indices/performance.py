"""What a series of levels earned, how much it moved, and how closely it followed another one.

Belongs here: figures over whole series, for people who compare indices. Statistics that selection and weighting read
are statistics.py; the same figures by calendar period are the mart mart_index_performance.

Sources: ESMA, *Guidelines on ETFs and other UCITS issues* (ESMA/2014/937), definitions of tracking difference ("the
difference between the annual return of the index-tracking UCITS and the annual return of the tracked index") and
tracking error ("the volatility of the difference between the annual return of the index-tracking UCITS and the annual
return of the index").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from market_assets.domain.indices.arrays import FloatArray
from market_assets.domain.indices.statistics import SESSIONS_PER_YEAR
from market_assets.errors import InputError


@dataclass(frozen=True)
class Performance:
    """One series of levels. Ratios, not percentages.

    Attributes:
        sessions: levels in the series.
        first, last: levels at both ends.
        total: last / first - 1.
        annual: geometric mean per year of 252 sessions; NaN for a single level.
        volatility: standard deviation (n - 1) of the session returns, times the square root of 252.
        drawdown: largest fall from an earlier high, 0 or below.
    """

    sessions: int
    first: float
    last: float
    total: float
    annual: float
    volatility: float
    drawdown: float

    @classmethod
    def of(cls, levels: pd.Series) -> Self:
        """Figures of `levels`, in order of session, all positive.

        Raises:
            InputError: the series is empty.
        """
        if levels.empty:
            raise InputError("there are no levels to measure")
        values = levels.to_numpy(np.float64)
        return cls(
            sessions=len(values),
            first=float(values[0]),
            last=float(values[-1]),
            total=float(values[-1] / values[0] - 1.0),
            annual=_annual(values),
            volatility=_deviation(_returns(values)),
            drawdown=float((values / np.maximum.accumulate(values) - 1.0).min()),
        )


@dataclass(frozen=True)
class Tracking:
    """One series beside another, over the sessions that both have.

    Attributes:
        sessions: common ones.
        annual, benchmark_annual: geometric mean returns per year over them.
        difference: tracking difference, annual - benchmark_annual.
        error: tracking error, annualised standard deviation of the difference of session returns.
        correlation: of session returns; NaN when one of them never moves.
    """

    sessions: int
    annual: float
    benchmark_annual: float
    difference: float
    error: float
    correlation: float

    @classmethod
    def of(cls, levels: pd.Series, benchmark: pd.Series) -> Self:
        """Compare two series indexed by session.

        Raises:
            InputError: fewer than three sessions in common.
        """
        common = levels.index.intersection(benchmark.index)
        if len(common) < 3:
            raise InputError(
                f"the index and what it is compared with share {len(common)} sessions; at least 3 are needed. "
                "Choose a range in which both have levels."
            )
        ours, theirs = (series.loc[common].to_numpy(np.float64) for series in (levels, benchmark))
        moves, their_moves = _returns(ours), _returns(theirs)
        annual, benchmark_annual = _annual(ours), _annual(theirs)
        still = moves.std() == 0 or their_moves.std() == 0
        return cls(
            sessions=len(common),
            annual=annual,
            benchmark_annual=benchmark_annual,
            difference=annual - benchmark_annual,
            error=_deviation(moves - their_moves),
            correlation=float("nan") if still else float(np.corrcoef(moves, their_moves)[0, 1]),
        )


def _returns(values: FloatArray) -> FloatArray:
    return values[1:] / values[:-1] - 1.0


def _annual(values: FloatArray) -> float:
    if len(values) < 2:
        return float("nan")
    return float((values[-1] / values[0]) ** (SESSIONS_PER_YEAR / (len(values) - 1)) - 1.0)


def _deviation(returns: FloatArray) -> float:
    return float(returns.std(ddof=1) * np.sqrt(SESSIONS_PER_YEAR)) if len(returns) > 1 else float("nan")
