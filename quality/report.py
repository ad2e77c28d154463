"""An outcome in words: for the description and metadata of an asset check, and for the stored results of its sessions.

Texts that are stored say nothing that differs between two runs on the same data, so that storing them again writes
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from dagster import AssetCheckSeverity, MetadataValue

from quality.results import SessionResult
from quality.suite import WHOLE_TABLE, Severity
from quality.validation import Outcome, SessionCount

SHOWN_SESSIONS = 20
SHOWN_ROWS = 10
_DETAIL_LENGTH = 300


def severity(outcome: Outcome) -> AssetCheckSeverity:
    """Severity in Dagster. A check that could not be evaluated is an error, however mild its failure would be."""
    mild = outcome.check.severity is Severity.WARNING and outcome.error is None
    return AssetCheckSeverity.WARN if mild else AssetCheckSeverity.ERROR


def session_results(outcome: Outcome, asset: str) -> list[SessionResult]:
    """One result for each session of the run; for each session found in the table when the run has no partitions."""
    failing = set(outcome.failing_sessions)
    sessions = set(outcome.scope.sessions or outcome.sessions) | failing
    check = outcome.check
    level = Severity.ERROR if outcome.error is not None and check.severity is Severity.WARNING else check.severity
    results = []
    for session in sorted(sessions or {WHOLE_TABLE}):
        count = outcome.count(session)
        failed = session in failing
        results.append(
            SessionResult(
                asset=asset,
                check_name=check.name,
                session=session,
                severity=level.value,
                passed=not failed,
                failed_rows=count.failed_rows if failed else 0,
                detail=session_detail(outcome, session) if failed else _nothing(outcome, count),
            )
        )
    return results


def session_detail(outcome: Outcome, session: date) -> str:
    """What is wrong in a failing session, on one line."""
    if outcome.error is not None:
        return _shortened(f"could not be evaluated: {outcome.error}")
    count = outcome.count(session)
    rows = "; ".join(_row_text(row, outcome.check.identify) for row in count.sample)
    return _shortened(f"{_of(count)}: {rows}")


def summary(outcome: Outcome) -> str:
    """The outcome in one sentence."""
    if outcome.error is not None:
        return f"Could not be evaluated, so it counts as failed: {outcome.error}"
    if not outcome.passed:
        failing = outcome.failing_sessions
        if not outcome.belongs_to_sessions:
            return f"Failed for {outcome.scope}: {session_detail(outcome, failing[0])}"
        named = ", ".join(f"{session} ({outcome.sessions[session].failed_rows})" for session in failing[-5:][::-1])
        more = f" and {len(failing) - 5} earlier" if len(failing) > 5 else ""
        return (
            f"{_number(outcome.failed_rows, 'row')} failed in {len(failing):,} of "
            f"{_number(len(_sessions(outcome)), 'session')}: {named}{more}"
        )
    if outcome.rows == 0:
        return f"Nothing to look at: no rows in {outcome.scope}. This says nothing about data that should be there."
    looked_at = "" if outcome.rows is None else f" for {_number(outcome.rows, 'row')}"
    return f"Holds{looked_at} in {outcome.scope}."


def metadata(outcome: Outcome) -> dict[str, MetadataValue]:
    """What the UI shows beside the result: figures, the latest failing sessions, failing rows, how it was found."""
    check = outcome.check
    entries: dict[str, MetadataValue] = {
        "sessions_checked": MetadataValue.int(len(_sessions(outcome))),
        "sessions_failed": MetadataValue.int(len([s for s in outcome.failing_sessions if s != WHOLE_TABLE])),
        "failed_rows": MetadataValue.int(outcome.failed_rows),
        "threshold": MetadataValue.text(check.threshold or "none"),
        "expectation": MetadataValue.text(outcome.expectation),
        "seconds": MetadataValue.float(round(outcome.seconds, 3)),
    }
    if outcome.rows is not None:
        entries["rows_checked"] = MetadataValue.int(outcome.rows)
    if outcome.belongs_to_sessions and outcome.scope.sessions is not None:
        empty = [session for session in outcome.scope.sessions if not outcome.count(session).rows]
        entries["sessions_without_rows"] = MetadataValue.int(len(empty))
    if outcome.failing_sessions:
        latest = outcome.failing_sessions[-SHOWN_SESSIONS:][::-1]
        entries["failing_sessions"] = MetadataValue.json([str(session) for session in latest if session != WHOLE_TABLE])
        entries["failing_rows"] = MetadataValue.md(_table(outcome, latest))
    if outcome.error is not None:
        entries["error"] = MetadataValue.text(outcome.error)
    if outcome.statement is not None:
        entries["sql"] = MetadataValue.md(f"```sql\n{outcome.statement.strip()}\n```")
    return entries


def session_metadata(outcome: Outcome, session: date) -> dict[str, MetadataValue]:
    """What the UI shows beside the result of one session."""
    count = outcome.count(session)
    entries: dict[str, MetadataValue] = {"failed_rows": MetadataValue.int(count.failed_rows)}
    if count.rows is not None:
        entries["rows_checked"] = MetadataValue.int(count.rows)
    if count.sample:
        entries["failing_rows"] = MetadataValue.md(_table(outcome, [session]))
    return entries


def _sessions(outcome: Outcome) -> set[date]:
    return (set(outcome.scope.sessions or ()) | set(outcome.sessions)) - {WHOLE_TABLE}


def _nothing(outcome: Outcome, count: SessionCount) -> str | None:
    return "nothing to look at" if count.rows == 0 and outcome.belongs_to_sessions else None


def _of(count: SessionCount) -> str:
    return f"{count.failed_rows:,} of {count.rows:,} rows" if count.rows else _number(count.failed_rows, "row")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _row_text(row: Mapping[str, Any], identify: Sequence[str]) -> str:
    return ", ".join(f"{column}={row[column]}" for column in _columns([row], identify) if column != "session")


def _columns(rows: Sequence[Mapping[str, Any]], identify: Sequence[str]) -> list[str]:
    """Identifying columns first, then the evidence in the order of its names: JSON has lost the order of the query."""
    evidence = sorted({column for row in rows for column in row} - set(identify))
    return [column for column in identify if any(column in row for row in rows)] + evidence


def _table(outcome: Outcome, sessions: Sequence[date]) -> str:
    counts = [outcome.count(session) for session in sessions]
    if not outcome.belongs_to_sessions:
        counts = counts[:1]
    rows = [row for count in counts for row in count.sample][:SHOWN_ROWS]
    if not rows:
        return "no row to show"
    columns = _columns(rows, outcome.check.identify)
    lines = [_line(columns), _line(["---"] * len(columns))]
    lines += [_line([str(row.get(column, "")) for column in columns]) for row in rows]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _DETAIL_LENGTH else flat[: _DETAIL_LENGTH - 1] + "…"
