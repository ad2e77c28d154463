"""Versioned writes of bars, beside a bare binary COPY of the same rows.

The floor copies into a table with the same columns and one primary key, and nothing else: no staging, no comparison, no
history. The second figure is what the same rows cost when they come again.
"""

from __future__ import annotations

import pandas as pd
from psycopg import sql

from benchmarks.inputs import SESSIONS, SYMBOLS, bars
from benchmarks.measure import Beside, Figure, Scale, Spread, Target, alternate, seconds
from benchmarks.server import checkpoint, fresh_database, temporary_folder, temporary_server
from market_assets.warehouse.connection import arrow_cursor, connect
from market_assets.warehouse.migrate import migrate
from market_assets.warehouse.rows import to_arrow
from market_assets.warehouse.tables import PRICE_BAR
from market_assets.warehouse.versions import write_versions

BARE = "bare"
COLUMNS = sql.SQL(", ").join(
    sql.SQL("{} {} not null").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in PRICE_BAR.columns.items()
)


def run(scale: Scale) -> list[Figure]:
    """Write the bars of 505 symbols x 5 years into an empty table, write them again, and copy them."""
    symbols = scale.of(SYMBOLS)
    frame = bars(symbols, SESSIONS).assign(source="bench", currency="USD")
    with temporary_folder() as folder, temporary_server(folder) as server:
        url = fresh_database(server, "market")
        migrate(url)
        first, again, floor, text = alternate(
            scale.repeats,
            lambda: _first(url, frame),
            lambda: _again(url, frame),
            lambda: _bare_copy(url, frame),
            lambda: _bare_copy(url, frame, like=PRICE_BAR.qualified),
        )
    return _figures(len(frame), first, again, floor, text)


def _figures(rows: int, first: Spread, again: Spread, floor: Spread, indexed: Spread) -> list[Figure]:
    per_million = 1e6 / rows
    return [
        Figure(
            name="writes.first",
            what=f"{rows} bars as new versions into an empty table",
            unit="s per million rows",
            ours=first.scaled(per_million),
            floor=Beside("binary COPY of the same rows into a table with one primary key", floor.scaled(per_million)),
            target=Target(floors=2.5),
            facts={
                "rows_per_second": round(rows / first.median),
                "rows_per_second_bare": round(rows / floor.median),
                "rows_per_second_bare_with_our_indexes": round(rows / indexed.median),
            },
        ),
        Figure(
            name="writes.nothing_new",
            what=f"the same {rows} bars again, none written",
            unit="s per million rows",
            ours=again.scaled(per_million),
            floor=Beside("the first write of them", first.scaled(per_million)),
            target=Target(floors=0.2),
        ),
    ]


def _first(url: str, frame: pd.DataFrame) -> float:
    with connect(url, autocommit=True) as connection:
        connection.execute(f"truncate {PRICE_BAR.qualified}")
    checkpoint(url)
    return seconds(lambda: write_versions(url, PRICE_BAR, frame, run_id="bench"))


def _again(url: str, frame: pd.DataFrame) -> float:
    checkpoint(url)
    return seconds(lambda: write_versions(url, PRICE_BAR, frame, run_id="bench"))


def _bare_copy(url: str, frame: pd.DataFrame, like: str | None = None) -> float:
    """Seconds from the frame to the commit. `like`: a table whose columns and indexes the copy has instead."""
    with connect(url, autocommit=True) as connection:
        connection.execute(f"drop table if exists {BARE}")
        if like is None:
            key = sql.SQL(", ").join(map(sql.Identifier, PRICE_BAR.key))
            connection.execute(sql.SQL("create table bare ({}, primary key ({}))").format(COLUMNS, key))
        else:
            connection.execute(f"create table {BARE} (like {like} including all)")
            connection.execute(f"alter table {BARE} alter known_from set default now(), alter run_id set default 'x'")
    schema = to_arrow(PRICE_BAR, frame.head(1)).schema
    checkpoint(url)

    def copy() -> None:
        import pyarrow as pa

        rows = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        with arrow_cursor(url) as cursor:
            cursor.adbc_ingest(BARE, rows, mode="append")

    return seconds(copy)
