"""Checks that every table has: its schema and its key. What is about one table only belongs in that table's module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from quality.suite import RowCheck, Severity

VERSION_COLUMNS = {
    "known_from": "timestamp with time zone",
    "known_to": "timestamp with time zone",
    "run_id": "text",
}
"""What every versioned table has beside its own columns."""


def schema_check(schema: str, table: str, columns: Mapping[str, str]) -> RowCheck:
    """Every column exists with its type, and so do VERSION_COLUMNS; other columns may exist too.

    Args:
        schema: schema of the table.
        table: its name.
        columns: name -> type, as information_schema.columns.data_type calls it.
    """
    columns = {**columns, **VERSION_COLUMNS}
    expected = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(name), sql.Literal(type_)) for name, type_ in columns.items()
    )
    return RowCheck(
        name="schema",
        description=f"{schema}.{table} has every column it is documented to have, with its type.",
        severity=Severity.CRITICAL,
        threshold=f"{len(columns)} columns",
        per_session=False,
        identify=("column_name",),
        parameters={"expected": expected, "schema": schema, "table": table},
        population="select column_name from (values {expected}) as expected (column_name, expected_type)",
        query="""
            select
                expected.column_name,
                expected.expected_type,
                coalesce(found.data_type, 'missing') as found_type
            from (values {expected}) as expected (column_name, expected_type)
            left join information_schema.columns as found
                on found.table_schema = {schema}
                and found.table_name = {table}
                and found.column_name = expected.column_name
            where found.data_type is distinct from expected.expected_type
        """,
    )


def unique_key_check(key: Sequence[str]) -> RowCheck:
    """No key has two current versions. A unique index holds this too, until someone restores without it."""
    return RowCheck(
        name="unique_key",
        description=f"No ({', '.join(key)}) has more than one current version.",
        severity=Severity.CRITICAL,
        threshold="1 current version a key",
        identify=tuple(key),
        parameters={"key": sql.SQL(", ").join(sql.Identifier(column) for column in key)},
        query="select {key}, count(*) as versions from batch group by {key} having count(*) > 1",
    )


def finite(column: str) -> sql.Composed:
    """SQL that is true for a number: not null, not NaN, not infinite. PostgreSQL sorts NaN above infinity."""
    return sql.SQL("coalesce({0} > '-infinity' and {0} < 'infinity', false)").format(sql.Identifier(column))
