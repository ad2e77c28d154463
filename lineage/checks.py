"""Events of asset checks: one pair per asset and run, with every result as an assertion.

Belongs here: evaluations to `dataQualityAssertions` and `test` facets. Assets themselves are in `lineage.runs`.

The pair is built when the run has ended, because checks of one asset may run in several steps. A check that was planned
and not evaluated is a skipped test. Evaluations that were reported outside a run (one for each failing partition of a
range run) join the run they name under `lineage/run_id`; they must be reported before that run ends. The others become
pairs of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dagster import AssetCheckEvaluation, AssetKey
from dagster._core.events.log import EventLogEntry
from openlineage.client.event_v2 import InputDataset
from openlineage.client.facet_v2 import RunFacet, data_quality_assertions_dataset, test_run

from lineage.eventlog import RUNLESS, EventLog, LogRow
from lineage.events import EventBuilder, Failure, OutboxEvent
from lineage.facts import RUN_ID
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


def check_events(log: EventLog, run_id: str, history: RunHistory, builder: EventBuilder) -> list[OutboxEvent]:
    """START and end of the checks of each asset; empty while the run works, or without checks."""
    if history.end is None or not (history.checks_planned or history.evaluations):
        return []
    end = history.end.row
    planned = _planned(log, history.checks_planned)
    results = _results(log, history.evaluations)
    first = min(row.id for row in (*history.checks_planned, *history.evaluations))
    results += _reported(log, run_id, after=first, until=end.id)
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


def runless_check_events(log: EventLog, rows: Sequence[LogRow], builder: EventBuilder) -> list[OutboxEvent]:
    """A pair for each evaluation among `rows`, all reported without a run, that joins no run."""
    events: list[OutboxEvent] = []
    ends: dict[str, int | None] = {}
    for result in _results(log, [row for row in rows if row.kind == CHECK_EVALUATED]):
        if result.row is None or result.evaluation is None:
            continue
        named = _named_run(result.evaluation)
        if named and named not in ends:
            ends[named] = log.end_of(named) if log.run(named) else 0
        joins = named is not None and ((end := ends[named]) is None or result.row.id < end)
        if not joins:
            row = result.row
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


def _results(log: EventLog, rows: Iterable[LogRow]) -> list[Result]:
    by_id = {row.id: row for row in rows}
    results = []
    for number, entry in sorted(log.entries(by_id).items()):
        if evaluation := _evaluation(entry):
            asset = evaluation.asset_key.to_user_string()
            results.append(Result(asset, evaluation.check_name, by_id[number], evaluation))
    return results


def _reported(log: EventLog, run_id: str, *, after: int, until: int) -> list[Result]:
    """Evaluations that were reported outside the run, and name it."""
    rows = [row for row in log.rows(RUNLESS, after=after, until=until) if row.kind == CHECK_EVALUATED]
    return [
        result
        for result in _results(log, rows)
        if result.evaluation is not None and _named_run(result.evaluation) == run_id
    ]


def _evaluation(entry: EventLogEntry) -> AssetCheckEvaluation | None:
    data = entry.get_dagster_event().event_specific_data
    return data if isinstance(data, AssetCheckEvaluation) else None


def _named_run(evaluation: AssetCheckEvaluation) -> str | None:
    value = evaluation.metadata.get(RUN_ID)
    return value.value if value is not None and isinstance(value.value, str) else None
