"""Runs a suite with Great Expectations inside PostgreSQL and says, session by session, what it found.

The rows stay in the database: the batch is a query asset limited to the sessions of the run, each check is one
statement on it, and what comes back is one row per session. Turning an outcome into words belongs in report.py, into
Dagster events in checks.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from quality.suite import SAMPLE_ROWS, WHOLE_TABLE, Check, RowCheck, Scope, Suite

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.datasource.fluent.interfaces import Batch

LANES, LONG_SCOPE = 2, 100
"""Checks that run at the same time on more sessions than LONG_SCOPE, each in a context and on a connection of its own:
most of them keep one processor of the server busy. For fewer sessions a second context costs more than it saves."""

# "(psycopg.errors.UndefinedColumn) column "x" does not exist", then the position, the statement and a link.
_DATABASE_ERROR = re.compile(
    r"\((?:psycopg\.(?:errors\.)?)?(\w+)\) (.*?)(?:\nLINE |\n?\[SQL: |\n\(Background|$)", re.DOTALL
)


@dataclass(frozen=True)
class SessionCount:
    """What a check saw in one session.

    Attributes:
        rows: rows looked at; None when the expectation does not say.
        failed_rows: rows that fail.
        sample: the first failing rows, column -> value.
    """

    rows: int | None
    failed_rows: int
    sample: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        check: the check.
        scope: the sessions it was run on.
        passed: whether it held everywhere in the scope.
        expectation: class of the Great Expectations expectation.
        seconds: how long it took.
        sessions: session -> what was seen there; WHOLE_TABLE where rows do not belong to a session.
        error: what stopped the check from being evaluated, None when it was; a check with an error has not passed.
        statement: the SQL that was run, None for expectations that write their own.
    """

    check: Check
    scope: Scope
    passed: bool
    expectation: str
    seconds: float
    sessions: Mapping[date, SessionCount] = field(default_factory=dict)
    error: str | None = None
    statement: str | None = None

    @property
    def belongs_to_sessions(self) -> bool:
        """Whether failing rows name their session; otherwise the outcome speaks for the scope as a whole."""
        return self.error is None and WHOLE_TABLE not in self.sessions

    @property
    def failing_sessions(self) -> list[date]:
        """Sessions that fail, ascending: those of the failing rows, or every session when rows belong to none."""
        if self.passed:
            return []
        if not self.belongs_to_sessions:
            return list(self.scope.sessions or (WHOLE_TABLE,))
        return sorted(session for session, count in self.sessions.items() if count.failed_rows)

    @property
    def failed_rows(self) -> int:
        """Failing rows of the whole scope."""
        return sum(count.failed_rows for count in self.sessions.values())

    @property
    def rows(self) -> int | None:
        """Rows looked at, None when unknown."""
        known = [count.rows for count in self.sessions.values()]
        return None if self.error is not None or None in known else sum(rows or 0 for rows in known)

    def speaks_for(self, session: date) -> bool:
        """Whether the check was evaluated on `session`."""
        return self.error is None and session in (self.scope.sessions or self.sessions)

    def count(self, session: date) -> SessionCount:
        """What was seen in `session`; what speaks for the table speaks for each of its sessions."""
        return self.sessions.get(session) or self.sessions.get(WHOLE_TABLE) or SessionCount(0, 0)


def run_suite(url: str, suite: Suite, scope: Scope, names: Collection[str] | None = None) -> list[Outcome]:
    """Run the checks of `suite` on the sessions of `scope`.

    A check that cannot be evaluated (a column is missing, the SQL fails) is an outcome with `error` set.

    Args:
        url: libpq URL or connection string of the database.
        suite: what to check.
        scope: where.
        names: run only the checks with these names; None = all.

    Returns:
        One outcome per check, in the order of the suite.

    Raises:
        great_expectations.datasource.fluent.interfaces.TestConnectionError: the database cannot be reached.
    """
    chosen = [check for check in suite.checks if names is None or check.name in names]
    lanes = LANES if scope.sessions is None or len(scope.sessions) > LONG_SCOPE else 1
    idle: SimpleQueue[Batch] = SimpleQueue()

    def run(check: Check) -> Outcome:
        batch = idle.get()
        try:
            return _run(batch, check, scope)
        finally:
            idle.put(batch)

    with ExitStack() as contexts, ThreadPoolExecutor(lanes, thread_name_prefix=suite.name) as pool:
        for _ in range(lanes):
            idle.put(contexts.enter_context(_batch(url, suite, scope)))
        return list(pool.map(run, chosen))


def sqlalchemy_url(url: str) -> str:
    """A libpq URL or connection string as SQLAlchemy URL for psycopg 3.

    A socket directory becomes a parameter beside the host name `localhost`: Great Expectations refuses a URL without
    a host, and libpq gives the parameter precedence.
    """
    from psycopg.conninfo import conninfo_to_dict
    from sqlalchemy import URL

    parts = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    host = parts.pop("host", "localhost")
    port = parts.pop("port", None)
    known = {name: parts.pop(name, None) for name in ("user", "password", "dbname")}
    if host.startswith("/"):
        parts["host"], host = host, "localhost"
        if port is not None:
            parts["port"], port = port, None
    return URL.create(
        "postgresql+psycopg",
        username=known["user"],
        password=known["password"],
        host=host,
        port=int(port) if port else None,
        database=known["dbname"],
        query=parts,
    ).render_as_string(hide_password=False)


@contextmanager
def _batch(url: str, suite: Suite, scope: Scope) -> Iterator[Batch]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
        ),
    )
    source = context.data_sources.add_postgres(
        "warehouse", connection_string=sqlalchemy_url(url), create_temp_table=False
    )
    try:
        asset = source.add_query_asset(suite.name, query=suite.batch_query(scope))
        yield asset.add_batch_definition_whole_table("scope").get_batch()
    finally:
        # One engine tests the connection, the other validates; both would keep a connection open.
        source.get_engine().dispose()
        source.get_execution_engine().close()


def _run(batch: Batch, check: Check, scope: Scope) -> Outcome:
    started = time.perf_counter()
    statement = check.render(scope) if isinstance(check, RowCheck) else None
    sessions: dict[date, SessionCount] = {}
    passed, name = False, "none: it could not be built"
    try:
        expectation = check.expectation(scope)
        name = type(expectation).__name__
        result = batch.validate(expectation, result_format=_result_format(check))
        error = _error(result.exception_info or {})
        if error is None:
            sessions = _sessions(result) if isinstance(check, RowCheck) else _whole(result)
            passed = bool(result.success)
    except Exception as problem:
        # Whatever an expectation raises is a finding about this check; the other checks still have to be run.
        error = f"{type(problem).__name__}: {problem}"
    return Outcome(check, scope, passed, name, time.perf_counter() - started, sessions, error, statement)


def _result_format(check: Check) -> dict[str, Any]:
    return {"result_format": "SUMMARY", "unexpected_index_column_names": list(check.identify)}


def _sessions(result: ExpectationValidationResult) -> dict[date, SessionCount]:
    return {
        row["session"]: SessionCount(row["rows"], row["failed_rows"], tuple(row["sample"] or ()))
        for row in result.result["details"]["sessions"]
    }


def _whole(result: ExpectationValidationResult) -> dict[date, SessionCount]:
    """What a built-in expectation reports: rows when it looks at rows, otherwise only that it failed."""
    found = result.result
    failed = found.get("unexpected_count") or int(not result.success)
    sample = found.get("partial_unexpected_index_list") or [{"observed_value": found.get("observed_value")}]
    shown = tuple(sample[:SAMPLE_ROWS]) if failed else ()
    return {WHOLE_TABLE: SessionCount(found.get("element_count"), failed, shown)}


def _error(exception_info: Mapping[str, Any]) -> str | None:
    """The exception Great Expectations caught, by name: `UndefinedColumn: column "x" does not exist`."""
    infos = [exception_info] if "raised_exception" in exception_info else list(exception_info.values())
    raised = next((info for info in infos if info["raised_exception"]), None)
    if raised is None:
        return None
    message = str(raised["exception_message"])
    database = _DATABASE_ERROR.search(message)
    if database:
        return f"{database[1]}: {database[2].strip()}"
    lines = str(raised["exception_traceback"]).strip().splitlines()
    return lines[-1] if lines else message
