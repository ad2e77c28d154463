"""What Dagster's own records cost: milliseconds per asset and partition, with our event storage and the stock one.

Two assets that do nothing, over one range of trading-day partitions in one run: all the time is bookkeeping. The floor
is the same event rows copied into an empty table with the same indexes. Other benchmarks measure real assets.

    python -m benchmarks.bookkeeping [partitions]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg

from market_assets.warehouse.server import EmbeddedServer, with_database

PARTITIONS = 2767
ASSETS = 2
REPEATS = 3
MAX_MILLISECONDS = 1.0
MIN_SPEEDUP = 25.0

PROJECT = Path(__file__).resolve().parent.parent
BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"


def run(partitions: int = PARTITIONS, repeats: int = REPEATS) -> dict[str, Any]:
    """Measure ours `repeats` times, the stock storage and the floor, on one server of its own.

    The stock storage runs once, in full: nothing is extrapolated. Each run has a fresh process and an empty database.

    Returns:
        Milliseconds per asset-partition: `ours`, `stock` and `floor` with `median`, `min`, `max` and `runs`; `speedup`
        (stock / ours), `ratio_to_floor`, and `met` for the target.
    """
    with tempfile.TemporaryDirectory(prefix="market-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server runs under another user when we are root
        server = EmbeddedServer(folder / "postgres")
        server.start()
        try:
            ours = [_milliseconds(server, "ours", partitions, folder) for _ in range(repeats)]
            stock = [_milliseconds(server, "stock", partitions, folder)]
            floor = [_floor(server.url("stock"), partitions) for _ in range(repeats)]
        finally:
            server.stop()
    speedup = stock[0] / statistics.median(ours)
    return {
        "name": "bookkeeping",
        "unit": "ms per asset-partition",
        "partitions": partitions,
        "assets": ASSETS,
        "ours": _summary(ours),
        "stock": _summary(stock),
        "floor": _summary(floor),
        "speedup": round(speedup, 1),
        "ratio_to_floor": round(statistics.median(ours) / statistics.median(floor), 1),
        "target": f"<= {MAX_MILLISECONDS} ms and >= {MIN_SPEEDUP:.0f} times less than stock",
        "met": statistics.median(ours) <= MAX_MILLISECONDS and speedup >= MIN_SPEEDUP,
    }


def _summary(runs: list[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(runs), 4),
        "min": round(min(runs), 4),
        "max": round(max(runs), 4),
        "runs": [round(value, 4) for value in runs],
    }


def _milliseconds(server: EmbeddedServer, storage: str, partitions: int, folder: Path) -> float:
    """One run in a process of its own; `storage` is also the name of its database, which is created anew."""
    url = server.url(storage)
    with psycopg.connect(with_database(url, "postgres"), autocommit=True) as connection:
        name = psycopg.sql.Identifier(storage)
        connection.execute(psycopg.sql.SQL("drop database if exists {} with (force)").format(name))
        connection.execute(psycopg.sql.SQL("create database {}").format(name))
    environment = {key: value for key, value in os.environ.items() if key != BATCH_SIZE_VARIABLE}
    log = folder / f"{storage}.log"
    with log.open("w") as output:  # Dagster prints each event, on both sides
        measured = subprocess.run(
            [sys.executable, "-m", "benchmarks.bookkeeping", "--measure", storage, url, str(partitions), str(folder)],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            check=False,
        )
    if measured.returncode:
        raise RuntimeError(f"the run on {storage} storage failed: {log.read_text()[-2000:]}")
    return float(measured.stdout) * 1000 / (partitions * ASSETS)


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
    columns = psycopg.sql.SQL("run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition")
    with psycopg.connect(url) as connection:
        rows = connection.execute(psycopg.sql.SQL("select {} from event_logs order by id").format(columns)).fetchall()
        connection.execute("create table copied (like event_logs including all)")
        connection.commit()
        started = time.perf_counter()
        with connection.cursor().copy(psycopg.sql.SQL("copy copied ({}) from stdin").format(columns)) as copy:
            for row in rows:
                copy.write_row(row)
        connection.commit()
        seconds = time.perf_counter() - started
        connection.execute("drop table copied")
    return seconds * 1000 / (partitions * ASSETS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _storage, _url, _partitions, _folder = sys.argv[2:]
        print(_measure(_storage, _url, int(_partitions), Path(_folder)))
    else:
        print(json.dumps(run(*map(int, sys.argv[1:2])), indent=2))
