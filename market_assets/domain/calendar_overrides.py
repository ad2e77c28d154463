"""The calendar override file: what exchange_calendars lacks, one row per exchange and session.

Belongs here: the columns, their checks, and the typed row. Does not belong here: reading the file from disk
(partitions.py) and laying the rows over a calendar (calendars.py).

Columns: exchange (exchange_calendars name), session (ISO date), kind, opens_at and closes_at (HH:MM, local to the
exchange, may be empty), reason (why, and who announced it). Kinds:
    special_session   a day with trading that the calendar has as closed; regular hours where none are given
    closed            a day without trading that the calendar has as open
    early_close       a session that ends at closes_at
    late_open         a session that starts at opens_at
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Final, Literal, get_args

from market_assets.errors import InputError

OverrideKind = Literal["special_session", "closed", "early_close", "late_open"]

OVERRIDE_COLUMNS: Final = ("exchange", "session", "kind", "opens_at", "closes_at", "reason")
KINDS: Final[Mapping[str, OverrideKind]] = {kind: kind for kind in get_args(OverrideKind)}
# kind: which of opens_at, closes_at it needs and which it allows
_NEEDS: Final[Mapping[OverrideKind, frozenset[str]]] = {
    "special_session": frozenset(),
    "closed": frozenset(),
    "early_close": frozenset({"closes_at"}),
    "late_open": frozenset({"opens_at"}),
}
_ALLOWS: Final[Mapping[OverrideKind, frozenset[str]]] = {
    "special_session": frozenset({"opens_at", "closes_at"}),
    "closed": frozenset(),
    "early_close": frozenset({"closes_at"}),
    "late_open": frozenset({"opens_at"}),
}


@dataclass(frozen=True)
class Override:
    """One row of the override file.

    Attributes:
        exchange: exchange_calendars name, such as XBOM.
        session: the day.
        kind: what differs, see the module.
        opens_at: local open, None = as the calendar has it.
        closes_at: local close, None = as the calendar has it.
        reason: why, and where that was announced.
        origin: file and row, for messages.
    """

    exchange: str
    session: date
    kind: OverrideKind
    opens_at: time | None
    closes_at: time | None
    reason: str
    origin: str


def parse_overrides(text: str, *, file: str, known_exchanges: Iterable[str]) -> tuple[Override, ...]:
    """Check the text of an override file.

    Args:
        text: CSV with a header row.
        file: its name, for messages.
        known_exchanges: exchange names that are accepted.

    Returns:
        The rows, in file order.

    Raises:
        InputError: a column is missing or unknown, or a row is malformed or doubled; it names file and row.
    """
    known = frozenset(known_exchanges)
    reader = csv.DictReader(text.splitlines(), strict=True)
    if tuple(reader.fieldnames or ()) != OVERRIDE_COLUMNS:
        raise InputError(f"{file} row 1: the columns must be {', '.join(OVERRIDE_COLUMNS)}")
    rows: list[Override] = []
    seen: dict[tuple[str, date], str] = {}
    try:
        for row in reader:
            override = _override(row, f"{file} row {reader.line_num}", known)
            key = override.exchange, override.session
            if key in seen:
                raise InputError(
                    f"{override.origin}: {key[0]} {key[1]} already stands in {seen[key]}; keep one of them"
                )
            seen[key] = override.origin
            rows.append(override)
    except csv.Error as error:
        raise InputError(f"{file} row {reader.reader.line_num}: not readable as CSV: {error}") from error
    return tuple(rows)


def _override(row: Mapping[str | None, str | None], origin: str, known: frozenset[str]) -> Override:
    if None in row or None in row.values():
        raise InputError(f"{origin}: needs {len(OVERRIDE_COLUMNS)} fields; quote a reason that holds a comma")
    field = {name: (row[name] or "").strip() for name in OVERRIDE_COLUMNS}
    if field["exchange"] not in known:
        raise InputError(f"{origin}: unknown exchange {field['exchange']!r}; use its exchange_calendars name, as XNYS")
    if field["kind"] not in KINDS:
        raise InputError(f"{origin}: unknown kind {field['kind']!r}; allowed are {', '.join(KINDS)}")
    if not field["reason"]:
        raise InputError(f"{origin}: give the reason and who announced it; an unexplained correction cannot be checked")
    kind = KINDS[field["kind"]]
    for name in ("opens_at", "closes_at"):
        if field[name] and name not in _ALLOWS[kind]:
            raise InputError(f"{origin}: {kind} takes no {name}; leave it empty")
        if not field[name] and name in _NEEDS[kind]:
            raise InputError(f"{origin}: {kind} needs {name}, as HH:MM in the exchange's own time")
    opens_at = _time(field["opens_at"], "opens_at", origin)
    closes_at = _time(field["closes_at"], "closes_at", origin)
    if opens_at is not None and closes_at is not None and opens_at >= closes_at:
        raise InputError(f"{origin}: opens at {opens_at:%H:%M}, not before it closes at {closes_at:%H:%M}")
    try:
        session = date.fromisoformat(field["session"])
    except ValueError as error:
        raise InputError(f"{origin}: session {field['session']!r} is not a date such as 2024-05-18") from error
    return Override(field["exchange"], session, kind, opens_at, closes_at, field["reason"], origin)


def _time(text: str, name: str, origin: str) -> time | None:
    if not text:
        return None
    try:
        parsed = time.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{origin}: {name} {text!r} is not a time such as 18:15") from error
    if parsed.tzinfo is not None:
        raise InputError(f"{origin}: {name} {text!r} must be local to the exchange, without an offset")
    return parsed
