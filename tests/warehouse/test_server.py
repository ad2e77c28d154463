"""Where PostgreSQL is: URLs from the environment, passwords that stay hidden, and the life of the embedded server."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from market_assets.errors import ConfigError, WarehouseUnavailable
from market_assets.warehouse.connection import connect
from market_assets.warehouse.server import (
    DatabaseUrls,
    EmbeddedServer,
    dagster_url,
    database_name,
    database_urls,
    masked,
    with_database,
    without_password,
)

# URLs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:secret@host:5432/market", "postgresql://user:***@host:5432/market"),
        ("postgresql://user:s%40c@host/market?sslmode=require", "postgresql://user:***@host/market?sslmode=require"),
        ("postgresql://user:se@c:r/e#t@host/market", "postgresql://user:***@host/market"),
        ("postgresql:///market?user=u&password=secret&host=/tmp", "postgresql:///market?user=u&password=***&host=/tmp"),
        ("host=db user=u password='sec ret' dbname=market", "host=db user=u password=*** dbname=market"),
        ("postgresql://user@host/market", "postgresql://user@host/market"),
        ("postgresql://postgres@/market?host=/run/pg", "postgresql://postgres@/market?host=/run/pg"),
        ("postgresql://host:5432/market", "postgresql://host:5432/market"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert masked(url) == shown


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("postgresql://u:p%40@host:1/market?sslmode=require", "postgresql://u:p%40@host:1/dag%20ster?sslmode=require"),
        ("postgresql:///market?host=/tmp", "postgresql:///dag%20ster?host=/tmp"),
    ],
)
def test_another_database_on_the_same_server(url, other):
    assert with_database(url, "dag ster") == other
    assert psycopg.conninfo.conninfo_to_dict(other)["dbname"] == "dag ster"


def test_a_url_and_its_password_can_be_parted():
    conninfo, password = without_password("postgresql://u:s%40c@host:5433/market?sslmode=require")
    assert password == "s@c"
    assert psycopg.conninfo.conninfo_to_dict(conninfo) == {
        "user": "u",
        "host": "host",
        "port": "5433",
        "dbname": "market",
        "sslmode": "require",
    }
    assert without_password("postgresql://u@host/market")[1] is None


# The environment ----------------------------------------------------------------------------------------------------

VARIABLES = ("MARKET_DATABASE_URL", "MARKET_DAGSTER_DATABASE_URL")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))


def test_the_dagster_database_lies_beside_the_warehouse(monkeypatch):
    monkeypatch.setenv("MARKET_DATABASE_URL", "postgres://u:p@host:5432/prices?sslmode=require")
    assert database_urls() == DatabaseUrls(
        "postgresql://u:p@host:5432/prices?sslmode=require",
        "postgresql://u:p@host:5432/dagster?sslmode=require",
        embedded=False,
    )
    assert database_name() == "prices"


def test_the_dagster_database_may_be_elsewhere(monkeypatch):
    monkeypatch.setenv("MARKET_DATABASE_URL", "postgresql://u:p@host/market")
    monkeypatch.setenv("MARKET_DAGSTER_DATABASE_URL", "postgresql://v:q@other/instance")
    assert database_urls().dagster == "postgresql://v:q@other/instance"


def test_a_url_may_come_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "url").write_text("postgresql://u:p@host/market\n")
    monkeypatch.setenv("MARKET_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert database_urls().market == "postgresql://u:p@host/market"


def test_urls_hide_their_passwords_when_shown(monkeypatch):
    monkeypatch.setenv("MARKET_DATABASE_URL", "postgresql://u:secret@host/market")
    hidden = "postgresql://u:***@host"
    assert (
        repr(database_urls()) == f"DatabaseUrls(market='{hidden}/market', dagster='{hidden}/dagster', embedded=False)"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:secret@host/market", "not a PostgreSQL URL with a database name"),
        ("postgresql://u:secret@host", "not a PostgreSQL URL with a database name"),
        ("postgresql://u:secret@host/", "not a PostgreSQL URL with a database name"),
        ("host=x password=secret dbname=market", "not a PostgreSQL URL with a database name"),
        ("postgresql://u:sec@ret@host/market", "percent-encoded password"),
        ("postgresql://u:secret#x@host/market", "percent-encoded password"),
        ("postgresql://u:secret/x@host/market", "percent-encoded password"),
        ("postgresql://u:p@host:secret/market", "the port is not a number"),
    ],
)
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(monkeypatch, url, message, variable):
    monkeypatch.setenv("MARKET_DATABASE_URL", "postgresql://u:p@host/market")
    monkeypatch.setenv(variable, url)
    with pytest.raises(ConfigError, match=f"environment: {variable}: .*{message}") as caught:
        database_urls()
    if "port is not" not in message:
        assert "secret" not in str(caught.value)


def test_the_dagster_database_is_created_when_it_is_missing(monkeypatch, pg_server):
    monkeypatch.setenv("MARKET_DATABASE_URL", pg_server.create_database("market"))
    name = "dagster_made_on_demand"
    monkeypatch.setenv("MARKET_DAGSTER_DATABASE_URL", pg_server.url(name))
    for _ in range(2):
        with connect(dagster_url()) as connection:
            assert connection.info.dbname == name


# The embedded server ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the operating system user of PostgreSQL can reach."""
    made = Path(tempfile.mkdtemp(prefix="market-server-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def server(folder) -> Iterator[EmbeddedServer]:
    """One server for the tests of its life; each leaves it running."""
    made = EmbeddedServer(folder / "home" / "postgres")
    made.start()
    yield made
    made.stop(immediate=True)


def setting(server: EmbeddedServer, name: str) -> str:
    with connect(server.url("postgres")) as connection:
        return connection.execute(f"show {name}").fetchone()[0]


def postmaster(server: EmbeddedServer) -> psutil.Process:
    return psutil.Process(int((server.data / "postmaster.pid").read_text().splitlines()[0]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", ""),
        ("jit", "off"),
        ("max_connections", "200"),
    ],
)
def test_it_is_durable_and_listens_on_its_socket_only(server, name, value):
    assert setting(server, name) == value


def test_a_running_server_is_found_by_whoever_knows_its_folder(server):
    pid = postmaster(server).pid
    same = EmbeddedServer(server.data)
    assert same.running
    same.start()
    assert postmaster(server).pid == pid
    assert same.url("a b") == server.url("a b")
    assert (same.bin_path / "psql").exists()


def test_a_killed_server_recovers_what_was_committed(server):
    with connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("create table kept (n int)")
        connection.execute("insert into kept values (1)")
    process = postmaster(server)
    children = process.children()
    process.kill()
    psutil.wait_procs([process, *children], timeout=60)
    assert not server.running, "its pid file outlives it"
    with pytest.raises(WarehouseUnavailable, match="no server runs on"):
        server.url("postgres")
    server.start()
    with connect(server.url("postgres")) as connection:
        assert connection.execute("select n from kept").fetchall() == [(1,)]


def test_stopping_waits_and_is_told_apart_from_nothing_to_stop(server):
    process = postmaster(server)
    assert server.stop()
    assert not process.is_running()
    assert not server.stop()
    server.start()


def test_own_settings_survive_a_start(server):
    main = server.data / "postgresql.conf"
    main.write_text(f"{main.read_text()}work_mem = '33MB'\n")
    server.stop()
    server.start()
    assert setting(server, "work_mem") == "33MB"
    assert main.read_text().count("include_if_exists = 'market.conf'") == 1


def test_a_pid_file_that_names_another_servers_process_is_no_server(server, folder):
    other = EmbeddedServer(folder / "other")
    other.data.mkdir()
    shutil.copy(server.data / "postmaster.pid", other.data / "postmaster.pid")
    assert not other.running


def test_a_server_that_cannot_start_says_why(folder, server):
    server.stop()
    broken = EmbeddedServer(folder / "broken")
    # As its owner, who is not the user of the tests when they run as root.
    shutil.copytree(server.data, broken.data, copy_function=shutil.copy2)
    server.start()
    for path in [broken.data, *broken.data.rglob("*")]:
        owner = server.data.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    broken.data.chmod(0o700)
    (broken.data / "global" / "pg_control").unlink()
    with pytest.raises(WarehouseUnavailable, match=r"does not start: (?s:.*)pg_control"):
        broken.start()


def _start(path: str, queue: multiprocessing.Queue[str]) -> None:
    server = EmbeddedServer(Path(path))
    server.start()
    queue.put(server.url("postgres"))


def test_processes_that_start_it_at_once_share_one_server(folder):
    data = folder / "shared" / "postgres"
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=_start, args=(str(data), queue)) for _ in range(3)]
    for process in processes:
        process.start()
    try:
        urls = {queue.get(timeout=120) for _ in processes}
        for process in processes:
            process.join(60)
        assert len(urls) == 1
    finally:
        EmbeddedServer(data).stop(immediate=True)


def test_the_platforms_own_server_is_started_on_demand(monkeypatch, folder, server):
    monkeypatch.setenv("MARKET_HOME", str(server.data.parent))
    assert database_urls() == DatabaseUrls(server.url("market"), server.url("dagster"), embedded=True)
    assert database_name() == "market"
