"""Price-weighted and equal-weighted indices of 505 real symbols against one-line portfolio arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from index_markets import actions_of, definition

from market_assets.domain.indices import Market, MarketFrames, calculate


@pytest.fixture(scope="module")
def prices(request: pytest.FixtureRequest) -> pd.DataFrame:
    """Closes, sessions x symbols; NaN before a listing and in gaps."""
    folder = request.getfixturevalue("shared_data") / "sp500_5yr"
    parts = [pd.read_csv(path, usecols=["date", "close", "Name"]) for path in sorted(Path(folder).glob("*_data.csv"))]
    table = pd.concat(parts).assign(date=lambda rows: pd.to_datetime(rows["date"]))
    return table.pivot_table(index="date", columns="Name", values="close").astype(float)


@pytest.fixture(scope="module")
def market(prices: pd.DataFrame) -> Market:
    listed = prices.apply(lambda column: column.first_valid_index())
    members = pd.DataFrame(
        {
            "symbol": prices.columns.astype("str"),
            "member_from": listed.to_numpy(),
            "member_to": pd.NaT,
            "exchange": "XNYS",
            "currency": "USD",
        }
    )
    bars = prices.rename_axis("session").reset_index().melt("session", var_name="symbol", value_name="close").dropna()
    return Market.from_frames(MarketFrames(sessions=prices.index, bars=bars, members=members, actions=actions_of()))


def growth_of(prices: np.ndarray, rebalanced: np.ndarray, weigh: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Buy and hold between rebalances, chained: the whole calculation."""
    level, out = 100.0, [100.0]
    for begin, end in itertools.pairwise([*np.flatnonzero(rebalanced), len(prices) - 1]):
        held = prices[begin : end + 1, ~np.isnan(prices[begin])]
        weights = weigh(held[0])
        path = (held / held[0]) @ weights / weights.sum()
        out += (level * path[1:]).tolist()
        level = out[-1]
    return np.array(out)


def rebalanced_closes(sessions: pd.DatetimeIndex, frequency: str) -> np.ndarray:
    """The first session, and every last session of the period, except where the data end."""
    period = sessions.to_period({"daily": "D", "monthly": "M", "quarterly": "Q"}[frequency])
    ends = np.append(period[1:] != period[:-1], False)
    ends[0] = True
    return ends


@pytest.mark.parametrize(("kind", "weigh"), [("equal", np.ones_like), ("price", np.asarray)])
@pytest.mark.parametrize("frequency", ["daily", "monthly", "quarterly"])
def test_index_of_505_symbols_equals_chained_portfolios(
    prices: pd.DataFrame, market: Market, kind: str, weigh: Callable[[np.ndarray], np.ndarray], frequency: str
) -> None:
    rules = definition(base_date=prices.index[0].date(), weighting=kind, rebalance={"frequency": frequency})
    values = calculate(rules, market).values
    expected = growth_of(prices.ffill().to_numpy(), rebalanced_closes(prices.index, frequency), weigh)
    np.testing.assert_allclose(values["price_return"], expected, rtol=1e-10)
    assert values["constituents"].iloc[[0, -1]].tolist() == [prices.iloc[0].notna().sum(), 505]
