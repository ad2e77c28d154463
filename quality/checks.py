"""A suite as Dagster asset checks: one op per asset, one asset check per check of the suite, in the asset's own run.

How a run over many sessions is reported
    aggregate   one AssetCheckResult per check. It carries severity and blocking, names the failing sessions, and is
                the last thing stored, so it is the state of the check in the UI and for automation.
    sessions    an AssetCheckEvaluation with its partition for each failing session and for each session that failed
                before and now passes; passing sessions are in the result sink alone, an event each would cost more
                than the data. They are emitted inside the run: as runless events Dagster accepts only one per check
                and partition, ever (its unique index on asset, check, run and partition).
    planned     when a run starts, Dagster stores a PLANNED row per check and partition of the run, even for checks
                without partitions, and updates only the rows whose partition is evaluated. The others would stay
                PLANNED for good, so the rows of this run are removed before its results are stored.
The checks are declared without partitions for the same reason: with them, a session that passed in a range run would
have no result, and automation would wait for it for ever.

Running a suite belongs in validation.py, wording in report.py, storage in results.py.
"""

# No `from __future__ import annotations`: Dagster compares the annotation of `context` with its classes.

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetKey,
    DagsterInstance,
    MetadataValue,
    PartitionKeyRange,
    PartitionsDefinition,
    RetryPolicy,
    multi_asset_check,
)

from quality import report
from quality.errors import ScopeError
from quality.results import ResultSink
from quality.suite import Scope, Suite
from quality.validation import Outcome, run_suite

if TYPE_CHECKING:
    from dagster._core.definitions.assets.definition.asset_dep import CoercibleToAssetDep
    from dagster._core.definitions.events import CoercibleToAssetKey

MAX_SESSION_EVENTS = 200
"""Default for the number of session results one run may emit as events, for all checks of an asset together."""

_PARTITION = "dagster/partition"
_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"

_Failures: TypeAlias = set[tuple[str, date]]


RunSuite: TypeAlias = Callable[[str, Suite, Scope, Collection[str]], Sequence[Outcome]]
"""What `run_suite` takes and returns."""


@dataclass(frozen=True)
class Database:
    """Where a run finds the table it checks, and how.

    Attributes:
        url: gives the libpq URL from the context of the op, from one of its resources, say.
        required_resource_keys: the resources that `url` reads.
        run: runs a suite there; `run_suite` in another process, say.
    """

    url: Callable[[AssetCheckExecutionContext], str]
    required_resource_keys: frozenset[str] = frozenset()
    run: RunSuite = run_suite


def build_checks(
    suite: Suite,
    asset_key: "CoercibleToAssetKey",
    *,
    database: Database,
    sink: ResultSink | None = None,
    partitions_def: PartitionsDefinition | None = None,
    additional_deps: "Iterable[CoercibleToAssetDep]" = (),
    max_session_events: int = MAX_SESSION_EVENTS,
    retry_policy: RetryPolicy | None = None,
) -> AssetChecksDefinition:
    """Asset checks that run `suite` on the sessions of the run.

    Args:
        suite: what to check.
        asset_key: the asset that the table of the suite belongs to.
        database: where the table is.
        sink: where results are kept by session; None keeps only Dagster's own record.
        partitions_def: partitions of the asset, whose keys are ISO dates; None for an asset without partitions.
        additional_deps: further assets the queries of the suite read, so that they are materialized first.
        max_session_events: how many session results a run may emit as events, shared among the checks that fail.
        retry_policy: of the op; a check that fails is not retried, a database that cannot be reached is.

    Returns:
        One op that can be run in part, named `<asset>_checks`.
    """
    key = AssetKey.from_coercible(asset_key)
    specs = [
        AssetCheckSpec(
            check.name,
            asset=key,
            description=check.description,
            additional_deps=additional_deps,
            blocking=check.severity.blocking,
            metadata={"severity": check.severity.value, "threshold": check.threshold or "none"},
        )
        for check in suite.checks
    ]

    @multi_asset_check(
        name=f"{key.to_python_identifier()}_checks",
        description=f"Suite {suite.name} on {suite.schema}.{suite.table}.",
        specs=specs,
        can_subset=True,
        required_resource_keys=set(database.required_resource_keys),
        retry_policy=retry_policy,
        compute_kind="greatexpectations",
    )
    def run_checks(context: AssetCheckExecutionContext) -> Iterator[AssetCheckEvaluation | AssetCheckResult]:
        scope = Scope() if suite.session_column is None else scope_of(context.run.tags, partitions_def)
        names = {check.name for check in context.selected_asset_check_keys}
        target = database.url(context)
        outcomes = database.run(target, suite, scope, names)
        failed_before: _Failures = set()
        if sink is not None:
            asset = key.to_user_string()
            failed_before = sink.failing(target, asset, scope)
            found = [result for outcome in outcomes for result in report.session_results(outcome, asset)]
            written = sink.store(target, found, context.run.run_id)
            context.log.info(f"{len(found):,} results by session, {written:,} of them new or changed")
        _forget_planned(context.instance, context.run.run_id, key, names)
        told = _sessions_to_tell(outcomes, failed_before, partitions_def)
        yield from _results(key, outcomes, told, max_session_events)

    return run_checks


def scope_of(tags: Mapping[str, str], partitions_def: PartitionsDefinition | None) -> Scope:
    """The sessions a run speaks for, from its tags: one partition, a range of them, or the whole table.

    Raises:
        ScopeError: a partition key is not a date.
    """
    if partitions_def is None:
        return Scope()
    if _PARTITION in tags:
        keys: Sequence[str] = [tags[_PARTITION]]
    elif _RANGE_START in tags:
        keys = partitions_def.get_partition_keys_in_range(PartitionKeyRange(tags[_RANGE_START], tags[_RANGE_END]))
    else:
        return Scope()
    try:
        sessions = sorted(date.fromisoformat(key) for key in keys)
    except ValueError as error:
        raise ScopeError(f"partition keys of checked assets are sessions as ISO dates: {error}") from error
    return Scope(tuple(sessions))


class _Told(NamedTuple):
    """Sessions of which a check has something to tell, ascending."""

    failing: list[date]
    recovered: list[date]


def _sessions_to_tell(
    outcomes: Sequence[Outcome], failed_before: _Failures, partitions_def: PartitionsDefinition | None
) -> dict[str, _Told]:
    told = {}
    for outcome in outcomes:
        failing = outcome.failing_sessions
        recovered = sorted(
            session
            for name, session in failed_before
            if name == outcome.check.name and session not in failing and outcome.speaks_for(session)
        )
        if not outcome.belongs_to_sessions and len(failing) > 1:
            failing = []  # the same sentence for every session of the run is the aggregate's to say
        told[outcome.check.name] = _Told(
            [session for session in failing if _is_partition(session, outcome.scope, partitions_def)],
            [session for session in recovered if _is_partition(session, outcome.scope, partitions_def)],
        )
    return told


def _is_partition(session: date, scope: Scope, partitions_def: PartitionsDefinition | None) -> bool:
    if scope.sessions is not None:
        return session in scope.sessions
    return partitions_def is not None and partitions_def.has_partition_key(session.isoformat())


def _results(
    key: AssetKey, outcomes: Sequence[Outcome], told: Mapping[str, _Told], limit: int
) -> Iterator[AssetCheckEvaluation | AssetCheckResult]:
    """Per check: the sessions that recovered, those that fail, then the aggregate."""
    telling = sum(1 for sessions in told.values() if any(sessions))
    share = max(1, limit // telling) if telling and limit else 0
    for outcome in outcomes:
        name = outcome.check.name
        failing = told[name].failing[-share:] if share else []
        recovered = told[name].recovered[-share:][len(failing) :] if share else []
        for session in recovered + failing:
            yield _session_evaluation(key, outcome, session, passed=session not in failing)
        omitted = sum(map(len, told[name])) - len(failing) - len(recovered)
        yield _aggregate(key, outcome, omitted)


def _session_evaluation(key: AssetKey, outcome: Outcome, session: date, *, passed: bool) -> AssetCheckEvaluation:
    # `blocking` stays unset: the aggregate decides what goes on, and would otherwise be counted once per session.
    # The UI shows a partition column only for checks with partitions, so the description begins with the session.
    found = "holds again" if passed else report.session_detail(outcome, session)
    return AssetCheckEvaluation(
        asset_key=key,
        check_name=outcome.check.name,
        passed=passed,
        severity=report.severity(outcome),
        description=f"{session}: {found}",
        metadata=report.session_metadata(outcome, session),
        partition=session.isoformat(),
    )


def _aggregate(key: AssetKey, outcome: Outcome, omitted: int) -> AssetCheckResult:
    metadata = report.metadata(outcome)
    description = report.summary(outcome)
    if omitted:
        metadata["session_events_omitted"] = MetadataValue.int(omitted)
        description += f" The results of {omitted:,} earlier sessions are in the result store only."
    return AssetCheckResult(
        asset_key=key,
        check_name=outcome.check.name,
        passed=outcome.passed,
        severity=report.severity(outcome),
        description=description,
        metadata=metadata,
    )


def _forget_planned(instance: DagsterInstance, run_id: str, key: AssetKey, names: Iterable[str]) -> None:
    """Remove the PLANNED rows of this run; the results that follow are inserted anew, the aggregate as the latest."""
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    row = AssetCheckExecutionsTable.c
    with storage.index_connection() as connection:
        connection.execute(
            AssetCheckExecutionsTable.delete().where(
                row.run_id == run_id,
                row.asset_key == key.to_string(),
                row.check_name.in_(list(names)),
                row.execution_status == AssetCheckExecutionRecordStatus.PLANNED.value,
            )
        )
