"""The real columns of a PostgreSQL database, as the catalog that column lineage is checked and analysed with."""

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
    and namespace.nspname = any(%s)
order by namespace.nspname, class.relname, attribute.attnum
"""


def read_catalog(connection: psycopg.Connection, schemas: Collection[str]) -> dict[str, dict[str, str]]:
    """Columns of every table and view in some schemas.

    Args:
        connection: to the database; only read.
        schemas: names of schemas; unknown ones hold nothing.

    Returns:
        database.schema.table -> column -> type as PostgreSQL writes it, columns in their order.
    """
    catalog: dict[str, dict[str, str]] = {}
    for database, schema, table, column, kind in connection.execute(_COLUMNS, [list(schemas)]):
        catalog.setdefault(f"{database}.{schema}.{table}", {})[column] = kind
    return catalog
