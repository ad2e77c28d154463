"""The events of a run: its history from the log, joined with the facts that each event needs.

Belongs here: which bodies of the event log are read for which event. The rules are in `lineage.history`, the events in
`lineage.events`, checks in `lineage.checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dagster import AssetMaterialization
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster_shared.error import SerializableErrorInfo

from lineage import facts
from lineage.checks import check_events, runless_check_events
from lineage.config import LineageConfig
from lineage.declared import AssetFacts, Declared, asset_facts
from lineage.eventlog import RUNLESS, EventLog
from lineage.events import DagsterRunFacts, EventBuilder, Failure, OutboxEvent
from lineage.history import (
    MATERIALIZED,
    RUN_CANCELED,
    RUN_FAILURE,
    STEP_FAILURE,
    AssetHistory,
    RunHistory,
    read_history,
)

NO_MATERIALIZATION: Final = "the step succeeded without materializing this asset"


def run_events(
    log: EventLog, run_id: str, *, until: int, config: LineageConfig, declared: Declared
) -> list[OutboxEvent]:
    """Every event that a run's log, up to id `until`, gives rise to; empty when the run was deleted meanwhile."""
    run = log.run(run_id)
    if run is None:
        return []
    first, last = (run.tags.get(tag) for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG))
    span = (first, last) if first and last else None
    builder = EventBuilder(DagsterRunFacts(run_id, run.job_name, log.source, span), config, declared)
    history = read_history(log.rows(run_id, until=until))
    entries = log.entries(_needed(history))
    events = _run_pair(history, builder, entries)
    for asset in history.assets:
        if asset.start is None:
            continue
        whole = span is not None and asset.planned[:1] == span[:1] and asset.planned[-1:] == span[1:]
        events.append(
            builder.asset_event(
                asset.start,
                "START",
                builder.datasets.facts(asset.key),
                partitions=sorted(asset.planned),
                whole_span=whole,
            )
        )
        if asset.end is not None:
            known = asset_facts(asset.key, declared, _newest(asset, entries))
            events.append(
                builder.asset_event(
                    asset.end.row,
                    asset.end.state,
                    known,
                    partitions=asset.partitions,
                    whole_span=whole and set(asset.partitions) == set(asset.planned),
                    rows_written=_rows_written(log, asset, known),
                    failure=_asset_failure(asset, entries),
                )
            )
    return events + check_events(log, history, builder)


def runless_events(
    log: EventLog, *, after: int, until: int, config: LineageConfig, declared: Declared
) -> list[OutboxEvent]:
    """Events of materializations and check evaluations that were reported outside any run."""
    builder = EventBuilder(DagsterRunFacts(RUNLESS, "", log.source), config, declared)
    rows = log.rows(RUNLESS, after=after, until=until)
    entries = log.entries(row.id for row in rows if row.kind == MATERIALIZED)
    events: list[OutboxEvent] = []
    for row in rows:
        if row.id in entries and row.asset is not None:
            known = asset_facts(row.asset, declared, _materialization(entries[row.id]))
            partitions = [row.partition] if row.partition is not None else []
            events += [
                builder.asset_event(row, state, known, partitions=partitions, rows_written=known.partition_row_count)
                for state in ("START", "COMPLETE")
            ]
    return events + runless_check_events(log, rows, builder)


def _run_pair(history: RunHistory, builder: EventBuilder, entries: Mapping[int, EventLogEntry]) -> list[OutboxEvent]:
    events = []
    if history.start is not None:
        events.append(builder.run_event(history.start, "START"))
    if history.end is not None:
        failure = None if history.end.state == "COMPLETE" else _run_failure(history, entries)
        events.append(builder.run_event(history.end.row, history.end.state, failure))
    return events


def _needed(history: RunHistory) -> set[int]:
    """Ids of the events whose bodies carry facts: newest materializations, and whatever says why something failed."""
    needed = {asset.materializations[-1].id for asset in history.assets if asset.end and asset.materializations}
    ends = [history.end, *(asset.end for asset in history.assets)]
    return needed | {end.row.id for end in ends if end and end.row.kind in (STEP_FAILURE, RUN_FAILURE, RUN_CANCELED)}


def _newest(asset: AssetHistory, entries: Mapping[int, EventLogEntry]) -> AssetMaterialization | None:
    return _materialization(entries[asset.materializations[-1].id]) if asset.materializations else None


def _materialization(entry: EventLogEntry) -> AssetMaterialization | None:
    return entry.asset_materialization


def _rows_written(log: EventLog, asset: AssetHistory, known: AssetFacts) -> int | None:
    """Rows over all partitions, from `dagster/partition_row_count` of each materialization."""
    if known.statistics is not None or known.partition_row_count is None:
        return None
    if len(asset.materializations) == 1:
        return known.partition_row_count
    documents = log.documents(row.id for row in asset.materializations)
    return sum(_partition_rows(document) for document in documents.values())


def _partition_rows(document: Mapping[str, Any]) -> int:
    entries: Iterable[Mapping[str, Any]] = document["dagster_event"]["event_specific_data"]["materialization"][
        "metadata_entries"
    ]
    return sum(entry["entry_data"]["value"] for entry in entries if entry["label"] == facts.PARTITION_ROW_COUNT)


def _asset_failure(asset: AssetHistory, entries: Mapping[int, EventLogEntry]) -> Failure | None:
    end = asset.end
    if end is None or end.state == "COMPLETE":
        return None
    if end.row.id not in entries:
        return Failure(NO_MATERIALIZATION)
    failure = _entry_failure(entries[end.row.id])
    if not asset.started:
        return Failure(f"not started: {failure.message}", failure.stack)
    if asset.planned:
        failure = Failure(
            f"{failure.message} ({len(asset.partitions)} of {len(asset.planned)} partitions were materialized)",
            failure.stack,
        )
    return failure


def _run_failure(history: RunHistory, entries: Mapping[int, EventLogEntry]) -> Failure | None:
    return _entry_failure(entries[history.end.row.id]) if history.end else None


def _entry_failure(entry: EventLogEntry) -> Failure:
    """The error an event carries: the user's own exception where Dagster wrapped it."""
    event = entry.get_dagster_event()
    error: SerializableErrorInfo | None = getattr(event.event_specific_data, "error", None)
    if error is None:
        return Failure(event.message or entry.user_message or event.event_type_value)
    origin = error.cause or error
    return Failure(origin.message.strip(), error.to_string())
