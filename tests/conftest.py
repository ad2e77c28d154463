"""Fixtures every test may use: an embedded PostgreSQL of the run's own, migrated databases, a Dagster instance.

Databases are cloned from a template that is migrated once, so a fresh warehouse costs a tenth of a second.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import settings

from market_assets.warehouse.connection import connect
from market_assets.warehouse.migrate import migrate
from market_assets.warehouse.server import EmbeddedServer

if TYPE_CHECKING:
    from dagster import DagsterInstance

# A loaded machine is no defect; in CI the same examples are tried in every run.
settings.register_profile("market", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("market")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


FIRST = ("e2e", "dbt", "commands")
"""Folders of the tests that take longest."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a module, and all of dbt's, on one worker: they share what is dear to set up.

    The longest groups begin, so that both workers end at the same time; with --no-loadscope-reorder, as in `make test`.
    """
    items.sort(key=lambda item: FIRST.index(item.path.parent.name) if item.path.parent.name in FIRST else len(FIRST))
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            folder = item.path.parent.name
            item.add_marker(pytest.mark.xdist_group("dbt" if folder == "dbt" else str(item.path)))


class TestServer:
    """An embedded server for tests. `url` and `create_database` are all a test needs."""

    __test__ = False

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._numbers = itertools.count()

    def url(self, database: str) -> str:
        """libpq URL of a database."""
        return self._server.url(database)

    def create_database(self, prefix: str, template: str = "template1") -> str:
        """Create a database with a unique name; returns its URL."""
        name = f"{prefix}_{next(self._numbers)}"
        with connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'create database "{name}" template "{template}"')
        return self.url(name)


@pytest.fixture(scope="session")
def pg_server() -> Iterator[TestServer]:
    """The test run's own PostgreSQL, stopped and deleted at the end."""
    with started_server() as server:
        yield server


@pytest.fixture(scope="module")
def private_server() -> Iterator[TestServer]:
    """A PostgreSQL for one module, for tests of what belongs to a whole server: roles, database names, restarts."""
    with started_server() as server:
        yield server


@contextmanager
def started_server() -> Iterator[TestServer]:
    """An embedded server in a folder of its own, stopped and deleted at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="market-test-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "postgres")
    server.start()
    with connect(server.url("postgres"), autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # the data do not outlive the run
            connection.execute(f"alter system set {setting} = off")
        connection.execute("select pg_reload_conf()")
    try:
        yield TestServer(server)
    finally:
        server.stop(immediate=True)
        # Hundreds of databases of a thousand files each: nobody waits for the ten seconds this takes.
        subprocess.Popen(["rm", "-rf", str(folder)], start_new_session=True)


@pytest.fixture(scope="session")
def _warehouse_template(pg_server: TestServer) -> str:
    migrate(pg_server.url("market_template"))
    return "market_template"


@pytest.fixture
def warehouse_url(pg_server: TestServer, _warehouse_template: str) -> str:
    """A freshly migrated warehouse."""
    return pg_server.create_database("market", template=_warehouse_template)


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection]:
    """A psycopg connection to `warehouse_url`."""
    with connect(warehouse_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def _dagster_template(pg_server: TestServer) -> str:
    from market_assets.instance import instance_for

    url = pg_server.create_database("dagster_template")
    with instance_for(url, Path(tempfile.gettempdir())):
        pass  # opening it creates the tables
    return url.split("/")[3].split("?")[0]


@pytest.fixture
def dagster_url(pg_server: TestServer, _dagster_template: str) -> str:
    """A fresh database for Dagster's instance storage."""
    return pg_server.create_database("dagster", template=_dagster_template)


@pytest.fixture
def instance(dagster_url: str, tmp_path: Path) -> Iterator[DagsterInstance]:
    """A Dagster instance with the project's storage classes on PostgreSQL."""
    from market_assets.instance import instance_for

    with instance_for(dagster_url, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets that lie beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data sets are not on this machine ({SHARED_DATA})")
    return SHARED_DATA
