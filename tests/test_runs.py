"""One run in this process: which partitions and assets it covers, what it reports, and runs whose process is gone."""

# No `from __future__ import annotations`: Dagster compares the annotation of `context` with its classes.

import multiprocessing
import os
import socket
from datetime import date
from typing import Any

import psutil
import pytest
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetSelection,
    AssetSpec,
    BackfillPolicy,
    DagsterInstance,
    DagsterRunStatus,
    DailyPartitionsDefinition,
    Definitions,
    Failure,
    asset,
    asset_check,
    define_asset_job,
    in_process_executor,
    multiprocess_executor,
)

from market_assets.automation import COMPLETE_RUN_TAG
from market_assets.errors import InputError
from market_assets.runs import (
    JOB,
    PROCESS_TAG,
    RANGE_END,
    RANGE_START,
    RunOutcome,
    close_abandoned,
    execute,
    partition_range,
    selected_assets,
    this_process,
)

DAYS = DailyPartitionsDefinition("2024-01-01", end_date="2024-01-11")


@asset(partitions_def=DAYS, backfill_policy=BackfillPolicy.single_run(), group_name="ingest")
def bars(context: AssetExecutionContext) -> None:
    if "fail" in context.run.tags:
        raise Failure("the vendor is closed", allow_retries=False)
    if "defect" in context.run.tags:
        raise ZeroDivisionError("a defect")


@asset(deps=[bars], group_name="marts")
def mart() -> None:
    """A table of all days."""


@asset(group_name="marts")
def other() -> None:
    """A table of its own."""


@asset_check(asset=bars, blocking=True)
def complete(context: AssetCheckExecutionContext) -> AssetCheckResult:
    failing = "incomplete" in context.run.tags
    return AssetCheckResult(passed=not failing, severity=AssetCheckSeverity.ERROR, description="5 of 10 bars")


@asset_check(asset=mart)
def plausible() -> AssetCheckResult:
    return AssetCheckResult(passed=False, severity=AssetCheckSeverity.WARN)


VIEW = AssetSpec("view", deps=["bars"], group_name="prices")
DEFINITIONS = Definitions(
    assets=[bars, mart, other, VIEW],
    asset_checks=[complete, plausible],
    jobs=[define_asset_job(JOB, selection=AssetSelection.all() - AssetSelection.groups("prices"))],
    executor=in_process_executor,
)


def run(instance: DagsterInstance, **options: Any) -> RunOutcome:
    return execute(DEFINITIONS, instance, start="2024-01-02", end="2024-01-04", **options)


# What a run covers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, ("2024-01-01", "2024-01-10")),
        (date(2024, 1, 3), None, ("2024-01-03", "2024-01-10")),
        (None, date(2024, 1, 3), ("2024-01-01", "2024-01-03")),
        (date(2023, 1, 1), date(2025, 1, 1), ("2024-01-01", "2024-01-10")),
        (date(2024, 1, 3), date(2024, 1, 3), ("2024-01-03", "2024-01-03")),
    ],
)
def test_a_range_is_cut_to_the_partitions_there_are(start, end, expected):
    assert partition_range(DEFINITIONS, start, end) == expected


def test_a_range_without_a_session_says_which_there_are():
    with pytest.raises(InputError) as caught:
        partition_range(DEFINITIONS, date(2025, 1, 1), None)
    assert str(caught.value) == ("no session between 2025-01-01 and today: partitions go from 2024-01-01 to 2024-01-10")


def test_before_the_first_session_has_closed_there_is_nothing_to_run():
    future = DailyPartitionsDefinition("2999-01-01")
    definitions = Definitions(assets=[AssetSpec("bars", partitions_def=future)])
    with pytest.raises(InputError, match=r"no session has closed since partitions\.start"):
        partition_range(definitions, None, None)


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, {"bars", "mart", "other"}),
        ("bars", {"bars"}),
        ("bars+", {"bars", "mart"}),
        ("group:marts", {"mart", "other"}),
        ("group:marts or key:bars", {"bars", "mart", "other"}),
        ("*", {"bars", "mart", "other"}),
    ],
)
def test_a_selection_names_assets_that_can_be_materialized(selection, names, recwarn):
    assert {key.to_user_string() for key in selected_assets(DEFINITIONS, selection)} == names
    assert [str(warning.message) for warning in recwarn if "beta" in str(warning.message)] == []


def test_a_selection_of_views_alone_names_the_assets_there_are():
    with pytest.raises(InputError, match=r"'group:prices' selects nothing .* Assets are bars, mart, other"):
        selected_assets(DEFINITIONS, "group:prices")


@pytest.mark.parametrize("selection", ["bars ++ and", "bars or mart", "nothing_like_it"])
def test_a_selection_that_cannot_be_read_is_refused_with_the_way_to_write_one(selection):
    with pytest.raises(InputError) as caught:
        selected_assets(DEFINITIONS, selection)
    assert f"asset selection {selection!r} cannot be used: " in str(caught.value)
    assert "group:NAME joined by and, or, not. Assets are bars, mart, other" in str(caught.value)


# What a run reports -------------------------------------------------------------------------------------------------


def test_a_run_materializes_its_range_and_says_how_long_each_step_took(instance):
    events = []
    outcome = run(instance, tags={"market/source": "desk"}, on_event=events.append)
    assert outcome.success
    assert set(outcome.seconds) == {"bars", "bars_complete", "mart", "mart_plausible", "other"}
    assert outcome.errors == {}
    assert instance.get_materialized_partitions(AssetKey("bars")) == {"2024-01-02", "2024-01-03", "2024-01-04"}
    record = instance.get_run_by_id(outcome.run_id)
    assert record is not None
    assert record.status is DagsterRunStatus.SUCCESS
    assert (
        record.tags.items()
        >= {
            RANGE_START: "2024-01-02",
            RANGE_END: "2024-01-04",
            PROCESS_TAG: this_process(),
            "market/source": "desk",
        }.items()
    )
    assert events


def test_checks_are_counted_and_failing_ones_named_with_what_they_found(instance):
    outcome = run(instance)
    assert (outcome.checks_passed, outcome.checks_failed) == (1, 1)
    assert outcome.failed_checks == ["mart.plausible (warn): no description"]


def test_a_failed_blocking_check_fails_the_run_and_keeps_what_follows_from_running(instance):
    outcome = run(instance, tags={"incomplete": "yes"})
    assert not outcome.success
    assert "bars.complete (error): 5 of 10 bars" in outcome.failed_checks
    assert instance.get_latest_materialization_event(AssetKey("mart")) is None
    assert instance.get_latest_materialization_event(AssetKey("other")) is not None, "what does not depend on it runs"


@pytest.mark.parametrize(("tag", "message"), [("fail", "the vendor is closed"), ("defect", "a defect")])
def test_a_failed_step_says_why_in_words_for_a_person(instance, tag, message):
    outcome = run(instance, tags={tag: "yes"})
    assert not outcome.success
    assert list(outcome.errors) == ["bars"]
    assert message in outcome.errors["bars"]
    assert "Traceback" not in outcome.errors["bars"]


def test_a_run_that_fails_outside_of_any_step_says_why_too(instance):
    job = define_asset_job(JOB, selection=[bars], executor_def=multiprocess_executor)  # needs a job it can load again
    definitions = Definitions(assets=[bars], jobs=[job])
    outcome = execute(definitions, instance, start="2024-01-02", end="2024-01-04")
    assert not outcome.success
    assert list(outcome.errors) == ["run"]
    assert "reconstructable" in outcome.errors["run"]


@pytest.mark.parametrize(
    ("selection", "complete_run"),
    [(None, True), ("bars+", True), ("mart", True), ("bars", False), ("key:bars or key:other", False)],
)
def test_only_a_run_that_computes_all_that_follows_tells_automation_so(instance, selection, complete_run):
    record = instance.get_run_by_id(run(instance, selection=selection).run_id)
    assert record is not None
    assert (COMPLETE_RUN_TAG in record.tags) is complete_run


def test_a_run_without_partitioned_assets_has_no_range(instance):
    record = instance.get_run_by_id(run(instance, selection="other").run_id)
    assert record is not None
    assert RANGE_START not in record.tags


# Runs whose process is gone -----------------------------------------------------------------------------------------


def started_run(instance: DagsterInstance, process: str | None) -> str:
    """A run that somebody began and that has not ended."""
    job = DEFINITIONS.resolve_job_def(JOB)
    record = instance.create_run_for_job(job, tags={PROCESS_TAG: process} if process else {})
    instance.handle_run_event(record.run_id, _start_event(job.name))
    return record.run_id


def _start_event(job: str) -> Any:
    from dagster import DagsterEvent, DagsterEventType

    return DagsterEvent(DagsterEventType.RUN_START.value, job)


@pytest.fixture
def gone() -> str:
    """Tag of a process of this host that has ended."""
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=int)
    child.start()
    created = int(psutil.Process(child.pid).create_time())
    child.join()
    return f"{socket.gethostname()}:{int(psutil.boot_time())}:{child.pid}:{created}"


def status(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    record = instance.get_run_by_id(run_id)
    assert record is not None
    return record.status


def test_a_run_of_a_process_that_is_gone_is_marked_failed(instance, gone):
    run_id = started_run(instance, gone)
    assert status(instance, run_id) is DagsterRunStatus.STARTED
    assert close_abandoned(instance) == [run_id]
    assert status(instance, run_id) is DagsterRunStatus.FAILURE
    assert close_abandoned(instance) == []


def test_a_run_from_before_the_machine_started_again_is_marked_failed(instance):
    run_id = started_run(instance, f"{socket.gethostname()}:1:{os.getpid()}:{int(psutil.Process().create_time())}")
    assert close_abandoned(instance) == [run_id]


def test_a_number_that_another_process_has_taken_over_does_not_keep_a_run_alive(instance):
    run_id = started_run(instance, f"{socket.gethostname()}:{int(psutil.boot_time())}:{os.getpid()}:1000")
    assert close_abandoned(instance) == [run_id]


@pytest.mark.parametrize("process", [None, "elsewhere:1:1:1", "not a process"])
def test_runs_of_others_are_left_alone(instance, process):
    run_id = started_run(instance, process)
    assert close_abandoned(instance) == []
    assert status(instance, run_id) is DagsterRunStatus.STARTED


def test_a_run_that_is_executing_is_left_alone(instance):
    run_id = started_run(instance, this_process())
    assert close_abandoned(instance) == []
    assert status(instance, run_id) is DagsterRunStatus.STARTED
