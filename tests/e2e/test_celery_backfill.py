"""One backfill on two workers with different work folders: the same tables as one process makes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from celery_cluster import CeleryCluster
from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from market_project import MarketProject, assert_same_tables
from vendor_folder import INDICATOR_TABLES, configured_vendor

from market_assets.runs import selected_assets

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("celery")]

SESSIONS_PER_RUN = 12
DEADLINE_SECONDS = 420


@pytest.fixture
def cluster(install: Callable[..., MarketProject], monkeypatch: pytest.MonkeyPatch) -> CeleryCluster:
    """Two workers over a database that is set up and empty; this process sees the same instance."""
    project = install("celery")
    configured_vendor(project)
    made = CeleryCluster(project, ("left", "right"), {"MARKET_BACKFILL__SESSIONS_PER_RUN": str(SESSIONS_PER_RUN)})
    for name, value in {**made.environment, "MARKET_HOME": str(made.home("launcher"))}.items():
        monkeypatch.setenv(name, value)
    return made


def request_backfill(project: MarketProject, instance: DagsterInstance) -> str:
    """Ask for every partition of what follows the facts, as the UI's button does; returns the backfill's id."""
    definitions = project.definitions()
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id="chunked",
        asset_graph=definitions.resolve_asset_graph(),
        partition_names=None,
        asset_selection=sorted(selected_assets(definitions, "not (key:corporate_actions or key:securities)")),
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=True,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


def test_a_chunked_backfill_on_two_workers_makes_the_tables_of_one_process(cluster, loaded):
    project = cluster.project
    with DagsterInstance.get() as instance, cluster:
        instance.event_log_storage.set_concurrency_slots("vendor", 2)  # a folder bears two readers
        # Checks of a chunk explain moves by actions; without them first, a split would be a false alarm until it came.
        assert project.run(selection="key:corporate_actions or key:securities").success
        sessions = len(project.partition_keys())
        backfill_id = request_backfill(project, instance)

        def status() -> BulkActionStatus:
            found = instance.get_backfill(backfill_id)
            assert found is not None
            assert found.status is not BulkActionStatus.COMPLETED_FAILED, found.error
            failed = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.FAILURE]))
            assert not failed, (failed, cluster.logs())
            return found.status

        cluster.wait_until(
            "the backfill succeeds", lambda: status() is BulkActionStatus.COMPLETED_SUCCESS, DEADLINE_SECONDS
        )
        unfinished = RunsFilter(statuses=[DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
        cluster.wait_until("every run ends", lambda: not instance.get_runs(unfinished), DEADLINE_SECONDS)
        runs = instance.get_runs(RunsFilter(tags={"dagster/backfill": backfill_id}))
        assert {run.status for run in runs} == {DagsterRunStatus.SUCCESS}
        ingestions = [run for run in runs if AssetKey("raw_prices") in (run.asset_selection or ())]
        assert len(ingestions) == -(-sessions // SESSIONS_PER_RUN)
        took_part = [name for name in cluster.workers if "execute_job" in cluster.log(name)]
        assert took_part == list(cluster.workers), {name: cluster.log(name)[-2000:] for name in cluster.workers}
        assert all((cluster.home(name) / "dbt").is_dir() for name in took_part), "each keeps its own files"
        tables = project.tables()

    with loaded.entered():
        wanted = loaded.tables()
    exact = wanted.keys() - INDICATOR_TABLES
    assert_same_tables({name: tables[name] for name in exact}, {name: wanted[name] for name in exact})
    assert_same_tables(
        {name: tables[name] for name in INDICATOR_TABLES}, {name: wanted[name] for name in INDICATOR_TABLES}, 1e-10
    )
