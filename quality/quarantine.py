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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row

from quality.errors import QuarantineError
from quality.schema import STATUSES

Status = Literal["open", "accepted", "rejected", "replayed"]

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
    """

    table_name: str
    rule: str
    reason: str
    raw_row: Mapping[str, Any]
    symbol: str | None = None
    session: date | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class QuarantinedRow(RefusedRow):
    """A row in the quarantine.

    Attributes:
        quarantine_id: its number.
        status: open, accepted, rejected or replayed.
        run_id: the run that refused it first.
        quarantined_at: when.
        resolved_at, resolved_by, note: the latest decision; None while it is open.
    """

    quarantine_id: int
    status: Status
    run_id: str
    quarantined_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    note: str | None


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
        [json.dumps(_storable(row.raw_row), sort_keys=True) for row in rows],
        [row.reason for row in rows],
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
    limit: int = 100,
) -> list[QuarantinedRow]:
    """Quarantined rows, the latest first.

    Args:
        connection: any.
        status: only rows with this status; None = all.
        table_name: only rows meant for this table.
        rule: only rows that break this rule.
        symbol: only rows about this symbol.
        limit: how many at most.
    """
    filters = {"status": status, "table_name": table_name, "rule": rule, "symbol": symbol}
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
    """Decide about rows, all of them or none.

    Args:
        connection: the caller's; nothing is committed.
        quarantine_ids: the rows.
        status: accepted, rejected or replayed.
        by: who decides.
        note: why.

    Returns:
        The rows as they are now, by number.

    Raises:
        QuarantineError: a row does not exist, or its status does not allow this decision.
    """
    if status not in STATUSES or status == "open":
        raise QuarantineError(f"a decision is one of {', '.join(STATUSES[1:])}, not {status!r}")
    numbers = sorted(set(quarantine_ids))
    with connection.cursor(row_factory=class_row(QuarantinedRow)) as cursor:
        # Locked in the order of their numbers, so that two people deciding at once wait instead of deadlocking.
        found = {row.quarantine_id: row for row in cursor.execute(_LOCK, (numbers,))}
        missing = [number for number in numbers if number not in found]
        if missing:
            raise QuarantineError(f"no quarantined row has number {_listed(missing)}; nothing was changed")
        refused = [number for number, row in found.items() if status not in _NEXT[row.status]]
        if refused:
            one = found[refused[0]]
            raise QuarantineError(
                f"quarantined row {_listed(refused)} cannot become {status}: number {one.quarantine_id} is {one.status}"
                f"{'' if one.resolved_by is None else f' (by {one.resolved_by})'}; nothing was changed"
            )
        cursor.execute(_RESOLVE, {"status": status, "by": by, "note": note, "numbers": numbers})
        return sorted(cursor.fetchall(), key=lambda row: row.quarantine_id)


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
    insert into quality.quarantine (table_name, rule, symbol, session, source, raw_row, reason, run_id)
    select table_name, rule, symbol, session, source, raw_row::jsonb, reason, %s
    from unnest(%s::text[], %s::text[], %s::text[], %s::date[], %s::text[], %s::text[], %s::text[])
        as refused (table_name, rule, symbol, session, source, raw_row, reason)
    on conflict (table_name, rule, symbol, session, source, md5(raw_row::text)) do nothing
"""
_LIST = """
    select * from quality.quarantine
    where status = coalesce(%(status)s, status)
        and table_name = coalesce(%(table_name)s, table_name)
        and rule = coalesce(%(rule)s, rule)
        and (%(symbol)s::text is null or symbol = %(symbol)s)
    order by quarantine_id desc
    limit %(limit)s
"""
_SHOW = "select * from quality.quarantine where quarantine_id = %s"
_LOCK = "select * from quality.quarantine where quarantine_id = any(%s) order by quarantine_id for update"
_RESOLVE = """
    update quality.quarantine
    set status = %(status)s, resolved_at = clock_timestamp(), resolved_by = %(by)s, note = %(note)s
    where quarantine_id = any(%(numbers)s)
    returning *
"""
_HISTORY = """
    select event_id, quarantine_id, status, by, note, run_id, at from quality.quarantine_event
    where quarantine_id = %s
    order by event_id
"""
