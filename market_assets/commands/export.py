"""Write a table or a mart to a CSV, Parquet or JSON file, optionally as it was known at a moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import typer

from market_assets.errors import InputError
from market_assets.warehouse.connection import arrow_cursor, connect
from market_assets.warehouse.server import database_urls

if TYPE_CHECKING:
    import pyarrow as pa

EXPORTED_SCHEMAS = ("raw", "analytics", "indices", "quality", "staging", "intermediate", "marts")
VERSION_COLUMNS = ("known_from", "known_to", "run_id", "changed_xid")
JSON_ROWS = 10_000  # as Python objects a table would take many times its memory
DATE_COLUMNS = ("session", "ex_date", "effective_date")


def export_table(
    table: str,
    output: Path,
    file_format: str,
    *,
    start: date | None,
    end: date | None,
    symbols: Sequence[str] | None,
    as_of: datetime | None,
) -> None:
    """Export `table`; the file appears complete or not at all.

    Raises:
        InputError: no such table, a filter it has no column for, or as_of on a table without versions.
    """
    url = database_urls().market
    columns = _columns(url, table)
    conditions, parameters = _conditions(table, columns, start, end, symbols, as_of)
    names = [name for name in columns if name not in VERSION_COLUMNS]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    order = [name for name in ("index_id", *DATE_COLUMNS, "symbol") if name in names]
    listed = ", ".join(f'"{name}"' for name in names)
    schema, name = table.split(".")
    query = f'select {listed} from "{schema}"."{name}"{where}'  # noqa: S608 - names checked against the catalogue
    if order:
        query += f" order by {', '.join(order)}"
    with arrow_cursor(url) as cursor:
        cursor.execute(query, tuple(parameters) or None)
        rows = cursor.fetch_arrow_table()
    temporary = output.with_name(f".{output.name}.partial")
    try:
        _write(rows, temporary, file_format)
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {output}: {error.strerror}") from error
    typer.echo(f"{rows.num_rows} rows of {table} in {output}")


def _columns(url: str, table: str) -> list[str]:
    with connect(url) as connection:
        columns: dict[str, list[str]] = dict(
            connection.execute(
                "select table_schema || '.' || table_name, array_agg(column_name::text order by ordinal_position) "
                "from information_schema.columns where table_schema = any(%s) group by 1 order by 1",
                (list(EXPORTED_SCHEMAS),),
            ).fetchall()
        )
    if table not in columns:
        raise InputError(f"no table {table!r}; there are {', '.join(columns) or 'none yet: run `make run`'}")
    return columns[table]


def _conditions(
    table: str,
    columns: Sequence[str],
    start: date | None,
    end: date | None,
    symbols: Sequence[str] | None,
    as_of: datetime | None,
) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []

    def add(condition: str, value: object) -> None:
        parameters.append(value)
        conditions.append(condition.format(f"${len(parameters)}"))

    day = next((name for name in DATE_COLUMNS if name in columns), None)
    if (start or end) and day is None:
        raise InputError(f"{table} has no session, so --from and --to cannot cut it")
    if start:
        add(f"{day} >= {{}}", start)
    if end:
        add(f"{day} <= {{}}", end)
    if symbols:
        if "symbol" not in columns:
            raise InputError(f"{table} has no symbol, so --symbols cannot cut it")
        add("symbol = any({}::text[])", "{" + ",".join(f'"{symbol}"' for symbol in symbols) + "}")
    if "known_to" in columns:
        if as_of is None:
            conditions.append("known_to is null")
        else:
            moment = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
            add("known_from <= {0} and (known_to is null or known_to > {0})", moment)
    elif as_of is not None:
        raise InputError(f"{table} keeps no versions; --as-of works on raw, analytics, indices and quality.result")
    return conditions, parameters


def _write(rows: pa.Table, path: Path, file_format: str) -> None:
    if file_format == "parquet":
        from pyarrow import parquet

        parquet.write_table(rows, path)
    elif file_format == "csv":
        from pyarrow import csv

        csv.write_csv(rows, path)
    else:
        with path.open("w", encoding="utf-8") as file:
            for batch in rows.to_batches(max_chunksize=JSON_ROWS):
                file.writelines(json.dumps(row, default=_text, allow_nan=False) + "\n" for row in batch.to_pylist())


def _text(value: date | Decimal | UUID) -> str:
    """Dates and moments in ISO 8601; what else JSON has no type for as PostgreSQL writes it."""
    return value.isoformat() if isinstance(value, date) else str(value)
