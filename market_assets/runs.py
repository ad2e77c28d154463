"""One run of the asset graph in this process: the bulk path of `market backfill`, which waits for no daemon.

The run is an ordinary Dagster run of the job `backfill` with the tags of a partition range, visible in the UI while it
works. A process that was killed leaves such a run started for ever; `close_abandoned` marks it failed.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import psutil
from dagster import (
    AssetKey,
    AssetSelection,
    BetaWarning,
    DagsterError,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    RunsFilter,
)
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from market_assets.automation import COMPLETE_RUN_TAG
from market_assets.errors import InputError

if TYPE_CHECKING:
    from dagster import DagsterEvent
    from dagster_shared.error import SerializableErrorInfo

JOB = "backfill"
CODE_LOCATION, CODE_LOCATION_MODULE = "market_assets", "market_assets.definitions"
UNFINISHED = [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PROCESS_TAG = "market/process"
"""Run tag: host, boot and process that executes the run, to tell a running one from one that was killed."""


@dataclass
class RunOutcome:
    """What came of a run.

    Attributes:
        run_id: Dagster's id.
        success: whether every step succeeded.
        seconds: step -> wall seconds, in order of execution.
        errors: step -> what failed; "run" for what failed outside of any step.
        checks_passed, checks_failed: asset checks of the run.
        failed_checks: asset, check, severity and finding of each failed one.
    """

    run_id: str
    success: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    checks_passed: int = 0
    checks_failed: int = 0
    failed_checks: list[str] = field(default_factory=list)


def partition_range(definitions: Definitions, start: date | None, end: date | None) -> tuple[str, str]:
    """First and last partition key in [start, end]; None = as far as partitions go.

    Raises:
        InputError: no session lies in the range.
    """
    spec = next(spec for spec in definitions.resolve_all_asset_specs() if spec.partitions_def is not None)
    assert spec.partitions_def is not None  # noqa: S101 - chosen above; tells the type checker
    keys = spec.partitions_def.get_partition_keys()
    wanted = [
        key for key in keys if (start is None or key >= start.isoformat()) and (end is None or key <= end.isoformat())
    ]
    if not wanted:
        there = (
            f"partitions go from {keys[0]} to {keys[-1]}" if keys else "no session has closed since partitions.start"
        )
        raise InputError(f"no session between {start or 'the start'} and {end or 'today'}: {there}")
    return wanted[0], wanted[-1]


def selected_assets(definitions: Definitions, selection: str | None) -> frozenset[AssetKey]:
    """Assets a run can materialize, cut to a selection such as `raw_prices+`.

    Raises:
        InputError: the selection is malformed or selects nothing.
    """
    graph = definitions.resolve_asset_graph()
    if selection is None:
        return frozenset(graph.executable_asset_keys)
    names = ", ".join(sorted(key.to_user_string() for key in graph.executable_asset_keys))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BetaWarning)  # selecting by group warns at each use
            keys = AssetSelection.from_string(selection).resolve(graph)
    except DagsterError as error:
        raise InputError(
            f"asset selection {selection!r} cannot be used: {error}; write a name such as raw_prices+, or key:NAME and "
            f"group:NAME joined by and, or, not. Assets are {names}"
        ) from error
    chosen = frozenset(keys & graph.executable_asset_keys)
    if not chosen:
        raise InputError(f"asset selection {selection!r} selects nothing that can be materialized. Assets are {names}")
    return chosen


def execute(
    definitions: Definitions,
    instance: DagsterInstance,
    *,
    start: str,
    end: str,
    selection: str | None = None,
    tags: Mapping[str, str] | None = None,
    on_event: Callable[[DagsterEvent], None] | None = None,
) -> RunOutcome:
    """Execute one run over the partitions `start` to `end` in this process and wait for it.

    Args:
        definitions: the code location.
        instance: where the run is recorded.
        start: first partition key.
        end: last partition key.
        selection: asset selection; None = every asset.
        tags: further run tags.
        on_event: called with each event, for progress.
    """
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run_iterator

    keys = selected_assets(definitions, selection)
    graph = definitions.resolve_asset_graph()
    partitioned = any(graph.get(key).is_partitioned for key in keys)
    downstream = AssetSelection.assets(*keys).downstream().resolve(graph) & graph.executable_asset_keys
    job = definitions.resolve_job_def(JOB).get_subset(asset_selection=keys)
    run = instance.create_run_for_job(
        job_def=job,
        asset_selection=keys,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # the caller shows progress
        tags={
            PROCESS_TAG: this_process(),
            **({RANGE_START: start, RANGE_END: end} if partitioned else {}),
            **({COMPLETE_RUN_TAG: "true"} if downstream <= keys else {}),
            **(tags or {}),
        },
        remote_job_origin=_origin(),
    )
    outcome = RunOutcome(run.run_id)
    for event in execute_run_iterator(InMemoryJob(job), run, instance):
        _note(event, outcome)
        if on_event is not None:
            on_event(event)
    finished = instance.get_run_by_id(run.run_id)
    outcome.success = finished is not None and finished.status is DagsterRunStatus.SUCCESS
    return outcome


def _note(event: DagsterEvent, outcome: RunOutcome) -> None:
    """Take from an event what the summary shows."""
    if event.step_key is not None and event.is_step_success:
        outcome.seconds[event.step_key] = event.step_success_data.duration_ms / 1000
    elif event.step_key is not None and event.is_step_failure:
        data = event.step_failure_data
        described = data.user_failure_data.description if data.user_failure_data else None
        outcome.errors[event.step_key] = described or _root_cause(data.error)
    elif event.event_type is DagsterEventType.RUN_FAILURE and not outcome.errors:
        outcome.errors["run"] = _root_cause(event.job_failure_data.error)
    elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if check.partition is not None:
            return  # a single failing session; the check's own result follows
        if check.passed:
            outcome.checks_passed += 1
        else:
            outcome.checks_failed += 1
            name = f"{check.asset_key.to_user_string()}.{check.check_name} ({check.severity.value.lower()})"
            outcome.failed_checks.append(f"{name}: {check.description or 'no description'}")


def _root_cause(error: SerializableErrorInfo | None) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else "no message"


def this_process() -> str:
    """Host, boot and process, as in PROCESS_TAG."""
    return f"{socket.gethostname()}:{int(psutil.boot_time())}:{os.getpid()}:{int(psutil.Process().create_time())}"


def close_abandoned(instance: DagsterInstance) -> list[str]:
    """Mark runs of this host whose process is gone as failed; returns their ids.

    A run of another host is left alone: its process cannot be seen from here.
    """
    host, boot = socket.gethostname(), str(int(psutil.boot_time()))
    closed = []
    for run in instance.get_runs(RunsFilter(statuses=UNFINISHED)):
        owner = run.tags.get(PROCESS_TAG, "").split(":")
        if len(owner) != 4 or owner[0] != host or (owner[1] == boot and _alive(int(owner[2]), int(owner[3]))):
            continue
        instance.report_run_failed(
            run,
            f"Process {owner[2]} that executed this run is gone; nothing it had not committed was kept. Run it again.",
        )
        closed.append(run.run_id)
    return closed


def _alive(pid: int, started: int) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 2
    except psutil.NoSuchProcess:
        return False


def _origin() -> RemoteJobOrigin:
    """Where the UI finds the job, so that it can show its graph and run it again."""
    target = LoadableTargetOrigin(executable_path=None, module_name=CODE_LOCATION_MODULE, attribute=None)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=CODE_LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), JOB)
