"""What a mart has read is noted with what it wrote: nothing is lost to late commits, crashes, or a part of a build."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from dbt_market import SESSIONS, Warehouse, assert_same, read_mart

from market_assets.warehouse.connection import connect
from market_assets.warehouse.tables import INDEX_VALUE, PRICE_BAR
from market_assets.warehouse.versions import transaction

MIDDLE = f"{SESSIONS[170]:%Y-%m-%d}"


@pytest.fixture(scope="module", autouse=True)
def current(market: Warehouse, dbt: Any) -> None:
    """The tests start from marts that are up to date."""
    dbt.run("run", "--select", "marts")


def execute(warehouse: Warehouse, *statements: str) -> None:
    with connect(warehouse.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def noted(warehouse: Warehouse, model: str) -> list[Any]:
    """Row of marts.build_watermark."""
    row = warehouse.read(
        f"select definition, watermark::text, system_identifier, changed_keys from marts.build_watermark "  # noqa: S608
        f"where model = '{model}'"
    )
    return list(row.astype(object).where(row.notna(), None).iloc[0])


def is_current(warehouse: Warehouse, name: str, full_sql: dict[str, str]) -> bool:
    wanted = warehouse.read(full_sql[name])
    got = read_mart(warehouse, name)
    return got.equals(wanted.sort_values(["symbol", "session"], ignore_index=True)[got.columns])


@pytest.mark.long
def test_a_write_that_commits_after_a_later_one_was_read_is_not_lost(
    market: Warehouse, dbt: Any, full_sql: dict[str, str]
) -> None:
    bars = market.current(PRICE_BAR, f"symbol = 'ALFA' and session = '{MIDDLE}'")
    with transaction(market.url, "late") as writer:
        writer.write(PRICE_BAR, bars.assign(close=bars["close"] * 1.3))
        market.add_action("BETA", f"{SESSIONS[120]:%Y-%m-%d}", "split", 2.0)
        dbt.run("run", "--select", "fct_daily_bar")
        assert is_current(market, "fct_daily_bar", full_sql)  # the split; the bar is not committed

    assert not is_current(market, "fct_daily_bar", full_sql)
    dbt.run("run", "--select", "fct_daily_bar")
    assert is_current(market, "fct_daily_bar", full_sql)


@pytest.mark.long
def test_a_server_process_killed_while_it_writes_leaves_mart_and_watermark_as_they_were(
    market: Warehouse, dbt: Any, full_sql: dict[str, str]
) -> None:
    before, watermark = read_mart(market, "fct_daily_bar"), noted(market, "fct_daily_bar")
    market.restate(PRICE_BAR, f"symbol = 'ALFA' and session = '{MIDDLE}'", close=1.3)
    execute(
        market,
        "create function die() returns trigger language plpgsql as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$",
        "create trigger die before insert on marts.fct_daily_bar for each row execute function die()",
    )
    results = dbt.attempt("run", "--select", "fct_daily_bar", "mart_price_anomaly")
    execute(market, "drop trigger die on marts.fct_daily_bar", "drop function die")

    assert [str(result.status) for result in results] == ["error", "skipped"]
    assert read_mart(market, "fct_daily_bar").equals(before)
    assert noted(market, "fct_daily_bar") == watermark
    dbt.run("run", "--select", "fct_daily_bar")
    assert is_current(market, "fct_daily_bar", full_sql)


@pytest.mark.long
def test_a_mart_built_without_the_mart_it_reads_catches_up_later(
    market: Warehouse, dbt: Any, full_sql: dict[str, str]
) -> None:
    market.restate(PRICE_BAR, f"symbol = 'ALFA' and session = '{MIDDLE}'", close=1.5)
    dbt.run("run", "--select", "mart_price_anomaly")  # fct_daily_bar does not have the new close yet
    dbt.run("run", "--select", "fct_daily_bar")
    assert not is_current(market, "mart_price_anomaly", full_sql)

    dbt.run("run", "--select", "mart_price_anomaly")
    assert is_current(market, "mart_price_anomaly", full_sql)


@pytest.mark.long
@pytest.mark.parametrize(
    "difference",
    ["definition = 'of an older version'", "system_identifier = 1"],
    ids=["another definition", "restored into another cluster"],
)
def test_a_mart_that_cannot_be_continued_is_built_anew(market: Warehouse, dbt: Any, difference: str) -> None:
    before, watermark = read_mart(market, "fct_index_value"), noted(market, "fct_index_value")
    execute(
        market,
        f"update marts.build_watermark set {difference} where model = 'fct_index_value'",  # noqa: S608
        "update marts.fct_index_value set divisor = -1",
    )
    dbt.run("run", "--select", "fct_index_value")

    assert_same(read_mart(market, "fct_index_value"), before, "fct_index_value")
    after = noted(market, "fct_index_value")
    assert [after[0], after[2]] == [watermark[0], watermark[2]]
    assert after[3] is None  # every key


@pytest.mark.long
def test_a_full_build_has_its_indexes_and_primary_key(market: Warehouse, dbt: Any) -> None:
    query = "select indexdef from pg_indexes where schemaname = 'marts' and tablename = 'fct_indicator'"
    execute(market, "update marts.build_watermark set definition = '' where model = 'fct_indicator'")
    dbt.run("run", "--select", "fct_indicator")
    columns = {definition.rsplit("(", 1)[1] for definition in market.read(query)["indexdef"]}
    assert columns == {"symbol, session)", "session)"}


def test_two_builds_of_a_mart_wait_for_each_other(market: Warehouse, dbt: Any) -> None:
    market.restate(INDEX_VALUE, f"session >= '{MIDDLE}'", price_return=1.01)
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    with connect(market.url) as other:
        other.execute('select pg_advisory_xact_lock(hashtextextended(\'"market"."marts"."fct_index_value"\', 0))')
        build = threading.Thread(target=dbt.run, args=("run", "--select", "fct_index_value"))
        build.start()
        deadline = time.monotonic() + 30
        while not int(market.read(waiting).iloc[0, 0]):
            assert build.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    build.join()
    assert noted(market, "fct_index_value")[3] > 0


@pytest.mark.long
def test_a_view_is_left_alone_until_its_definition_changes(market: Warehouse, dbt: Any) -> None:
    query = (
        "select relname, c.oid::bigint, c.xmin::text from pg_class c join pg_namespace n on n.oid = relnamespace "
        "where nspname in ('staging', 'intermediate') and relkind = 'v' order by 1"
    )
    before = market.read(query)
    dbt.run("run", "--select", "staging", "intermediate")
    assert market.read(query).equals(before)

    # Other comment, same columns: replaced in place, so that what reads it stays.
    execute(market, "comment on view intermediate.int_golden_bar is 'definition of an older version'")
    dbt.run("run", "--select", "int_golden_bar")
    assert market.read(query)["oid"].equals(before["oid"])

    # Other columns: dropped with its readers, which follow in the same build.
    execute(
        market,
        "drop view intermediate.int_golden_bar cascade",
        "create view intermediate.int_golden_bar as select 1 as another",
    )
    dbt.run("run", "--select", "staging", "intermediate")
    assert market.read(query)["relname"].equals(before["relname"])
    assert len(market.read("select adj_close from intermediate.int_adjusted_bar"))
