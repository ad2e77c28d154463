"""Refused rows are kept as they came, once, and every decision about them leaves a trace."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import psycopg
import pytest

from quality import quarantine
from quality.errors import QuarantineError
from quality.quarantine import Added, RefusedRow


def refused(**changes: object) -> RefusedRow:
    values: dict[str, object] = {
        "table_name": "raw.price_bar",
        "rule": "unit_error",
        "reason": "close is 100 times the previous one",
        "raw_row": {"Date": "2024-01-05", "Close": 10400.0},
        "symbol": "VOD",
        "session": date(2024, 1, 5),
        "source": "yahoo",
    }
    return RefusedRow(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def connection(warehouse_rolled_back: psycopg.Connection) -> psycopg.Connection:
    return warehouse_rolled_back


@pytest.fixture
def number(connection: psycopg.Connection) -> int:
    """The number of one quarantined row."""
    quarantine.add(connection, [refused()], run_id="run-1")
    (row,) = quarantine.list_rows(connection)
    return row.quarantine_id


def test_a_row_is_kept_as_it_came(connection: psycopg.Connection) -> None:
    assert quarantine.add(connection, [refused()], run_id="run-1") == Added(received=1, added=1)
    (row,) = quarantine.list_rows(connection)
    assert (row.table_name, row.rule, row.symbol, row.session, row.source) == (
        "raw.price_bar",
        "unit_error",
        "VOD",
        date(2024, 1, 5),
        "yahoo",
    )
    assert row.raw_row == {"Date": "2024-01-05", "Close": 10400.0}
    assert (row.status, row.run_id, row.resolved_at, row.resolved_by, row.note) == ("open", "run-1", None, None, None)


def test_the_same_row_is_one_case_however_often_it_comes(connection: psycopg.Connection) -> None:
    rows = [refused(), refused(symbol=None, session=None, source=None)]
    assert quarantine.add(connection, rows, run_id="run-1") == Added(2, 2)
    again = quarantine.add(connection, [*rows, refused(rule="jump"), refused(raw_row={"Close": 1.0})], run_id="run-2")
    assert again == Added(received=4, added=2)
    assert again.known == 2
    assert quarantine.add(connection, [refused(rule="doubled"), refused(rule="doubled")], run_id="run-3") == Added(2, 1)


def test_no_rows_are_nothing_to_do(connection: psycopg.Connection) -> None:
    assert quarantine.add(connection, [], run_id="run-1") == Added(0, 0)


def test_values_json_does_not_know_are_kept_readable(connection: psycopg.Connection) -> None:
    raw = {
        "close": float("nan"),
        "high": float("inf"),
        "volume": np.int64(5),
        "open": np.float64("nan"),
        "at": datetime(2024, 1, 5, 21, 0),  # noqa: DTZ001 - as a vendor sends it
        "tags": ["a", None, (1, True)],
        7: {"nested": date(2024, 1, 5)},
    }
    quarantine.add(connection, [refused(raw_row=raw)], run_id="run-1")
    (row,) = quarantine.list_rows(connection)
    assert row.raw_row == {
        "close": "nan",
        "high": "inf",
        "volume": 5,
        "open": "nan",
        "at": "2024-01-05 21:00:00",
        "tags": ["a", None, [1, True]],
        "7": {"nested": "2024-01-05"},
    }


def test_rows_are_listed_by_what_they_are_about(connection: psycopg.Connection) -> None:
    quarantine.add(connection, [refused(), refused(symbol="AAA"), refused(symbol=None, rule="jump")], run_id="run-1")
    quarantine.add(connection, [refused(table_name="raw.corporate_action")], run_id="run-2")
    listed = quarantine.list_rows(connection)
    assert [row.quarantine_id for row in listed] == sorted((row.quarantine_id for row in listed), reverse=True)
    assert len(listed) == 4
    assert [row.symbol for row in quarantine.list_rows(connection, symbol="AAA")] == ["AAA"]
    assert [row.symbol for row in quarantine.list_rows(connection, rule="jump")] == [None]
    assert len(quarantine.list_rows(connection, table_name="raw.corporate_action")) == 1
    assert len(quarantine.list_rows(connection, limit=2)) == 2
    quarantine.resolve(connection, [listed[0].quarantine_id], status="rejected", by="ana")
    assert len(quarantine.list_rows(connection)) == 3
    assert len(quarantine.list_rows(connection, status="rejected")) == 1
    assert len(quarantine.list_rows(connection, status=None)) == 4


def test_every_decision_is_in_the_trail(connection: psycopg.Connection, number: int) -> None:
    quarantine.resolve(connection, [number], status="rejected", by="ana", note="pence")
    quarantine.resolve(connection, [number], status="accepted", by="ben", note="it was right")
    (row,) = quarantine.resolve(connection, [number], status="replayed", by="ben")
    assert (row.status, row.resolved_by, row.note) == ("replayed", "ben", None)
    shown, trail = quarantine.show(connection, number)
    assert shown == row
    assert [(event.status, event.by, event.note) for event in trail] == [
        ("open", "ingestion", None),
        ("rejected", "ana", "pence"),
        ("accepted", "ben", "it was right"),
        ("replayed", "ben", None),
    ]
    assert trail[0].at <= trail[1].at <= trail[2].at <= trail[3].at


def test_even_a_change_by_hand_is_in_the_trail(connection: psycopg.Connection, number: int) -> None:
    connection.execute(
        "update quality.quarantine set status = 'rejected', resolved_at = now(), resolved_by = 'psql' "
        "where quarantine_id = %s",
        (number,),
    )
    _, trail = quarantine.show(connection, number)
    assert [(event.status, event.by) for event in trail] == [("open", "ingestion"), ("rejected", "psql")]


@pytest.mark.parametrize(
    "statement",
    [
        "update quality.quarantine_event set by = 'someone else'",
        "delete from quality.quarantine_event",
        "truncate quality.quarantine_event",
    ],
)
def test_the_trail_cannot_be_rewritten(connection: psycopg.Connection, number: int, statement: str) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute(statement)  # type: ignore[call-overload] # from the list above


def test_an_open_row_has_nobody_who_resolved_it(connection: psycopg.Connection, number: int) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("update quality.quarantine set resolved_by = 'ana'")


def test_a_replayed_row_is_settled(connection: psycopg.Connection, number: int) -> None:
    quarantine.resolve(connection, [number], status="replayed", by="ana")
    with pytest.raises(QuarantineError, match=r"cannot become rejected: number \d+ is replayed \(by ana\)"):
        quarantine.resolve(connection, [number], status="rejected", by="ben")


def test_a_decision_is_about_all_rows_or_none(connection: psycopg.Connection, number: int) -> None:
    with pytest.raises(QuarantineError, match="no quarantined row has number -2, -1; nothing was changed"):
        quarantine.resolve(connection, [number, -1, -2], status="accepted", by="ana")
    assert quarantine.show(connection, number)[0].status == "open"


@pytest.mark.parametrize("status", ["open", "lost"])
def test_only_decisions_can_be_made(connection: psycopg.Connection, number: int, status: str) -> None:
    with pytest.raises(QuarantineError, match="accepted, rejected, replayed"):
        quarantine.resolve(connection, [number], status=status, by="ana")  # type: ignore[arg-type]


def test_a_row_that_does_not_exist_cannot_be_shown(connection: psycopg.Connection) -> None:
    with pytest.raises(QuarantineError, match="no quarantined row has number -7"):
        quarantine.show(connection, -7)
