"""Data tests look at what a build changed, and again at what failed, until something corrects it."""

from __future__ import annotations

from typing import Any

import pytest
from dbt_market import SESSIONS, Warehouse

from market_assets.warehouse.tables import INDEX_VALUE

MODEL, TEST = "fct_index_value", "index_levels_are_positive"
EARLY, LATE = (f"{SESSIONS[at]:%Y-%m-%d}" for at in (190, 220))


@pytest.fixture(autouse=True)
def current(market: Warehouse, dbt: Any) -> None:
    """Each test starts from a mart without an unchecked row."""
    if unchecked_from(market) != "infinity":
        dbt.run("build", "--select", MODEL, "--exclude-resource-type", "unit_test")
    assert unchecked_from(market) == "infinity"


def unchecked_from(market: Warehouse) -> str:
    noted = market.read(f"select unchecked_from::text from marts.build_watermark where model = '{MODEL}'")  # noqa: S608
    return str(noted.iloc[0, 0])


def outcome_of(dbt: Any, *command: str) -> tuple[str, int, str]:
    """Status of TEST, its failures, and the statement that found them."""
    results = {result.node.name: result for result in dbt.attempt(*command, "--exclude-resource-type", "unit_test")}
    found = results[TEST]
    return str(found.status), found.failures, found.node.compiled_code


def test_a_build_tests_the_sessions_it_changed(market: Warehouse, dbt: Any) -> None:
    market.restate(INDEX_VALUE, f"session = '{LATE}'", market_value=1.5)
    status, _, statement = outcome_of(dbt, "build", "--select", MODEL)
    assert status == "pass"
    assert f"session >= date '{LATE}'" in statement
    assert unchecked_from(market) == "infinity"


@pytest.mark.long
def test_a_build_without_a_change_tests_no_row(market: Warehouse, dbt: Any) -> None:
    status, _, statement = outcome_of(dbt, "build", "--select", MODEL)
    assert status == "pass"
    assert "session >= date 'infinity'" in statement


@pytest.mark.long
def test_a_failing_row_is_reported_by_every_build_until_it_is_corrected(market: Warehouse, dbt: Any) -> None:
    market.restate(INDEX_VALUE, f"session = '{EARLY}'", divisor=-1.0)
    assert outcome_of(dbt, "build", "--select", MODEL)[:2] == ("warn", 1)
    assert unchecked_from(market) == EARLY

    market.restate(INDEX_VALUE, f"session = '{LATE}'", market_value=1.5)
    assert outcome_of(dbt, "build", "--select", MODEL)[:2] == ("warn", 1)
    assert unchecked_from(market) == EARLY

    market.restate(INDEX_VALUE, f"session = '{EARLY}'", divisor=-1.0)
    assert outcome_of(dbt, "build", "--select", MODEL)[:2] == ("pass", 0)
    assert unchecked_from(market) == "infinity"


@pytest.mark.long
def test_what_was_built_without_its_tests_is_tested_by_the_next_build(market: Warehouse, dbt: Any) -> None:
    market.restate(INDEX_VALUE, f"session = '{EARLY}'", divisor=-1.0)
    dbt.run("run", "--select", MODEL)
    assert unchecked_from(market) == EARLY
    assert outcome_of(dbt, "build", "--select", MODEL)[:2] == ("warn", 1)

    market.restate(INDEX_VALUE, f"session = '{EARLY}'", divisor=-1.0)
    dbt.run("run", "--select", MODEL)
    status, _, statement = outcome_of(dbt, "build", "--select", MODEL)
    assert status == "pass"
    assert f"session >= date '{EARLY}'" in statement


@pytest.mark.long
def test_a_mart_with_a_test_left_out_stays_unchecked(market: Warehouse, dbt: Any) -> None:
    market.restate(INDEX_VALUE, f"session = '{EARLY}'", market_value=2.0)
    key = "primary_key_fct_index_value_index_id__session"
    dbt.run("build", "--select", MODEL, "--exclude", key, "resource_type:unit_test")
    assert unchecked_from(market) == EARLY
    dbt.run("build", "--select", key)  # nothing of the mart itself: not a build of it
    assert unchecked_from(market) == EARLY


@pytest.mark.long
def test_tests_by_themselves_look_at_whole_tables(market: Warehouse, dbt: Any) -> None:
    market.restate(INDEX_VALUE, f"session = '{EARLY}'", divisor=-1.0)
    dbt.run("run", "--select", MODEL)
    status, failures, statement = outcome_of(dbt, "test", "--select", MODEL)
    assert (status, failures) == ("warn", 1)
    assert "session >=" not in statement
    market.restate(INDEX_VALUE, f"session = '{EARLY}'", divisor=-1.0)


@pytest.mark.long
def test_a_full_build_is_tested_whole(market: Warehouse, dbt: Any) -> None:
    status, _, statement = outcome_of(dbt, "build", "--full-refresh", "--select", MODEL)
    assert status == "pass"
    assert "session >= date '-infinity'" in statement
