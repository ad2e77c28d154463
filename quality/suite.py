"""What a suite is: declared checks on one table, and their SQL for a range of sessions. Nothing here runs anything.

A `RowCheck` is a query for the rows that are wrong. The bridge adds, in the same statement, how many rows were looked
at and how many of them failed in each session, so one pass over the range answers for every session in it. An
`ExpectationCheck` wraps any other Great Expectations expectation. Running them belongs in validation.py, Dagster in
checks.py, the suites of this platform in suites/.

In the SQL of a row check `{start}` and `{end}` are the first and last session (infinite when the run is not
partitioned), `batch` is a common table expression with the current rows of the range, and every parameter is a
placeholder by its name. Placeholders become SQL literals and identifiers by psycopg.sql, never by text formatting.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from psycopg import sql

from quality.errors import SuiteError

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

WHOLE_TABLE = date.min
"""Stands for the session in a result that speaks for a table as a whole: a key column cannot be null."""

SAMPLE_ROWS = 3
"""Failing rows kept for each failing session; all of them are counted."""

_BATCH = "\x00batch\x00"
_BOUND_PARAMETER = re.compile(r"(?<![:\w$\\]):(?=[\w$]+(?![:\w$]))")
_NAME = re.compile(r"[a-z][a-z0-9_]*")

Parameter = str | int | float | date | sql.Composable


class Severity(enum.Enum):
    """How bad a failure is.

    CRITICAL: structural; Dagster severity ERROR and blocking, so nothing downstream runs on this table.
    ERROR: rows that are wrong for certain; ERROR, but the rest of the range goes on.
    WARNING: rows that someone should look at; WARN.
    """

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"

    @property
    def blocking(self) -> bool:
        """Whether a failure keeps downstream assets of the same run from executing."""
        return self is Severity.CRITICAL


@dataclass(frozen=True)
class Scope:
    """The sessions a run speaks for.

    Attributes:
        sessions: every session of the run in ascending order; None = the whole table.
    """

    sessions: tuple[date, ...] | None = None

    def __post_init__(self) -> None:
        if self.sessions is not None and (not self.sessions or any(a >= b for a, b in pairwise(self.sessions))):
            raise ValueError(f"sessions must be ascending and at least one: {self.sessions!r}")

    @property
    def start(self) -> date | None:
        """First session, None for the whole table."""
        return self.sessions[0] if self.sessions else None

    @property
    def end(self) -> date | None:
        """Last session, None for the whole table."""
        return self.sessions[-1] if self.sessions else None

    def __str__(self) -> str:
        if self.start is None:
            return "the whole table"
        return str(self.start) if self.start == self.end else f"{self.start} to {self.end}"


@dataclass(frozen=True, kw_only=True)
class RowCheck:
    """A check whose query returns the rows that fail it.

    Attributes:
        name: unique in its suite, lower case with underscores; the name of the asset check.
        description: what holds when the check passes.
        severity: see Severity.
        query: SQL that selects the failing rows: the columns of `identify`, `session` among them unless
            `per_session` is false, and whatever shows why the row fails.
        identify: columns that say which row it is, in the order in which failing rows are shown.
        parameters: placeholder -> value (becomes a literal) or psycopg.sql object (inserted as it is).
        population: SQL that selects the `session` of every row looked at (any column when `per_session` is false).
        with_: name -> SQL of further common table expressions that `query` and `population` may read, in order.
        threshold: the limit in words, for the UI.
        per_session: whether failing rows belong to a session; otherwise a failure holds for every session.
    """

    name: str
    description: str
    severity: Severity
    query: str
    identify: tuple[str, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    population: str = "select session from batch"
    with_: Mapping[str, str] = field(default_factory=dict)
    threshold: str = ""
    per_session: bool = True

    def expectation(self, scope: Scope) -> Expectation:
        """The Great Expectations expectation for `scope`."""
        from quality.expectations import FailingRows

        return FailingRows(query=self.render(scope))

    def render(self, scope: Scope) -> str:
        """The statement Great Expectations runs, with its own `{batch}` placeholder left in it.

        Returns one row per session looked at or failing: session, rows, failed_rows, sample (a JSON array).
        """
        session = "session::date" if self.per_session else "{whole_table}"
        order = [sql.Identifier(column) for column in self.identify]
        shared = [
            sql.SQL("{} as not materialized ({}),").format(sql.Identifier(name), self._fill(template, scope))
            for name, template in self.with_.items()
        ]
        statement = sql.SQL(_STATEMENT.replace("<session>", session)).format(
            batch=sql.SQL(_BATCH),
            shared=sql.SQL("\n").join(shared),
            population=self._fill(self.population, scope),
            failing=self._fill(self.query, scope),
            order=sql.SQL(", ").join(order) if order else sql.SQL("1"),
            sample_rows=sql.Literal(SAMPLE_ROWS),
            whole_table=sql.Literal(WHOLE_TABLE),
        )
        return _escape(statement.as_string(None))

    def _fill(self, template: str, scope: Scope) -> sql.Composed:
        values = {
            name: value if isinstance(value, sql.Composable) else sql.Literal(value)
            for name, value in self.parameters.items()
        }
        return sql.SQL(template).format(
            **values, start=_bound(scope.start, "-infinity"), end=_bound(scope.end, "infinity")
        )


@dataclass(frozen=True, kw_only=True)
class ExpectationCheck:
    """A check that is any Great Expectations expectation. Great Expectations does not count its failures by session,
    so a failure is one of every session of the run.

    Attributes:
        name, description, severity, threshold: as in RowCheck.
        build: makes the expectation; called only in a run, so that declaring a suite does not import the library.
        identify: columns that say which row failed, for expectations that look at rows.
    """

    name: str
    description: str
    severity: Severity
    build: Callable[[], Expectation]
    identify: tuple[str, ...] = ()
    threshold: str = ""

    def expectation(self, scope: Scope) -> Expectation:  # noqa: ARG002 - the batch is limited to the scope already
        """The expectation."""
        return self.build()


Check = RowCheck | ExpectationCheck


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The checks of one table.

    Attributes:
        name: shown in messages.
        schema: schema of the table.
        table: its name.
        checks: what is checked, in the order in which it is reported.
        session_column: date column by which partitions select rows; None = the table is always checked whole.
        current: SQL condition for the rows to look at.
    """

    name: str
    schema: str
    table: str
    checks: Sequence[Check]
    session_column: str | None = "session"
    current: str = "known_to is null"

    def __post_init__(self) -> None:
        if not self.checks:
            raise SuiteError(f"suite {self.name} has no checks")
        seen: set[str] = set()
        for check in self.checks:
            if not _NAME.fullmatch(check.name):
                raise SuiteError(f"suite {self.name}: {check.name!r} is not a name for an asset check; use [a-z0-9_]")
            if check.name in seen:
                raise SuiteError(f"suite {self.name}: two checks are named {check.name}; rename one")
            seen.add(check.name)
            self._try(check)

    def _try(self, check: Check) -> None:
        if not isinstance(check, RowCheck):
            return
        try:
            check.render(Scope())
        except (KeyError, IndexError, ValueError) as error:
            raise SuiteError(
                f"suite {self.name}, check {check.name}: the query and its parameters do not fit: {error!r}"
            ) from error

    def batch_query(self, scope: Scope) -> str:
        """The current rows of the range: the query asset that every expectation is validated on."""
        conditions = [sql.SQL(self.current)]
        query = sql.SQL("select * from {} where ").format(sql.Identifier(self.schema, self.table))
        clauses: list[sql.Composable] = list(conditions)
        if self.session_column is not None and scope.sessions is not None:
            clauses.append(
                sql.SQL("{} between {} and {}").format(
                    sql.Identifier(self.session_column), sql.Literal(scope.start), sql.Literal(scope.end)
                )
            )
        return (query + sql.SQL(" and ").join(clauses)).as_string(None)


# Great Expectations puts an alias of its own behind {batch} unless the statement holds a JOIN, as this one does.
_STATEMENT = """
with batch as not materialized (select * from {batch} as current_rows),
{shared}
looked_at as (
    select <session> as session, count(*) as looked_at_rows from ({population}) as population group by 1
),
failing as materialized (select <session> as failing_session, failing_row.* from ({failing}) as failing_row),
numbered as (
    select failing.*, row_number() over (partition by failing_session order by {order}) as failing_position
    from failing
),
failed as (
    select
        failing_session as session,
        count(*) as failed_rows,
        jsonb_agg(to_jsonb(numbered) - 'failing_session' - 'failing_position' order by failing_position)
            filter (where failing_position <= {sample_rows}) as sample
    from numbered
    group by 1
)
select
    session,
    coalesce(looked_at_rows, 0) as rows,
    coalesce(failed_rows, 0) as failed_rows,
    sample
from looked_at
full join failed using (session)
order by session
"""


def _bound(session: date | None, otherwise: str) -> sql.Composable:
    return sql.SQL("date ") + sql.Literal(otherwise) if session is None else sql.Literal(session)


def _escape(statement: str) -> str:
    """Protect what Great Expectations (str.format) and SQLAlchemy (:name) would take for placeholders of theirs."""
    braces = statement.replace("{", "{{").replace("}", "}}").replace(_BATCH, "{batch}")
    return _BOUND_PARAMETER.sub(r"\:", braces)
