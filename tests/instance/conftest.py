"""Storages to compare, ours and the stock one. Their two databases are created once and emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from market_assets.instance.event_log import BatchedPostgresEventLogStorage

EMPTY_ALL_TABLES = """
do $$
begin
    execute (
        select 'truncate ' || string_agg(quote_ident(tablename), ', ') || ' restart identity'
        from pg_tables
        where schemaname = 'public' and tablename not in ('alembic_version', 'secondary_indexes', 'instance_info')
    );
    drop function if exists refuse_many cascade;
end $$
"""


@pytest.fixture(scope="session")
def _compared_urls(pg_server: Any, _dagster_template: str) -> tuple[str, str]:
    ours, stock = (pg_server.create_database(name, template=_dagster_template) for name in ("ours", "stock"))
    return ours, stock


def _emptied(url: str) -> str:
    with psycopg.connect(url) as connection:
        connection.execute(EMPTY_ALL_TABLES)
    return url


@pytest.fixture
def dagster_url(_compared_urls: tuple[str, str]) -> str:
    """An empty database for Dagster's instance storage."""
    return _emptied(_compared_urls[0])


@pytest.fixture
def stock_url(_compared_urls: tuple[str, str]) -> str:
    """A second empty database, for the stock storage."""
    return _emptied(_compared_urls[1])


@pytest.fixture
def batched(dagster_url: str) -> Iterator[BatchedPostgresEventLogStorage]:
    """Our storage on `dagster_url`."""
    storage = BatchedPostgresEventLogStorage(dagster_url, should_autocreate_tables=False)
    yield storage
    storage.dispose()
