"""The same code on a second, separately started PostgreSQL: over TCP, with a password that nobody gets to see."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from market_project import MarketProject
from password_server import PASSWORD, ROLE, PasswordServer
from vendor_folder import configured_vendor

from market_assets.warehouse.connection import connect
from market_assets.warehouse.server import EmbeddedServer

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("other_server")]

SECRETS = {PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD)}


def assert_secret(text: str, where: object) -> None:
    assert not [secret for secret in SECRETS if secret in text], f"the password is in {where}"


@pytest.fixture(scope="module")
def server() -> Iterator[PasswordServer]:
    with PasswordServer() as started:
        yield started


@pytest.fixture(scope="module")
def project(installations: Path, server: PasswordServer) -> MarketProject:
    """An installation whose databases are on the other server, set up from nothing."""
    project = MarketProject(installations / "other_server", extra={"MARKET_DATABASE_URL": server.url("market")})
    configured_vendor(project)
    return project


@pytest.fixture(scope="module")
def backfill(project: MarketProject) -> subprocess.CompletedProcess[str]:
    return project.command("backfill", "--to", "2024-01-31")


@pytest.fixture(scope="module")
def statements(server: PasswordServer, backfill: subprocess.CompletedProcess[str]) -> str:
    """What the server logged of the backfill: every statement. Read before a test searches for the password itself."""
    return server.log


def test_a_backfill_fills_the_other_server(project, server, backfill):
    with connect(server.url("market")) as connection:
        assert connection.execute("select count(*) from raw.price_bar").fetchone() == (5 * 21,)
        assert connection.execute("select count(*) from marts.fct_index_value").fetchone() == (2 * 21,)
        assert connection.execute("select usesuper from pg_user where usename = current_user").fetchone() == (False,), (
            "an ordinary role that may create databases is enough"
        )
    with connect(server.url("dagster")) as connection:
        assert connection.execute("select status from runs").fetchall() == [("SUCCESS",)]


def test_no_embedded_server_is_started(project, backfill):
    assert not EmbeddedServer(project.home / "postgres").data.exists()


def test_the_password_is_in_no_output(backfill):
    assert_secret(backfill.stdout + backfill.stderr, "the output of backfill")


def test_the_password_is_in_no_file(project, backfill):
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert any(path.name == "events.jsonl" for path in files)
    for path in files:
        assert_secret(path.read_bytes().decode(errors="replace"), path)


@pytest.mark.parametrize("database", ["market", "dagster"])
def test_the_password_is_in_no_row(server, statements, database):
    with connect(server.url(database)) as connection:
        tables = connection.execute(
            "select quote_ident(table_schema) || '.' || quote_ident(table_name) from information_schema.tables "
            "where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(tables) > 20
        for (table,) in tables:
            for secret in SECRETS:
                found = connection.execute(
                    f"select count(*) from {table} t where position(%s in t::text) > 0",  # noqa: S608 - names of the catalogue
                    (secret,),
                ).fetchone()
                assert found == (0,), f"the password is in {table}"


def test_the_password_is_in_no_statement(statements):
    assert "insert into" in statements.lower()
    assert_secret(statements, "the server's log of statements")


def test_lineage_names_the_server_without_its_user(project, server, backfill):
    events = (project.home / "lineage" / "events.jsonl").read_text()
    assert f"postgres://127.0.0.1:{server.port}" in events
    assert ROLE not in events


def test_doctor_and_setup_show_the_server_masked(project, server, backfill):
    doctor = project.command("doctor")
    assert f"postgresql://{ROLE}:***@127.0.0.1:{server.port}/market" in doctor.stdout
    assert_secret(doctor.stdout + doctor.stderr, "the output of doctor")


def test_psql_gets_the_password_where_no_other_user_can_read_it(project, backfill):
    with project.start_command("sql", "select pg_sleep(3)") as command:
        process, seen = psutil.Process(command.pid), []
        deadline = time.monotonic() + 60
        while not any("psql" in line for line in seen) and time.monotonic() < deadline and command.poll() is None:
            seen = [" ".join(child.cmdline()) for child in process.children(recursive=True)]
            time.sleep(0.02)
        assert any("psql" in line for line in seen)
        assert_secret(" ".join(seen), "the arguments of psql")
        assert command.wait() == 0


def test_a_wrong_password_is_one_line_without_it(project, server):
    wrong = project.command("doctor", check=False, MARKET_DATABASE_URL=server.url("market", "wr0ng-and-secret"))
    assert wrong.returncode == 1
    assert "password authentication failed" in wrong.stdout
    assert "wr0ng-and-secret" not in wrong.stdout + wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_an_unquoted_password_is_refused_with_the_remedy_and_without_it(project, server):
    url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{server.port}/market"
    wrong = project.command("sql", "select 1", check=False, MARKET_DATABASE_URL=url)
    assert wrong.returncode == 1
    assert "percent-encoded" in wrong.stderr
    assert_secret(wrong.stdout + wrong.stderr, "the error")
    assert "Traceback" not in wrong.stderr
