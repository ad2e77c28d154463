"""A whole installation for a test: its own configuration, universe, state folder and embedded PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import yaml
from dagster import DagsterInstance

from market_assets.resources import Platform
from market_assets.runs import RunOutcome, execute, partition_range
from market_assets.warehouse.connection import connect, read_frame
from market_assets.warehouse.server import EmbeddedServer
from market_assets.warehouse.tables import TABLES, indicator_table

if TYPE_CHECKING:
    from dagster import Definitions

ROOT = Path(__file__).resolve().parents[2]
MARKET = (sys.executable, "-m", "market_assets.cli")
UNIVERSE_COLUMNS = ("symbol", "exchange", "name", "currency", "member_from", "member_to")

WRITING = frozenset({"known_from", "known_to", "run_id", "changed_xid", "quarantine_id", "quarantined_at"})
"""Columns that say when and by which run a row was written: they differ between two runs of the same work."""

COMPUTED = "group:ingest or group:analytics or group:indices"
"""Selection of everything but the marts, which need no build per session to be right."""


class MarketProject:
    """One installation. Commands are processes of their own; runs happen in the test's process, once it has `entered`.

    Args:
        folder: where everything of it is.
        config_file: MARKET_CONFIG; None = one of its own, written by `configure`.
        extra: further environment variables.
    """

    def __init__(self, folder: Path, config_file: Path | None = None, extra: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.config_file = config_file or folder / "config" / "market.yaml"
        self._extra = dict(extra or {})

    @property
    def environment(self) -> dict[str, str]:
        """What sets this installation apart from the checkout's."""
        own = {"MARKET_HOME": str(self.home), "MARKET_CONFIG": str(self.config_file), "DAGSTER_HOME": str(ROOT)}
        return {**own, **self._extra}

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make this process work in the installation."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            for name in ("MARKET_DATABASE_URL", "MARKET_DAGSTER_DATABASE_URL"):
                monkeypatch.delenv(name, raising=False)
            for name, value in self.environment.items():
                monkeypatch.setenv(name, value)
            yield

    @cached_property
    def url(self) -> str:
        """libpq URL of the warehouse; starts the server."""
        server = EmbeddedServer(self.home / "postgres")
        server.start()
        return server.url("market")

    def stop(self) -> None:
        """Stop the server; what was committed stays."""
        EmbeddedServer(self.home / "postgres").stop(immediate=True)

    @property
    def dagster_url(self) -> str:
        """libpq URL of Dagster's database."""
        return EmbeddedServer(self.home / "postgres").url("dagster")

    def configure(self, settings: dict[str, Any], members: Iterable[tuple[str, date, date | None]]) -> None:
        """Write market.yaml and the universe file; members are (symbol, from, to) on XNYS in USD."""
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        rows = [(symbol, "XNYS", f"{symbol} Inc.", "USD", first, last) for symbol, first, last in members]
        pd.DataFrame(rows, columns=list(UNIVERSE_COLUMNS)).to_csv(self.config_file.parent / "universe.csv", index=False)
        overrides = self.config_file.parent / "calendar_overrides.csv"
        overrides.write_text("exchange,session,kind,opens_at,closes_at,reason\n", encoding="utf-8")

    def command(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """`market` as a user runs it; with `check`, its exit code must be 0."""
        done = subprocess.run(
            [*MARKET, *arguments],
            env={**os.environ, **self.environment, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        """`market` in the background, in a process group of its own."""
        return subprocess.Popen(
            [*MARKET, *arguments],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def definitions(self) -> Definitions:
        """The code location over the configuration as it is now."""
        from market_assets.definitions import build_definitions

        return build_definitions(Platform())

    def run(self, start: date | None = None, end: date | None = None, selection: str | None = None) -> RunOutcome:
        """One run in this process, as `market backfill` makes it."""
        definitions = self.definitions()
        first, last = partition_range(definitions, start, end)
        with DagsterInstance.get() as instance:
            return execute(definitions, instance, start=first, end=last, selection=selection)

    def partition_keys(self) -> list[str]:
        """Every session that is a partition now."""
        return list(Platform().partitions.get_partition_keys())

    def tables(self) -> dict[str, pd.DataFrame]:
        """Current rows of every table that Python or dbt writes, without the columns of WRITING, in order of the key.

        dbt's own watermarks and lineage are left out: they record what was done, not what is known.
        """
        contents = {}
        for table in (*TABLES, indicator_table()):
            names = ", ".join(f'"{name}"' for name in table.columns)
            contents[table.qualified] = read_frame(
                self.url,
                f"select {names} from {table.qualified} where known_to is null order by {', '.join(table.key)}",  # noqa: S608
            )
        for name, columns in self._others().items():
            shown = {column: sql_type for column, sql_type in columns.items() if column not in WRITING}
            listed = ", ".join(
                f"{column}::text" if sql_type == "jsonb" else column for column, sql_type in shown.items()
            )
            order = ", ".join(column for column, sql_type in shown.items() if sql_type != "double precision")
            contents[name] = read_frame(self.url, f"select {listed} from {name} order by {order}")  # noqa: S608
        return contents

    def _others(self) -> dict[str, dict[str, str]]:
        """Columns and their types of the marts and the quarantine."""
        with connect(self.url) as connection:
            return dict(
                connection.execute(
                    "select table_schema || '.' || table_name, "
                    "json_object_agg(column_name, data_type order by ordinal_position) "
                    "from information_schema.columns where table_schema = 'marts' and table_name <> 'build_watermark' "
                    "or table_schema = 'quality' and table_name = 'quarantine' group by 1"
                ).fetchall()
            )

    def physical_rows(self) -> dict[str, set[tuple[str, str]]]:
        """(xmin, ctid) of every stored row, past versions included: equal before and after = nothing was written."""
        names = [table.qualified for table in (*TABLES, indicator_table())] + list(self._others())
        with connect(self.url) as connection:
            return {
                name: set(connection.execute(f"select xmin::text, ctid::text from {name}").fetchall())  # noqa: S608
                for name in names
            }

    def count(self, table: str, condition: str = "true") -> int:
        """Rows of a table, versions of the past included."""
        return int(self.query(f"select count(*) from {table} where {condition}")[0][0])  # noqa: S608 - a test's own words

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a statement on the warehouse."""
        with connect(self.url) as connection:
            return connection.execute(statement).fetchall()


def assert_same_tables(found: dict[str, pd.DataFrame], wanted: dict[str, pd.DataFrame], tolerance: float = 0) -> None:
    """Equal names, rows and values; with a tolerance, numbers may differ by that share."""
    assert found.keys() == wanted.keys()
    for name, rows in wanted.items():
        pd.testing.assert_frame_equal(
            found[name], rows, check_exact=tolerance == 0, rtol=tolerance, atol=tolerance, obj=name
        )
