"""Events of asset checks: one pair per asset and run, with every result as an assertion.

Belongs here: evaluations to `dataQualityAssertions` and `test` facets. Assets themselves are in `lineage.runs`.

The pair is built when the run has ended, because checks of one asset may run in several steps. A check that was planned
and not evaluated is a skipped test. An evaluation that was reported outside any run is a pair of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dagster import AssetCheckEvaluation, AssetKey
from openlineage.client.event_v2 import InputDataset
from openlineage.client.facet_v2 import RunFacet, data_quality_assertions_dataset, test_run

from lineage.eventlog import EventLog, LogRow
from lineage.events import EventBuilder, Failure, OutboxEvent
from lineage.history import CHECK_EVALUATED, RunHistory

COLUMN: Final = "column"
"""Metadata key of an evaluation under which the column that was checked is named."""

NOT_EVALUATED: Final = "none of the planned checks was evaluated"


@dataclass(frozen=True)
class Result:
    """One evaluation, or one planned check without any (`row` is None)."""

    asset: str
    check: str
    row: LogRow | None
    evaluation: AssetCheckEvaluation | None = None


def check_events(log: EventLog, history: RunHistory, builder: EventBuilder) -> list[OutboxEvent]:
    """START and end of the checks of each asset; empty while the run works, or without checks."""
    if history.end is None or not (history.checks_planned or history.evaluations):
        return []
    end = history.end.row
    planned = _planned(log, history.checks_planned)
    results = [_result(row, evaluation) for row, evaluation in _evaluations(log, history.evaluations)]
    evaluated = {(result.asset, result.check) for result in results}
    results += [Result(asset, check, None) for (asset, check) in planned if (asset, check) not in evaluated]
    events: list[OutboxEvent] = []
    for asset in dict.fromkeys(result.asset for result in results):
        mine = [result for result in results if result.asset == asset]
        steps = {step for (owner, _), step in planned.items() if owner == asset}
        starts = [start.time for step, start in history.step_starts.items() if step in steps]
        rows = [result.row for result in mine if result.row is not None]
        events += _pair(
            builder,
            asset,
            mine,
            row=end,
            start=min([*starts, *(row.time for row in rows)], default=end.time),
            last=max((row.time for row in rows), default=end.time),
        )
    return events


def runless_check_events(log: EventLog, rows: Iterable[LogRow], builder: EventBuilder) -> list[OutboxEvent]:
    """A pair for each evaluation among `rows`, all reported without a run."""
    events: list[OutboxEvent] = []
    for row, evaluation in _evaluations(log, [row for row in rows if row.kind == CHECK_EVALUATED]):
        result = _result(row, evaluation)
        events += _pair(builder, result.asset, [result], row=row, start=row.time, last=row.time)
    return events


def _pair(
    builder: EventBuilder, asset: str, results: Sequence[Result], *, row: LogRow, start: datetime, last: datetime
) -> list[OutboxEvent]:
    facts = builder.datasets.facts(asset)
    ordered = sorted(results, key=lambda result: (result.check, _partition(result), result.row.id if result.row else 0))
    evaluations = [result.evaluation for result in ordered if result.evaluation is not None]
    assertions = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
        [_assertion(evaluation) for evaluation in evaluations], producer=builder.producer
    )
    tests: dict[str, RunFacet] = {
        "test": test_run.TestRunFacet([_test(result) for result in ordered], producer=builder.producer)
    }
    inputs: list[InputDataset] = [
        builder.datasets.input(facts, {"dataQualityAssertions": assertions} if evaluations else None)
    ]
    end_state, failure = ("COMPLETE", None) if evaluations else ("ABORT", Failure(NOT_EVALUATED))
    return [
        builder.checks_event(row, "START", asset, inputs=[builder.datasets.input(facts)], time=start),
        builder.checks_event(row, end_state, asset, inputs=inputs, facets=tests, failure=failure, time=last),
    ]


def _assertion(evaluation: AssetCheckEvaluation) -> data_quality_assertions_dataset.Assertion:
    column = evaluation.metadata.get(COLUMN)
    return data_quality_assertions_dataset.Assertion(
        assertion=evaluation.check_name,
        success=evaluation.passed,
        column=column.value if column is not None and isinstance(column.value, str) else None,
        severity=evaluation.severity.value.lower(),
        name=evaluation.check_name,
        description=evaluation.description,
        params=_params(evaluation),
    )


def _test(result: Result) -> test_run.TestExecution:
    evaluation = result.evaluation
    if evaluation is None:
        return test_run.TestExecution(name=result.check, status="skip", type="asset_check")
    return test_run.TestExecution(
        name=result.check,
        status="pass" if evaluation.passed else "fail",
        severity=evaluation.severity.value.lower(),
        type="asset_check",
        description=evaluation.description,
        params=_params(evaluation),
    )


def _params(evaluation: AssetCheckEvaluation) -> dict[str, Any]:
    partition = {} if evaluation.partition is None else {"partition": evaluation.partition}
    return {"blocking": bool(evaluation.blocking), **partition}


def _partition(result: Result) -> str:
    return (result.evaluation.partition or "") if result.evaluation else ""


def _planned(log: EventLog, rows: Iterable[LogRow]) -> dict[tuple[str, str], str | None]:
    """Step of each planned (asset, check). Read as JSON: such an event holds the whole partitions definition."""
    by_id = {row.id: row for row in rows}
    planned: dict[tuple[str, str], str | None] = {}
    for number, document in sorted(log.documents(by_id).items()):
        data: Mapping[str, Any] = document["dagster_event"]["event_specific_data"]
        key = AssetKey(data["asset_key"]["path"]).to_user_string()
        planned[key, data["check_name"]] = by_id[number].step
    return planned


def _evaluations(log: EventLog, rows: Iterable[LogRow]) -> Iterator[tuple[LogRow, AssetCheckEvaluation]]:
    by_id = {row.id: row for row in rows}
    for number, entry in sorted(log.entries(by_id).items()):
        data = entry.get_dagster_event().event_specific_data
        if isinstance(data, AssetCheckEvaluation):
            yield by_id[number], data


def _result(row: LogRow, evaluation: AssetCheckEvaluation) -> Result:
    return Result(evaluation.asset_key.to_user_string(), evaluation.check_name, row, evaluation)
