"""Stored results: versioned, written once, one current version whoever writes; and the tables they are in."""

from __future__ import annotations

import threading
from datetime import date

import psycopg
import pytest
from small_market import Market

from quality import schema
from quality.results import PostgresResultSink, SessionResult
from quality.suite import Scope

SINK = PostgresResultSink()
DAY = date(2024, 1, 5)
NEXT = date(2024, 1, 8)


def result(
    session: date = DAY, check: str = "prices_positive", passed: bool = True, asset: str = "raw_prices"
) -> SessionResult:
    failed = 0 if passed else 2
    return SessionResult(asset, check, session, "error", passed, failed, None if passed else "2 of 4 rows: ...")


def stored(market: Market) -> list[tuple[object, ...]]:
    rows = market.connection.execute(
        "select session, passed, failed_rows, run_id, known_to is null from quality.result order by session, known_from"
    ).fetchall()
    market.connection.commit()
    return rows


def test_a_changed_result_closes_the_version_before_it(market: Market) -> None:
    assert SINK.store(market.url, [result(), result(NEXT)], "run-1") == 2
    assert SINK.store(market.url, [result(passed=False), result(NEXT)], "run-2") == 1
    assert SINK.store(market.url, [result(passed=False), result(NEXT)], "run-3") == 0
    assert stored(market) == [
        (DAY, True, 0, "run-1", False),
        (DAY, False, 2, "run-2", True),
        (NEXT, True, 0, "run-1", True),
    ]


def test_storing_nothing_writes_nothing(market: Market) -> None:
    assert SINK.store(market.url, [], "run-1") == 0
    assert stored(market) == []


def test_the_failures_of_an_asset_are_those_that_hold_now(market: Market) -> None:
    SINK.store(market.url, [result(passed=False), result(NEXT, passed=False), result(DAY, "other")], "run-1")
    SINK.store(market.url, [result(passed=False, asset="indicators")], "run-1")
    failing = {("prices_positive", DAY), ("prices_positive", NEXT)}
    assert SINK.failing(market.url, "raw_prices", Scope()) == failing
    assert SINK.failing(market.url, "raw_prices", Scope((NEXT,))) == {("prices_positive", NEXT)}
    SINK.store(market.url, [result()], "run-2")
    assert SINK.failing(market.url, "raw_prices", Scope()) == {("prices_positive", NEXT)}


def test_runs_that_store_at_once_leave_one_current_version(market: Market) -> None:
    barrier = threading.Barrier(4)
    errors: list[Exception] = []

    def store(number: int) -> None:
        try:
            barrier.wait(timeout=30)
            SINK.store(market.url, [result(passed=number % 2 == 0), result(NEXT)], f"run-{number}")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=store, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    current = [row[0] for row in stored(market) if row[4]]
    assert current == [DAY, NEXT]


def test_the_tables_can_be_created_again_without_harm(connection: psycopg.Connection) -> None:
    for statement in schema.statements():
        connection.execute(statement)  # type: ignore[call-overload] # the package's own DDL
    tables = connection.execute("select table_name from information_schema.tables where table_schema = 'quality'")
    assert {name for (name,) in tables} >= {"result", "quarantine", "quarantine_event"}


def test_the_package_brings_the_table_its_sink_writes(pg_server: object) -> None:
    url = pg_server.create_database("quality_alone")  # type: ignore[attr-defined]
    with psycopg.connect(url) as connection:
        for statement in schema.statements():
            connection.execute(statement)
    assert SINK.store(url, [result(passed=False)], "run-1") == 1
    assert SINK.store(url, [result()], "run-2") == 1
    assert SINK.failing(url, "raw_prices", Scope()) == set()


def test_two_current_versions_are_impossible(market: Market) -> None:
    SINK.store(market.url, [result()], "run-1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        market.execute(
            "insert into quality.result (asset, check_name, session, known_from, run_id) "
            "values ('raw_prices', 'prices_positive', %s, now(), 'by hand')",
            DAY,
        )
    market.connection.rollback()
