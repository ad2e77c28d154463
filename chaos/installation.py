"""Installations to break: one PostgreSQL for all, databases cloned from a template, `market` in processes of its own.

A process is forked from one that has imported everything already, so that a run costs its work and not five seconds of
imports. Inside it the command line is entered as a user enters it.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from psycopg import Connection, sql

from chaos.market import Market, listings, write_configuration
from chaos.yahoo_server import YahooServer
from market_assets.settings import project_root
from market_assets.warehouse.connection import connect
from market_assets.warehouse.server import EmbeddedServer

RUN_SECONDS = 300
"""A run that takes longer than this is taken for one that hangs."""

DATABASES = ("market", "dagster")
"""Always under these names: what dbt has parsed holds the name of the warehouse."""

COMMAND = ("backfill", "--assets", "group:ingest")
WRITING = ("known_from", "known_to", "run_id", "changed_xid", "quarantine_id", "quarantined_at")
"""Columns that say when and by which run a row was written: they differ between two runs of the same work."""

Rows = dict[str, Counter[str]]
"""Table -> each row as text, with how often it is there."""


@dataclass(frozen=True)
class Ended:
    """A `market` process that has ended; `code` is negative when a signal ended it."""

    code: int
    output: str


class Installation:
    """One warehouse, one Dagster database and one MARKET_HOME.

    Args:
        folder: MARKET_HOME.
        configuration: market.yaml.
        market_url, dagster_url: libpq URLs.
    """

    def __init__(self, folder: Path, configuration: Path, market_url: str, dagster_url: str) -> None:
        self.folder, self.market_url, self._dagster_url = folder, market_url, dagster_url
        self._log = folder / "output.txt"
        self._environment = {
            "MARKET_HOME": str(folder),
            "MARKET_CONFIG": str(configuration),
            "MARKET_DATABASE_URL": market_url,
            "MARKET_DAGSTER_DATABASE_URL": dagster_url,
            "DAGSTER_HOME": str(project_root()),
        }

    @property
    def cache(self) -> Path:
        """Folder of what sources may keep and can do without."""
        return self.folder / "cache"

    def start(self, *arguments: str) -> ForkServerProcess:
        """`market` with `arguments` (COMMAND without any) in a process of its own."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["chaos.preloaded"])
        process = context.Process(
            target=run_market, args=(arguments or COMMAND, self._environment, str(self._log)), daemon=True
        )
        process.start()
        return process

    def finish(self, process: ForkServerProcess) -> Ended:
        """Wait for the end of `process`.

        Raises:
            TimeoutError: it does not end.
        """
        process.join(RUN_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"no end after {RUN_SECONDS} s: {self._log.read_text(errors='replace')[-2000:]}")
        return Ended(process.exitcode, self._log.read_text(errors="replace"))

    def run(self, *arguments: str) -> Ended:
        """Start and wait."""
        return self.finish(self.start(*arguments))

    def succeed(self, *arguments: str) -> None:
        """Run; RuntimeError with the output when it fails."""
        ended = self.run(*arguments)
        if ended.code:
            raise RuntimeError(f"market {' '.join(arguments or COMMAND)} ended with {ended.code}: {ended.output}")

    def rows(self) -> Rows:
        """Every row of the raw tables and of the quarantine, past versions included and marked as such."""
        with connect(self.market_url) as connection:
            tables: dict[str, list[str]] = dict(
                connection.execute(
                    "select table_schema || '.' || table_name, array_agg(column_name::text order by ordinal_position) "
                    "from information_schema.columns where table_schema = 'raw' "
                    "or table_schema = 'quality' and table_name = 'quarantine' group by 1"
                ).fetchall()
            )
            return {name: _rows_of(connection, name, columns) for name, columns in tables.items()}

    def symbols(self) -> set[str]:
        """Symbols with a committed bar."""
        with connect(self.market_url) as connection:
            return {row[0] for row in connection.execute("select distinct symbol from raw.price_bar").fetchall()}

    def succeeded(self) -> bool:
        """Whether a run has succeeded: a process that is killed afterwards was only printing."""
        with connect(self._dagster_url) as connection:
            if connection.execute("select to_regclass('runs')").fetchone() == (None,):
                return False
            return connection.execute("select from runs where status = 'SUCCESS' limit 1").fetchone() is not None

    def doubled(self) -> int:
        """Keys of bars with two current rows. The unique index forbids them; this asks the table and not the index."""
        with connect(self.market_url) as connection:
            connection.execute(
                "set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off"
            )
            row = connection.execute(
                "select count(*) from (select from raw.price_bar where known_to is null "
                "group by symbol, session, source having count(*) > 1) d"
            ).fetchone()
        return int(row[0]) if row else 0


def _rows_of(connection: Connection, table: str, columns: list[str]) -> Counter[str]:
    kept = [sql.Identifier(name) for name in columns if name not in WRITING]
    current = sql.SQL("known_to is null") if "known_to" in columns else sql.SQL("true")
    query = sql.SQL("select row({}, {})::text from {}").format(
        sql.SQL(", ").join(kept), current, sql.Identifier(*table.split("."))
    )
    return Counter(row[0] for row in connection.execute(query).fetchall())


class Arena:
    """The server, the two vendors and the template. A context: everything is stopped and deleted at its end.

    Attributes:
        market: what is loaded.
        server: PostgreSQL.
        primary, fallback: vendors with the same securities.
        undisturbed: rows after a run that met no fault.
        requests: when it asked the vendor, in seconds since its start.
        seconds: what it took.
    """

    undisturbed: Rows
    requests: list[float]
    seconds: float

    def __init__(self, market: Market | None = None, *, prepared: Path | None = None, latency: float = 0.02) -> None:
        """Nothing is started yet.

        Args:
            market: what is loaded.
            prepared: a MARKET_HOME after `market setup`, its embedded server stopped, to be copied; None = make one.
            latency: seconds a vendor takes for an answer.
        """
        self.market = market or Market()
        securities = listings(self.market)
        self.primary = YahooServer(securities, latency=latency)
        self.fallback = YahooServer(securities, latency=latency)
        self._folder = Path(tempfile.mkdtemp(prefix="market-chaos-"))
        self._folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        self._prepared, self._given = self._folder / "prepared", prepared
        self.server = EmbeddedServer(self._prepared / "postgres")

    def __enter__(self) -> Arena:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        self.primary.__enter__()
        self.fallback.__enter__()
        if self._given is not None:
            # cp keeps the owner of the data folder, which is not ours when we are root.
            subprocess.run(["cp", "-a", str(self._given), str(self._prepared)], check=True)  # noqa: S603, S607
        self.server.start()
        if self._given is None:
            self._create_databases("template1", "template1")
            self._installation(self._prepared).succeed("setup")
        self._rename_databases()
        with self.installation() as undisturbed:
            undisturbed.succeed("--help")  # imports what processes are forked with
            began = time.monotonic()
            undisturbed.succeed()
            self.seconds = time.monotonic() - began
            self.requests = [moment - began for moment in self.primary.moments]
            self.undisturbed = undisturbed.rows()

    def __exit__(self, *error: object) -> None:
        self.primary.__exit__(None, None, None)
        self.fallback.__exit__(None, None, None)
        self.server.stop(immediate=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def installation(self, *, fallback: bool = False, cache: bool = True) -> Iterator[Installation]:
        """An installation that is set up and empty, and vendors without faults; deleted afterwards. One at a time."""
        for vendor in (self.primary, self.fallback):
            vendor.heal()
            vendor.forget()
        self._create_databases(*(f"{name}_template" for name in DATABASES))
        home = self._folder / "home"
        shutil.copytree(self._prepared, home, ignore=shutil.ignore_patterns("postgres", "cache"))
        try:
            yield self._installation(home, fallback=fallback, cache=cache)
        finally:
            with connect(self.server.url("postgres"), autocommit=True) as connection:
                for name in DATABASES:
                    connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
            shutil.rmtree(home, ignore_errors=True)

    def restart_server(self) -> None:
        """Kill the server's processes at once and start it again; it recovers from its log."""
        self.server.stop(immediate=True)
        self.server.start()

    def _create_databases(self, *templates: str) -> None:
        with connect(self.server.url("postgres"), autocommit=True) as connection:
            for name, template in zip(DATABASES, templates, strict=True):
                statement = sql.SQL("create database {} template {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))

    def _rename_databases(self) -> None:
        """Make what is there the templates; they keep no connection."""
        with connect(self.server.url("postgres"), autocommit=True) as connection:
            for name in DATABASES:
                statement = sql.SQL("alter database {} rename to {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Identifier(f"{name}_template")))

    def _installation(self, home: Path, *, fallback: bool = False, cache: bool = True) -> Installation:
        home.mkdir(exist_ok=True)
        other = self.fallback if fallback else None
        configuration = write_configuration(home, self.market, self.primary, other, cache=cache)
        return Installation(home, configuration, *map(self.server.url, DATABASES))


def run_market(arguments: tuple[str, ...], environment: Mapping[str, str], log: str) -> None:
    """Body of a `market` process: its output goes to `log`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the harness, which stops us itself
    for name in [name for name in os.environ if name.startswith("MARKET_")]:
        del os.environ[name]
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["market", *arguments]
    from market_assets.cli import main

    main()
