"""What a PostgreSQL database itself knows: the columns of its tables, and the SQL of its views."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

_COLUMNS = """
select current_database(), namespace.nspname, class.relname, attribute.attname,
    format_type(attribute.atttypid, attribute.atttypmod)
from pg_attribute as attribute
join pg_class as class on class.oid = attribute.attrelid
join pg_namespace as namespace on namespace.oid = class.relnamespace
where class.relkind in ('r', 'p', 'v', 'm', 'f') and attribute.attnum > 0 and not attribute.attisdropped
    and namespace.nspname not like 'pg\\_%%' and namespace.nspname <> 'information_schema'
    and (%(schemas)s::text[] is null or namespace.nspname = any(%(schemas)s))
order by namespace.nspname, class.relname, attribute.attnum
"""

_VIEWS = """
select current_database(), namespace.nspname, class.relname, pg_get_viewdef(class.oid, true)
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
where class.relkind in ('v', 'm')
    and namespace.nspname not like 'pg\\_%' and namespace.nspname <> 'information_schema'
"""


def read_catalog(connection: psycopg.Connection, schemas: Collection[str] | None = None) -> dict[str, dict[str, str]]:
    """Columns of every table and view.

    Args:
        connection: to the database; only read.
        schemas: names of the schemas to read; None reads all but PostgreSQL's own.

    Returns:
        database.schema.table -> column -> type as PostgreSQL writes it, columns in their order.
    """
    catalog: dict[str, dict[str, str]] = {}
    rows = connection.execute(_COLUMNS, {"schemas": None if schemas is None else list(schemas)})
    for database, schema, table, column, kind in rows:
        catalog.setdefault(f"{database}.{schema}.{table}", {})[column] = kind
    return catalog


def read_views(connection: psycopg.Connection) -> dict[str, str]:
    """SQL of every view and materialized view, as PostgreSQL writes it, by database.schema.view."""
    return {f"{database}.{schema}.{view}": sql for database, schema, view, sql in connection.execute(_VIEWS)}
