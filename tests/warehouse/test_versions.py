"""The versioned writer: what a write changes, what it leaves alone, and what was known when."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market_assets.errors import OutOfOrderKnowledge, SchemaMismatch, WarehouseUnavailable
from market_assets.warehouse.connection import connect, read_frame
from market_assets.warehouse.tables import PRICE_BAR, TABLES, indicator_table
from market_assets.warehouse.versions import as_of, transaction, write_versions
from market_assets.warehouse.writes import Scope, WriteResult

MONDAY = datetime(2024, 1, 8, 22, tzinfo=UTC)


def bars(closes: dict[tuple[str, str], float | None], source: str = "sample") -> pd.DataFrame:
    rows = [
        (symbol, pd.Timestamp(session), source, c, c, c, c, 100.0, "USD") for (symbol, session), c in closes.items()
    ]
    return pd.DataFrame(rows, columns=list(PRICE_BAR.columns))


def versions(url: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(
            "select symbol, session::text, close, known_to is null, run_id from raw.price_bar "
            "order by symbol, session, known_from"
        ).fetchall()


def test_first_write_adds_every_row(warehouse_url):
    frame = bars({("A", "2024-01-02"): 1.0, ("A", "2024-01-03"): 2.0})
    assert write_versions(warehouse_url, PRICE_BAR, frame, run_id="r1") == WriteResult(received=2, added=2)
    assert versions(warehouse_url) == [("A", "2024-01-02", 1.0, True, "r1"), ("A", "2024-01-03", 2.0, True, "r1")]


def test_new_symbols_beside_known_ones_are_added_whether_alone_or_together(warehouse_url):
    write_versions(warehouse_url, PRICE_BAR, bars({("A", "2024-01-02"): 1.0}), run_id="r1")
    alone = bars({('B "q" \\', "2024-01-02"): 2.0})
    assert write_versions(warehouse_url, PRICE_BAR, alone, run_id="r2") == WriteResult(received=1, added=1)
    both = bars({("A", "2024-01-02"): 1.5, ("C", "2024-01-02"): 3.0})
    assert write_versions(warehouse_url, PRICE_BAR, both, run_id="r3") == WriteResult(received=2, added=1, restated=1)
    assert write_versions(warehouse_url, PRICE_BAR, alone, run_id="r4") == WriteResult(received=1, unchanged=1)
    assert [row[0] for row in versions(warehouse_url)] == ["A", "A", 'B "q" \\', "C"]


def test_a_symbol_whose_versions_are_all_closed_is_known(warehouse_url):
    frame = bars({("A", "2024-01-02"): 1.0})
    write_versions(warehouse_url, PRICE_BAR, frame, run_id="r1", known_at=MONDAY)
    scope = Scope(members={"symbol": ["A"]})
    write_versions(warehouse_url, PRICE_BAR, frame.iloc[:0], run_id="r2", known_at=MONDAY + timedelta(1), scope=scope)
    again = write_versions(warehouse_url, PRICE_BAR, frame, run_id="r3", known_at=MONDAY)
    assert again == WriteResult(received=1, unchanged=1), "it was known then, and withdrawn since"
    assert as_of(warehouse_url, PRICE_BAR, None).empty


def test_equal_rows_write_nothing_even_with_nulls_and_nan(warehouse_url):
    frame = bars({("A", "2024-01-02"): 1.0, ("B", "2024-01-02"): None})
    write_versions(warehouse_url, PRICE_BAR, frame, run_id="r1")
    with connect(warehouse_url) as connection:
        before = connection.execute("select pg_current_wal_lsn() is not null, xmin, ctid from raw.price_bar").fetchall()
    frame.loc[1, "close"] = np.nan
    assert write_versions(warehouse_url, PRICE_BAR, frame, run_id="r2") == WriteResult(received=2, unchanged=2)
    with connect(warehouse_url) as connection:
        after = connection.execute("select pg_current_wal_lsn() is not null, xmin, ctid from raw.price_bar").fetchall()
    assert after == before


def test_a_changed_value_closes_the_old_version_and_opens_a_new_one(warehouse_url):
    write_versions(warehouse_url, PRICE_BAR, bars({("A", "2024-01-02"): 1.0, ("B", "2024-01-02"): 5.0}), run_id="r1")
    result = write_versions(
        warehouse_url, PRICE_BAR, bars({("A", "2024-01-02"): 1.5, ("B", "2024-01-02"): 5.0}), run_id="r2"
    )
    assert result == WriteResult(received=2, restated=1, unchanged=1)
    assert versions(warehouse_url) == [
        ("A", "2024-01-02", 1.0, False, "r1"),
        ("A", "2024-01-02", 1.5, True, "r2"),
        ("B", "2024-01-02", 5.0, True, "r1"),
    ]


def test_rows_missing_inside_the_scope_are_withdrawn_and_come_back_as_new(warehouse_url):
    both = bars(
        {("A", "2024-01-02"): 1.0, ("A", "2024-01-03"): 2.0, ("A", "2024-01-04"): 3.0, ("B", "2024-01-03"): 9.0}
    )
    write_versions(warehouse_url, PRICE_BAR, both, run_id="r1")
    scope = Scope({"session": (date(2024, 1, 2), date(2024, 1, 3))}, {"symbol": ["A"], "source": ["sample"]})
    result = write_versions(warehouse_url, PRICE_BAR, bars({("A", "2024-01-02"): 1.0}), run_id="r2", scope=scope)
    assert result == WriteResult(received=1, unchanged=1, withdrawn=1)
    current = [row[:2] for row in versions(warehouse_url) if row[3]]
    assert current == [("A", "2024-01-02"), ("A", "2024-01-04"), ("B", "2024-01-03")]
    again = write_versions(warehouse_url, PRICE_BAR, bars({("A", "2024-01-03"): 2.0}), run_id="r3")
    assert again == WriteResult(received=1, added=1)


def test_an_open_ended_scope_and_an_empty_frame_withdraw_the_rest(warehouse_url):
    write_versions(warehouse_url, PRICE_BAR, bars({("A", "2024-01-02"): 1.0, ("A", "2024-01-03"): 2.0}), run_id="r1")
    scope = Scope({"session": (date(2024, 1, 3), None)})
    assert write_versions(warehouse_url, PRICE_BAR, bars({}), run_id="r2", scope=scope) == WriteResult(withdrawn=1)


def test_as_of_reads_what_was_known_then(warehouse_url):
    key = ("A", "2024-01-02")
    for day, close in enumerate((1.0, 1.5, 1.25)):
        write_versions(
            warehouse_url, PRICE_BAR, bars({key: close}), run_id=f"r{day}", known_at=MONDAY + timedelta(days=day)
        )
    seen = [as_of(warehouse_url, PRICE_BAR, MONDAY + timedelta(days=day, hours=1))["close"].item() for day in range(3)]
    assert seen == [1.0, 1.5, 1.25]
    assert as_of(warehouse_url, PRICE_BAR, MONDAY - timedelta(seconds=1)).empty
    assert as_of(warehouse_url, PRICE_BAR, None, "symbol = $2", ("A",))["close"].item() == 1.25


def test_knowledge_older_than_the_current_version_is_refused_by_name(warehouse_url):
    write_versions(warehouse_url, PRICE_BAR, bars({("A", "2024-01-02"): 1.0}), run_id="r1", known_at=MONDAY)
    with pytest.raises(OutOfOrderKnowledge, match=r"symbol=A, session=2024-01-02.*order in which they were published"):
        write_versions(
            warehouse_url, PRICE_BAR, bars({("A", "2024-01-02"): 2.0}), run_id="r2", known_at=MONDAY - timedelta(1)
        )
    assert len(versions(warehouse_url)) == 1


def test_a_failed_transaction_leaves_nothing(warehouse_url):
    def write_then_fail() -> None:
        with transaction(warehouse_url, "r1") as writer:
            writer.write(PRICE_BAR, bars({("A", "2024-01-02"): 1.0}))
            raise RuntimeError("killed here")

    with pytest.raises(RuntimeError, match="killed here"):
        write_then_fail()
    assert versions(warehouse_url) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="close"), "missing columns \\['close'\\]"),
        (lambda f: f.assign(extra=1), "unknown columns \\['extra'\\]"),
        (lambda f: pd.concat([f, f]), "stand twice"),
        (lambda f: f.assign(symbol=None), "a key is null"),
        (lambda f: f.assign(close="dear"), r"raw.price_bar.close takes double precision"),
    ],
)
def test_a_frame_of_the_wrong_shape_is_refused(warehouse_url, change, message):
    with pytest.raises(SchemaMismatch, match=message):
        write_versions(warehouse_url, PRICE_BAR, change(bars({("A", "2024-01-02"): 1.0})), run_id="r1")


def test_an_unreachable_server_is_a_transient_error():
    with pytest.raises(WarehouseUnavailable, match="cannot connect"):
        write_versions("postgresql://nobody@127.0.0.1:1/none", PRICE_BAR, bars({}), run_id="r1")


def _write_many(url: str, offset: float, rounds: int) -> None:
    for number in range(rounds):
        frame = bars({(symbol, "2024-01-02"): offset + number for symbol in "ABCDEF"})
        write_versions(url, PRICE_BAR, frame, run_id=f"p{offset}")


def test_two_processes_writing_the_same_rows_leave_one_current_version(warehouse_url):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_many, args=(warehouse_url, offset, 15)) for offset in (100.0, 200.0)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    with connect(warehouse_url) as connection:
        current = connection.execute(
            "select symbol, count(*) from raw.price_bar where known_to is null group by 1 order by 1"
        ).fetchall()
        gaps = connection.execute(
            "select count(*) from (select known_to, lead(known_from) over "
            "(partition by symbol order by known_from) as next from raw.price_bar) v "
            "where known_to is distinct from next"
        ).fetchone()
    assert current == [(symbol, 1) for symbol in "ABCDEF"]
    assert gaps == (0,), "each version must end where the next begins"


def test_the_database_itself_refuses_a_second_current_version(connection):
    insert = (
        "insert into raw.price_bar (symbol, session, source, close, known_from, run_id) "
        "values ('A', '2024-01-02', 'sample', 1, now() + %s * interval '1 s', 'r')"
    )
    connection.execute(insert, (0,))
    with pytest.raises(psycopg.errors.UniqueViolation, match="price_bar_version"):
        connection.execute(insert, (1,))


def test_incremental_readers_see_each_change_once(warehouse_url):
    def changed_since(watermark: int) -> set[str]:
        with connect(warehouse_url) as connection:
            rows = connection.execute(
                "select symbol from raw.price_bar where changed_xid >= %s::text::xid8", (watermark,)
            ).fetchall()
        return {row[0] for row in rows}

    def watermark() -> int:
        with connect(warehouse_url) as connection:
            return int(connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()[0])

    write_versions(warehouse_url, PRICE_BAR, bars({("A", "2024-01-02"): 1.0, ("B", "2024-01-02"): 1.0}), run_id="r1")
    mark = watermark()
    assert changed_since(mark) == set()
    write_versions(
        warehouse_url,
        PRICE_BAR,
        bars({("A", "2024-01-02"): 2.0}),
        run_id="r2",
    )
    assert changed_since(mark) == {"A"}
    mark = watermark()
    write_versions(warehouse_url, PRICE_BAR, bars({}), run_id="r3", scope=Scope(members={"symbol": ["B"]}))
    assert changed_since(mark) == {"B"}


CLOSES = st.dictionaries(
    st.tuples(st.sampled_from(["A", "B"]), st.sampled_from(["2024-01-02", "2024-01-03"])),
    st.one_of(st.none(), st.integers(1, 3).map(float)),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(CLOSES, min_size=1, max_size=5))
def test_every_vintage_can_be_read_back(warehouse_url, writes):
    with connect(warehouse_url) as connection:
        connection.execute("truncate raw.price_bar")
    known: dict[tuple[str, str], float | None] = {}
    for number, closes in enumerate(writes):
        result = write_versions(
            warehouse_url, PRICE_BAR, bars(closes), run_id="r", known_at=MONDAY + timedelta(days=number)
        )
        assert result.received == len(closes) == result.added + result.restated + result.unchanged
        assert result.added == len(closes.keys() - known.keys())
        known |= closes
        writes[number] = dict(known)
    for number, expected in enumerate(writes):
        rows = as_of(warehouse_url, PRICE_BAR, MONDAY + timedelta(days=number, hours=1))
        seen = {
            (row.symbol, str(row.session.date())): None if np.isnan(row.close) else row.close
            for row in rows.itertuples()
        }
        assert seen == expected


def test_declared_tables_are_the_tables_in_the_database(warehouse_url):
    real = read_frame(
        warehouse_url,
        "select table_schema || '.' || table_name as name, column_name, data_type from information_schema.columns "
        "where table_schema in ('raw', 'analytics', 'indices', 'quality') order by ordinal_position",
    )
    for table in (*TABLES, indicator_table()):
        found = real[real["name"] == table.qualified]
        columns = dict(zip(found["column_name"], found["data_type"], strict=True))
        own = {
            name: kind
            for name, kind in columns.items()
            if name not in {"known_from", "known_to", "run_id", "changed_xid"}
        }
        assert own == table.columns, table.qualified
        assert len(columns) == len(own) + 4, f"{table.qualified} lacks a version column"
