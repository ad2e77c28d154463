"""The index engine against the package bt, a backtester written by others, on real closes.

Every twelfth of 505 symbols, with some that list inside the five years and some with gaps: equal weight, rebalanced
daily, monthly and quarterly. With fractional positions both agree to rounding (1e-12 relative, at every session). What
has to be said to bt before they do, and what stays different:

- `integer_positions=False`. By default bt buys whole shares and keeps the rest in cash that earns nothing: a million on
  some 50 names then runs up to 0.1 % beside the index. An index holds fractions of shares, and no cash.
- `run_on_end_of_period=True`. By default RunMonthly and RunQuarterly trade at the first close of the new period; an
  index is rebalanced at the last close of the old one, and the new shares count from the next session.
- A rebalance at a close belongs to that session in bt's weights, and to the next in ours: a constituent's weight is the
  one that the level of the session was made of. The other sessions' weights agree.
- bt cannot value a position without a price, so gaps are filled with the last close before it sees them; the engine
  carries the last price by itself.
- bt knows no divisor, corporate actions, total return or contributions; the closes here are split-adjusted and come
  without actions, so that there is nothing of that kind to miss.
"""

from __future__ import annotations

from pathlib import Path

import bt
import numpy as np
import pandas as pd
import pytest
from index_markets import actions_of, definition

from market_assets.domain.indices import IndexResult, Market, MarketFrames, calculate

AGREED = 1e-12
LISTED_LATER = ["GOOG", "HPE", "KHC", "PYPL", "UA"]
WITH_GAPS = ["BMY", "DHR", "ORCL"]
PERIODS = {
    "daily": bt.algos.RunDaily(),
    "monthly": bt.algos.RunMonthly(run_on_end_of_period=True),
    "quarterly": bt.algos.RunQuarterly(run_on_end_of_period=True),
}


@pytest.fixture(scope="module")
def prices(shared_data: Path) -> pd.DataFrame:
    """Closes, sessions x 51 symbols; NaN before a listing and in gaps."""
    files = sorted((shared_data / "sp500_5yr").glob("*_data.csv"))
    further = [shared_data / "sp500_5yr" / f"{symbol}_data.csv" for symbol in (*LISTED_LATER, *WITH_GAPS)]
    parts = [pd.read_csv(file, usecols=["date", "close", "Name"]) for file in {*files[::12], *further}]
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


def ours(market: Market, frequency: str) -> IndexResult:
    base = pd.Timestamp(market.sessions[0]).date()
    return calculate(definition(base_date=base, rebalance={"frequency": frequency}), market)


def theirs(prices: pd.DataFrame, period: bt.core.Algo, *, integer_positions: bool = False) -> bt.Backtest:
    algos = [period, bt.algos.SelectAll(), bt.algos.WeighEqually(), bt.algos.Rebalance()]
    backtest = bt.Backtest(bt.Strategy("EW", algos), prices.ffill(), integer_positions=integer_positions)
    backtest.run()
    return backtest


def levels(backtest: bt.Backtest) -> np.ndarray:
    """bt prepends a day before the first, at 100."""
    return backtest.strategy.prices.to_numpy()[1:]


def test_the_subset_has_listings_and_gaps(prices: pd.DataFrame) -> None:
    assert prices[LISTED_LATER].iloc[0].isna().all()
    held = prices[WITH_GAPS].apply(lambda column: column.loc[: column.last_valid_index()].isna().any())
    assert held.all()


@pytest.mark.parametrize("frequency", PERIODS)
def test_levels_weights_and_turnover_agree(prices: pd.DataFrame, market: Market, frequency: str) -> None:
    result, backtest = ours(market, frequency), theirs(prices, PERIODS[frequency])
    np.testing.assert_allclose(result.values["price_return"], levels(backtest), rtol=AGREED)

    rebalances = result.rebalances.iloc[1:]
    weights = result.constituents.pivot_table(index="session", columns="symbol", values="weight").fillna(0)
    expected = backtest.security_weights.reindex(columns=weights.columns).fillna(0).iloc[1:]
    quiet = ~weights.index.isin(rebalances["effective_close"])
    np.testing.assert_allclose(weights[quiet], expected[quiet], atol=AGREED)
    targets = result.targets.pivot_table(index="session", columns="symbol", values="target_weight").fillna(0).iloc[1:]
    np.testing.assert_allclose(targets, expected.loc[rebalances["effective_close"], targets.columns], atol=AGREED)

    traded = backtest.turnover.loc[rebalances["effective_close"]]
    np.testing.assert_allclose(rebalances["turnover"], traded, atol=AGREED)


def test_whole_shares_leave_cash_behind_and_run_beside_the_index(prices: pd.DataFrame, market: Market) -> None:
    backtest = theirs(prices, PERIODS["monthly"], integer_positions=True)
    deviation = np.abs(levels(backtest) / ours(market, "monthly").values["price_return"].to_numpy() - 1).max()
    assert 1e-5 < deviation < 2e-3
    assert backtest.strategy.cash.iloc[-1] > 1_000


def test_by_default_a_new_month_is_traded_at_its_first_close(prices: pd.DataFrame, market: Market) -> None:
    late = levels(theirs(prices, bt.algos.RunMonthly()))
    published = ours(market, "monthly").values["price_return"].to_numpy()
    assert np.abs(late / published - 1).max() > 1e-5
    first_session_of_march = int(np.flatnonzero(prices.index.month == 3)[0])
    np.testing.assert_allclose(late[:first_session_of_march], published[:first_session_of_march], rtol=AGREED)
