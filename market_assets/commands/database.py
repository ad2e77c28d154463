"""Commands on the database and dbt: setup, sql, dbt, stop."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

import typer

from market_assets.dbt import project
from market_assets.errors import TerminalError
from market_assets.settings import market_home
from market_assets.warehouse.migrate import create_database, migrate
from market_assets.warehouse.server import EmbeddedServer, dagster_url, database_urls, masked, without_password


def prepare() -> str:
    """Bring databases, migrations, dbt manifest and views up to date; returns the warehouse's URL."""
    urls = database_urls()
    create_database(urls.market)
    before, after = migrate(urls.market)
    dagster_url()
    views = project.ensure_views(urls.market)
    project.full_sql(urls.market)  # kept for the lineage of every run
    server = "embedded PostgreSQL" if urls.embedded else "PostgreSQL"
    typer.echo(f"{server} {masked(urls.market)}")
    was = "" if before == after else f" (was {before or 'empty'})"
    typer.echo(f"migrations: {after}{was}")
    typer.echo(f"dbt views: {'created' if views else 'current'}")
    return urls.market


def psql(query: str | None) -> int:
    """psql on the warehouse; its exit code."""
    urls = database_urls()
    program = (
        str(EmbeddedServer(market_home() / "postgres").bin_path / "psql") if urls.embedded else shutil.which("psql")
    )
    if program is None:
        raise TerminalError("psql is not on the PATH; install the PostgreSQL client")
    # The password goes through the environment: arguments are there for every user of the machine to read.
    target, password = without_password(urls.market)
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    arguments = [program, target, *(["-v", "ON_ERROR_STOP=1", "-c", query] if query else [])]
    return subprocess.run(arguments, check=False, env=environment).returncode  # noqa: S603 - the user's own statement


def run_dbt(arguments: Sequence[str]) -> int:
    """dbt with the project's folders and connection; its exit code. `parse` needs no database."""
    environment = dict(os.environ)
    if arguments and arguments[0] != "parse":
        environment |= project.connection_environment(database_urls().market)
    command = [sys.executable, "-m", "dbt.cli.main", *arguments, *project.folders(project.target_folder())]
    return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 - the user's own arguments


def print_environment() -> None:
    """Print shell exports for the warehouse's connection and dbt's folders."""
    urls = database_urls()
    create_database(urls.market)
    variables = {
        **project.connection_environment(urls.market),
        "DBT_TARGET_PATH": str(market_home() / "dbt" / "lint"),
        "DBT_LOG_PATH": str(market_home() / "dbt" / "logs"),
    }
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def stop_server() -> None:
    """Stop the embedded server, if it runs."""
    stopped = EmbeddedServer(market_home() / "postgres").stop()
    typer.echo("stopped" if stopped else "no embedded PostgreSQL was running")
