"""What a batch writes must be what the stock storage writes for the same events."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster import AssetKey, DagsterEventType
from dagster._core.definitions.events import (
    AssetMaterializationFailure,
    AssetMaterializationFailureReason,
    AssetMaterializationFailureType,
)
from dagster._core.events import AssetFailedToMaterializeData, EngineEventData
from dagster._core.events.log import EventLogEntry
from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage
from dagster_shared.check import CheckError
from event_builders import (
    SESSIONS,
    check_planned,
    contents,
    entry,
    materialized,
    observed,
    planned,
    rows,
    store_in_turn,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market_assets.instance.event_log import BATCH_SIZE_VARIABLE, BatchedPostgresEventLogStorage

TAGS = {"dagster/data_version": "v1", "dagster/code_version": "c1", "team": "quant"}

BATCHES: dict[str, list[EventLogEntry]] = {
    "planned partitions of two assets": [planned(asset, f"2024-01-{day:02}") for asset in "ab" for day in range(2, 9)],
    "planned without a partition": [planned("b"), planned("a")],
    "materialized partitions with tags": [materialized("a", f"2024-01-{day:02}", TAGS) for day in range(2, 9)],
    "materializations of several assets": [materialized("b"), materialized("a", tags=TAGS), materialized("b")],
    "observations": [observed("a", "2024-01-02", TAGS, timestamp=1.0), observed("a", "2024-01-03", timestamp=2.0)],
    "an observation after a materialization": [materialized("a", timestamp=1.0), observed("a", timestamp=2.0)],
    "a plan of another run after a materialization": [materialized("a"), planned("a", run_id="run-2", timestamp=2e9)],
    "checks without partitions": [check_planned("a", "positive"), check_planned("b", "positive"), planned("a")],
    "checks of a range": [check_planned("a", name, ["2024-01-02", "2024-01-05", "2024-01-08"]) for name in ("x", "y")],
    "one event": [planned("a", "2024-01-02")],
}


@pytest.mark.parametrize("events", BATCHES.values(), ids=BATCHES.keys())
def test_rows_equal_those_of_the_stock_storage(
    events: list[EventLogEntry], batched: BatchedPostgresEventLogStorage, dagster_url: str, stock_url: str
) -> None:
    store_in_turn(stock_url, events)
    batched.store_event_batch(events)
    ours, stock = contents(dagster_url), contents(stock_url)
    assert ours == stock
    assert len(ours["event_logs"]) == len(events)


partition_keys = st.sampled_from([None, "2024-01-02", "2024-01-03", "2024-01-04"])
moments = st.builds(
    dict, run_id=st.sampled_from(["run-1", "run-2"]), timestamp=st.integers(1, 10**9).map(lambda micro: micro / 1e6)
)
tag_sets = st.dictionaries(st.sampled_from([*TAGS, "x"]), st.text("ab_-.1", max_size=3), max_size=3)
assets = st.sampled_from(["a", "b", "it's a/100%"])
any_event = st.one_of(
    st.builds(lambda asset, key, when: planned(asset, key, **when), assets, partition_keys, moments),
    st.builds(
        lambda asset, key, tags, when: materialized(asset, key, tags, **when), assets, partition_keys, tag_sets, moments
    ),
    st.builds(
        lambda asset, key, tags, when: observed(asset, key, tags, **when), assets, partition_keys, tag_sets, moments
    ),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_event, min_size=2, max_size=12))
def test_any_mix_of_asset_events_leaves_the_rows_of_the_stock_storage(
    batched: BatchedPostgresEventLogStorage, dagster_url: str, stock_url: str, events: list[EventLogEntry]
) -> None:
    for url in (dagster_url, stock_url):
        with psycopg.connect(url) as connection:
            connection.execute("truncate event_logs, asset_keys, asset_event_tags restart identity")
    store_in_turn(stock_url, events)
    batched.store_event_batch(events)
    assert contents(dagster_url) == contents(stock_url)


def test_batch_continues_what_earlier_batches_left(
    batched: BatchedPostgresEventLogStorage, dagster_url: str, stock_url: str
) -> None:
    first, second = [planned("a"), planned("b")], [materialized("b", tags=TAGS), observed("a", timestamp=1.8e9)]
    store_in_turn(stock_url, first + second)
    batched.store_event_batch(first)
    batched.store_event_batch(second)
    assert contents(dagster_url) == contents(stock_url)


def test_thousands_of_rows_keep_the_order_of_the_events(
    batched: BatchedPostgresEventLogStorage, dagster_url: str
) -> None:
    partitions = [f"p{number}" for number in range(2500)]
    batched.store_event_batch([planned("a", key) for key in partitions])
    assert [row["partition"] for row in rows(dagster_url, "event_logs")] == partitions


def test_failed_materializations_are_left_out_as_the_stock_storage_does(
    batched: BatchedPostgresEventLogStorage, dagster_url: str
) -> None:
    failure = AssetMaterializationFailure(
        AssetKey("a"), AssetMaterializationFailureType.FAILED, AssetMaterializationFailureReason.FAILED_TO_MATERIALIZE
    )
    failed = entry(DagsterEventType.ASSET_FAILED_TO_MATERIALIZE, AssetFailedToMaterializeData(failure))
    batched.store_event_batch([failed])
    batched.store_event_batch([failed, planned("a")])
    assert [row["dagster_event_type"] for row in rows(dagster_url, "event_logs")] == ["ASSET_MATERIALIZATION_PLANNED"]


def test_other_kinds_of_events_are_refused(batched: BatchedPostgresEventLogStorage, dagster_url: str) -> None:
    engine_event = entry(DagsterEventType.ENGINE_EVENT, EngineEventData())
    with pytest.raises(CheckError, match="can be written in batches"):
        batched.store_event_batch([planned("a"), engine_event])
    assert not rows(dagster_url, "event_logs")


def test_single_events_are_stored_as_the_stock_storage_does(
    batched: BatchedPostgresEventLogStorage, dagster_url: str, stock_url: str
) -> None:
    events = [
        entry(DagsterEventType.ENGINE_EVENT, EngineEventData()),
        planned("a", "2024-01-02"),
        materialized("a", "2024-01-02", TAGS),
        check_planned("a", "positive"),
    ]
    store_in_turn(stock_url, events)
    for event in events:
        batched.store_event(event)
    assert contents(dagster_url) == contents(stock_url)


def test_building_the_storage_turns_batches_on(dagster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BATCH_SIZE_VARIABLE, raising=False)
    BatchedPostgresEventLogStorage(dagster_url, should_autocreate_tables=False, event_batch_size=77)
    assert os.environ[BATCH_SIZE_VARIABLE] == "77"


def test_batch_size_from_the_environment_wins(dagster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "0")
    BatchedPostgresEventLogStorage(dagster_url, should_autocreate_tables=False)
    assert os.environ[BATCH_SIZE_VARIABLE] == "0"


def test_configuration_builds_this_class_and_keeps_its_settings(
    dagster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(BATCH_SIZE_VARIABLE, raising=False)
    data = ConfigurableClassData(
        BatchedPostgresEventLogStorage.__module__,
        "BatchedPostgresEventLogStorage",
        f"postgres_url: {dagster_url}\nevent_batch_size: 33\n",
    )
    storage = data.rehydrate(as_type=PostgresEventLogStorage)
    assert type(storage) is BatchedPostgresEventLogStorage
    assert storage.inst_data == data
    assert os.environ[BATCH_SIZE_VARIABLE] == "33"


def run_two_assets(instance: dg.DagsterInstance, sessions: dg.DailyPartitionsDefinition) -> dg.ExecuteInProcessResult:
    single_run = dg.BackfillPolicy.single_run()

    @dg.multi_asset_check(
        specs=[dg.AssetCheckSpec("positive", asset="bars"), dg.AssetCheckSpec("complete", asset="bars")]
    )
    def checks() -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(passed=True, asset_key="bars", check_name="positive")
        yield dg.AssetCheckResult(passed=False, asset_key="bars", check_name="complete")

    @dg.asset(partitions_def=sessions, backfill_policy=single_run)
    def bars() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": 5})

    @dg.asset(partitions_def=sessions, backfill_policy=single_run, deps=[bars])
    def indicators() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": 5})

    job = dg.Definitions(assets=[bars, indicators], asset_checks=[checks]).resolve_implicit_global_asset_job_def()
    keys = sessions.get_partition_keys()
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return job.execute_in_process(instance=instance, tags=tags)


def test_range_run_looks_the_same_as_with_the_stock_storage(
    instance: dg.DagsterInstance, stock_url: str, tmp_path: Path, dagster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_two_assets(instance, SESSIONS).success
    (tmp_path / "stock").mkdir()
    (tmp_path / "stock" / "dagster.yaml").write_text(
        f"storage: {{postgres: {{postgres_url: '{stock_url}'}}}}\ntelemetry: {{enabled: false}}\n"
    )
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "0")
    with dg.DagsterInstance.from_config(str(tmp_path / "stock")) as stock:
        assert run_two_assets(stock, SESSIONS).success
        kinds = ("dagster_event_type", "asset_key", "partition", "step_key")
        assert [[row[kind] for kind in kinds] for row in rows(dagster_url, "event_logs")] == [
            [row[kind] for kind in kinds] for row in rows(stock_url, "event_logs")
        ]
        statuses = ("asset_key", "check_name", "partition", "execution_status")
        assert [[row[name] for name in statuses] for row in rows(dagster_url, "asset_check_executions")] == [
            [row[name] for name in statuses] for row in rows(stock_url, "asset_check_executions")
        ]
        for asset in ("bars", "indicators"):
            key = AssetKey(asset)
            assert instance.get_materialized_partitions(key) == stock.get_materialized_partitions(key)
            assert instance.get_materialized_partitions(key) == set(SESSIONS.get_partition_keys())
