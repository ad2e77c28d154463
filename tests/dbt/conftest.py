"""dbt for tests: parsed once, in this process, on one database whose marts are built once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dbt_market import Warehouse, fill

from market_assets.dbt.project import connection_environment
from market_assets.warehouse.connection import connect

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

PROJECT = Path(__file__).resolve().parents[2] / "dbt"
DATABASE = "market"


@dataclass(frozen=True)
class Dbt:
    """Runs dbt in this process on the parsed project."""

    manifest: Manifest
    options: tuple[str, ...]

    def attempt(self, *arguments: str) -> list[Any]:
        """Results of a command for models and tests, whatever became of them."""
        from dbt.cli.main import dbtRunner

        outcome = dbtRunner(manifest=self.manifest).invoke([*QUIET, *arguments, *self.options])
        assert outcome.exception is None, outcome.exception
        return [result for result in outcome.result if result.node.resource_type != "operation"]  # type: ignore[union-attr]

    def run(self, *arguments: str) -> dict[str, Any]:
        """Result of each node by name; none may fail, an exposure has nothing to do."""
        results = self.attempt(*arguments)
        failed = {r.node.name: r.message for r in results if str(r.status) not in FINE}
        assert not failed, failed
        return {result.node.name: result for result in results}


FINE = {"success", "pass", "warn", "no-op"}
QUIET = ("--quiet", "--log-level", "none", "--log-level-file", "none", "--no-write-json")


@pytest.fixture(scope="session")
def dbt_options(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("dbt")
    project = str(PROJECT)
    return (
        *("--project-dir", project, "--profiles-dir", project),
        *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs")),
    )


@pytest.fixture(scope="session")
def dbt_environment(pg_server: Any, dbt: Dbt) -> Iterator[None]:
    """The variables that profiles.yml reads; set after the project was parsed without them."""
    values = {**connection_environment(pg_server.url(DATABASE)), "DO_NOT_TRACK": "1"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def dbt(dbt_options: tuple[str, ...]) -> Dbt:
    """The project, parsed once: without a database and without a variable that names one."""
    from dbt.cli.main import dbtRunner

    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("MARKET_DBT_")]:
            environment.delenv(name)
        outcome = dbtRunner().invoke([*QUIET, "parse", *dbt_options])
    assert outcome.success, outcome.exception
    return Dbt(outcome.result, dbt_options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def views(pg_server: Any, _warehouse_template: str, dbt: Dbt, dbt_environment: None) -> Warehouse:
    """A migrated warehouse with the views of the project, without a mart. Tests keep to symbols of their own."""
    copy_database(pg_server, _warehouse_template, DATABASE)
    dbt.run("run", "--select", "staging", "intermediate")
    return Warehouse(copy_database(pg_server, DATABASE, "dbt_views"))


@pytest.fixture(scope="session")
def built_market(pg_server: Any, views: Warehouse, dbt: Dbt) -> str:
    """Name of a database that holds the small market with every mart built."""
    fill(Warehouse(pg_server.url(DATABASE)))
    dbt.run("build", "--exclude-resource-type", "unit_test")
    copy_database(pg_server, DATABASE, "dbt_built")
    return "dbt_built"


@pytest.fixture(scope="module")
def market(pg_server: Any, built_market: str) -> Warehouse:
    """The small market with every mart built, as it was, for each module.

    Tests of a module change it one after the other and leave it built: each starts from where the last one ended, as a
    warehouse does, and a copy for each would cost more than the rest of the test.
    """
    with connect(pg_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f'drop database "{DATABASE}" with (force)')
    return Warehouse(copy_database(pg_server, built_market, DATABASE))


@pytest.fixture(scope="session")
def full_sql(dbt: Dbt, built_market: str) -> dict[str, str]:
    """The query of each mart as a full build runs it."""
    compiled = dbt.run("compile", "--full-refresh", "--select", "marts")
    return {name: str(result.node.compiled_code) for name, result in compiled.items()}


def copy_database(server: Any, template: str, name: str) -> str:
    """Make database `name` a copy of `template`; its URL."""
    with connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
    return str(server.url(name))
