"""The views against the adjustment engine in market_assets/domain, which is checked against vendors elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dbt_market import SESSIONS, Warehouse, random_actions, random_bars

from market_assets.domain.adjustments import adjust, adjustment_factors
from market_assets.warehouse.connection import connect
from market_assets.warehouse.tables import CORPORATE_ACTION, PRICE_BAR

RANDOM = tuple(f"R{number:02d}" for number in range(30))


@pytest.fixture(scope="module")
def random_market(views: Warehouse) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars and actions of thirty symbols, stored."""
    rng = np.random.default_rng(2)
    bars = random_bars(rng, RANDOM, SESSIONS, "alpha")
    actions = random_actions(rng, bars, "alpha", per_symbol=16)
    views.write(PRICE_BAR, bars)
    views.write(CORPORATE_ACTION, actions)
    return bars, actions


def adjusted_bars(views: Warehouse, symbols: str = "R%") -> pd.DataFrame:
    return views.read(f"select * from intermediate.int_adjusted_bar where symbol like '{symbols}' order by 1, 2")  # noqa: S608


def test_factors_and_prices_equal_the_adjustment_engine(
    views: Warehouse, random_market: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    bars, actions = random_market
    got, factors, adjusted = adjusted_bars(views), adjustment_factors(bars, actions), adjust(bars, actions)

    assert len(got) == len(bars)
    price = factors["split_factor"] * factors["dividend_factor"]
    for column, wanted in {
        "split_factor": factors["split_factor"],
        "dividend_factor": factors["dividend_factor"],
        "price_factor": price,
        "volume_factor": 1 / factors["split_factor"],
        "forward_split_factor": factors["forward_split_factor"],
        "forward_dividend_factor": factors["forward_dividend_factor"],
        **{f"adj_{name}": adjusted[name] for name in ("open", "high", "low", "close", "volume")},
    }.items():
        np.testing.assert_allclose(got[column], wanted, rtol=1e-12, err_msg=column)
    assert (got.groupby("symbol")[["split_factor", "dividend_factor"]].last() == 1).all(axis=None)


def test_events_and_forward_factors_equal_the_adjustment_engine(
    views: Warehouse, random_market: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    factors = adjustment_factors(*random_market)
    moved = factors[(factors["split_ratio"] != 1) | (factors["cash_amount"] != 0)].reset_index(drop=True)

    got = views.read("select * from intermediate.int_corporate_action_factor where symbol like 'R%' order by 1, 2")

    assert got[["symbol", "session"]].to_numpy().tolist() == moved[["symbol", "session"]].to_numpy().tolist()
    for column in ("split_ratio", "cash_amount", "forward_split_factor", "forward_dividend_factor"):
        np.testing.assert_allclose(got[column], moved[column], rtol=1e-12, err_msg=column)


def test_an_action_after_the_last_bar_adjusts_nothing_yet(views: Warehouse) -> None:
    views.write(PRICE_BAR, random_bars(np.random.default_rng(1), ("LATER",), SESSIONS[:20], "alpha"))
    views.add_action("LATER", "2030-01-02", "split", 2.0)

    assert (adjusted_bars(views, "LATER")["split_factor"] == 1).all()


def test_a_distribution_above_the_price_is_no_factor(views: Warehouse) -> None:
    views.write(PRICE_BAR, random_bars(np.random.default_rng(1), ("RICH",), SESSIONS[:20], "alpha"))
    views.add_action("RICH", f"{SESSIONS[10]:%Y-%m-%d}", "cash_dividend", 1e6)

    assert (adjusted_bars(views, "RICH")["dividend_factor"] == 1).all()


@pytest.mark.parametrize(
    ("where", "bounds"),
    [
        ("symbol = 'R01'", ["symbol = 'R01'"]),
        ("session >= '2021-01-04'", ["session >= '2021-01-04'"]),
        ("symbol = 'R01' and session >= '2021-01-04'", ["symbol = 'R01'", "session >= '2021-01-04'"]),
    ],
)
def test_conditions_reach_the_index_of_the_bars(
    views: Warehouse, random_market: object, where: str, bounds: list[str]
) -> None:
    """A plan that looks the bars up exists, whichever the statistics prefer: no scan is left when scans are off."""
    with connect(views.url) as connection:
        connection.execute("set enable_seqscan = off")
        row = connection.execute(
            f"explain (format json) select * from intermediate.int_adjusted_bar where {where}"  # noqa: S608
        ).fetchone()
    nodes = list(plan_nodes(row[0][0]["Plan"]))  # type: ignore[index]
    bar_scans = [node for node in nodes if node.get("Relation Name") == "price_bar"]
    conditions = [json.dumps(node.get("Index Cond", "")) for node in nodes]

    assert bar_scans
    assert "Seq Scan" not in {node["Node Type"] for node in bar_scans}
    assert any(all(bound in condition for bound in bounds) for condition in conditions), conditions


def plan_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of an EXPLAIN plan, from the top."""
    yield plan
    for child in plan.get("Plans", []):
        yield from plan_nodes(child)
