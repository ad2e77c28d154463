"""Events as Dagster builds them, and the tables they end up in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import psycopg
from dagster import AssetKey, AssetMaterialization, AssetObservation, DagsterEvent, DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import AssetMaterializationPlannedData, AssetObservationData, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster_postgres import PostgresEventLogStorage

TABLES = ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions")
NEVER_EQUAL = {"create_timestamp"}
SESSIONS = dg.DailyPartitionsDefinition(
    "2024-01-01",
    end_date="2024-02-01",
    exclusions=[datetime(2024, 1, 1), datetime(2024, 1, 6)],  # noqa: DTZ001
)


def rows(url: str, table: str) -> list[dict[str, Any]]:
    """Every row in the order of ids, without what the clock decides."""
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        query = psycopg.sql.SQL("select * from {} order by id").format(psycopg.sql.Identifier(table))
        found = connection.execute(query).fetchall()
    return [{name: value for name, value in row.items() if name not in NEVER_EQUAL} for row in found]


def contents(url: str) -> dict[str, list[dict[str, Any]]]:
    """The four tables. Ids count: both storages start from an empty database."""
    tables = {table: rows(url, table) for table in TABLES}
    for row in tables["asset_keys"]:  # asset_keys grows in the order of first appearance or of the key: no one reads it
        del row["id"]
    tables["asset_keys"].sort(key=lambda row: row["asset_key"])
    return tables


def entry(
    kind: DagsterEventType, data: Any, run_id: str = "run-1", timestamp: float = 1_700_000_000.25
) -> EventLogEntry:
    event = DagsterEvent(kind.value, "a_job", event_specific_data=data, step_key="a_step", message="it happened")
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message="",
        run_id=run_id,
        timestamp=timestamp,
        step_key="a_step",
        job_name="a_job",
        dagster_event=event,
    )


def planned(asset: str, partition: str | None = None, **when: Any) -> EventLogEntry:
    data = AssetMaterializationPlannedData(AssetKey(asset), partition=partition)
    return entry(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data, **when)


def materialized(
    asset: str, partition: str | None = None, tags: dict[str, str] | None = None, **when: Any
) -> EventLogEntry:
    made = AssetMaterialization(AssetKey(asset), partition=partition, tags=tags, metadata={"rows": 5})
    return entry(DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(made), **when)


def observed(
    asset: str, partition: str | None = None, tags: dict[str, str] | None = None, **when: Any
) -> EventLogEntry:
    seen = AssetObservation(AssetKey(asset), partition=partition, tags=tags)
    return entry(DagsterEventType.ASSET_OBSERVATION, AssetObservationData(seen), **when)


def check_planned(asset: str, name: str, partitions: Sequence[str] = (), **when: Any) -> EventLogEntry:
    subset = SESSIONS.subset_with_partition_keys(partitions).to_serializable_subset() if partitions else None
    data = AssetCheckEvaluationPlanned(asset_key=AssetKey(asset), check_name=name, partitions_subset=subset)
    return entry(DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, data, **when)


def store_in_turn(url: str, events: Sequence[EventLogEntry]) -> None:
    """What the stock storage does without batches."""
    storage = PostgresEventLogStorage(url)
    for event in events:
        storage.store_event(event)
