"""How many rows tables hold: counted while that is cheap, estimated when it would take seconds.

An exact count reads every row, so it grows with the history, and a daily run must not. The estimate is the planner's:
rows per page of the last ANALYZE, times the pages there are now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

COUNTED_ROWS = 100_000
"""Tables estimated to hold more rows than this are not counted."""

_ESTIMATE = """
    select
        case when c.reltuples < 0 or c.relpages = 0 then 0
            else (c.reltuples / c.relpages * pg_relation_size(c.oid) / current_setting('block_size')::int)::bigint end,
        coalesce((
            select s.null_frac from pg_stats s
            where s.schemaname = %(schema)s and s.tablename = %(name)s and s.attname = 'known_to'
        ), 1)
    from pg_class c where c.oid = to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(name)s))
"""


class Size(NamedTuple):
    """Rows of a table.

    Attributes:
        current: rows that are current; all of them in a table without versions.
        versions: rows, versions of the past included.
        counted: whether both are exact.
    """

    current: int
    versions: int
    counted: bool


def table_sizes(connection: psycopg.Connection, tables: Iterable[str]) -> dict[str, Size]:
    """Size of each of `tables` (schema.name), which exist."""
    return {table: _size(connection, *table.split(".")) for table in tables}


def _size(connection: psycopg.Connection, schema: str, name: str) -> Size:
    row = connection.execute(_ESTIMATE, {"schema": schema, "name": name}).fetchone()
    assert row is not None  # noqa: S101 - the table exists, by contract
    if row[0] > COUNTED_ROWS:
        return Size(round(row[0] * row[1]), int(row[0]), counted=False)
    versioned = connection.execute(
        "select exists (select from information_schema.columns where table_schema = %s and table_name = %s "
        "and column_name = 'known_to')",
        (schema, name),
    ).fetchone()
    current = sql.SQL("count(*) filter (where known_to is null)" if versioned == (True,) else "count(*)")
    found = connection.execute(
        sql.SQL("select {}, count(*) from {}").format(current, sql.Identifier(schema, name))
    ).fetchone()
    assert found is not None  # noqa: S101 - an aggregate has one row
    return Size(found[0], found[1], counted=True)
