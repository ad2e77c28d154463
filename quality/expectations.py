"""The Great Expectations expectation behind every row check.

Imports Great Expectations, which takes seconds: import this module inside the function that needs it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.expectations.expectation import BatchExpectation


class FailingRows(BatchExpectation):
    """Expect a query, grouped by session, to count no failing row.

    The built-in UnexpectedRowsExpectation returns at most 200 rows and runs its query twice; this one counts in the
    database and returns one row per session: session, rows, failed_rows, sample.

    Args:
        query: SQL with a `{batch}` placeholder that returns these columns.
        fetch_all: read by the metric; the answer has one row per session, so all of it is wanted.
    """

    query: str
    fetch_all: bool = True

    metric_dependencies: ClassVar[tuple[str, ...]] = ("query.table",)
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)
    success_keys: ClassVar[tuple[str, ...]] = ("query", "fetch_all")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 - the interface of Great Expectations
        execution_engine: Any = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        sessions = metrics["query.table"]
        failed = sum(row["failed_rows"] for row in sessions)
        return {"success": failed == 0, "result": {"observed_value": failed, "details": {"sessions": sessions}}}
