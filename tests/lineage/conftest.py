"""Fixtures of the lineage tests: runs collected once and read by many tests, and a receiver of events."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance, Definitions
from receiver import Receiver
from world import CONFIG, DEFINITIONS, Events, Observe, stored

from lineage.collector import collect
from lineage.declared import declared_assets
from market_assets.instance import instance_for


@pytest.fixture(scope="module")
def observe(
    pg_server: Any, _warehouse_template: str, _dagster_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Observe:
    """Do something on a fresh instance, collect it, and return its events by (job, event type)."""

    def act_and_collect(act: Callable[[DagsterInstance], object], defs: Definitions = DEFINITIONS) -> Events:
        dagster = pg_server.create_database("dagster", template=_dagster_template)
        warehouse = pg_server.create_database("market", template=_warehouse_template)
        with (
            instance_for(dagster, tmp_path_factory.mktemp("home")) as instance,
            psycopg.connect(warehouse) as connection,
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
