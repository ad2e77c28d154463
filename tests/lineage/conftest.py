"""Fixtures of the lineage tests: one pair of databases, emptied before each use, and a receiver of events.

Lineage leaves rows in a few tables only, so the databases are shared by all tests of this folder: a new pair for each
test costs seconds of disk work when the server stops.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance, Definitions
from lineage_receiver import Receiver
from lineage_world import CONFIG, DEFINITIONS, Events, Observe, stored
from psycopg import sql

from lineage.collector import collect
from lineage.declared import declared_assets
from market_assets.instance import instance_for

KEPT = ("alembic_version", "instance_info", "secondary_indexes")
"""Dagster's tables about itself."""


@pytest.fixture(scope="session")
def _dagster_database(pg_server: Any, _dagster_template: str) -> str:
    url: str = pg_server.create_database("dagster_lineage", template=_dagster_template)
    return url


@pytest.fixture(scope="session")
def _warehouse_database(pg_server: Any, _warehouse_template: str) -> str:
    url: str = pg_server.create_database("market_lineage", template=_warehouse_template)
    return url


@pytest.fixture
def dagster_url(_dagster_database: str) -> str:
    """Dagster's database without any run or event."""
    empty(_dagster_database, "public")
    return _dagster_database


@pytest.fixture
def warehouse_url(_warehouse_database: str) -> str:
    """The warehouse without any lineage."""
    empty(_warehouse_database, "lineage")
    return _warehouse_database


@pytest.fixture(scope="module")
def observe(_dagster_database: str, _warehouse_database: str, tmp_path_factory: pytest.TempPathFactory) -> Observe:
    """Do something on an empty instance, collect it, and return its events by (job, event type)."""

    def act_and_collect(act: Callable[[DagsterInstance], object], defs: Definitions = DEFINITIONS) -> Events:
        empty(_dagster_database, "public")
        empty(_warehouse_database, "lineage")
        with (
            instance_for(_dagster_database, tmp_path_factory.mktemp("home")) as instance,
            psycopg.connect(_warehouse_database) as connection,
        ):
            act(instance)
            collect(instance, connection, CONFIG, declared_assets(defs))
            rows = stored(connection)
        events = {(row[5], row[6]): json.loads(row[8]) for row in rows}
        assert len(events) == len(rows), "two events of one job and type"
        return events

    return act_and_collect


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An OpenLineage endpoint on a free port."""
    with Receiver() as running:
        yield running


def empty(url: str, schema: str) -> None:
    """Delete every row of a schema, and the tables that tests put aside in it."""
    with psycopg.connect(url) as connection:
        connection.execute("set local session_replication_role = replica")  # foreign keys do not order the deletes
        connection.execute("drop table if exists public.held")
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = %s and table_type = 'BASE TABLE'",
            [schema],
        ).fetchall()
        for (table,) in tables:
            if table not in KEPT:
                connection.execute(sql.SQL("delete from {}").format(sql.Identifier(schema, table)))
