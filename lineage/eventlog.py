"""Reading Dagster's event log: cheap rows first, whole events only where a fact is needed.

Belongs here: every query on Dagster's own tables. What the rows mean is in `lineage.history`.

A range run writes thousands of events that differ only in their partition. Deserializing them costs 0.1 ms each, so the
log is read through its columns (id, run, type, step, asset, partition, time), and the body only of the few events that
carry facts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dagster import AssetKey, DagsterEventType, DagsterInstance, DagsterRun
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.runs import SqlRunStorage
from dagster._serdes import deserialize_value
from sqlalchemy import func, select

from lineage.errors import UnsupportedEventLog

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

T = TypeVar("T")

RUNLESS: Final = ""
"""Run id of events that were reported outside any run."""

_LOG = SqlEventLogStorageTable.c
_KINDS: Final = tuple(
    kind.value
    for kind in (
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.STEP_START,
        DagsterEventType.STEP_SUCCESS,
        DagsterEventType.STEP_FAILURE,
        DagsterEventType.RUN_START,
        DagsterEventType.RUN_SUCCESS,
        DagsterEventType.RUN_FAILURE,
        DagsterEventType.RUN_CANCELING,
        DagsterEventType.RUN_CANCELED,
    )
)
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class LogRow:
    """One event without its body.

    Attributes:
        id: storage id; ascending in the order of insertion.
        kind: value of DagsterEventType.
        step: step key, None for events of the run as a whole.
        asset: asset key as user string, None for events about no asset, and for check events.
        partition: partition key, None when unpartitioned.
        time: when it happened, UTC.
    """

    id: int
    kind: str
    step: str | None
    asset: str | None
    partition: str | None
    time: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a run's log there is: its events and the newest id."""

    events: int
    last_id: int


class EventLog:
    """The event log of one Dagster instance, read only.

    Raises:
        UnsupportedEventLog: the storage is not SQL, or is split over one database per run (the SQLite default).
    """

    def __init__(self, instance: DagsterInstance) -> None:
        storage, runs = instance.event_log_storage, instance.run_storage
        if not isinstance(storage, SqlEventLogStorage) or storage.is_run_sharded or not isinstance(runs, SqlRunStorage):
            raise UnsupportedEventLog(
                f"{type(storage).__name__} keeps no single ordered event log; use dagster-postgres as storage."
            )
        self._instance = instance
        self._storage = storage
        self.source = runs.get_run_storage_id()
        """Identity of the instance's storage: watermarks of different instances never mix."""

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._storage.index_connection() as connection:
            yield connection

    def newest_id(self) -> int:
        """Newest storage id, 0 for an empty log."""
        with self._connection() as connection:
            return int(connection.execute(select(func.max(_LOG.id))).scalar() or 0)

    def runs_between(self, after: int, until: int) -> list[str]:
        """Ids of runs with events that matter to lineage and ids in (after, until], oldest first. May hold RUNLESS."""
        query = (
            select(_LOG.run_id)
            .where(_LOG.id > after, _LOG.id <= until, _LOG.dagster_event_type.in_(_KINDS))
            .group_by(_LOG.run_id)
            .order_by(func.min(_LOG.id))
        )
        with self._connection() as connection:
            return [row[0] for row in connection.execute(query)]

    def progress(self, run_ids: Sequence[str], until: int) -> dict[str, Progress]:
        """Count and newest id of the events of runs, up to id `until`."""
        found: dict[str, Progress] = {}
        with self._connection() as connection:
            for chunk in _chunks(run_ids):
                query = (
                    select(_LOG.run_id, func.count(), func.max(_LOG.id))
                    .where(_LOG.run_id.in_(chunk), _LOG.id <= until)
                    .group_by(_LOG.run_id)
                )
                found |= {row[0]: Progress(row[1], row[2]) for row in connection.execute(query)}
        return found

    def rows(self, run_id: str, *, after: int = 0, until: int) -> list[LogRow]:
        """Rows of one run (or RUNLESS) that matter to lineage, with ids in (after, until], ascending."""
        query = (
            select(_LOG.id, _LOG.dagster_event_type, _LOG.step_key, _LOG.asset_key, _LOG.partition, _LOG.timestamp)
            .where(_LOG.run_id == run_id, _LOG.id > after, _LOG.id <= until, _LOG.dagster_event_type.in_(_KINDS))
            .order_by(_LOG.id)
        )
        keys: dict[str, str] = {}
        with self._connection() as connection:
            return [
                LogRow(number, kind, step, _user_key(asset, keys), partition, time.replace(tzinfo=UTC))
                for number, kind, step, asset, partition, time in connection.execute(query)
            ]

    def entries(self, ids: Iterable[int]) -> dict[int, EventLogEntry]:
        """Whole events by id."""
        return {number: deserialize_value(text, EventLogEntry) for number, text in self._bodies(ids)}

    def documents(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Events by id as plain JSON: twenty times faster than `entries`, for a look at single fields."""
        return {number: json.loads(text) for number, text in self._bodies(ids)}

    def _bodies(self, ids: Iterable[int]) -> Iterator[tuple[int, str]]:
        with self._connection() as connection:
            for chunk in _chunks(sorted(ids)):
                query = select(_LOG.id, _LOG.event).where(_LOG.id.in_(chunk))
                yield from ((number, text) for number, text in connection.execute(query))

    def run(self, run_id: str) -> DagsterRun | None:
        """The run's record, None when it was deleted."""
        return self._instance.get_run_by_id(run_id)


def _user_key(key: str | None, known: dict[str, str]) -> str | None:
    """`["a", "b"]` as `a/b`; thousands of rows share a few keys."""
    if key is None:
        return None
    if key not in known:
        parsed = AssetKey.from_db_string(key)
        known[key] = parsed.to_user_string() if parsed else key
    return known[key]


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
