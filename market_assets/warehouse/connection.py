"""Connections to PostgreSQL: psycopg 3 for statements, ADBC (Arrow) for frames. One place, one error mapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import psycopg

from market_assets.errors import WarehouseUnavailable
from market_assets.warehouse.server import masked

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CONNECT_SECONDS = 10

REMEMBERED_DATABASES = 4
"""Databases whose types ADBC keeps in mind; a process works on one, a test process on many."""


def connect(url: str, *, autocommit: bool = False) -> psycopg.Connection:
    """A psycopg connection to `url`.

    Raises:
        WarehouseUnavailable: no connection within 10 s; the message names the server, never the password.
    """
    try:
        return psycopg.connect(
            url, autocommit=autocommit, connect_timeout=CONNECT_SECONDS, application_name="market_assets"
        )
    except psycopg.OperationalError as error:
        raise WarehouseUnavailable(
            f"cannot connect to {masked(url)}: {str(error).strip()}; check `market doctor`"
        ) from error


@contextmanager
def arrow_cursor(url: str) -> Iterator[Any]:
    """An ADBC cursor inside one transaction: committed at the end of the block, rolled back when it raises.

    Raises:
        WarehouseUnavailable: the server is gone or goes away during the block.
    """
    from adbc_driver_manager import Error as AdbcError

    try:
        connection = _arrow_connection(url)
    except AdbcError as error:
        raise WarehouseUnavailable(f"cannot connect to {masked(url)}: {error}; check `market doctor`") from error
    try:
        with connection.cursor() as cursor:
            try:
                yield cursor
            except AdbcError as error:
                if _connection_lost(error):
                    raise WarehouseUnavailable(f"{masked(url)} went away: {error}") from error
                raise
        connection.commit()
    except AdbcError as error:
        if _connection_lost(error):
            raise WarehouseUnavailable(f"{masked(url)} went away: {error}") from error
        raise
    finally:
        connection.close()


def _arrow_connection(url: str) -> Any:
    from adbc_driver_manager import AdbcConnection, dbapi

    database = _arrow_database(url)
    return dbapi.Connection(_KeptOpen(), AdbcConnection(database))  # type: ignore[arg-type]  # it is only closed


@lru_cache(maxsize=REMEMBERED_DATABASES)
def _arrow_database(url: str) -> Any:
    """ADBC's handle of a database: the types it knows, and no connection. Reading them takes 45 ms, connecting 2 ms."""
    from adbc_driver_postgresql import connect as read_types

    return read_types(url)


class _KeptOpen:
    """What a connection closes in the place of the handle that it shares with those to come."""

    def close(self) -> None:
        """Leave it open."""


def _connection_lost(error: Any) -> bool:
    """SQLSTATE class 08 (connection exception) or 57P (the server shuts down), or libpq's words without a SQLSTATE."""
    state = error.sqlstate or ""
    text = str(error)
    return state.startswith(("08", "57P")) or "server closed the connection" in text or "no connection" in text


def read_frame(url: str, query: str, parameters: Sequence[object] = ()) -> pd.DataFrame:
    """Rows of `query` as a frame: text as str, date and timestamp as datetime64, numbers and booleans as numpy types.

    Args:
        url: libpq URL.
        query: SQL with $1, $2, ... for parameters.
        parameters: their values; a date or datetime is passed as such.
    """
    with arrow_cursor(url) as cursor:
        cursor.execute(query, tuple(parameters) or None)
        return arrow_to_frame(cursor.fetch_arrow_table())


def arrow_to_frame(table: pa.Table) -> pd.DataFrame:
    """`table` as a pandas frame in the house's dtypes (dates become datetime64[s] at midnight)."""
    import pyarrow as pa

    for position, field in enumerate(table.schema):
        if pa.types.is_date(field.type):
            table = table.set_column(position, field.name, table.column(position).cast(pa.timestamp("s")))
    frame: pd.DataFrame = table.to_pandas()
    return frame
