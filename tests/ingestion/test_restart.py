"""PostgreSQL restarts while an answer is being written: the write is repeated, nothing is doubled or asked twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import pytest
from scripted_vendor import ScriptedPlatform, ScriptedVendor, bar

from market_assets.errors import WarehouseUnavailable
from market_assets.ingestion import ingest
from market_assets.ingestion.restarts import WAITS, through_restarts
from market_assets.warehouse.connection import connect
from market_assets.warehouse.migrate import migrate
from market_assets.warehouse.writes import WriteResult

if TYPE_CHECKING:
    from conftest import TestServer

START, END = date(2024, 1, 2), date(2024, 1, 8)
SESSIONS = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"]
HANG = """
    create table public.hanging (since timestamptz);
    create function public.hang() returns trigger language plpgsql as $$
    begin
        if not exists (select from public.hanging) then perform pg_sleep(60); end if;
        return null;
    end $$;
    create trigger hang after insert on ingest.checkpoint for each statement execute function public.hang();
"""
"""The first write stops at its last statement, with all rows in the transaction, until the server is stopped."""


@contextmanager
def restarted_in_a_write(server: TestServer, url: str) -> Iterator[None]:
    """Stop the server at once while a write hangs, and start it again."""

    hung = threading.Event()

    def restart() -> None:
        with connect(url, autocommit=True) as connection:
            connection.execute("set synchronous_commit = on")
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and not hung.is_set():
                if connection.execute("select pid from pg_stat_activity where wait_event = 'PgSleep'").fetchone():
                    hung.set()
                time.sleep(0.02)
            connection.execute("insert into public.hanging values (now())")
        server._server.stop(immediate=True)
        time.sleep(1.0)
        server._server.start()

    thread = threading.Thread(target=restart, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert hung.is_set(), "the server was stopped, but not in a write"


def test_a_restart_in_the_middle_of_a_write_loses_and_doubles_nothing(tmp_path, private_server: TestServer):
    url = private_server.create_database("market")
    migrate(url)
    with connect(url) as connection:
        connection.execute(HANG)
    vendor = ScriptedVendor("desk", [bar(symbol, day) for symbol in "AB" for day in SESSIONS])
    vendor.rows[0]["close"] = -1.0
    vendor.actions = [("A", "2024-01-03", "cash_dividend", 0.5)]
    settings = {"ingest": {"chunk_symbols": 1}}
    platform = ScriptedPlatform(tmp_path, url, [vendor], {"A": "XNYS", "B": "XNYS"}, settings)
    with restarted_in_a_write(private_server, url):
        report = ingest(platform, START, END, run_id="run")
    assert vendor.asked == [("A",), ("B",)], "the vendor is not asked again"
    assert (report.bars, report.quarantined) == (WriteResult(received=9, added=9), {"non_positive_price": 1})
    with connect(url) as connection:
        counts = [
            connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 - written below
            for table in ("raw.price_bar", "raw.corporate_action", "quality.quarantine", "ingest.checkpoint")
        ]
    assert counts == [(9,), (1,), (1,), (2,)]


def failing(times: int) -> tuple[Callable[[], str], list[int]]:
    calls: list[int] = []

    def write() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            raise WarehouseUnavailable("the server is away")
        return "written"

    return write, calls


def test_a_write_is_repeated_until_the_server_is_back():
    write, calls = failing(3)
    waited: list[float] = []
    assert through_restarts(write, waited.append) == "written"
    assert (len(calls), waited) == (4, list(WAITS[:3]))


def test_a_server_that_stays_away_is_an_error_that_may_be_tried_later():
    write, calls = failing(100)
    with pytest.raises(WarehouseUnavailable, match="the server is away"):
        through_restarts(write, lambda _: None)
    assert len(calls) == len(WAITS) + 1
