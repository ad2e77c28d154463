"""Where the results of checks are kept, by session: what a sink must do, and the one that writes quality.result.

The table is versioned like every table of the platform: a result that has not changed is not written again, one that
has changed closes the version before it. Making results out of outcomes belongs in report.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, Protocol

import psycopg

from quality.suite import Scope

COLUMNS = ("asset", "check_name", "session", "severity", "passed", "failed_rows", "detail")


class SessionResult(NamedTuple):
    """One check of one asset in one session; the columns of quality.result.

    Attributes:
        asset: asset key, its parts joined by `/`.
        check_name: name of the check.
        session: the session, or suite.WHOLE_TABLE.
        severity: of a failure: critical, error or warning.
        passed: whether it held.
        failed_rows: rows that fail.
        detail: the first failing rows, what stopped the check, or that there was nothing to look at; else None.
    """

    asset: str
    check_name: str
    session: date
    severity: str
    passed: bool
    failed_rows: int
    detail: str | None


class ResultSink(Protocol):
    """Keeps the results of checks. Anything with these two methods can be handed to `build_checks`."""

    def failing(self, url: str, asset: str, scope: Scope) -> set[tuple[str, date]]:
        """(check name, session) of the results of `asset` that are failures as stored now, within `scope`."""
        ...

    def store(self, url: str, results: Sequence[SessionResult], run_id: str) -> int:
        """Make `results` the current knowledge of their keys; returns how many rows were written."""
        ...


class PostgresResultSink:
    """Keeps results in quality.result, the table of schema.py, on the database that was checked."""

    def failing(self, url: str, asset: str, scope: Scope) -> set[tuple[str, date]]:
        """See ResultSink."""
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "select check_name, session from quality.result "
                "where asset = %(asset)s and known_to is null and not passed "
                "and session between coalesce(%(start)s, '-infinity'::date) and coalesce(%(end)s, 'infinity'::date)",
                {"asset": asset, "start": scope.start, "end": scope.end},
            )
            return {(name, session) for name, session in rows}

    def store(self, url: str, results: Sequence[SessionResult], run_id: str) -> int:
        """See ResultSink. One transaction: readers see all results of a run or none."""
        if not results:
            return 0
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(_STAGE)
            with cursor.copy(f"copy staged_result ({', '.join(COLUMNS)}) from stdin (format binary)") as copy:
                copy.set_types(["text", "text", "date", "text", "bool", "int8", "text"])
                for result in results:
                    copy.write_row(result)
            # Two runs must not both find no current version; the clock is read after the wait for the other.
            cursor.execute("select pg_advisory_xact_lock(hashtextextended('quality.result', 0))")
            cursor.execute("analyze staged_result")
            cursor.execute("select clock_timestamp()")
            (known_from,) = cursor.fetchone() or (None,)
            cursor.execute(_CLOSE, {"known_from": known_from})
            cursor.execute(_FORGET_UNCHANGED)
            cursor.execute(_INSERT, {"known_from": known_from, "run_id": run_id})
            return cursor.rowcount


_STAGE = """
    create temporary table staged_result (
        asset text, check_name text, session date, severity text, passed boolean, failed_rows bigint, detail text
    ) on commit drop
"""
_CLOSE = """
    update quality.result as current
    set known_to = %(known_from)s, changed_xid = pg_current_xact_id()
    from staged_result as staged
    where current.known_to is null
        and current.asset = staged.asset
        and current.check_name = staged.check_name
        and current.session = staged.session
        and (current.severity, current.passed, current.failed_rows, current.detail)
            is distinct from (staged.severity, staged.passed, staged.failed_rows, staged.detail)
"""
# A statement of its own: an insert that looks for current versions also reads, again and again, the rows it inserts.
_FORGET_UNCHANGED = """
    delete from staged_result as staged
    using quality.result as current
    where current.known_to is null
        and current.asset = staged.asset
        and current.check_name = staged.check_name
        and current.session = staged.session
"""
_INSERT = """
    insert into quality.result (
        asset, check_name, session, severity, passed, failed_rows, detail, known_from, run_id
    )
    select asset, check_name, session, severity, passed, failed_rows, detail, %(known_from)s, %(run_id)s
    from staged_result
"""
