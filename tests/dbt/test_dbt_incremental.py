"""After any change of the past an incremental build leaves every mart as a full build would make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dbt_market import (
    INDEX_ID,
    MARTS,
    SESSIONS,
    Warehouse,
    assert_same,
    indicator_values,
    priorities,
    read_mart,
    same,
    scope_of,
)
from psycopg import sql

from market_assets.warehouse.connection import connect
from market_assets.warehouse.tables import (
    CORPORATE_ACTION,
    INDEX_CONSTITUENT,
    INDEX_VALUE,
    PRICE_BAR,
    SECURITY,
    SHARES_OUTSTANDING,
    SOURCE_AGREEMENT,
    SOURCE_PRIORITY,
    TRADING_SESSION,
    UNIVERSE_MEMBER,
    indicator_table,
)
from market_assets.warehouse.writes import Scope

PRICES = ["fct_daily_bar", "mart_price_anomaly", "mart_market_breadth"]
INDICES = ["fct_index_value", "fct_index_constituent", "mart_index_performance"]
DIMENSIONS = ["dim_security", "dim_session"]
DAY = [f"{session:%Y-%m-%d}" for session in SESSIONS]
ALWAYS = ("2019-01-01", "2030-01-01")


def restate_bars(w: Warehouse) -> None:
    w.restate(PRICE_BAR, f"symbol = 'ALFA' and session between '{DAY[150]}' and '{DAY[152]}'", close=1.1)


def restate_bars_of_the_second_source(w: Warehouse) -> None:
    w.restate(PRICE_BAR, f"source = 'omega' and session between '{DAY[150]}' and '{DAY[152]}'", close=1.1)


def restate_the_close_before_each_event(w: Warehouse) -> None:
    closes = "select symbol, previous_session from intermediate.int_corporate_action_factor"
    w.restate(PRICE_BAR, f"(symbol, session) in ({closes})", close=0.9)


def withdraw_bars(w: Warehouse) -> None:
    where = f"symbol = 'BETA' and session between '{DAY[150]}' and '{DAY[153]}'"
    w.withdraw(PRICE_BAR, where, scope_of("BETA", DAY[150], DAY[153]))


def withdraw_the_first_bars(w: Warehouse) -> None:
    w.withdraw(PRICE_BAR, f"symbol = 'GAMA' and session <= '{DAY[60]}'", scope_of("GAMA", ALWAYS[0], DAY[60]))


def withdraw_the_last_bars(w: Warehouse) -> None:
    w.withdraw(PRICE_BAR, f"symbol = 'GAMA' and session >= '{DAY[300]}'", scope_of("GAMA", DAY[300], ALWAYS[1]))


def insert_bars_late(w: Warehouse) -> None:
    """Into gaps, before the first and after the last bar."""
    bars = w.current(PRICE_BAR, "symbol = 'DELT' and source = 'alpha'").sort_values("session", ignore_index=True)
    days = SESSIONS.difference(pd.DatetimeIndex(bars["session"]))
    days = days.union(pd.bdate_range(end="2019-09-27", periods=3)).union(pd.bdate_range(SESSIONS[-1], periods=3)[1:])
    w.write(PRICE_BAR, bars.iloc[: len(days)].assign(session=days))


def add_actions_late(w: Warehouse) -> None:
    w.add_action("ALFA", DAY[100], "split", 3.0)
    w.add_action("BETA", "2020-02-29", "cash_dividend", 0.5)  # a Saturday
    w.add_action("GAMA", "2019-09-02", "split", 2.0)  # before the first bar: no effect
    w.add_action("DELT", "2030-01-02", "split", 2.0)  # announced: no effect yet


def restate_actions(w: Warehouse) -> None:
    w.restate(CORPORATE_ACTION, "symbol in ('BETA', 'GAMA') and kind <> 'split'", value=1.5)


def withdraw_actions(w: Warehouse) -> None:
    w.withdraw(CORPORATE_ACTION, "symbol = 'ALFA'", scope_of("ALFA", *ALWAYS, "ex_date"))


def prefer_the_second_source(w: Warehouse) -> None:
    w.write(SOURCE_PRIORITY, priorities("omega", "alpha"))


def withdraw_a_symbol(w: Warehouse) -> None:
    w.withdraw(PRICE_BAR, "symbol = 'ECHO'", scope_of("ECHO", *ALWAYS))


def change_indicators(w: Warehouse) -> None:
    w.restate(indicator_table(), f"session = '{DAY[150]}'", sma_50=2.0, high_252=0.5)
    gone = f"symbol = 'ALFA' and session between '{DAY[3]}' and '{DAY[5]}'"
    w.withdraw(indicator_table(), gone, scope_of("ALFA", DAY[3], DAY[5]))


def add_a_session(w: Warehouse) -> None:
    """What an evening brings: a session, with a move that no trailing window expects."""
    when = SESSIONS[-1] + pd.Timedelta("7D")
    last = w.current(PRICE_BAR, "symbol in ('ALFA', 'BETA')").sort_values(["session", "source"])
    last = last.groupby("symbol").tail(1)
    bars = last.assign(session=when, source="omega", close=last["close"] * 20)
    w.write(PRICE_BAR, bars)
    w.write(indicator_table(), indicator_values(bars))
    for table in (INDEX_VALUE, INDEX_CONSTITUENT):
        w.write(table, w.current(table, f"session = '{DAY[-1]}'").assign(session=when))


def change_index_levels(w: Warehouse) -> None:
    w.restate(INDEX_VALUE, f"session >= '{DAY[290]}'", price_return=1.01, total_return=1.02)
    w.restate(INDEX_VALUE, f"session = '{DAY[100]}'", net_total_return=1.5)


def withdraw_the_first_index_levels(w: Warehouse) -> None:
    days = {"session": (SESSIONS[0].date(), SESSIONS[20].date())}
    w.withdraw(INDEX_VALUE, f"session <= '{DAY[20]}'", Scope(days, {"index_id": [INDEX_ID]}))
    w.withdraw(INDEX_CONSTITUENT, f"session <= '{DAY[20]}' and symbol = 'ALFA'", Scope(days, {"symbol": ["ALFA"]}))


def change_reference_data(w: Warehouse) -> None:
    w.write(SECURITY, w.current(SECURITY, "symbol = 'ALFA'").assign(name="Alfa Holdings"))
    w.write(UNIVERSE_MEMBER, w.current(UNIVERSE_MEMBER, "symbol = 'BETA'").assign(member_to=SESSIONS[150]))
    w.write(UNIVERSE_MEMBER, w.current(UNIVERSE_MEMBER, "symbol = 'BETA'").assign(symbol="NEWS"))
    later = w.current(SHARES_OUTSTANDING, "symbol = 'GAMA'").assign(effective_date=SESSIONS[150], shares=2e9)
    w.write(SHARES_OUTSTANDING, later)
    w.withdraw(SECURITY, "symbol = 'ECHO'", Scope({}, {"symbol": ["ECHO"]}))
    w.withdraw(UNIVERSE_MEMBER, "symbol = 'ECHO'", Scope({}, {"symbol": ["ECHO"]}))


def change_agreement(w: Warehouse) -> None:
    w.restate(SOURCE_AGREEMENT, f"source = 'alpha' and session between '{DAY[150]}' and '{DAY[160]}'", rate=0.5)
    rows = w.current(SOURCE_AGREEMENT, f"source = 'omega' and session >= '{DAY[300]}'").assign(source="third")
    w.write(SOURCE_AGREEMENT, rows)
    day = w.current(SOURCE_AGREEMENT, "source = 'omega'")["session"].iloc[100].date()
    w.withdraw(SOURCE_AGREEMENT, f"session = '{day}'", Scope({"session": (day, day)}))


def change_the_calendar(w: Warehouse) -> None:
    special = w.current(TRADING_SESSION, f"session = '{DAY[150]}'").assign(session=pd.Timestamp("2020-05-02"))
    w.write(TRADING_SESSION, special)
    day = SESSIONS[3].date()
    w.withdraw(TRADING_SESSION, f"session = '{day}'", Scope({"session": (day, day)}, {"exchange": ["XNYS"]}))


def change_a_symbol(w: Warehouse) -> None:
    w.write(UNIVERSE_MEMBER, w.current(UNIVERSE_MEMBER, "symbol = 'GAMA'").assign(symbol="GAMMA"))
    change = ("GAMA", pd.Timestamp(DAY[200]), "symbol_change", "alpha", np.nan, "USD", "GAMMA")
    w.write(CORPORATE_ACTION, pd.DataFrame([change], columns=list(CORPORATE_ACTION.columns)))


Change = Callable[[Warehouse], None]

# What is known one evening that was not the evening before, the marts built then, and those that it alters.
EVENINGS: dict[str, tuple[list[Change], list[str], list[str]]] = {
    "bars the second source restates": ([restate_bars_of_the_second_source], PRICES, []),
    "bars restated, withdrawn, inserted": (
        [restate_bars, withdraw_bars, withdraw_the_first_bars, withdraw_the_last_bars, insert_bars_late],
        PRICES,
        PRICES,
    ),
    "closes that dividends are divided by": ([restate_the_close_before_each_event], PRICES, PRICES),
    "actions late and restated": ([add_actions_late, restate_actions], PRICES, PRICES),
    "actions withdrawn": ([withdraw_actions], PRICES, PRICES),
    "another source preferred": ([prefer_the_second_source], PRICES, PRICES),
    "a symbol withdrawn, indicators changed": (
        [withdraw_a_symbol, change_indicators],
        ["fct_indicator", *PRICES],
        ["fct_indicator", *PRICES],
    ),
    "one more session": ([add_a_session], ["marts"], ["fct_indicator", *PRICES, *INDICES]),
    "index levels, reference data, calendar, agreement": (
        [
            change_index_levels,
            withdraw_the_first_index_levels,
            change_reference_data,
            change_the_calendar,
            change_agreement,
        ],
        [*INDICES, *DIMENSIONS, "mart_source_agreement"],
        [*INDICES, *DIMENSIONS, "mart_source_agreement"],
    ),
    "a changed symbol": (
        [change_a_symbol],
        ["fct_daily_bar", "dim_security", "mart_market_breadth"],
        ["dim_security", "mart_market_breadth"],
    ),
}


@pytest.mark.parametrize("evening", EVENINGS)
def test_an_incremental_build_equals_a_full_one(
    market: Warehouse, dbt: Any, full_sql: dict[str, str], evening: str
) -> None:
    """Marts that read marts are compared to their query on marts that were compared before them."""
    changes, build, altered = EVENINGS[evening]
    before = {name: read_mart(market, name) for name in MARTS}
    for change in changes:
        change(market)
    dbt.run("run", "--select", *build)

    after = {name: read_mart(market, name) for name in MARTS}
    for name, key in MARTS.items():
        wanted = market.read(full_sql[name]).sort_values(key, ignore_index=True)
        assert_same(after[name], wanted[after[name].columns], name)
    assert {name for name in MARTS if not same(after[name], before[name], name)} == set(altered)


@pytest.mark.long
def test_many_changes_at_once_equal_a_full_refresh(market: Warehouse, dbt: Any) -> None:
    market.restate(PRICE_BAR, f"session between '{DAY[200]}' and '{DAY[202]}'", close=1.2, volume=2.0)
    market.restate(indicator_table(), f"session between '{DAY[200]}' and '{DAY[205]}'", sma_200=0.5)
    market.restate(INDEX_VALUE, f"session >= '{DAY[220]}'", price_return=1.01)
    market.add_action("ALFA", DAY[201], "split", 2.0)
    market.withdraw(PRICE_BAR, f"symbol = 'BETA' and session = '{DAY[204]}'", scope_of("BETA", DAY[204], DAY[204]))
    dbt.run("run", "--select", "marts")
    incremental = {name: read_mart(market, name) for name in MARTS}

    dbt.run("run", "--select", "marts", "--full-refresh")

    for name, got in incremental.items():
        assert_same(got, read_mart(market, name), name)


def test_a_security_that_changed_its_symbol_is_listed_once(market: Warehouse, dbt: Any) -> None:
    found = market.read("select symbol, former_symbols from marts.dim_security where symbol like 'GAM%'")
    assert found.to_numpy().tolist() == [["GAMMA", "GAMA"]]


@pytest.mark.long
def test_a_restated_bar_rewrites_only_the_rows_it_enters(market: Warehouse, dbt: Any) -> None:
    dbt.run("run", "--select", "marts")
    bar = market.read(f"select symbol, session from marts.fct_daily_bar where session > '{DAY[200]}' limit 1")  # noqa: S608
    symbol, session = bar.iloc[0]
    market.restate(PRICE_BAR, f"symbol = '{symbol}' and session = '{session:%Y-%m-%d}'", volume=2.0)
    dbt.run("run", "--select", "marts")

    keys = dict(market.read("select model, changed_keys from marts.build_watermark").to_numpy().tolist())
    assert keys == {
        **dict.fromkeys(MARTS, 0),
        "fct_daily_bar": 2,  # the bar, and the one whose return starts from it
        "mart_market_breadth": 2,
        "mart_price_anomaly": 62,  # their windows and the sixty after
    }


def test_a_build_with_nothing_new_writes_no_row(market: Warehouse, dbt: Any) -> None:
    dbt.run("run", "--select", "marts")
    before = row_versions(market)
    results = dbt.run("build", "--select", "marts", "--exclude-resource-type", "unit_test")

    assert row_versions(market) == before
    assert {results[name].adapter_response["rows_affected"] for name in MARTS} == {0}


def row_versions(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Place and writing transaction of each row of each mart."""
    with connect(warehouse.url) as connection:
        return {
            name: connection.execute(
                sql.SQL("select ctid::text, xmin::text from marts.{} order by ctid").format(sql.Identifier(name))
            ).fetchall()
            for name in MARTS
        }
