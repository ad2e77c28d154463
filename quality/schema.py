"""DDL of schema `quality`: stored check results, quarantined rows and the audit trail of what was decided about them.

    result             versioned: every outcome of a check for a session, and since when it holds (see results.py)
    quarantine         one row per refused input row and rule (see quarantine.py)
                       candidate: the row in the columns of its table, as it could be stored; null when it cannot
                       proposal: the same, repaired; null where no repair is known
                       stored_row: what an acceptance or a replay stored; resolved_run_id: in which run
    quarantine_event   append-only; written by a trigger, so that no change of a status goes unrecorded

Statements are idempotent, for PostgreSQL 15 and later, and meant to be run by a migration. What reads and writes the
tables is not here.
"""

from __future__ import annotations

STATUSES = ("open", "accepted", "rejected", "replayed")
"""open: waits for a decision. accepted: the row was right. rejected: it was wrong. replayed: it went through again."""


def statements() -> list[str]:
    """The DDL, one statement an element, in the order in which it must run."""
    return [_SCHEMA, *_RESULT, *_QUARANTINE, *_QUARANTINE_EVENT]


def decision_statements() -> list[str]:
    """What a second migration adds: how a quarantined row could be stored, what was stored of it, and by which run."""
    return [*_DECISION]


_SCHEMA = "create schema if not exists quality"

# changed_xid is the transaction that last touched a version: incremental readers compare it with a snapshot's xmin.
_RESULT = (
    """
    create table if not exists quality.result (
        asset text,
        check_name text,
        session date,
        severity text,
        passed boolean,
        failed_rows bigint,
        detail text,
        known_from timestamptz not null,
        known_to timestamptz,
        run_id text not null,
        changed_xid xid8 not null default pg_current_xact_id(),
        constraint result_pkey primary key (asset, check_name, session, known_from),
        constraint result_version_order check (known_to > known_from)
    )
    """,
    (
        "create unique index if not exists result_current on quality.result (asset, check_name, session) "
        "where known_to is null"
    ),
    "create index if not exists result_changed on quality.result (changed_xid)",
    (
        "create index if not exists result_failing on quality.result (asset, session) "
        "where known_to is null and not passed"
    ),
)

_STATUS_LIST = ", ".join(f"'{status}'" for status in STATUSES)

_QUARANTINE = (
    f"""
    create table if not exists quality.quarantine (
        quarantine_id bigint generated always as identity primary key,
        table_name text not null,
        rule text not null,
        symbol text,
        session date,
        source text,
        raw_row jsonb not null,
        reason text not null,
        status text not null default 'open' check (status in ({_STATUS_LIST})),
        run_id text not null,
        quarantined_at timestamptz not null default clock_timestamp(),
        resolved_at timestamptz,
        resolved_by text,
        note text,
        constraint quarantine_resolved check (
            (status = 'open') = (resolved_at is null) and (status = 'open') = (resolved_by is null)
        )
    )
    """,
    # The same faulty row arrives again with every refresh; it is one case, however often a vendor repeats it.
    (
        "create unique index if not exists quarantine_case on quality.quarantine "
        "(table_name, rule, symbol, session, source, md5(raw_row::text)) nulls not distinct"
    ),
    "create index if not exists quarantine_open on quality.quarantine (table_name, session) where status = 'open'",
)

_QUARANTINE_EVENT = (
    """
    create table if not exists quality.quarantine_event (
        event_id bigint generated always as identity primary key,
        quarantine_id bigint not null references quality.quarantine,
        status text not null,
        by text not null,
        note text,
        run_id text not null,
        at timestamptz not null default clock_timestamp()
    )
    """,
    "create index if not exists quarantine_event_row on quality.quarantine_event (quarantine_id, event_id)",
    """
    create or replace function quality.record_quarantine_event() returns trigger language plpgsql as $$
    begin
        insert into quality.quarantine_event (quarantine_id, status, by, note, run_id)
        values (new.quarantine_id, new.status, coalesce(new.resolved_by, 'ingestion'), new.note, new.run_id);
        return null;
    end $$
    """,
    """
    create or replace trigger quarantine_recorded
    after insert or update of status, note, resolved_by on quality.quarantine
    for each row execute function quality.record_quarantine_event()
    """,
    """
    create or replace function quality.refuse_rewriting_history() returns trigger language plpgsql as $$
    begin
        raise exception 'quality.quarantine_event is append-only: % refused', tg_op
            using hint = 'resolve the row again instead; each decision adds an event';
    end $$
    """,
    """
    create or replace trigger quarantine_event_append_only
    before update or delete or truncate on quality.quarantine_event
    for each statement execute function quality.refuse_rewriting_history()
    """,
)

_DECISION = (
    """
    alter table quality.quarantine
        add column if not exists candidate jsonb,
        add column if not exists proposal jsonb,
        add column if not exists stored_row jsonb,
        add column if not exists resolved_run_id text
    """,
    # A refresh asks for each row it holds back whether it was accepted before.
    """
    create index if not exists quarantine_accepted on quality.quarantine (table_name, symbol, session, source)
    where status = 'accepted'
    """,
    """
    create or replace function quality.record_quarantine_event() returns trigger language plpgsql as $$
    begin
        insert into quality.quarantine_event (quarantine_id, status, by, note, run_id)
        values (
            new.quarantine_id, new.status, coalesce(new.resolved_by, 'ingestion'), new.note,
            coalesce(new.resolved_run_id, new.run_id)
        );
        return null;
    end $$
    """,
)
