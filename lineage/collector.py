"""The collector: from Dagster's event log into the outbox, in transactions that also move the watermark.

A pass looks at the runs that have events behind the watermark or in the overlap before it (a transaction that committed
late leaves a low id), and builds the events of each run whose log has grown since it was last seen. What a run becomes
is a function of its log, and an event once stored never changes: so a pass may be repeated, interrupted or run twice at
once without losing or doubling anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage import outbox
from lineage.eventlog import RUNLESS, EventLog
from lineage.runs import run_events, runless_events

if TYPE_CHECKING:
    import psycopg
    from dagster import DagsterInstance

    from lineage.config import LineageConfig
    from lineage.declared import Declared


def collect(
    instance: DagsterInstance, connection: psycopg.Connection, config: LineageConfig, declared: Declared
) -> int:
    """Bring the outbox up to date with the event log; returns the number of new events.

    Args:
        instance: whose event log is read.
        connection: to the database with the `lineage` schema; its transaction is committed after each window.
        config: namespaces, overlap and window.
        declared: definitions by asset key; assets that are missing have only what their events say.

    Raises:
        UnsupportedEventLog: see `EventLog`.
        psycopg.Error: nothing of the current window is stored; the next pass starts there.
    """
    log = EventLog(instance)
    newest = log.newest_id()
    collected = 0
    while True:
        with connection.transaction():
            position = _position(connection, log, newest)
            until = min(newest, position + config.window)
            collected += _collect_window(
                connection, log, config, declared, position=position, until=until, newest=newest
            )
            outbox.move_watermark(connection, log.source, max(position, until))
        connection.commit()
        if until >= newest:
            return collected


def _position(connection: psycopg.Connection, log: EventLog, newest: int) -> int:
    """Watermark of this log; 0 again when the log was wiped and its ids begin anew."""
    position = outbox.lock_watermark(connection, log.source)
    return position if position <= newest or position <= log.newest_id() else 0


def _collect_window(
    connection: psycopg.Connection,
    log: EventLog,
    config: LineageConfig,
    declared: Declared,
    *,
    position: int,
    until: int,
    newest: int,
) -> int:
    after = max(0, position - config.overlap)
    run_ids = log.runs_between(after, until)
    progress = log.progress(run_ids, newest)
    known = outbox.known_progress(connection, log.source, run_ids)
    changed = {
        run_id: progress[run_id]
        for run_id in run_ids
        if run_id in progress and known.get(run_id) != (progress[run_id].events, progress[run_id].last_id)
    }
    inserted = 0
    for run_id in changed:
        if run_id == RUNLESS:
            events = runless_events(log, after=after, until=newest, config=config, declared=declared)
        else:
            events = run_events(log, run_id, until=newest, config=config, declared=declared)
        inserted += outbox.insert_events(connection, events)
    # Kept twice as long as the overlap, so that a late event never meets a run that was just forgotten.
    outbox.save_progress(connection, log.source, changed, forget_below=until - 2 * config.overlap)
    return inserted
