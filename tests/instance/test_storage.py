"""MarketStorage: one database for runs, events and schedules, found without configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._serdes import serialize_value
from event_builders import materialized, planned, rows
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from market_assets.instance import instance_for
from market_assets.instance.event_log import BatchedPostgresEventLogStorage
from market_assets.instance.storage import MarketStorage
from market_assets.settings import project_root

SECRET = "a-password-that-must-not-travel"


@pytest.fixture
def on_platform_database(warehouse_url: str, dagster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an installation on its own PostgreSQL."""
    monkeypatch.setenv("MARKET_DATABASE_URL", warehouse_url)
    monkeypatch.setenv("MARKET_DAGSTER_DATABASE_URL", dagster_url)
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))


def statement_timeout(instance: dg.DagsterInstance) -> str:
    storage = instance.event_log_storage
    assert isinstance(storage, BatchedPostgresEventLogStorage)
    with storage.index_connection() as connection:
        return str(connection.exec_driver_sql("show statement_timeout").scalar())


def test_project_instance_finds_its_database_and_folders(
    on_platform_database: None, dagster_url: str, tmp_path: Path
) -> None:
    with dg.DagsterInstance.from_config(str(project_root())) as instance:
        assert type(instance.event_log_storage) is BatchedPostgresEventLogStorage
        instance.store_event(planned("a"))
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_retries_enabled
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled
        assert Path(instance.storage_directory()).is_relative_to(tmp_path / "home")
    assert len(rows(dagster_url, "event_logs")) == 1


def test_run_workers_get_no_password(
    on_platform_database: None, dagster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET_DAGSTER_DATABASE_URL", dagster_url.replace("postgres@", f"postgres:{SECRET}@"))
    with dg.DagsterInstance.from_config(str(project_root())) as instance:
        reference = instance.get_ref()
        assert SECRET not in serialize_value(reference)
        assert SECRET not in instance.info_str()
        with dg.DagsterInstance.from_ref(reference) as worker:
            worker.store_event(planned("a"))
    assert len(rows(dagster_url, "event_logs")) == 1


def test_runs_events_and_schedules_share_one_pool(dagster_url: str) -> None:
    storage = MarketStorage(dagster_url)
    engines = {id(part._engine) for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage)}
    assert len(engines) == 1
    assert storage.schedule_storage.all_instigator_state() == []
    assert storage.run_storage.get_runs() == []


def test_processes_that_start_together_create_the_tables_once(pg_server: Any) -> None:
    url = pg_server.create_database("empty")
    with ThreadPoolExecutor(3) as pool:
        storages = list(pool.map(lambda _: MarketStorage(url), range(3)))
    storages[0].event_log_storage.store_event(materialized("a"))
    assert [storage.event_log_storage.has_asset_key(dg.AssetKey("a")) for storage in storages] == [True] * 3
    assert storages[0].event_log_storage.alembic_version()[0] == storages[0].event_log_storage.alembic_version()[1]


def test_webserver_gets_its_timeout_and_keeps_our_class(instance: dg.DagsterInstance) -> None:
    assert statement_timeout(instance) == "0"
    instance.optimize_for_webserver(statement_timeout=4321, pool_recycle=300, max_overflow=5)
    assert statement_timeout(instance) == "4321ms"
    assert type(instance.event_log_storage) is BatchedPostgresEventLogStorage
    instance.event_log_storage.store_event_batch([planned("a"), planned("b")])
    assert instance.get_runs() == []


def test_disposed_instance_holds_no_connection(tmp_path: Path, pg_server: Any) -> None:
    url = pg_server.create_database("disposed")
    with instance_for(url, tmp_path) as instance:
        instance.store_event(planned("a"))
        instance.all_instigator_state()
    name = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(pg_server.url("postgres"), autocommit=True) as administrator:
        administrator.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))  # refused while one is open


def test_instance_for_has_the_settings_of_the_project(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    settings = yaml.safe_load((project_root() / "dagster.yaml").read_text())
    assert instance.get_settings("retention") == settings["retention"]
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.max_concurrent_runs == settings["concurrency"]["runs"]["max_concurrent_runs"]
    assert Path(instance.storage_directory()).is_relative_to(tmp_path)


def test_dagster_command_describes_the_instance_and_leaves_no_files(on_platform_database: None, tmp_path: Path) -> None:
    root = project_root()
    before = set(root.iterdir())
    described = subprocess.run(
        [sys.executable, "-m", "dagster", "instance", "info"],
        cwd=tmp_path,
        env={**os.environ, "DAGSTER_HOME": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "event_log_storage: BatchedPostgresEventLogStorage" in described.stdout
    assert "enabled: false" in described.stdout
    assert set(root.iterdir()) == before


def test_workspace_names_the_code_location() -> None:
    workspace = yaml.safe_load((project_root() / "workspace.yaml").read_text())
    assert workspace == {
        "load_from": [{"python_module": {"module_name": "market_assets.definitions", "location_name": "market_assets"}}]
    }


def test_reference_of_the_project_names_existing_classes() -> None:
    reference = InstanceRef.from_dir(str(project_root()))
    assert reference.storage_data is not None
    assert (reference.storage_data.module_name, reference.storage_data.class_name) == (
        MarketStorage.__module__,
        "MarketStorage",
    )
    assert reference.local_artifact_storage_data.class_name == "MarketArtifactStorage"
    assert reference.compute_logs_data.class_name == "MarketComputeLogManager"
