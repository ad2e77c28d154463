"""`market quarantine`: rows that a rule held back, and what is decided about them.

Belongs here: which rows are meant, what is printed, the question before many rows are changed. Does not belong here:
what a decision does (market_assets.ingestion.deciding, replaying).
"""

from __future__ import annotations

import getpass
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date

import typer

from market_assets.commands.console import console, table
from market_assets.errors import InputError
from market_assets.ingestion.deciding import Done, accept, reject
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect
from market_assets.warehouse.server import database_urls
from quality import quarantine
from quality.errors import QuarantineError
from quality.quarantine import QuarantinedRow, Status
from quality.schema import STATUSES

ALL = "all"
SHOWN_HELD = 20


@dataclass(frozen=True)
class Filters:
    """Which rows are meant; None = any."""

    status: str = "open"
    rule: str | None = None
    symbol: str | None = None
    source: str | None = None
    first: date | None = None
    last: date | None = None

    def rows(self, limit: int | None) -> list[QuarantinedRow]:
        """The rows, the latest first.

        Raises:
            InputError: there is no such status.
        """
        if self.status not in (*STATUSES, ALL):
            raise InputError(f"no status {self.status!r}; choose one of {', '.join((*STATUSES, ALL))}")
        status: Status | None = None if self.status == ALL else self.status  # type: ignore[assignment]  # checked above
        with connect(database_urls().market) as connection:
            return quarantine.list_rows(
                connection,
                status=status,
                rule=self.rule,
                symbol=self.symbol,
                source=self.source,
                sessions=(self.first, self.last),
                limit=limit,
            )

    @property
    def narrowed(self) -> bool:
        """Whether anything but the status is asked for."""
        return replace(self, status="open") != Filters()


def show_list(filters: Filters, limit: int, *, as_json: bool) -> None:
    """Print the rows that match."""
    rows = filters.rows(limit)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], default=str, indent=2))  # noqa: T201 - wherever it is piped
        return
    if not rows:
        console.print("no quarantined row matches")
        return
    table(
        f"Quarantine: {len(rows)} rows",
        ["number", "rule", "symbol", "session", "source", "status", "proposed", "quarantined", "reason"],
        [
            (
                *(row.quarantine_id, row.rule, row.symbol, row.session, row.source, row.status),
                row.proposal is not None,
                f"{row.quarantined_at:%Y-%m-%d %H:%M}",
                row.reason,
            )
            for row in rows
        ],
    )
    if len(rows) == limit:
        console.print(f"only the latest {limit} are shown; give --limit or a filter for others")


def show_one(number: int, *, as_json: bool) -> None:
    """Print one row as it came, as it would be stored, its repair and its history.

    Raises:
        InputError: there is no such row.
    """
    try:
        with connect(database_urls().market) as connection:
            row, history = quarantine.show(connection, number)
    except QuarantineError as error:
        raise InputError(f"{error}: market quarantine list --status all") from error
    if as_json:
        whole = {**asdict(row), "history": [asdict(event) for event in history]}
        print(json.dumps(whole, default=str, indent=2))  # noqa: T201 - wherever it is piped
        return
    console.print(f"number {number}: {row.symbol} {row.session} of {row.source} for {row.table_name}, {row.status}")
    console.print(f"{row.rule}: {row.reason}")
    console.print(f"held back by run {row.run_id}")
    console.print()
    forms = {"as sent": row.raw_row, "as stored": row.candidate, "proposed": row.proposal, "stored": row.stored_row}
    given = {name: form for name, form in forms.items() if form is not None}
    columns = list(dict.fromkeys(column for form in given.values() for column in form))
    table(
        "Values", ["column", *given], [(column, *(form.get(column) for form in given.values())) for column in columns]
    )
    table(
        "History",
        ["at", "status", "by", "note", "run"],
        [(f"{event.at:%Y-%m-%d %H:%M:%S}", event.status, event.by, event.note, event.run_id) for event in history],
    )


def decide_accept(
    numbers: Sequence[int], filters: Filters, *, by: str | None, note: str | None, proposed: bool, yes: bool
) -> None:
    """Store rows, as they came or as proposed, and print what was stored."""
    chosen = _chosen(numbers, filters, "accept", yes=yes)
    done = accept(database_urls().market, chosen, by=by or getpass.getuser(), note=note, proposed=proposed)
    written = done.written
    console.print(
        f"{done.rows} rows accepted: {written.added} stored, {written.restated} restated, {written.unchanged} were "
        f"stored already (run {done.run_id})"
    )
    _tell_dependents(done)


def decide_reject(numbers: Sequence[int], filters: Filters, *, by: str | None, note: str | None, yes: bool) -> None:
    """Keep rows out, and print what was withdrawn."""
    chosen = _chosen(numbers, filters, "reject", yes=yes)
    done = reject(database_urls().market, chosen, by=by or getpass.getuser(), note=note)
    withdrawn = f", {done.written.withdrawn} versions withdrawn" if done.written.withdrawn else ""
    console.print(f"{done.rows} rows rejected{withdrawn} (run {done.run_id})")
    _tell_dependents(done)


def send_again(numbers: Sequence[int], filters: Filters, *, by: str | None, note: str | None, yes: bool) -> None:
    """Let rows pass the rules again, and print which did."""
    from market_assets.ingestion.replaying import replay

    chosen = _chosen(numbers, filters, "replay", yes=yes)
    done = replay(Platform(), chosen, by=by or getpass.getuser(), note=note)
    passed = done.rows - len(done.still_held)
    console.print(f"{passed} of {done.rows} rows passed the rules and are stored (run {done.run_id})")
    if done.still_held:
        held = sorted(done.still_held.items())
        table("Still held back", ["number", "rule"], held[:SHOWN_HELD])
        if len(held) > SHOWN_HELD:
            counts = Counter(why.split(":")[0] for why in done.still_held.values())
            console.print(", ".join(f"{rule}: {count}" for rule, count in counts.most_common()))
    _tell_dependents(done)


def _chosen(
    numbers: Sequence[int], filters: Filters, action: str, *, yes: bool, ask: Callable[..., bool] = typer.confirm
) -> list[int]:
    """Numbers of the rows that are meant.

    Raises:
        InputError: numbers and filters were given, neither was, no row matches, or nobody agreed.
    """
    if numbers:
        if filters.narrowed or filters.status != "open":
            raise InputError("give numbers or filters, not both")
        return list(numbers)
    if not filters.narrowed:
        raise InputError(
            f"say which rows: market quarantine {action} NUMBER..., or a filter such as --rule or --symbol"
        )
    rows = filters.rows(None)
    if not rows:
        raise InputError("no quarantined row matches; nothing was changed")
    rules = ", ".join(f"{count} {rule}" for rule, count in Counter(row.rule for row in rows).most_common())
    if not yes and not ask(f"{action} {len(rows)} rows ({rules})?"):
        raise InputError("nothing was changed; answer y, or give --yes")
    return [row.quarantine_id for row in rows]


def _tell_dependents(done: Done) -> None:
    if done.written.versions_written or done.written.withdrawn:
        console.print("what was computed without this is computed again by the restatement sensor, or: market backfill")
