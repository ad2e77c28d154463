"""Rows that were refused, and what was decided about them: quality.quarantine and its audit trail.

Nothing a vendor sends is dropped. A row that breaks a rule is kept here as it came, with the rule, the reason and the
run, and waits for a decision: accepted (it was right), rejected (it was wrong) or replayed (it went through ingestion
again). A trigger writes every decision to quality.quarantine_event, which refuses changes. Which rules there are, and
sending a row through ingestion again, belong to whoever ingests.

Every function works in the caller's transaction: rows are quarantined in the transaction that stores the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row, dict_row

from quality.errors import QuarantineError
from quality.schema import STATUSES

Status = Literal["open", "accepted", "rejected", "replayed"]

Run = Callable[[str, Sequence[Any]], Sequence[Mapping[str, Any]]]
"""(statement with $1, $2, ..., parameters) -> its rows: a database client of any kind, inside its transaction."""

_NEXT: Mapping[str, tuple[str, ...]] = {
    "open": ("accepted", "rejected", "replayed"),
    "accepted": ("replayed", "rejected"),
    "rejected": ("accepted",),
    "replayed": (),
}
"""What may follow each status. A decision may be revised until the row has been replayed."""


@dataclass(frozen=True, kw_only=True)
class RefusedRow:
    """A row on its way into the quarantine.

    Attributes:
        table_name: the table it was meant for, as schema.name.
        rule: name of the rule it breaks.
        reason: what is wrong, for a person.
        raw_row: the row as the source sent it. NaN, infinities, dates and numpy scalars are stored as text or numbers.
        symbol, session, source: what the row is about, as far as it is known.
        candidate: the row in the columns of its table, as it would be stored; None if it cannot be stored as it came.
        proposal: the same, repaired; None where no repair is known.
    """

    table_name: str
    rule: str
    reason: str
    raw_row: Mapping[str, Any]
    symbol: str | None = None
    session: date | None = None
    source: str | None = None
    candidate: Mapping[str, Any] | None = None
    proposal: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class QuarantinedRow(RefusedRow):
    """A row in the quarantine.

    Attributes:
        quarantine_id: its number.
        status: open, accepted, rejected or replayed.
        run_id: the run that refused it first.
        quarantined_at: when.
        resolved_at, resolved_by, note, resolved_run_id: the latest decision; None while it is open.
        stored_row: what was stored of it when it was accepted or replayed.
    """

    quarantine_id: int
    status: Status
    run_id: str
    quarantined_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    note: str | None
    resolved_run_id: str | None = None
    stored_row: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class QuarantineEvent:
    """One entry of the audit trail: who gave a row which status, when and why."""

    event_id: int
    quarantine_id: int
    status: Status
    by: str
    note: str | None
    run_id: str
    at: datetime


@dataclass(frozen=True)
class Added:
    """What `add` did; received = added + known.

    Attributes:
        received: rows handed in.
        added: rows that are new to the quarantine.
        known: rows that are in it already, with the same rule and content, whatever was decided about them.
    """

    received: int
    added: int

    @property
    def known(self) -> int:
        """See the class."""
        return self.received - self.added


def add(connection: psycopg.Connection[Any], rows: Sequence[RefusedRow], *, run_id: str) -> Added:
    """Put `rows` into the quarantine, each once: a vendor repeats a faulty row with every refresh.

    Args:
        connection: the caller's; nothing is committed.
        rows: any number.
        run_id: the run that refuses them.
    """
    if not rows:
        return Added(0, 0)
    columns: list[list[object]] = [
        [row.table_name for row in rows],
        [row.rule for row in rows],
        [row.symbol for row in rows],
        [row.session for row in rows],
        [row.source for row in rows],
        [as_json(row.raw_row) for row in rows],
        [row.reason for row in rows],
        [as_json(row.candidate) for row in rows],
        [as_json(row.proposal) for row in rows],
    ]
    added = connection.execute(_ADD, (run_id, *columns)).rowcount
    return Added(len(rows), added)


def list_rows(
    connection: psycopg.Connection[Any],
    *,
    status: Status | None = "open",
    table_name: str | None = None,
    rule: str | None = None,
    symbol: str | None = None,
    source: str | None = None,
    sessions: tuple[date | None, date | None] = (None, None),
    limit: int | None = 100,
) -> list[QuarantinedRow]:
    """Quarantined rows, the latest first.

    Args:
        connection: any.
        status: only rows with this status; None = all.
        table_name: only rows meant for this table.
        rule: only rows that break this rule.
        symbol: only rows about this symbol.
        source: only rows of this source.
        sessions: only rows about sessions from the first to the last; None = no bound.
        limit: how many at most; None = all.
    """
    filters = {
        "status": status,
        "table_name": table_name,
        "rule": rule,
        "symbol": symbol,
        "source": source,
        "first": sessions[0],
        "last": sessions[1],
    }
    with connection.cursor(row_factory=class_row(QuarantinedRow)) as cursor:
        return cursor.execute(_LIST, {**filters, "limit": limit}).fetchall()


def show(connection: psycopg.Connection[Any], quarantine_id: int) -> tuple[QuarantinedRow, list[QuarantineEvent]]:
    """A quarantined row and its history, oldest decision first.

    Raises:
        QuarantineError: there is no such row.
    """
    with connection.cursor(row_factory=class_row(QuarantinedRow)) as cursor:
        row = cursor.execute(_SHOW, (quarantine_id,)).fetchone()
    if row is None:
        raise QuarantineError(f"no quarantined row has number {quarantine_id}; list them to see the numbers")
    with connection.cursor(row_factory=class_row(QuarantineEvent)) as cursor:
        return row, cursor.execute(_HISTORY, (quarantine_id,)).fetchall()


def resolve(
    connection: psycopg.Connection[Any],
    quarantine_ids: Sequence[int],
    *,
    status: Status,
    by: str,
    note: str | None = None,
) -> list[QuarantinedRow]:
    """Decide about rows, all of them or none; see `settle`.

    Args:
        connection: the caller's; nothing is committed.
        quarantine_ids, status, by, note: see `settle`.

    Returns:
        The rows as they are now, by number.
    """

    def run(statement: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        with psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode(), parameters).fetchall()

    settle(run, quarantine_ids, status=status, by=by, note=note)
    with connection.cursor(row_factory=class_row(QuarantinedRow)) as cursor:
        return cursor.execute(_SOME, (sorted(set(quarantine_ids)),)).fetchall()


def settle(
    run: Run,
    quarantine_ids: Sequence[int],
    *,
    status: Status,
    by: str,
    note: str | None = None,
    run_id: str | None = None,
    stored: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Decide about rows, all of them or none, in the transaction of any database client.

    Args:
        run: sends a statement.
        quarantine_ids: the rows.
        status: accepted, rejected or replayed.
        by: who decides.
        note: why.
        run_id: run that acts on the decision; None = nothing runs.
        stored: number -> what is stored of the row, in the columns of its table.

    Raises:
        QuarantineError: a row does not exist, or its status does not allow this decision.
    """
    if status not in STATUSES or status == "open":
        raise QuarantineError(f"a decision is one of {', '.join(STATUSES[1:])}, not {status!r}")
    numbers = sorted(set(quarantine_ids))
    # Locked in the order of their numbers, so that two people deciding at once wait instead of deadlocking.
    found = {int(row["quarantine_id"]): row for row in run(_LOCK, (json.dumps(numbers),))}
    missing = [number for number in numbers if number not in found]
    if missing:
        raise QuarantineError(f"no quarantined row has number {_listed(missing)}; nothing was changed")
    refused = [number for number, row in found.items() if status not in _NEXT[row["status"]]]
    if refused:
        one = found[refused[0]]
        raise QuarantineError(
            f"quarantined row {_listed(refused)} cannot become {status}: number {refused[0]} is {one['status']}"
            f"{' (by ' + one['resolved_by'] + ')' if one['resolved_by'] else ''}; nothing was changed"
        )
    kept = as_json({str(number): row for number, row in (stored or {}).items()})
    run(_RESOLVE, (json.dumps(numbers), status, by, note or "", run_id or "", kept))


def record_attempt(run: Run, notes: Mapping[int, str], *, by: str, run_id: str) -> None:
    """Add an entry to the trail of rows whose status stays: they were tried again and still break a rule.

    Args:
        run: sends a statement.
        notes: number -> what came out.
        by: who tried.
        run_id: the run that tried.
    """
    run(_ATTEMPT, (json.dumps({str(number): note for number, note in notes.items()}), by, run_id))


def as_json(row: Mapping[str, Any] | None) -> str | None:
    """`row` as the text that is kept of it; equal rows give equal texts."""
    return None if row is None else json.dumps(_storable(row), sort_keys=True)


def _storable(value: Any) -> Any:
    """`value` as JSON can hold it. JSON has no NaN, which is the very fault many of these rows are here for."""
    if isinstance(value, Mapping):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        return _storable(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


_ADD = """
    insert into quality.quarantine (
        table_name, rule, symbol, session, source, raw_row, reason, candidate, proposal, run_id
    )
    select table_name, rule, symbol, session, source, raw_row::jsonb, reason, candidate::jsonb, proposal::jsonb, %s
    from unnest(
        %s::text[], %s::text[], %s::text[], %s::date[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[]
    ) as refused (table_name, rule, symbol, session, source, raw_row, reason, candidate, proposal)
    on conflict (table_name, rule, symbol, session, source, md5(raw_row::text)) do nothing
"""
_LIST = """
    select * from quality.quarantine
    where status = coalesce(%(status)s, status)
        and table_name = coalesce(%(table_name)s, table_name)
        and rule = coalesce(%(rule)s, rule)
        and (%(symbol)s::text is null or symbol = %(symbol)s)
        and (%(source)s::text is null or source = %(source)s)
        and (%(first)s::date is null or session >= %(first)s)
        and (%(last)s::date is null or session <= %(last)s)
    order by quarantine_id desc
    limit %(limit)s
"""
_SHOW = "select * from quality.quarantine where quarantine_id = %s"
_SOME = "select * from quality.quarantine where quarantine_id = any(%s) order by quarantine_id"
_LOCK = """
    select quarantine_id, status, resolved_by from quality.quarantine
    where quarantine_id in (select jsonb_array_elements_text($1::text::jsonb)::bigint)
    order by quarantine_id
    for update
"""
_RESOLVE = """
    update quality.quarantine
    set status = $2::text,
        resolved_at = clock_timestamp(),
        resolved_by = $3::text,
        note = nullif($4::text, ''),
        resolved_run_id = nullif($5::text, ''),
        stored_row = coalesce($6::text::jsonb -> quarantine_id::text, stored_row)
    where quarantine_id in (select jsonb_array_elements_text($1::text::jsonb)::bigint)
    returning quarantine_id
"""
_ATTEMPT = """
    insert into quality.quarantine_event (quarantine_id, status, by, note, run_id)
    select held.quarantine_id, held.status, $2::text, attempt.value, $3::text
    from jsonb_each_text($1::text::jsonb) as attempt
    inner join quality.quarantine as held on held.quarantine_id = attempt.key::bigint
    order by held.quarantine_id
    returning quarantine_id
"""
_HISTORY = """
    select event_id, quarantine_id, status, by, note, run_id, at from quality.quarantine_event
    where quarantine_id = %s
    order by event_id
"""
