"""`market status`: what each asset holds and what is wrong with it, and which vendors are being left alone."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from market_assets.commands.console import console, table
from market_assets.resources import Platform
from market_assets.settings import dagster_home
from market_assets.warehouse.connection import connect

if TYPE_CHECKING:
    from dagster import Definitions
    from dagster._core.definitions.assets.graph.asset_graph import AssetNode


@dataclass
class AssetStatus:
    """One asset. Partition counts are None for an asset without partitions; rows None where the table is missing."""

    asset: str
    group: str
    table: str
    present: int | None = None
    missing: int | None = None
    failed: int | None = None
    materialized: bool = False
    rows: int | None = None
    last_session: str | None = None
    failing_checks: list[str] = field(default_factory=list)


@dataclass
class SourceStatus:
    """The circuit of one source that is asked over a network. Moments are ISO 8601; None where there is none."""

    source: str
    kind: str
    circuit: str = "closed"
    since: str | None = None
    failures: int = 0
    next_try: str | None = None
    error: str = ""


def show(*, as_json: bool) -> None:
    """Print the status of every asset that is materialized, and of every vendor."""
    os.environ.setdefault("DAGSTER_HOME", str(dagster_home()))
    platform = Platform()
    from market_assets.definitions import build_definitions

    definitions = build_definitions(platform)
    with DagsterInstance.get() as instance:
        statuses = read_status(platform, definitions, instance)
    sources = read_sources(platform)
    if as_json:
        told = {"assets": [asdict(status) for status in statuses], "sources": [asdict(source) for source in sources]}
        print(json.dumps(told, indent=2))  # noqa: T201 - machine-readable output
        return
    table(
        "assets",
        ("asset", "group", "present", "missing", "failed", "rows", "last session", "failing checks"),
        [
            (
                status.asset,
                status.group,
                "" if status.present is None else status.present,
                "" if status.missing is None else status.missing,
                "" if status.failed is None else status.failed,
                "" if status.rows is None else status.rows,
                status.last_session or ("" if status.materialized else "never materialized"),
                ", ".join(status.failing_checks),
            )
            for status in statuses
        ],
    )
    _show_sources(sources)
    if any(status.missing for status in statuses):
        console.print("missing partitions: `market backfill --from DAY --to DAY` materializes a range")


def _show_sources(sources: list[SourceStatus]) -> None:
    if not sources:
        return
    table(
        "sources",
        ("source", "kind", "circuit", "since", "failures", "next try", "last failure"),
        [
            (
                source.source,
                source.kind,
                source.circuit,
                source.since or "",
                source.failures,
                source.next_try or "",
                source.error,
            )
            for source in sources
        ],
    )
    left_alone = [source.source for source in sources if source.circuit != "closed"]
    if left_alone:
        console.print(f"not asked until the next try: {', '.join(left_alone)}; the rest of the chain answers meanwhile")


def read_sources(platform: Platform) -> list[SourceStatus]:
    """The circuit of each configured source that is asked over a network, in order of priority."""
    from market_assets.fetching.breaker_state import read_states
    from market_assets.sources.registry import source_class

    asked = [source for source in platform.config.sources if source_class(source.kind).limits is not None]
    if not asked:
        return []
    with connect(platform.warehouse_url) as connection:
        states = {state.source: state for state in read_states(connection)}
    statuses = []
    for source in asked:
        status = SourceStatus(source.label, source.kind)
        if (state := states.get(source.label)) is not None:
            status.circuit, status.failures, status.error = state.state, state.failures, state.error
            status.since = _moment(state.since)
            status.next_try = None if state.next_try is None else _moment(state.next_try)
        statuses.append(status)
    return statuses


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def read_status(platform: Platform, definitions: Definitions, instance: DagsterInstance) -> list[AssetStatus]:
    """Status of each executable asset, in the order of the graph."""
    graph = definitions.resolve_asset_graph()
    keys = [key for key in graph.toposorted_asset_keys if key in graph.executable_asset_keys]
    records = {record.asset_entry.asset_key: record for record in instance.get_asset_records(keys)}
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(graph.asset_check_keys))
    statuses = []
    for key in keys:
        node = graph.get(key)
        status = AssetStatus(
            key.to_user_string(), node.group_name, _table(node), materialized=_materialized(records.get(key))
        )
        if node.partitions_def is not None:
            _count_partitions(status, instance, key, node)
        status.failing_checks = sorted(
            check_key.name
            for check_key, record in checks.items()
            if check_key.asset_key == key and record is not None and record.status is Status.FAILED
        )
        statuses.append(status)
    _count_rows(platform.warehouse_url, statuses)
    return statuses


def _table(node: AssetNode) -> str:
    return str(node.metadata.get("dagster/table_name", "")).split(".", 1)[-1]


def _materialized(record: Any) -> bool:
    return record is not None and record.asset_entry.last_materialization_record is not None


def _count_partitions(status: AssetStatus, instance: DagsterInstance, key: AssetKey, node: AssetNode) -> None:
    partitions = node.partitions_def
    if partitions is None:
        return
    # Not Dagster's partition status cache: to fill it costs 2 ms for each partition that has exclusions to walk over.
    every = set(partitions.get_partition_keys())
    present = instance.get_materialized_partitions(key) & every
    failed = _failed_partitions(instance, key) & every
    status.present, status.failed = len(present), len(failed)
    status.missing = len(every - present - failed)


def _failed_partitions(instance: DagsterInstance, key: AssetKey) -> set[str]:
    """Partitions whose last attempt was made by a run that failed or was cancelled."""
    attempts = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )
    runs = {run_id for run_id, _ in attempts.values()}
    if not runs:
        return set()
    ended = instance.get_runs(
        RunsFilter(run_ids=list(runs), statuses=[DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED])
    )
    failed = {run.run_id for run in ended}
    return {partition for partition, (run_id, _) in attempts.items() if run_id in failed}


def _count_rows(url: str, statuses: list[AssetStatus]) -> None:
    with connect(url) as connection:
        for status in statuses:
            columns = {
                row[0]
                for row in connection.execute(
                    "select column_name from information_schema.columns where table_schema || '.' || table_name = %s",
                    (status.table,),
                )
            }
            if not columns:
                continue
            last = "max(session)::text" if "session" in columns else "null"
            current = " where known_to is null" if "known_to" in columns else ""
            row: Any = connection.execute(
                f"select count(*), {last} from {status.table}{current}"  # noqa: S608 - own names
            ).fetchone()
            status.rows, status.last_session = row
