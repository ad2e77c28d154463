"""Which source's bar and action is the golden one: agreement first, then the order of the exchange."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dbt_market import Warehouse, priorities

from market_assets.domain.reconciliation import agree
from market_assets.warehouse.tables import EXCHANGE, PRICE_BAR, SOURCE_PRIORITY, UNIVERSE_MEMBER
from market_assets.warehouse.writes import Scope

DAY = pd.Timestamp("2020-01-02")


@pytest.fixture(scope="module")
def orders(views: Warehouse) -> Warehouse:
    """New York prefers first, second, third; Bombay, where prices move in steps of 0.05, the other way round."""
    names = ("first", "second", "third")
    views.write(SOURCE_PRIORITY, pd.concat([priorities(*names), priorities(*reversed(names), exchange="XBOM")]))
    views.write(EXCHANGE, pd.DataFrame({"exchange": ["XNYS", "XBOM"], "tick_size": [0.01, 0.05]}))
    return views


def golden(views: Warehouse, symbol: str, closes: dict[str, float], exchange: str = "XNYS") -> str:
    """Source of the golden bar of a symbol whose sources have these closes."""
    listed = {"symbol": [symbol], "exchange": exchange, "name": symbol, "currency": "USD", "member_from": DAY}
    views.write(UNIVERSE_MEMBER, pd.DataFrame({**listed, "member_to": pd.Series([pd.NaT], dtype="datetime64[s]")}))
    rows = [(symbol, DAY, source, *(close,) * 4, 1.0, "USD") for source, close in closes.items()]
    views.write(PRICE_BAR, pd.DataFrame(rows, columns=list(PRICE_BAR.columns)))
    found = views.read(f"select source from intermediate.int_golden_bar where symbol = '{symbol}'")  # noqa: S608
    (source,) = found["source"]
    return str(source)


@pytest.mark.parametrize(
    ("closes", "exchange", "wanted"),
    [
        ({"second": 10.0, "first": 10.0}, "XNYS", "first"),
        ({"second": 10.0, "first": 10.0}, "XBOM", "second"),
        ({"second": 11.0, "first": 10.0}, "XNYS", "first"),
        ({"unranked": 10.0, "second": 10.0}, "XNYS", "second"),
        ({"unranked": 10.0, "another": 10.0}, "XNYS", "another"),
        ({"first": 10.0, "second": 11.0, "third": 11.0}, "XNYS", "second"),
        ({"first": 10.0, "second": 11.0, "third": 10.005}, "XNYS", "first"),
        ({"first": 10.0, "second": 11.0, "third": 12.0}, "XNYS", "first"),
        ({"first": 10.0, "second": 11.0, "third": 12.0, "unranked": 12.0}, "XNYS", "third"),
        ({"first": 10.0, "second": 10.0, "third": 12.0, "unranked": 12.0}, "XNYS", "first"),
        ({"first": 10.0, "second": 10.05, "third": 11.0}, "XBOM", "second"),
        ({"first": 10.0, "second": 10.05, "third": 11.0}, "XNYS", "first"),
    ],
)
def test_a_supported_bar_comes_first_then_the_order_of_the_exchange(
    orders: Warehouse, closes: dict[str, float], exchange: str, wanted: str
) -> None:
    assert golden(orders, f"GOLD{len(orders.current(UNIVERSE_MEMBER))}", closes, exchange) == wanted


def test_a_symbol_that_left_the_universe_keeps_the_order_of_its_exchange(orders: Warehouse) -> None:
    assert golden(orders, "LEFT", {"first": 10.0, "third": 10.0}, "XBOM") == "third"
    orders.withdraw(UNIVERSE_MEMBER, "symbol = 'LEFT'", Scope({}, {"symbol": ["LEFT"]}))
    found = orders.read("select source from intermediate.int_golden_bar where symbol = 'LEFT'")
    assert found["source"].tolist() == ["third"]


def test_one_source_gives_all_actions_of_a_day(orders: Warehouse) -> None:
    """A payment that two vendors call by different kinds is not paid twice; a change of symbol stands beside it."""
    orders.add_action("TWICE", "2020-01-02", "cash_dividend", 1.0, source="ant")
    orders.add_action("TWICE", "2020-01-02", "special_dividend", 1.0, source="bee")
    orders.add_action("TWICE", "2020-01-02", "symbol_change", np.nan, source="bee")
    orders.add_action("TWICE", "2020-02-03", "cash_dividend", 2.0, source="bee")

    found = orders.read(
        "select kind, source from intermediate.int_golden_action where symbol = 'TWICE' order by ex_date, kind"
    )

    assert found.to_numpy().tolist() == [["cash_dividend", "ant"], ["symbol_change", "bee"], ["cash_dividend", "bee"]]


def test_sql_and_python_agree_about_when_two_closes_agree(views: Warehouse) -> None:
    rng = np.random.default_rng(5)
    one = rng.integers(1, 300_000, 4000) / 100
    near = one + rng.integers(-3, 4, 4000) / 100
    other = np.where(rng.random(4000) < 0.5, near, one * (1 + rng.uniform(-0.002, 0.002, 4000))).clip(0.01)
    tick = rng.choice([0.01, 0.05], 4000)
    pairs = ", ".join(
        f"({a!r}, {b!r}, {t!r})" for a, b, t in zip(*map(np.ndarray.tolist, (one, other, tick)), strict=True)
    )
    found = views.read(f"select public.same_close(a, b, t) as same from (values {pairs}) as pair (a, b, t)")  # noqa: S608
    assert found["same"].tolist() == agree(one, other, tick).tolist()
