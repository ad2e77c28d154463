"""The two ways in, and a run whose process is killed while it writes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    Definitions,
    SkipReason,
    build_sensor_context,
)
from lineage_receiver import Fault, Receiver
from lineage_world import CONFIG, DEFINITIONS, run, stored

from lineage.collector import collect
from lineage.config import LineageConfig, TransportConfig
from lineage.declared import declared_assets
from lineage.relay import Delivery
from lineage.sensor import LineagePass, build_lineage_sensor, collect_and_deliver

DECLARED = declared_assets(DEFINITIONS)


def test_collect_and_deliver_to_a_file(
    instance: DagsterInstance, connection: psycopg.Connection, tmp_path: Path
) -> None:
    run(instance)
    config = replace(CONFIG, transport=TransportConfig(kind="file", path=tmp_path / "events.jsonl"))
    done = collect_and_deliver(instance, connection, config, DECLARED)
    assert done == LineagePass(8, Delivery(delivered=8))
    assert str(done) == "collected 8 events, delivered 8, waiting 0"
    assert (tmp_path / "events.jsonl").read_text().splitlines() == [row[8] for row in stored(connection)]
    assert collect_and_deliver(instance, connection, config, DECLARED) == LineagePass(0, Delivery())


def test_without_a_transport_the_events_wait_for_one(
    instance: DagsterInstance, connection: psycopg.Connection, receiver: Receiver
) -> None:
    run(instance, "sql")
    done = collect_and_deliver(instance, connection, CONFIG, DECLARED)
    assert str(done) == "collected 4 events; no transport, they stay in the warehouse"
    later = replace(CONFIG, transport=TransportConfig(kind="http", url=receiver.url))
    assert collect_and_deliver(instance, connection, later, DECLARED).delivery == Delivery(delivered=4)
    assert receiver.accepted == [row[8] for row in stored(connection)]


@pytest.mark.parametrize(
    ("delivery", "text"),
    [
        (Delivery(busy=True), "collected 1 events; another relay is delivering"),
        (Delivery(delivered=2, pending=3, dead=1), "collected 1 events, delivered 2, waiting 3, given up 1"),
        (
            Delivery(pending=3, waiting_until=datetime(2024, 1, 1, 12, 30, tzinfo=UTC)),
            "collected 1 events, delivered 0, waiting 3; the receiver fails, next attempt 12:30:00 UTC",
        ),
    ],
)
def test_a_pass_says_what_it_did(delivery: Delivery, text: str) -> None:
    assert str(LineagePass(1, delivery)) == text


def test_the_sensor_collects_delivers_and_launches_nothing(
    instance: DagsterInstance, warehouse_url: str, receiver: Receiver
) -> None:
    settings: list[LineageConfig] = []

    def config() -> LineageConfig:
        settings.append(replace(CONFIG, transport=TransportConfig(kind="http", url=receiver.url)))
        return settings[-1]

    sensor = build_lineage_sensor(lambda: psycopg.connect(warehouse_url), config)
    assert (sensor.name, sensor.default_status) == ("lineage_sensor", DefaultSensorStatus.RUNNING)
    defs = Definitions.merge(DEFINITIONS, Definitions(sensors=[sensor]))
    assert settings == [], "a code location should load without settings"
    run(instance, "sql")
    receiver.faults.append(Fault(status=400))
    tick = sensor(build_sensor_context(instance=instance, definitions=defs))
    assert isinstance(tick, SkipReason)
    assert tick.skip_message == "collected 4 events, delivered 2, waiting 2"
    assert any('"name": "market.marts.mart"' in body for body in receiver.accepted)


KILLED = """
import os, sys, time
from pathlib import Path
from dagster import AssetExecutionContext, AssetMaterialization
from market_assets.instance import instance_for
import lineage_world as world

def half(context: AssetExecutionContext):
    for key in context.partition_keys[:2]:
        context.log_event(AssetMaterialization("half", partition=key))
    Path(sys.argv[2]).write_text("half done")
    time.sleep(60)

from dagster import BackfillPolicy, asset
defs = world.definitions(asset(half, partitions_def=world.DAYS, backfill_policy=BackfillPolicy.single_run()))
with instance_for(sys.argv[1], Path(sys.argv[2]).parent) as instance:
    world.run(instance, "only_half", tags=world.RANGE, defs=defs)
"""


def test_a_killed_run_fails_its_assets_once_dagster_knows(
    instance: DagsterInstance, connection: psycopg.Connection, dagster_url: str, tmp_path: Path
) -> None:
    """kill -9 between two partitions: START stays alone until Dagster marks the run failed, then FAIL says how far."""
    script, signpost = tmp_path / "killed.py", tmp_path / "home" / "signpost"
    signpost.parent.mkdir()
    script.write_text(KILLED)
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    process = subprocess.Popen(
        [sys.executable, str(script), dagster_url, str(signpost)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _wait_for(signpost.exists, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    collect(instance, connection, CONFIG, DECLARED)
    assert [(row[5], row[6]) for row in stored(connection)] == [("only_half", "START"), ("half", "START")]
    (dead,) = instance.get_runs()
    assert dead.status == DagsterRunStatus.STARTED
    instance.report_run_failed(dead, message="run worker is gone")
    collect(instance, connection, CONFIG, DECLARED)
    events = {(row[5], row[6]): json.loads(row[8]) for row in stored(connection)}
    failure = events["half", "FAIL"]["run"]["facets"]["errorMessage"]["message"]
    assert failure == "run worker is gone (2 of 4 partitions were materialized)"
    assert ("only_half", "FAIL") in events


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        if process.poll() is not None:
            _, errors = process.communicate()
            raise AssertionError(f"the run ended by itself: {errors.decode()[-2000:]}")
        assert time.monotonic() < deadline, "the run did not reach its second partition"
        time.sleep(0.05)
