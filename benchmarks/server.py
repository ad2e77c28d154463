"""A PostgreSQL of the benchmarks' own: the platform's embedded server, tuned and durable as users have it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from market_assets.warehouse.connection import connect
from market_assets.warehouse.server import EmbeddedServer


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is deleted afterwards, readable for the user a server started by root runs under."""
    folder = Path(tempfile.mkdtemp(prefix="market-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_server(folder: Path) -> Iterator[EmbeddedServer]:
    """A server with its data in `folder`, stopped afterwards."""
    server = EmbeddedServer(folder / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop(immediate=True)


def fresh_database(server: EmbeddedServer, name: str) -> str:
    """An empty database in the place of one that may be there; returns its URL."""
    identifier = sql.Identifier(name)
    with connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(identifier))
        connection.execute(sql.SQL("create database {}").format(identifier))
    return server.url(name)


def checkpoint(url: str) -> None:
    """Write what earlier work left behind, so that it is not paid by the next measurement."""
    with connect(url, autocommit=True) as connection:
        connection.execute("checkpoint")
