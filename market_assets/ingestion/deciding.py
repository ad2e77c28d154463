"""What a person decides about quarantined rows: they are stored after all, or stay out for good.

Every action is one transaction: what is stored of the rows, the decision and its entry in the audit trail commit
together or not at all, under a run id of the action's own. What was computed from the sessions before is found by the
restatement sensor like any other late or withdrawn bar. Does not belong here: letting rows
pass the rules again (`replaying.py`), how decisions are kept (`quality.quarantine`), the command line.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from market_assets.errors import InputError
from market_assets.sources.frames import ACTIONS, BARS, FrameSchema
from market_assets.warehouse.tables import CORPORATE_ACTION, PRICE_BAR, VersionedTable
from market_assets.warehouse.versions import VersionedWriter, transaction
from market_assets.warehouse.writes import WriteResult
from quality.errors import QuarantineError
from quality.quarantine import settle

Row = dict[str, Any]

TABLES: Final[Mapping[str, tuple[VersionedTable, FrameSchema]]] = {
    PRICE_BAR.qualified: (PRICE_BAR, BARS),
    CORPORATE_ACTION.qualified: (CORPORATE_ACTION, ACTIONS),
}
"""Tables that quarantined rows can be stored in, and the frame of their rows."""

_ROWS = """
    select quarantine_id, table_name, rule, symbol, session, source, status,
        raw_row::text as raw_row, candidate::text as candidate, proposal::text as proposal,
        stored_row::text as stored_row
    from quality.quarantine
    where quarantine_id in (select jsonb_array_elements_text($1::text::jsonb)::bigint)
    order by quarantine_id
    for update
"""


@dataclass
class Done:
    """What an action did.

    Attributes:
        run_id: of the action, in every version and audit entry it wrote.
        rows: quarantined rows it was about.
        written: versions it stored; withdrawn = versions it closed.
        still_held: number -> rule and reason of each row that a replay did not let pass.
    """

    run_id: str
    rows: int
    written: WriteResult = field(default_factory=WriteResult)
    still_held: dict[int, str] = field(default_factory=dict)


def accept(url: str, numbers: Sequence[int], *, by: str, note: str | None, proposed: bool = False) -> Done:
    """Store quarantined rows, as they came or as they are proposed to be repaired.

    Args:
        url: libpq URL of the warehouse.
        numbers: of the rows; all are accepted or none.
        by: who decides.
        note: why.
        proposed: store the proposals instead of the rows as they came.

    Raises:
        InputError: a row cannot be stored so, two rows are about the same bar, or a row's status does not allow it.
    """
    done = Done(new_run_id("accept"), len(set(numbers)))
    with transaction(url, done.run_id) as writer:
        rows = locked(writer, numbers)
        stored = {int(row["quarantine_id"]): _storable(row, proposed=proposed) for row in rows}
        for table_name, part in _by_table(rows, stored).items():
            done.written += writer.write(TABLES[table_name][0], _frame(table_name, part))
        decide(writer, numbers, status="accepted", by=by, note=note, run_id=done.run_id, stored=stored)
    return done


def reject(url: str, numbers: Sequence[int], *, by: str, note: str | None) -> Done:
    """Keep quarantined rows out for good; what an earlier acceptance stored of them is withdrawn.

    Args:
        url, numbers, by, note: as for `accept`.

    Raises:
        InputError: a row does not exist, or its status does not allow it.
    """
    done = Done(new_run_id("reject"), len(set(numbers)))
    with transaction(url, done.run_id) as writer:
        rows = [row for row in locked(writer, numbers) if row["status"] == "accepted" and row["stored_row"]]
        stored = {int(row["quarantine_id"]): json.loads(row["stored_row"]) for row in rows}
        for table_name, part in _by_table(rows, stored).items():
            withdrawn = writer.withdraw(TABLES[table_name][0], _frame(table_name, part))
            done.written += WriteResult(withdrawn=withdrawn)
        decide(writer, numbers, status="rejected", by=by, note=note, run_id=done.run_id)
    return done


def locked(writer: VersionedWriter, numbers: Sequence[int]) -> list[Row]:
    """The quarantined rows of these numbers, in order; until the transaction ends nobody else can decide about them."""
    return run_in(writer)(_ROWS, (json.dumps(sorted(set(numbers))),))


def decide(writer: VersionedWriter, numbers: Sequence[int], **decision: Any) -> None:
    """`quality.quarantine.settle` in the transaction of `writer`.

    Raises:
        InputError: a row does not exist, or its status does not allow it.
    """
    try:
        settle(run_in(writer), numbers, **decision)
    except QuarantineError as error:
        raise InputError(f"{error}. `market quarantine list --status all` shows every row.") from error


def run_in(writer: VersionedWriter) -> Callable[[str, Sequence[Any]], list[Row]]:
    """Statements of `quality.quarantine` in the transaction of `writer`."""

    def run(statement: str, values: Sequence[Any]) -> list[Row]:
        return [{str(name): value for name, value in row.items()} for row in _records(writer, statement, values)]

    return run


def _records(writer: VersionedWriter, statement: str, values: Sequence[Any]) -> list[Mapping[Any, Any]]:
    found = writer.read(statement, values)
    return list(found.astype(object).where(found.notna(), None).to_dict("records"))


def new_run_id(action: str) -> str:
    """Run id of one action on the quarantine."""
    return f"quarantine-{action}-{uuid.uuid4()}"


def named(row: Mapping[str, Any]) -> str:
    """A quarantined row in a message."""
    session = "" if pd.isna(row["session"]) else f" {pd.Timestamp(row['session']).date()}"
    return f"number {row['quarantine_id']} ({row['symbol']}{session} of {row['source']}, {row['rule']})"


def _storable(row: Mapping[str, Any], *, proposed: bool) -> Row:
    """What is to be stored of a row.

    Raises:
        InputError: there is nothing of it that could be stored.
    """
    if row["table_name"] not in TABLES:
        raise InputError(f"{named(row)} was meant for {row['table_name']}, which no decision writes; reject it")
    text = row["proposal" if proposed else "candidate"]
    if text:
        form: Row = json.loads(text)
        return form
    other = row["candidate" if proposed else "proposal"]
    if proposed:
        raise InputError(
            f"{named(row)} has no proposed repair. "
            f"{'Accept it as it came, without --proposed, or reject it.' if other else 'Reject it.'}"
        )
    raise InputError(
        f"{named(row)} cannot be stored as it came. "
        f"{'Accept the proposed repair with --proposed, or reject it.' if other else 'Reject it, or replay it later.'}"
    )


def _by_table(rows: Sequence[Mapping[str, Any]], stored: Mapping[int, Row]) -> dict[str, dict[int, Row]]:
    """The rows to store by table.

    Raises:
        InputError: two of them are about the same key.
    """
    parts: dict[str, dict[int, Row]] = {}
    seen: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        number = int(row["quarantine_id"])
        if number not in stored:
            continue
        table = TABLES[row["table_name"]][0]
        key = (table.qualified, *(stored[number][column] for column in table.key))
        if key in seen:
            raise InputError(f"{named(seen[key])} and {named(row)} are about the same {table.name}: accept one of them")
        seen[key] = row
        parts.setdefault(row["table_name"], {})[number] = stored[number]
    return parts


def _frame(table_name: str, rows: Mapping[int, Row]) -> pd.DataFrame:
    return TABLES[table_name][1].conform(pd.DataFrame(list(rows.values())), "quality.quarantine")
