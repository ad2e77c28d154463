"""Brings a server to the schema this code needs: databases, Alembic migrations, one column per registered indicator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from market_assets.errors import TerminalError, WarehouseUnavailable
from market_assets.warehouse.connection import connect
from market_assets.warehouse.server import joined, masked, with_database

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

MIGRATIONS = Path(__file__).parent / "migrations"
MINIMUM_SERVER = 150000


def create_database(url: str) -> bool:
    """Create the database that `url` names unless it exists. True when it was created.

    Raises:
        WarehouseUnavailable: the server cannot be reached.
        TerminalError: the role may not create it; the message says what to run.
    """
    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            raise WarehouseUnavailable(f"cannot connect to {masked(url)}: {error}") from error
    else:
        return False
    name = unquote(urlsplit(url).path.lstrip("/"))
    with connect(with_database(url, "postgres"), autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return False  # another process was first
        except psycopg.errors.InsufficientPrivilege as error:
            raise TerminalError(
                f"{masked(url)}: database {name} is missing and this role may not create it; "
                f'run as an administrator: CREATE DATABASE "{name}" OWNER <role>'
            ) from error
    return True


def migrate(url: str) -> tuple[str, str]:
    """Bring the warehouse at `url` to the newest revision. Safe to call from several processes at once.

    Returns:
        Revision before ("" for an empty database) and after.

    Raises:
        TerminalError: PostgreSQL is older than 15, or the database is newer than this code.
    """
    from alembic import command

    create_database(url)
    with connect(url, autocommit=True) as guard:
        if guard.info.server_version < MINIMUM_SERVER:
            raise TerminalError(
                f"{masked(url)} is PostgreSQL {guard.info.server_version // 10000}; 15 or newer is needed"
            )
        guard.execute("select pg_advisory_lock(hashtextextended('market_assets.migrate', 0))")
        before = current_revision(url)
        _refuse_unknown(before, url)
        engine = _engine(url)
        try:
            config = _config()
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        finally:
            engine.dispose()
        _add_indicator_columns(guard)
    return before, current_revision(url)


def current_revision(url: str) -> str:
    """Revision the warehouse is at, "" when it was never migrated."""
    with connect(url) as connection:
        if connection.execute("select to_regclass('public.alembic_version')").fetchone() == (None,):
            return ""
        row = connection.execute("select version_num from public.alembic_version").fetchone()
        return str(row[0]) if row else ""


def is_current(url: str) -> bool:
    """Whether the warehouse is at this code's revision and has a column for each registered indicator."""
    with connect(url) as connection:
        return current_revision(url) == head_revision() and not _missing_indicator_columns(connection)


def head_revision() -> str:
    """Revision this code needs: the last in the order of their numbers. Alembic would take 0.4 s to say the same."""
    return max(file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def _refuse_unknown(revision: str, url: str) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision and revision not in known:
        raise TerminalError(
            f"{masked(url)} is at revision {revision}, which this code does not know; update market-assets to the "
            "version that migrated it"
        )


def sqlalchemy_url(url: str) -> str:
    """`url` for SQLAlchemy with psycopg 3; a socket URL gets the host part that SQLAlchemy's users insist on."""
    parts = urlsplit(url)
    netloc = parts.netloc if parts.hostname else f"{parts.netloc}localhost"
    return joined(parts._replace(scheme="postgresql+psycopg", netloc=netloc))


def _engine(url: str) -> Engine:
    from sqlalchemy import create_engine

    return create_engine(sqlalchemy_url(url))


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _missing_indicator_columns(connection: psycopg.Connection) -> list[str]:
    from market_assets.warehouse.tables import indicator_table

    table = indicator_table()
    rows = connection.execute(
        "select column_name from information_schema.columns where table_schema = %s and table_name = %s",
        (table.schema, table.name),
    )
    present = {row[0] for row in rows}
    return [name for name in table.values if name not in present]


def _add_indicator_columns(connection: psycopg.Connection) -> None:
    missing = _missing_indicator_columns(connection)
    if missing:
        columns = sql.SQL(", ").join(
            sql.SQL("add column {} double precision").format(sql.Identifier(name)) for name in missing
        )
        connection.execute(sql.SQL("alter table analytics.indicator {}").format(columns))
