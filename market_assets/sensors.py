"""Sensors: load a session after its close and a symbol that is new, compute again what changed, tell of failures.

Belongs here: thin Dagster wrappers around plans made elsewhere (session_runs.py, universe_watch.py, restatements.py,
alerts.py). Does not
belong here: the plans themselves, jobs, and what follows an ingestion run (automation.py).

Each builder takes what it works with, so that definitions.py decides and tests can replace it.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from dagster import (
    DagsterEventType,
    DagsterRun,
    DefaultSensorStatus,
    RunFailureSensorContext,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    run_failure_sensor,
    sensor,
)
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from market_assets.alerts import CheckFailure, RunFailure, StepFailure, failure_payload, send
from market_assets.assets.ingest import SYMBOLS_TAG
from market_assets.automation import COMPLETE_RUN_TAG
from market_assets.restatements import current_watermark, find_restatement
from market_assets.session_runs import SessionSpan, plan_session_runs, read_cursor, write_cursor
from market_assets.universe_watch import find_additions
from market_assets.universe_watch import read_cursor as read_symbols
from market_assets.universe_watch import write_cursor as write_symbols

if TYPE_CHECKING:
    import psycopg
    from dagster import AssetSelection, DailyPartitionsDefinition, JobDefinition
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
    from pydantic import SecretStr

    from market_assets.domain.calendars import ExchangeCalendar
    from market_assets.universe import Universe

    Target = AssetSelection | JobDefinition | UnresolvedAssetJobDefinition

CAUSE_TAG = "market/cause"
EXCHANGES_TAG = "market/exchanges"


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def build_session_close_sensor(
    *,
    calendars: Sequence[ExchangeCalendar],
    partitions: DailyPartitionsDefinition,
    target: Target,
    settle: timedelta,
    name: str = "session_close_sensor",
    now: Callable[[], datetime] = utc_now,
    minimum_interval_seconds: int = 60,
    default_status: DefaultSensorStatus = DefaultSensorStatus.RUNNING,
) -> SensorDefinition:
    """Loads the partition of each session once it has closed and settled; see session_runs.py for what is due when.

    Args:
        calendars: configured exchanges.
        partitions: partitions of the assets in `target`.
        target: what a run materializes.
        settle: wait after a close.
        name: of the sensor.
        now: the clock.
        minimum_interval_seconds: between evaluations.
        default_status: whether it runs from the start.
    """
    span = SessionSpan.of(partitions)

    @sensor(
        name=name,
        target=cast("Any", target),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description="One run for each session of a configured exchange, after its close and the settle delay; "
        "one run over the whole range after downtime.",
    )
    def session_close(context: SensorEvaluationContext) -> SensorResult:
        plan = plan_session_runs(calendars, span, now(), read_cursor(context.cursor), settle)
        for problem in plan.problems:
            context.log.error(problem)
        if plan.run is None:
            return SensorResult(
                skip_reason="; ".join([*plan.problems, *plan.waiting]), cursor=write_cursor(plan.cursor)
            )
        request = range_request(
            plan.run.first,
            plan.run.last,
            run_key=plan.run.run_key,
            tags={CAUSE_TAG: "session_close", EXCHANGES_TAG: ",".join(plan.run.due)},
        )
        return SensorResult(run_requests=[request], cursor=write_cursor(plan.cursor))

    return session_close


def build_universe_sensor(
    *,
    load: Callable[[], Universe],
    loaded_symbols: Callable[[], Collection[str]],
    exchanges: Collection[str],
    partitions: DailyPartitionsDefinition,
    target: Target,
    name: str = "universe_sensor",
    minimum_interval_seconds: int = 60,
    default_status: DefaultSensorStatus = DefaultSensorStatus.RUNNING,
) -> SensorDefinition:
    """Loads the history of symbols that were added to the universe file, and of no others; see universe_watch.py.

    What depends on them is computed by the run of the restatement sensor, which sees their bars as late ones.

    Args:
        load: reads the universe file as it is now.
        loaded_symbols: symbols the warehouse was loaded for, asked when the sensor has no cursor.
        exchanges: exchanges that the code location has calendars for.
        partitions: partitions of the assets in `target`.
        target: what a run materializes; it reads SYMBOLS_TAG.
        name: of the sensor.
        minimum_interval_seconds: between evaluations.
        default_status: whether it runs from the start.
    """

    @sensor(
        name=name,
        target=cast("Any", target),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description="One run over all sessions for the symbols that were added to the universe file.",
    )
    def universe_watch(context: SensorEvaluationContext) -> SensorResult:
        universe = load()
        keys = partitions.get_partition_keys()
        seen = read_symbols(context.cursor)
        if seen is None:
            seen = frozenset(loaded_symbols()) or frozenset(universe.symbols)
        if not keys:
            return SensorResult(skip_reason="there is no partition yet", cursor=write_symbols(seen))
        first, last = date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])
        found = find_additions(universe, seen, exchanges, first, last)
        for problem in found.problems:
            context.log.error(problem)
        if not found.symbols:
            reason = "; ".join(found.problems) or "no symbol was added to the universe"
            return SensorResult(skip_reason=reason, cursor=write_symbols(found.seen))
        context.log.info(f"added to the universe: {', '.join(found.symbols)}; loading {first} to {last}")
        request = range_request(
            first,
            last,
            run_key=found.run_key(first, last),
            tags={CAUSE_TAG: "universe", SYMBOLS_TAG: ",".join(found.symbols), COMPLETE_RUN_TAG: "restatement_sensor"},
        )
        return SensorResult(run_requests=[request], cursor=write_symbols(found.seen))

    return universe_watch


def build_restatement_sensor(
    *,
    connect: Callable[[], AbstractContextManager[psycopg.Connection]],
    partitions: DailyPartitionsDefinition,
    target: Target,
    name: str = "restatement_sensor",
    minimum_interval_seconds: int = 60,
    default_status: DefaultSensorStatus = DefaultSensorStatus.RUNNING,
) -> SensorDefinition:
    """Computes again what depends on bars and actions that changed after it was computed; see restatements.py.

    Args:
        connect: opens a connection to the warehouse; closed after each evaluation.
        partitions: partitions of the assets in `target`.
        target: what depends on raw data, with the blocking checks of that data: they gate inside the run.
        name: of the sensor.
        minimum_interval_seconds: between evaluations.
        default_status: whether it runs from the start.
    """

    @sensor(
        name=name,
        target=cast("Any", target),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description="One run from the earliest affected session to the last one, when bars, corporate actions or "
        "reference files were restated, withdrawn or late.",
    )
    def restatements(context: SensorEvaluationContext) -> SensorResult:
        since = json.loads(context.cursor)["watermark"] if context.cursor else None
        with connect() as connection:
            start = current_watermark(connection)
            if since is None or since > start:
                # A cursor from the future belongs to a warehouse that was since replaced by a new one.
                return SensorResult(skip_reason="watching from now on", cursor=json.dumps({"watermark": start}))
            watermark, found = find_restatement(connection, since)
        cursor = json.dumps({"watermark": watermark})
        if found is None:
            return SensorResult(skip_reason="nothing that was computed from has changed", cursor=cursor)
        keys = partitions.get_partition_keys()
        affected = keys[bisect_left(keys, found.first.isoformat()) : bisect_right(keys, found.last.isoformat())]
        if not affected:
            return SensorResult(skip_reason=f"{found.first} to {found.last} holds no partition", cursor=cursor)
        context.log.info(
            f"{found.symbols} symbols: {found.bars_restated} versions of bars replaced, {found.bars_written} written, "
            f"{found.actions_changed} corporate actions and {found.reference_rows} rows of reference files changed; "
            f"computing {affected[0]} to {affected[-1]} again"
        )
        request = range_request(
            date.fromisoformat(affected[0]),
            date.fromisoformat(affected[-1]),
            run_key=f"restatement:{since}:{watermark}",
            tags={CAUSE_TAG: "restatement"},
        )
        return SensorResult(run_requests=[request], cursor=cursor)

    return restatements


def build_failure_alert_sensor(
    *,
    webhook: SecretStr | None,
    ui_address: str | None = None,
    name: str = "failure_alert_sensor",
    minimum_interval_seconds: int = 30,
    default_status: DefaultSensorStatus = DefaultSensorStatus.RUNNING,
    deliver: Callable[[SecretStr, dict[str, Any]], None] = send,
) -> SensorDefinition:
    """Tells a Slack-compatible webhook about each failed run, a failed blocking check included.

    A webhook that does not take the message fails the evaluation, with the alert in its log; later runs are told about
    all the same. Without a webhook the alert is only logged.

    Args:
        webhook: its address; None = none is configured.
        ui_address: where the Dagster UI is reached, for the link.
        name: of the sensor.
        minimum_interval_seconds: between evaluations.
        default_status: whether it runs from the start.
        deliver: sends a payload.
    """

    @run_failure_sensor(
        name=name,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description="Posts run, failing step, error, failed blocking checks and partitions to the alert webhook.",
    )
    def failure_alert(context: RunFailureSensorContext) -> None:
        payload = failure_payload(run_failure(context, ui_address))
        if webhook is None:
            context.log.warning(f"{payload['text']}; set MARKET_ALERT_WEBHOOK to be told")
            return
        try:
            deliver(webhook, payload)
        except Exception:
            context.log.exception(f"alert not delivered: {payload['text']} (run {context.dagster_run.run_id})")
            raise
        context.log.info(f"alert delivered: {payload['text']}")

    return failure_alert


def range_request(first: date, last: date, *, run_key: str, tags: dict[str, str]) -> RunRequest:
    """One run over the partitions of [first, last]; both must be partitions."""
    if first == last:
        return RunRequest(run_key=run_key, partition_key=first.isoformat(), tags=tags)
    range_tags = {ASSET_PARTITION_RANGE_START_TAG: first.isoformat(), ASSET_PARTITION_RANGE_END_TAG: last.isoformat()}
    return RunRequest(run_key=run_key, tags={**tags, **range_tags})


def run_failure(context: RunFailureSensorContext, ui_address: str | None) -> RunFailure:
    """What Dagster's event log knows about the failed run."""
    run = context.dagster_run
    steps = []
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        messages = []
        while error is not None:
            messages.append(error.message.strip())
            error = error.cause
        steps.append(StepFailure(event.step_key or "", "\ncaused by: ".join(messages)))
    return RunFailure(
        run_id=run.run_id,
        job=run.job_name,
        partitions=_partitions(run),
        steps=steps,
        checks=_failed_blocking_checks(context),
        message=context.failure_event.message or "",
        link=f"{ui_address.rstrip('/')}/runs/{run.run_id}" if ui_address else None,
    )


def _partitions(run: DagsterRun) -> tuple[str, str] | None:
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG, run.tags.get(PARTITION_NAME_TAG))
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG, first)
    return None if first is None or last is None else (first, last)


def _failed_blocking_checks(context: RunFailureSensorContext) -> list[CheckFailure]:
    records = context.instance.get_records_for_run(
        run_id=context.dagster_run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    failures = []
    for record in records:
        result = record.event_log_entry.get_dagster_event().asset_check_evaluation_data
        if result.blocking and not result.passed:
            asset = result.asset_key.to_user_string()
            failures.append(CheckFailure(asset, result.check_name, result.partition, result.description or ""))
    return failures
