"""From real Dagster runs to the outbox: nothing is lost or doubled, however a pass is interrupted or repeated."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    MaterializeResult,
    asset,
)
from lineage_world import CONFIG, DEFINITIONS, definitions, run, stored

from lineage import collector, outbox
from lineage.collector import collect
from lineage.declared import declared_assets
from lineage.errors import UnsupportedEventLog
from lineage.events import DagsterRunFacts

DECLARED = declared_assets(DEFINITIONS)


def test_a_second_pass_finds_nothing_new(instance: DagsterInstance, connection: psycopg.Connection) -> None:
    run(instance)
    assert collect(instance, connection, CONFIG, DECLARED) == 8
    before = stored(connection)
    assert collect(instance, connection, CONFIG, DECLARED) == 0
    assert stored(connection) == before


def test_a_replay_of_everything_is_byte_identical(instance: DagsterInstance, connection: psycopg.Connection) -> None:
    run(instance)
    run(instance, "sql")
    run(instance, config={"prices": {"config": {"fail": True}}})
    collect(instance, connection, CONFIG, DECLARED)
    before = stored(connection)
    connection.execute("truncate lineage.outbox, lineage.watermark, lineage.run_progress, lineage.current_job")
    collect(instance, connection, CONFIG, DECLARED)
    assert stored(connection) == before
    assert len(before) > 15


def test_collecting_while_the_run_works_gives_the_same_events_as_collecting_once(
    instance: DagsterInstance, connection: psycopg.Connection, warehouse_url: str
) -> None:
    """Each asset collects while it works, so that starts are stored long before ends."""
    seen: list[set[tuple[str, str]]] = []

    @asset(deps=["mart"])
    def watcher(context: AssetExecutionContext) -> MaterializeResult[Any]:
        with psycopg.connect(warehouse_url) as own:
            collect(context.instance, own, CONFIG, declared_assets(defs))
            seen.append({(row[5], row[6]) for row in stored(own)})
        return MaterializeResult(metadata={"dagster/row_count": 3})

    @asset(deps=[watcher])
    def later() -> None:
        """Waits while the watcher collects."""

    defs = definitions(watcher, later)
    run(instance, "more", defs=defs)
    collect(instance, connection, CONFIG, declared_assets(defs))
    incremental = stored(connection)
    assert seen == [{("more", "START"), ("watcher", "START")}]
    connection.execute("truncate lineage.outbox, lineage.watermark, lineage.run_progress, lineage.current_job")
    collect(instance, connection, CONFIG, declared_assets(defs))
    assert stored(connection) == incremental
    assert {(row[5], row[6]) for row in incremental} == {
        (job, kind) for job in ("more", "watcher", "later") for kind in ("START", "COMPLETE")
    }


def test_a_run_that_is_never_launched_aborts_everything_it_planned(
    instance: DagsterInstance, connection: psycopg.Connection
) -> None:
    queued = instance.create_run_for_job(DEFINITIONS.resolve_job_def("sql"))
    assert collect(instance, connection, CONFIG, DECLARED) == 0
    instance.report_run_failed(queued, message="no worker")
    collect(instance, connection, CONFIG, DECLARED)
    events = {(row[5], row[6]): json.loads(row[8]) for row in stored(connection)}
    assert set(events) == {("sql", "START"), ("sql", "FAIL"), ("mart", "START"), ("mart", "ABORT")}
    assert events["mart", "ABORT"]["run"]["facets"]["errorMessage"]["message"] == "not started: no worker"


def test_a_run_id_that_is_no_uuid_gets_one_that_derives_from_it() -> None:
    facts = DagsterRunFacts("nightly-7", "job", "source")
    assert facts.uuid == DagsterRunFacts("nightly-7", "other", "source").uuid
    assert facts.uuid != DagsterRunFacts("nightly-8", "job", "source").uuid


@pytest.mark.parametrize("statement", ["insert_events", "save_progress", "move_watermark"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_in_the_middle_loses_nothing(
    instance: DagsterInstance,
    connection: psycopg.Connection,
    warehouse_url: str,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    after: bool,
) -> None:
    run(instance)
    original = getattr(outbox, statement)

    def crash(*arguments: Any, **options: Any) -> Any:
        if after:
            original(*arguments, **options)
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(collector.outbox, statement, crash)
        with psycopg.connect(warehouse_url) as dying, pytest.raises(SystemExit):
            collect(instance, dying, CONFIG, DECLARED)
    assert stored(connection) == [], "a crashed pass left something behind"
    connection.rollback()
    assert collect(instance, connection, CONFIG, DECLARED) == 8


def test_a_history_larger_than_a_window_is_collected_window_by_window(
    instance: DagsterInstance, connection: psycopg.Connection
) -> None:
    for _ in range(3):
        run(instance, "sql")
    assert collect(instance, connection, replace(CONFIG, window=7, overlap=3), DECLARED) == 12
    assert collect(instance, connection, CONFIG, DECLARED) == 0


def test_an_id_that_commits_late_is_not_missed(
    instance: DagsterInstance, connection: psycopg.Connection, dagster_url: str
) -> None:
    """Events of a whole run become visible after a later id was collected, as with a slow transaction."""
    run(instance, "sql")
    with psycopg.connect(dagster_url, autocommit=True) as log:
        log.execute("create table held as select * from event_logs")
        log.execute("delete from event_logs")
        instance.report_runless_asset_event(AssetMaterialization("elsewhere"))
        assert collect(instance, connection, CONFIG, DECLARED) == 2
        log.execute("insert into event_logs select * from held")
    assert collect(instance, connection, CONFIG, DECLARED) == 4


def test_an_event_that_commits_late_completes_its_run(
    instance: DagsterInstance, connection: psycopg.Connection, dagster_url: str
) -> None:
    run(instance, "sql")
    ends = ("STEP_SUCCESS", "PIPELINE_SUCCESS")
    with psycopg.connect(dagster_url, autocommit=True) as log:
        log.execute("create table held as select * from event_logs where dagster_event_type = any(%s)", [list(ends)])
        log.execute("delete from event_logs where dagster_event_type = any(%s)", [list(ends)])
        assert collect(instance, connection, CONFIG, DECLARED) == 2
        log.execute("insert into event_logs select * from held")
    assert collect(instance, connection, CONFIG, DECLARED) == 2


def test_a_wiped_event_log_starts_again(
    instance: DagsterInstance, connection: psycopg.Connection, dagster_url: str
) -> None:
    run(instance)
    collect(instance, connection, CONFIG, DECLARED)
    with psycopg.connect(dagster_url, autocommit=True) as log:
        log.execute("truncate event_logs restart identity")
    run(instance, "sql")
    assert collect(instance, connection, CONFIG, DECLARED) == 4


def test_a_deleted_run_is_passed_over(
    instance: DagsterInstance, connection: psycopg.Connection, dagster_url: str
) -> None:
    result = run(instance, "sql")
    with psycopg.connect(dagster_url, autocommit=True) as log:
        log.execute("delete from runs where run_id = %s", [result.run_id])
    assert collect(instance, connection, CONFIG, DECLARED) == 0


def test_two_collectors_at_once_take_turns(
    instance: DagsterInstance, connection: psycopg.Connection, warehouse_url: str
) -> None:
    run(instance)

    def one() -> int:
        with psycopg.connect(warehouse_url) as own:
            return collect(instance, own, CONFIG, DECLARED)

    with ThreadPoolExecutor(4) as pool:
        counts = [future.result() for future in [pool.submit(one) for _ in range(4)]]
    assert sorted(counts) == [0, 0, 0, 8]
    assert len(stored(connection)) == 8


def test_progress_of_old_runs_is_forgotten(instance: DagsterInstance, connection: psycopg.Connection) -> None:
    config = replace(CONFIG, overlap=2)
    for _ in range(3):
        run(instance, "sql")
        collect(instance, connection, config, DECLARED)
    row = connection.execute("select count(*) from lineage.run_progress").fetchone()
    assert row == (1,)


def test_a_split_event_log_is_refused(connection: psycopg.Connection, tmp_path: Path) -> None:
    with (
        DagsterInstance.local_temp(str(tmp_path)) as split,
        pytest.raises(UnsupportedEventLog, match="dagster-postgres"),
    ):
        collect(split, connection, CONFIG, DECLARED)


def test_collecting_a_range_run_of_thousands_of_partitions_is_fast(
    instance: DagsterInstance, connection: psycopg.Connection, dagster_url: str
) -> None:
    """3,270 partitions of two assets: one pair each, in well under three seconds of this process's time."""
    run(instance)
    with psycopg.connect(dagster_url, autocommit=True) as log:
        log.execute("create table held as select * from event_logs")
        log.execute("truncate event_logs restart identity")
        log.execute(
            """
            insert into event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
            select run_id, event, dagster_event_type, timestamp, step_key, asset_key,
                case when partition is null then null else (date '2024-01-02' + day)::text end
            from held cross join lateral generate_series(
                0, case when partition = '2024-01-02' then 3269 when partition is null then 0 else -1 end
            ) as day
            order by held.id, day
            """
        )
        log.execute("analyze event_logs")
    started = time.process_time()
    assert collect(instance, connection, CONFIG, DECLARED) == 8
    assert time.process_time() - started < 3


def test_events_reported_without_a_run(instance: DagsterInstance, connection: psycopg.Connection) -> None:
    instance.report_runless_asset_event(AssetMaterialization("prices", partition="2024-01-09"))
    instance.report_runless_asset_event(AssetMaterialization("elsewhere"))
    instance.report_runless_asset_event(
        AssetCheckEvaluation(asset_key=AssetKey("prices"), check_name="fresh", passed=True, partition="2024-01-09")
    )
    collect(instance, connection, CONFIG, DECLARED)
    events = {(row[5], row[6]): json.loads(row[8]) for row in stored(connection)}
    assert set(events) == {
        (job, kind) for job in ("prices", "elsewhere", "prices.checks") for kind in ("START", "COMPLETE")
    }
    assert all("parent" not in event["run"]["facets"] for event in events.values())
    test = events["prices.checks", "COMPLETE"]["run"]["facets"]["test"]["tests"][0]
    assert test["params"] == {"blocking": False, "partition": "2024-01-09"}
    before = stored(connection)
    instance.report_runless_asset_event(AssetMaterialization("elsewhere"))
    assert collect(instance, connection, CONFIG, DECLARED) == 2
    assert stored(connection)[: len(before)] == before


def test_the_asset_reads_what_its_events_say_when_it_is_not_declared(
    instance: DagsterInstance, connection: psycopg.Connection
) -> None:
    """Dagster notes on each materialization which upstream versions were read."""
    run(instance)
    collect(instance, connection, CONFIG, {})
    row = connection.execute(
        """
        select payload::jsonb -> 'inputs' from lineage.outbox
        where job_name = 'indicators' and event_type = 'COMPLETE'
        """
    ).fetchone()
    assert row is not None
    assert [source["name"] for source in row[0]] == ["prices"]
