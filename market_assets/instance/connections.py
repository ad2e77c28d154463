"""Pooled connections for Dagster's PostgreSQL storages, which open a fresh one for each statement as shipped.

Depends on dagster-postgres alone. How the warehouse connects is not decided here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dagster_postgres.utils import create_pg_engine
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

if TYPE_CHECKING:
    from dagster_postgres.auth import PgTokenProvider
    from sqlalchemy.engine import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

IDLE_CONNECTIONS = 2
"""Connections a process keeps open: one transaction, and one query made while it is open."""


def pooled_engine(postgres_url: str, token_provider: PgTokenProvider | None = None) -> Engine:
    """An autocommit engine that keeps at most IDLE_CONNECTIONS open and never refuses one more.

    A connection is tested before each use, so a restarted server costs a reconnect and no error. A connection that a
    forked child inherited is dropped there unused: two processes on one socket would read each other's answers.

    Args:
        postgres_url: libpq or SQLAlchemy URL for psycopg2.
        token_provider: adds a short-lived password to each new connection.
    """
    engine = create_pg_engine(
        postgres_url,
        token_provider,
        isolation_level="AUTOCOMMIT",
        poolclass=QueuePool,
        pool_size=IDLE_CONNECTIONS,
        max_overflow=-1,
        pool_pre_ping=True,
        pool_use_lifo=True,
    )
    event.listen(engine, "connect", _remember_process)
    event.listen(engine, "checkout", _refuse_inherited)
    return engine


def _remember_process(_connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    record.info["pid"] = os.getpid()


def _refuse_inherited(_connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
    """Forget a connection that another process opened; the pool then opens a new one.

    SQLAlchemy documentation, "Using Connection Pools with Multiprocessing or os.fork()", fourth approach.
    """
    if record.info["pid"] == os.getpid():
        return
    record.dbapi_connection = proxy.dbapi_connection = None  # type: ignore[misc]  # as the cited recipe does
    raise DisconnectionError(f"connection belongs to process {record.info['pid']}")
