"""Return, risk and tracking figures of level series."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from market_assets.domain.indices.performance import Performance, Tracking
from market_assets.errors import InputError


def levels(*values: float, start: str = "2020-01-02") -> pd.Series:
    return pd.Series(values, index=pd.bdate_range(start, periods=len(values)), dtype="float64")


def test_performance_of_a_short_series() -> None:
    found = Performance.of(levels(100, 110, 99, 121))
    assert (found.sessions, found.first, found.last) == (4, 100.0, 121.0)
    assert found.total == pytest.approx(0.21)
    assert found.annual == pytest.approx(1.21 ** (252 / 3) - 1)
    assert found.drawdown == pytest.approx(-0.1)
    assert found.volatility == pytest.approx(np.std([0.1, -0.1, 22 / 99], ddof=1) * math.sqrt(252))


def test_a_year_of_sessions_earns_its_annual_return() -> None:
    growth = levels(*(100 * 1.08 ** (np.arange(253) / 252)))
    found = Performance.of(growth)
    assert found.annual == pytest.approx(found.total) == pytest.approx(0.08)
    assert found.volatility == pytest.approx(0, abs=1e-12)
    assert found.drawdown == 0


def test_one_level_has_no_return_per_year_and_none_is_refused() -> None:
    found = Performance.of(levels(100))
    assert (found.total, found.drawdown) == (0, 0)
    assert math.isnan(found.annual)
    assert math.isnan(found.volatility)
    with pytest.raises(InputError, match="no levels"):
        Performance.of(levels())


def test_tracking_uses_common_sessions_only() -> None:
    ours = levels(100, 110, 120, 130, 140)
    theirs = levels(1, 1.1, 1.2, 1.3, start="2020-01-03") * 50
    found = Tracking.of(ours, theirs)
    assert found.sessions == 4
    assert found.annual == pytest.approx((140 / 110) ** (252 / 3) - 1)
    assert found.benchmark_annual == pytest.approx(1.3 ** (252 / 3) - 1)
    assert found.difference == pytest.approx(found.annual - found.benchmark_annual)


def test_an_index_follows_itself_exactly_and_a_cheaper_one_falls_behind() -> None:
    random = np.random.default_rng(7)
    index = levels(*(100 * np.cumprod(1 + random.normal(0, 0.01, 253))))
    same = Tracking.of(index, index)
    assert (same.difference, same.error) == (0, 0)
    assert same.correlation == pytest.approx(1)
    fund = index * (1 - 0.005) ** (np.arange(253) / 252)
    behind = Tracking.of(fund, index)
    assert behind.difference == pytest.approx(-0.005 * (1 + behind.benchmark_annual))
    assert behind.error < 1e-5


def test_tracking_of_something_that_never_moves_has_no_correlation() -> None:
    assert math.isnan(Tracking.of(levels(100, 101, 102), levels(5, 5, 5)).correlation)


def test_too_few_common_sessions_are_refused() -> None:
    with pytest.raises(InputError, match="share 2 sessions"):
        Tracking.of(levels(1, 2, 3), levels(1, 2, 3, start="2020-01-03"))
