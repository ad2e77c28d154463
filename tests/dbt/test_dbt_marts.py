"""The marts against plain pandas on the same market."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from dbt_market import SESSIONS, Warehouse, read_mart

from market_assets.domain.adjustments import adjust
from market_assets.warehouse.tables import INDEX_VALUE


@pytest.fixture(scope="module")
def daily(market: Warehouse, dbt: Any) -> pd.DataFrame:
    """fct_daily_bar, all marts being up to date."""
    dbt.run("run", "--select", "marts")
    return read_mart(market, "fct_daily_bar")


@pytest.fixture(scope="module")
def actions(market: Warehouse, daily: pd.DataFrame) -> pd.DataFrame:
    return market.read("select symbol, ex_date, kind, value from intermediate.int_golden_action order by 1, 2, 3")


def test_returns_are_those_of_the_adjusted_closes(daily: pd.DataFrame, actions: pd.DataFrame) -> None:
    for column, dividends in (("price_return", False), ("total_return", True)):
        adjusted = adjust(daily[["symbol", "session", "close"]], actions, dividends=dividends)
        wanted = adjusted["close"] / adjusted.groupby("symbol")["close"].shift() - 1
        np.testing.assert_allclose(daily[column], wanted, rtol=1e-9, atol=1e-13, err_msg=column)


def test_forward_factors_start_at_one_and_carry_the_total_return(daily: pd.DataFrame) -> None:
    first = daily.groupby("symbol").first()
    assert (first[["forward_split_factor", "forward_dividend_factor"]] == 1).all(axis=None)
    value = daily["close"] * daily["forward_split_factor"] * daily["forward_dividend_factor"]
    grown = value / value.groupby(daily["symbol"]).shift() - 1
    np.testing.assert_allclose(grown, daily["total_return"], rtol=1e-9, atol=1e-13)


def test_anomalies_are_the_returns_beyond_three_deviations_of_the_sixty_bars_before(
    market: Warehouse, daily: pd.DataFrame
) -> None:
    plain = daily["price_return"].where((daily["split_ratio"] == 1) & (daily["dividend"] == 0))
    window = plain.groupby(daily["symbol"]).rolling(60, min_periods=20)
    mean = window.mean().reset_index(level=0, drop=True).groupby(daily["symbol"]).shift()
    deviation = window.std().reset_index(level=0, drop=True).groupby(daily["symbol"]).shift()
    score = (plain - mean) / deviation
    wanted = daily.assign(z_score=score)[score.abs() > 3].reset_index(drop=True)

    got = read_mart(market, "mart_price_anomaly")

    assert len(got) > 10
    assert got[["symbol", "session"]].equals(wanted[["symbol", "session"]])
    np.testing.assert_allclose(got["z_score"], wanted["z_score"], rtol=1e-8)


def test_breadth_counts_each_security_once(market: Warehouse, daily: pd.DataFrame) -> None:
    indicators = read_mart(market, "fct_indicator")[["symbol", "session", "sma_50", "sma_200", "high_252", "low_252"]]
    bars = daily.merge(indicators, on=["symbol", "session"], how="left")
    sessions = bars.groupby("session")
    up, down = bars["total_return"] > 0, bars["total_return"] < 0

    def counted(rows: pd.Series) -> pd.Series:
        return rows.groupby(bars["session"]).sum()

    above = (bars["close"] > bars["sma_50"]).where(bars["sma_50"].notna())
    wanted = pd.DataFrame(
        {
            "symbols": sessions.size(),
            "advancers": counted(up),
            "decliners": counted(down),
            "unchanged": counted(bars["total_return"] == 0),
            "up_volume": counted(bars["volume"].where(up, 0)),
            "down_volume": counted(bars["volume"].where(down, 0)),
            "mean_return": sessions["total_return"].mean(),
            "return_dispersion": sessions["total_return"].std(),
            "new_highs_252": counted(bars["high"] >= bars["high_252"] * (1 - 1e-9)),
            "new_lows_252": counted(bars["low"] <= bars["low_252"] * (1 + 1e-9)),
            "share_above_sma_50": above.astype(float).groupby(bars["session"]).mean(),
        }
    )
    got = read_mart(market, "mart_market_breadth").set_index("session")

    assert got.index.equals(wanted.index)
    for column in wanted:
        np.testing.assert_allclose(
            got[column].astype(float), wanted[column].astype(float), rtol=1e-9, atol=1e-14, err_msg=column
        )


def test_performance_of_a_month_starts_from_the_last_level_before_it(market: Warehouse, daily: pd.DataFrame) -> None:
    levels = market.current(INDEX_VALUE).sort_values("session").set_index("session")["total_return"]
    month = f"{SESSIONS[150]:%Y-%m}"
    inside = levels[levels.index.strftime("%Y-%m") == month]
    chain = pd.concat([levels[levels.index < inside.index[0]].tail(1), inside])
    returns = chain.pct_change().dropna()

    got = read_mart(market, "mart_index_performance")
    row = got[(got["period"] == month) & (got["return_type"] == "total")].iloc[0]

    assert row["daily_returns"] == len(returns) == len(inside)
    assert (row["first_session"], row["last_session"]) == (inside.index[0], inside.index[-1])
    assert row["period_return"] == pytest.approx(chain.iloc[-1] / chain.iloc[0] - 1, rel=1e-12)
    assert row["volatility"] == pytest.approx(returns.std() * np.sqrt(252), rel=1e-9)
    assert row["sharpe_ratio"] == pytest.approx(returns.mean() / returns.std() * np.sqrt(252), rel=1e-9)
    assert row["max_drawdown"] == pytest.approx((chain / chain.cummax() - 1).min(), rel=1e-12)
    assert (row["best_session"], row["worst_session"]) == (returns.idxmax(), returns.idxmin())
    assert (row["best_return"], row["worst_return"]) == pytest.approx((returns.max(), returns.min()), rel=1e-12)


def test_every_period_of_every_return_type_has_a_row(market: Warehouse, daily: pd.DataFrame) -> None:
    sessions = pd.DatetimeIndex(market.current(INDEX_VALUE)["session"])
    got = read_mart(market, "mart_index_performance")
    wanted = {
        "month": sessions.to_period("M").nunique(),
        "quarter": sessions.to_period("Q").nunique(),
        "year": sessions.year.nunique(),
        "all": 1,
    }
    assert got.groupby(["return_type", "period_kind"]).size().to_dict() == {
        (kind, period): count for kind in ("price", "total", "net_total") for period, count in wanted.items()
    }


def test_index_levels_carry_returns_and_moving_average(market: Warehouse, daily: pd.DataFrame) -> None:
    got = read_mart(market, "fct_index_value")
    level = got["price_return_level"]
    np.testing.assert_allclose(got["daily_return"], level.pct_change(), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(got["cumulative_return"], level / level.iloc[0] - 1, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(got["moving_average_20"], level.rolling(20).mean(), rtol=1e-12)


def test_sessions_are_numbered_and_measured(market: Warehouse, daily: pd.DataFrame) -> None:
    sessions = read_mart(market, "dim_session")
    assert sessions["session_number"].tolist() == list(range(1, len(sessions) + 1))
    assert set(sessions["session_minutes"]) == {390}
    assert sessions["previous_session"].iloc[1:].tolist() == sessions["session"].iloc[:-1].tolist()
    gaps = sessions["session"].diff().dt.days
    np.testing.assert_array_equal(sessions["days_since_previous"].iloc[1:].astype(float), gaps.iloc[1:])
    assert sessions["iso_weekday"].tolist() == (sessions["session"].dt.day_of_week + 1).tolist()
    assert sessions["calendar_quarter"].tolist() == sessions["session"].dt.quarter.tolist()


def test_unit_tests_of_the_models_pass(market: Warehouse, dbt: Any) -> None:
    results = dbt.run("test", "--select", "test_type:unit")
    assert len(results) >= 8


def test_data_tests_report_what_is_wrong(market: Warehouse, dbt: Any, daily: pd.DataFrame) -> None:
    market.add_action("ALFA", f"{SESSIONS[200]:%Y-%m-%d}", "cash_dividend", 1e6)
    market.restate(INDEX_VALUE, f"session = '{SESSIONS[200]:%Y-%m-%d}'", divisor=-1.0)
    dbt.run("run", "--select", "marts")
    results = dbt.attempt("test", "--select", "distribution_is_below_the_price", "index_levels_are_positive")
    assert {result.node.name: (str(result.status), result.failures) for result in results} == {
        "distribution_is_below_the_price": ("warn", 1),
        "index_levels_are_positive": ("warn", 1),
    }


@pytest.mark.long
def test_a_table_without_its_primary_key_fails_the_test(market: Warehouse, dbt: Any, daily: pd.DataFrame) -> None:
    from market_assets.warehouse.connection import connect

    name = "primary_key_dim_session_exchange__session"
    with connect(market.url, autocommit=True) as connection:
        key = connection.execute(
            "select conname from pg_constraint where conrelid = 'marts.dim_session'::regclass and contype = 'p'"
        ).fetchone()
        connection.execute(f'alter table marts.dim_session drop constraint "{key[0]}"')  # type: ignore[index,arg-type]
        results = dbt.attempt("test", "--select", name)
        connection.execute("alter table marts.dim_session add primary key (exchange, session)")
    assert [(str(result.status), result.failures) for result in results] == [("fail", 1)]
    dbt.run("test", "--select", name)
