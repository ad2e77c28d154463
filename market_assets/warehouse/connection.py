"""Connections to PostgreSQL: psycopg 3 for statements, ADBC (Arrow) for frames. One place, one error mapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from market_assets.errors import WarehouseUnavailable
from market_assets.warehouse.server import masked

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CONNECT_SECONDS = 10


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
    from adbc_driver_postgresql import dbapi

    try:
        connection = dbapi.connect(url)
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
