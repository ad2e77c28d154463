"""The tables between the collector and the relay: every statement on them, and nothing else.

Each function takes an open psycopg connection and leaves committing to its caller, unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import class_row, namedtuple_row

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg

    from lineage.eventlog import Progress
    from lineage.events import OutboxEvent

_BATCH: Final = 200


def lock_watermark(connection: psycopg.Connection, source: str) -> int:
    """Position of `source`, 0 at first. Held until the transaction ends: collectors take turns."""
    connection.execute(
        "insert into lineage.watermark (source, position) values (%s, 0) on conflict do nothing", [source]
    )
    row = connection.execute("select position from lineage.watermark where source = %s for update", [source]).fetchone()
    return int(row[0]) if row else 0


def move_watermark(connection: psycopg.Connection, source: str, position: int) -> None:
    """Set the position of `source`."""
    connection.execute(
        "update lineage.watermark set position = %s, collected_at = now() where source = %s", [position, source]
    )


def known_progress(connection: psycopg.Connection, source: str, run_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Events and newest id of each run when it was last collected; runs never seen are left out."""
    rows = connection.execute(
        "select run_id, events, last_id from lineage.run_progress where source = %s and run_id = any(%s)",
        [source, list(run_ids)],
    )
    return {run_id: (events, last_id) for run_id, events, last_id in rows}


def save_progress(
    connection: psycopg.Connection, source: str, progress: Mapping[str, Progress], *, forget_below: int
) -> None:
    """Remember how much of each run is covered, and forget runs whose newest event lies below an id."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into lineage.run_progress (source, run_id, events, last_id) values (%s, %s, %s, %s)
            on conflict (source, run_id) do update set events = excluded.events, last_id = excluded.last_id
            """,
            [(source, run_id, state.events, state.last_id) for run_id, state in progress.items()],
        )
    connection.execute("delete from lineage.run_progress where source = %s and last_id < %s", [source, forget_below])


def insert_events(connection: psycopg.Connection, events: Sequence[OutboxEvent]) -> int:
    """Store events that are not stored yet; returns how many that were. An event once stored never changes."""
    inserted: list[UUID] = []
    for start in range(0, len(events), _BATCH):
        batch = events[start : start + _BATCH]
        values = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"] * len(batch))
        rows = connection.execute(
            f"""
            insert into lineage.outbox (event_id, run_id, sequence, dagster_run_id, position, job_namespace, job_name,
                                        event_type, event_time, payload)
            values {values} on conflict do nothing returning event_id
            """,  # noqa: S608  # placeholders only
            [value for event in batch for value in astuple(event)],
        )
        inserted += [row[0] for row in rows]
    if inserted:
        connection.execute(
            """
            insert into lineage.current_job as newest (job_namespace, job_name, event_id, event_time)
            select distinct on (job_namespace, job_name) job_namespace, job_name, event_id, event_time
            from lineage.outbox
            where event_id = any(%s) and event_type = 'COMPLETE'
            order by job_namespace, job_name, event_time desc, position desc
            on conflict (job_namespace, job_name) do update
                set event_id = excluded.event_id, event_time = excluded.event_time
                where excluded.event_time >= newest.event_time
            """,
            [inserted],
        )
    return len(inserted)


class PendingEvent(NamedTuple):
    """An event that waits for delivery."""

    event_id: UUID
    run_id: UUID
    job_name: str
    event_type: str
    attempts: int
    payload: str


def due_events(connection: psycopg.Connection, now: datetime, limit: int) -> list[PendingEvent]:
    """Events to deliver now, in the order in which they happened.

    The end of a run is left out while its start waits for a later attempt.
    """
    with connection.cursor(row_factory=class_row(PendingEvent)) as cursor:
        return cursor.execute(
            """
            select event_id, run_id, job_name, event_type, attempts, payload
            from lineage.outbox as event
            where status = 'pending'
                and coalesce(next_attempt_at, %(now)s) <= %(now)s
                and not exists (
                    select from lineage.outbox as earlier
                    where earlier.run_id = event.run_id and earlier.sequence < event.sequence
                        and earlier.status = 'pending' and earlier.next_attempt_at > %(now)s
                )
            order by position, run_id, sequence
            limit %(limit)s
            """,
            {"now": now, "limit": limit},
        ).fetchall()


def mark_delivered(connection: psycopg.Connection, event_ids: Iterable[UUID], now: datetime) -> None:
    """The receiver has these events."""
    connection.execute(
        """
        update lineage.outbox set status = 'delivered', delivered_at = %s, attempts = attempts + 1, last_error = null
        where event_id = any(%s)
        """,
        [now, list(event_ids)],
    )


def mark_failed(
    connection: psycopg.Connection, event_ids: Iterable[UUID], error: str, *, next_attempt_at: datetime | None
) -> None:
    """An attempt failed. Without a next attempt the events are dead: kept, shown, and out of the way of their run."""
    connection.execute(
        """
        update lineage.outbox set
            attempts = attempts + 1, last_error = %(error)s, next_attempt_at = %(next)s,
            status = case when %(next)s::timestamptz is null then 'dead' else 'pending' end
        where event_id = any(%(ids)s)
        """,
        {"error": error, "next": next_attempt_at, "ids": list(event_ids)},
    )


def requeue_dead(connection: psycopg.Connection) -> int:
    """Give dead events another life, after the cause was removed; returns how many."""
    return connection.execute(
        "update lineage.outbox set status = 'pending', attempts = 0, next_attempt_at = null where status = 'dead'"
    ).rowcount


@dataclass(frozen=True)
class Breaker:
    """State of a transport's circuit breaker: closed while `open_until` is None."""

    failures: int = 0
    open_until: datetime | None = None


def read_breaker(connection: psycopg.Connection, transport: str) -> Breaker:
    """State of the circuit breaker of `transport`; closed when it never failed."""
    with connection.cursor(row_factory=class_row(Breaker)) as cursor:
        row = cursor.execute(
            "select failures, open_until from lineage.transport where name = %s", [transport]
        ).fetchone()
    return row or Breaker()


def write_breaker(connection: psycopg.Connection, transport: str, breaker: Breaker) -> None:
    """Remember the circuit breaker of `transport`."""
    connection.execute(
        """
        insert into lineage.transport (name, failures, open_until) values (%s, %s, %s)
        on conflict (name) do update
            set failures = excluded.failures, open_until = excluded.open_until, updated_at = now()
        """,
        [transport, breaker.failures, breaker.open_until],
    )


@dataclass(frozen=True)
class OutboxStatus:
    """Counts of the outbox.

    Attributes:
        pending: waiting for delivery.
        delivered: accepted by the receiver.
        dead: refused for good; see `requeue_dead`.
        oldest_pending: when the oldest waiting event happened.
        last_error: of the event that failed last and still waits or is dead.
    """

    pending: int
    delivered: int
    dead: int
    oldest_pending: datetime | None
    last_error: str | None


def outbox_status(connection: psycopg.Connection) -> OutboxStatus:
    """Counts of the outbox, for status commands."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        row = cursor.execute(
            """
            select
                count(*) filter (where status = 'pending') as pending,
                count(*) filter (where status = 'delivered') as delivered,
                count(*) filter (where status = 'dead') as dead,
                min(event_time) filter (where status = 'pending') as oldest_pending,
                (
                    select last_error from lineage.outbox
                    where status <> 'delivered' and last_error is not null
                    order by next_attempt_at desc nulls first, position desc limit 1
                ) as last_error
            from lineage.outbox
            """
        ).fetchone()
    return OutboxStatus(**{field.name: getattr(row, field.name) for field in fields(OutboxStatus)})
