"""Connections: one error for a server that is away, frames in the house's dtypes, blocks that are all or nothing."""

from __future__ import annotations

import socket
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from market_assets.errors import TransientError, WarehouseUnavailable
from market_assets.warehouse.connection import _arrow_database, arrow_cursor, arrow_to_frame, connect, read_frame


@pytest.fixture
def nowhere() -> str:
    """URL of a port on which nothing listens, with a password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"postgresql://u:secret@127.0.0.1:{port}/market"


def test_a_server_that_is_away_is_worth_another_try_and_named_without_its_password(nowhere):
    with pytest.raises(WarehouseUnavailable, match=r"cannot connect to postgresql://u:\*\*\*@127.0.0.1") as caught:
        connect(nowhere)
    assert isinstance(caught.value, TransientError)
    assert "secret" not in str(caught.value)
    assert "market doctor" in str(caught.value)


def test_the_same_holds_for_frames(nowhere):
    with pytest.raises(WarehouseUnavailable, match=r"cannot connect to postgresql://u:\*\*\*@127.0.0.1") as caught:
        read_frame(nowhere, "select 1")
    assert "secret" not in str(caught.value)


def test_a_connection_says_whose_it_is(warehouse_url):
    with connect(warehouse_url) as connection:
        assert connection.execute("show application_name").fetchone() == ("market_assets",)
        assert not connection.autocommit
    with connect(warehouse_url, autocommit=True) as connection:
        assert connection.autocommit


def test_a_frame_has_the_dtypes_of_the_house(warehouse_url):
    frame = read_frame(
        warehouse_url,
        "select 'A'::text as symbol, date '2024-01-02' as session, 1.5::float8 as close, 3::int as n, true as ok, "
        "timestamptz '2024-01-02 21:00+00' as closed_at, null::float8 as nothing, null::text as no_text",
    )
    assert frame["symbol"].dtype == "str"
    assert frame["session"].dtype.kind == "M"
    assert frame["session"].iloc[0] == pd.Timestamp("2024-01-02")
    assert frame["close"].dtype == np.float64
    assert frame["ok"].dtype == bool
    assert frame["closed_at"].iloc[0] == pd.Timestamp("2024-01-02 21:00", tz="UTC")
    assert np.isnan(frame["nothing"].iloc[0])
    assert pd.isna(frame["no_text"].iloc[0])


def test_no_rows_keep_columns_and_dtypes(warehouse_url):
    frame = read_frame(warehouse_url, "select symbol, session, close from raw.price_bar")
    assert (list(frame.columns), len(frame)) == (["symbol", "session", "close"], 0)
    assert frame["session"].dtype.kind == "M"
    assert frame["close"].dtype == np.float64


def test_parameters_are_values_and_never_text_of_the_statement(warehouse_url):
    moment = datetime(2024, 1, 2, 21, tzinfo=UTC)
    frame = read_frame(
        warehouse_url,
        "select $1::text as t, $2::date as d, $3::timestamptz as m, $4::float8 as f",
        ("'; drop table raw.price_bar; --", date(2024, 1, 2), moment, 1.5),
    )
    assert frame["t"].iloc[0] == "'; drop table raw.price_bar; --"
    assert frame["d"].iloc[0] == pd.Timestamp("2024-01-02")
    assert frame["m"].iloc[0] == pd.Timestamp(moment)


def test_dates_of_an_arrow_table_become_midnights():
    table = pa.table({"session": pa.array([date(2024, 1, 2), None], pa.date32()), "n": [1, 2]})
    frame = arrow_to_frame(table)
    assert frame["session"].iloc[0] == pd.Timestamp("2024-01-02")
    assert pd.isna(frame["session"].iloc[1])


def test_a_block_commits_at_its_end(warehouse_url):
    with arrow_cursor(warehouse_url) as cursor:
        cursor.execute("create table public.kept (n int)")
    assert len(read_frame(warehouse_url, "select * from public.kept")) == 0


def test_a_block_that_raises_leaves_nothing(warehouse_url):
    def fail_after_a_statement() -> None:
        with arrow_cursor(warehouse_url) as cursor:
            cursor.execute("create table public.gone (n int)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_a_statement()
    with connect(warehouse_url) as connection:
        assert connection.execute("select to_regclass('public.gone')").fetchone() == (None,)


def test_a_mistake_in_a_statement_is_not_an_unavailable_server(warehouse_url):
    from adbc_driver_manager import Error

    with pytest.raises(Error, match="nonsense") as caught:
        read_frame(warehouse_url, "select nonsense")
    assert not isinstance(caught.value, TransientError)


@pytest.mark.parametrize("then", ["select 1", "insert into public.lines values (2)", None])
def test_a_connection_that_breaks_during_a_block_is_an_unavailable_server(warehouse_url, then):
    with connect(warehouse_url, autocommit=True) as administrator:
        administrator.execute("create table public.lines (n int)")

        def lose_the_connection() -> None:
            with arrow_cursor(warehouse_url) as cursor:
                cursor.execute("insert into public.lines values (1) returning pg_backend_pid()")
                (pid,) = cursor.fetchone()
                assert administrator.execute("select pg_terminate_backend(%s, 5000)", (pid,)).fetchone() == (True,)
                if then is not None:
                    cursor.execute(then)
                    cursor.fetchall()

        with pytest.raises(WarehouseUnavailable, match="went away"):
            lose_the_connection()
        assert administrator.execute("select count(*) from public.lines").fetchone() == (0,)


def test_databases_are_remembered_without_a_connection_and_forgotten_safely(warehouse_url):
    """A block that is open when its database is forgotten ends as if nothing had happened."""
    others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    assert read_frame(warehouse_url, "select 1 as one")["one"].item() == 1
    with connect(warehouse_url) as connection:
        assert connection.execute(others).fetchone() == (0,)
    with arrow_cursor(warehouse_url) as cursor:
        _arrow_database.cache_clear()
        cursor.execute("select 2 as two")
        assert cursor.fetch_arrow_table()["two"].to_pylist() == [2]
