"""Tables of the `lineage` schema, as idempotent DDL that a migration or `create_all` runs.

Belongs here: what is stored and why each index exists. Does not belong here: any query.

    outbox         every OpenLineage event ever built, byte for byte, with its delivery state
    watermark      how far each Dagster instance's event log has been read
    run_progress   how much of each recent Dagster run's log the events in the outbox already cover
    current_job    the newest completed event of each job: what the lineage graph is made of
    transport      circuit breaker of each transport, so that it survives the process that opened it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

_OUTBOX = """
create table if not exists lineage.outbox (
    event_id        uuid primary key,
    run_id          uuid not null,
    sequence        smallint not null check (sequence in (0, 1)),
    dagster_run_id  text not null,
    position        bigint not null,
    job_namespace   text not null,
    job_name        text not null,
    event_type      text not null check (event_type in ('START', 'COMPLETE', 'FAIL', 'ABORT')),
    event_time      timestamptz not null,
    payload         text not null,
    status          text not null default 'pending' check (status in ('pending', 'delivered', 'dead')),
    attempts        integer not null default 0,
    next_attempt_at timestamptz,
    last_error      text,
    created_at      timestamptz not null default now(),
    delivered_at    timestamptz,
    -- one start and one end per OpenLineage run, whichever end was seen first
    constraint outbox_one_start_one_end unique (run_id, sequence)
)
"""

# The relay reads pending events in the order in which they happened; delivered ones never again.
_OUTBOX_PENDING = """
create index if not exists outbox_pending on lineage.outbox (position, run_id, sequence) where status = 'pending'
"""

# `market lineage` and support questions ask for all events of one Dagster run.
_OUTBOX_RUN = "create index if not exists outbox_dagster_run on lineage.outbox (dagster_run_id)"

_WATERMARK = """
create table if not exists lineage.watermark (
    source       text primary key,
    position     bigint not null,
    collected_at timestamptz not null default now()
)
"""

_RUN_PROGRESS = """
create table if not exists lineage.run_progress (
    source  text not null,
    run_id  text not null,
    events  bigint not null,
    last_id bigint not null,
    primary key (source, run_id)
)
"""

_CURRENT_JOB = """
create table if not exists lineage.current_job (
    job_namespace text not null,
    job_name      text not null,
    event_id      uuid not null references lineage.outbox (event_id),
    event_time    timestamptz not null,
    primary key (job_namespace, job_name)
)
"""

_TRANSPORT = """
create table if not exists lineage.transport (
    name       text primary key,
    failures   integer not null,
    open_until timestamptz,
    updated_at timestamptz not null default now()
)
"""


def statements() -> list[str]:
    """DDL of the `lineage` schema in execution order. Each statement may be run again without effect."""
    return [
        "create schema if not exists lineage",
        _OUTBOX,
        _OUTBOX_PENDING,
        _OUTBOX_RUN,
        _WATERMARK,
        _RUN_PROGRESS,
        _CURRENT_JOB,
        _TRANSPORT,
    ]


def create_all(connection: psycopg.Connection) -> None:
    """Create what is missing, for users without a migration tool. The caller commits."""
    for statement in statements():
        connection.execute(statement)
