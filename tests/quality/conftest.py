"""Fixtures of the quality tests; what they are made of is in small_market.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from small_market import Market

_TABLES = (
    "raw.price_bar",
    "raw.corporate_action",
    "raw.universe_member",
    "raw.trading_session",
    "raw.source_priority",
    "analytics.indicator",
    "indices.index_value",
    "indices.index_constituent",
    "indices.divisor_change",
    "quality.result",
    "quality.source_agreement",
)


@pytest.fixture(scope="session")
def _shared_warehouse(pg_server: Any, _warehouse_template: str) -> str:
    """One migrated warehouse for all quality tests that leave its tables as they are: cloning one takes longer than
    most of these tests."""
    return str(pg_server.create_database("quality", template=_warehouse_template))


@pytest.fixture
def market(_shared_warehouse: str) -> Iterator[Market]:
    """A migrated, empty warehouse. For tests that change its schema there is `own_market`."""
    with psycopg.connect(_shared_warehouse) as connection:
        connection.execute("set synchronous_commit = off")
        for table in _TABLES:
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier(*table.split("."))))
        connection.commit()
        yield Market(_shared_warehouse, connection)


@pytest.fixture
def warehouse_rolled_back(_shared_warehouse: str) -> Iterator[psycopg.Connection]:
    """A connection to a migrated warehouse on which nothing is ever committed."""
    with psycopg.connect(_shared_warehouse) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def _shared_dagster(pg_server: Any, _dagster_template: str) -> str:
    return str(pg_server.create_database("quality_dagster", template=_dagster_template))


@pytest.fixture
def empty_dagster_url(_shared_dagster: str) -> str:
    """A Dagster database without runs and events; shared for the reason _shared_warehouse is."""
    with psycopg.connect(_shared_dagster) as connection:
        connection.execute("set synchronous_commit = off")
        for table in ("asset_check_executions", "asset_event_tags", "event_logs", "asset_keys", "run_tags", "runs"):
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))
    return _shared_dagster


@pytest.fixture
def good_market(market: Market) -> Market:
    """Four symbols in ten sessions, without a fault."""
    market.fill()
    return market


@pytest.fixture
def own_market(warehouse_url: str, connection: psycopg.Connection) -> Market:
    """A good market in a database of its own, whose tables a test may change."""
    market = Market(warehouse_url, connection)
    market.fill()
    return market
