"""What Dagster's own records cost: milliseconds per asset and partition, with our event storage and the stock one.

Two assets that do nothing, over one range of trading-day partitions in one run: all the time is bookkeeping. The floor
is the same event rows copied into an empty table with the same indexes. Other benchmarks measure real assets.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import dagster as dg
import psycopg
from psycopg import sql

from benchmarks.measure import Beside, Figure, Scale, Spread, Target
from benchmarks.process import python
from benchmarks.server import fresh_database, temporary_folder, temporary_server
from market_assets.warehouse.server import EmbeddedServer

PARTITIONS = 2767
ASSETS = 2
COLUMNS = sql.SQL("run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition")


def run(scale: Scale) -> list[Figure]:
    """Measure ours and the floor `scale.repeats` times, and the stock storage once, on one server.

    The stock storage takes minutes and runs once, in full: nothing is extrapolated. Each run has a process of its own
    and an empty database.
    """
    partitions = scale.of(PARTITIONS, least=10)
    with temporary_folder() as folder, temporary_server(folder) as server:
        ours = [_milliseconds(server, "ours", partitions, folder) for _ in range(scale.repeats)]
        stock = [_milliseconds(server, "stock", partitions, folder)]
        floor = [_floor(server.url("stock"), partitions) for _ in range(scale.repeats)]
    return [
        Figure(
            name="bookkeeping",
            what=f"one run over {partitions} partitions of {ASSETS} assets that do nothing",
            unit="ms per asset-partition",
            ours=Spread(tuple(ours)),
            floor=Beside(
                "text COPY of the same event rows into an empty table with the same indexes", Spread(tuple(floor))
            ),
            peer=Beside("dagster-postgres as shipped, once", Spread(tuple(stock))),
            target=Target(at_most=1.0, faster=25.0),
            facts={"partitions": partitions, "assets": ASSETS},
        )
    ]


def _milliseconds(server: EmbeddedServer, storage: str, partitions: int, folder: Path) -> float:
    """One run in a process of its own; `storage` is also the name of its database, which is created anew."""
    url = fresh_database(server, storage)
    measured = python(["-m", "benchmarks.bookkeeping", storage, url, str(partitions), str(folder)])
    seconds = float(measured.output.splitlines()[-1])  # Dagster prints each event before, on both sides
    return seconds * 1000 / (partitions * ASSETS)


def _measure(storage: str, url: str, partitions: int, folder: Path) -> float:
    """Seconds of one range run, from creating the run to its success."""
    days = dg.DailyPartitionsDefinition("2000-03-01", timezone="Europe/Athens", exclusions=["0 0 * * 6", "0 0 * * 0"])
    keys = days.get_partition_keys()[:partitions]
    single_run = dg.BackfillPolicy.single_run()

    @dg.asset(partitions_def=days, backfill_policy=single_run)
    def first() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"rows": 5})

    @dg.asset(partitions_def=days, backfill_policy=single_run, deps=[first])
    def second() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"rows": 5})

    job = dg.Definitions(
        assets=[first, second], executor=dg.in_process_executor
    ).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    with _instance(storage, url, folder) as instance:
        started = time.perf_counter()
        result = job.execute_in_process(instance=instance, tags=tags)
        seconds = time.perf_counter() - started
        materialized = instance.get_materialized_partitions(dg.AssetKey("second"))
    if not result.success or len(materialized) != partitions:
        raise RuntimeError(f"the measured run is incomplete: {len(materialized)} of {partitions} partitions")
    return seconds


def _instance(storage: str, url: str, folder: Path) -> dg.DagsterInstance:
    if storage == "ours":
        from market_assets.instance import instance_for

        return instance_for(url, folder)
    (folder / "dagster.yaml").write_text(
        json.dumps({"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}), encoding="utf-8"
    )
    return dg.DagsterInstance.from_config(str(folder))


def _floor(url: str, partitions: int) -> float:
    """Milliseconds per asset-partition to copy the event rows of a run into an empty table with the same indexes."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(sql.SQL("select {} from event_logs order by id").format(COLUMNS)).fetchall()
        connection.execute("create table copied (like event_logs including all)")
        connection.commit()
        started = time.perf_counter()
        with connection.cursor().copy(sql.SQL("copy copied ({}) from stdin").format(COLUMNS)) as copy:
            for row in rows:
                copy.write_row(row)
        connection.commit()
        seconds = time.perf_counter() - started
        connection.execute("drop table copied")
    return seconds * 1000 / (partitions * ASSETS)


if __name__ == "__main__":
    _storage, _url, _partitions, _folder = sys.argv[1:]
    _seconds = _measure(_storage, _url, int(_partitions), Path(_folder))
    sys.stderr.flush()
    print(_seconds, flush=True)
