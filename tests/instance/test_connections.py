"""The pool: few connections, none shared with a forked child, none lost when the server drops them."""

from __future__ import annotations

import os
import threading
import time

import psycopg
from event_builders import planned, rows

from market_assets.instance.connections import IDLE_CONNECTIONS
from market_assets.instance.event_log import BatchedPostgresEventLogStorage


def open_connections(url: str, at_most: int) -> int:
    """How many connections the database has besides this one; waits for those the server is still closing."""
    deadline = time.monotonic() + 5
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            found = connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            ).fetchone()
            assert found is not None
            if found[0] <= at_most or time.monotonic() > deadline:
                return int(found[0])
            time.sleep(0.02)


def test_connections_are_reused_few_and_closed(dagster_url: str) -> None:
    storage = BatchedPostgresEventLogStorage(dagster_url)
    threads = [threading.Thread(target=storage.store_event, args=(planned("a", f"p{n}"),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(dagster_url, "event_logs")) == 8
    assert 1 <= open_connections(dagster_url, IDLE_CONNECTIONS) <= IDLE_CONNECTIONS
    storage.dispose()
    assert open_connections(dagster_url, 0) == 0


def test_connection_that_the_server_closed_is_replaced(
    batched: BatchedPostgresEventLogStorage, dagster_url: str
) -> None:
    batched.store_event(planned("a"))
    with psycopg.connect(dagster_url) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
    batched.store_event_batch([planned("b"), planned("c")])
    assert len(rows(dagster_url, "event_logs")) == 3


def test_forked_child_opens_its_own_connection(batched: BatchedPostgresEventLogStorage, dagster_url: str) -> None:
    batched.store_event(planned("parent"))
    child = os.fork()
    if child == 0:
        try:
            batched.store_event(planned("child"))
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    batched.store_event(planned("parent again"))
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(rows(dagster_url, "event_logs")) == 3
