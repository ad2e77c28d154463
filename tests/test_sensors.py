"""The sensors as Dagster evaluates them: run requests and cursors under a frozen clock, and runs made from requests."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest
import time_machine
from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetSelection,
    BackfillPolicy,
    DagsterInstance,
    DailyPartitionsDefinition,
    DefaultSensorStatus,
    Definitions,
    JobDefinition,
    RunFailureSensorContext,
    RunRequest,
    SensorDefinition,
    asset,
    asset_check,
    build_run_status_sensor_context,
    build_sensor_context,
    define_asset_job,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData
from pydantic import SecretStr
from webhook_server import TOKEN, Webhook, serve_webhook

from market_assets.alerts import AlertNotDelivered
from market_assets.domain.calendars import ExchangeCalendar
from market_assets.partitions import load_calendars, run_range, session_partitions
from market_assets.sensors import (
    build_failure_alert_sensor,
    build_restatement_sensor,
    build_session_close_sensor,
    run_failure,
)
from market_assets.warehouse.connection import connect

if TYPE_CHECKING:
    from conftest import TestServer

OVERRIDES = Path(__file__).parents[1] / "config" / "calendar_overrides.csv"
START = date(2024, 1, 2)


def calendars(*exchanges: str) -> tuple[ExchangeCalendar, ...]:
    return load_calendars(exchanges, START, OVERRIDES, date(2026, 11, 21))


def partitions() -> DailyPartitionsDefinition:
    return session_partitions(calendars("XNYS"), START)


def evaluate(sensor: SensorDefinition, cursor: str | None, instance: DagsterInstance) -> SensorExecutionData:
    """One evaluation, as the daemon asks the code server for it."""
    definitions = Definitions(assets=[raw_prices, indicators], sensors=[sensor])
    with build_sensor_context(instance=instance, cursor=cursor, definitions=definitions) as context:
        return sensor.evaluate_tick(context)


loaded_ranges: list[tuple[date, date]] = []


@asset(partitions_def=partitions(), backfill_policy=BackfillPolicy.single_run())
def raw_prices(context: AssetExecutionContext) -> None:
    loaded_ranges.append(run_range(context))


@asset(partitions_def=partitions(), backfill_policy=BackfillPolicy.single_run(), deps=[raw_prices])
def indicators() -> None:
    """Depends on prices."""


def requests(tick: SensorExecutionData) -> list[RunRequest]:
    return list(tick.run_requests or [])


@pytest.fixture(scope="module")
def ephemeral() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


# A session has closed -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def close_sensor() -> SensorDefinition:
    return build_session_close_sensor(
        calendars=calendars("XNYS", "XBOM"),
        partitions=session_partitions(calendars("XNYS", "XBOM"), START),
        target=AssetSelection.assets("raw_prices"),
        settle=timedelta(minutes=45),
    )


def cursor_of(**sessions: str) -> str:
    return json.dumps(sessions)


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        ("2024-03-08 22:00", "2024-03-08"),  # around New York's change to summer time
        ("2024-03-11 22:00", "2024-03-11"),
        ("2024-04-01 21:00", "2024-04-01"),  # around Athens' (29 March is Good Friday)
        ("2024-10-28 22:00", "2024-10-28"),  # around Athens' change back
        ("2024-11-04 22:00", "2024-11-04"),  # around New York's
        ("2024-07-03 21:00", "2024-07-03"),  # half days
        ("2024-11-29 22:00", "2024-11-29"),
    ],
)
def test_one_run_for_one_partition_at_the_minute_it_is_due(
    close_sensor: SensorDefinition, ephemeral: DagsterInstance, moment: str, session: str
) -> None:
    before = calendars("XNYS")[0].previous_session(date.fromisoformat(session)).date().isoformat()
    cursor = cursor_of(XNYS=before, XBOM=session)
    with time_machine.travel(f"{moment}:00+00:00", tick=False) as clock:
        clock.shift(-1)
        assert requests(evaluate(close_sensor, cursor, ephemeral)) == []
        clock.shift(1)
        tick = evaluate(close_sensor, cursor, ephemeral)
    (request,) = requests(tick)
    assert request.partition_key == session
    assert request.run_key == f"XNYS:{session}:{session}"
    assert request.tags["market/cause"] == "session_close"
    assert request.tags["market/exchanges"] == "XNYS"
    assert json.loads(tick.cursor or "") == {"XBOM": session, "XNYS": session}


@pytest.mark.parametrize("moment", ["2024-12-25 23:00", "2024-12-28 23:00", "2024-12-29 23:00"])
def test_no_run_on_a_holiday_or_weekend(
    close_sensor: SensorDefinition, ephemeral: DagsterInstance, moment: str
) -> None:
    asked = "2024-12-24" if moment < "2024-12-26" else "2024-12-27"
    with time_machine.travel(f"{moment}:00+00:00", tick=False):
        tick = evaluate(close_sensor, cursor_of(XNYS=asked, XBOM=asked), ephemeral)
    assert requests(tick) == []
    assert tick.skip_message is not None
    assert "XNYS: session 2024-12-" in tick.skip_message


def test_one_range_run_after_downtime(close_sensor: SensorDefinition, ephemeral: DagsterInstance) -> None:
    with time_machine.travel("2024-12-03T23:00:00+00:00", tick=False):
        (request,) = requests(evaluate(close_sensor, cursor_of(XNYS="2024-11-26", XBOM="2024-12-02"), ephemeral))
    assert request.partition_key is None
    assert request.tags["dagster/asset_partition_range_start"] == "2024-11-27"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-12-03"
    assert request.run_key == "XBOM:2024-12-03:2024-12-03+XNYS:2024-11-27:2024-12-03"


def test_a_calendar_that_has_run_out_is_logged_and_told_where_nothing_else_is_due(
    close_sensor: SensorDefinition, ephemeral: DagsterInstance
) -> None:
    with time_machine.travel("2027-01-04T12:00:00+00:00", tick=False):
        tick = evaluate(close_sensor, cursor_of(XNYS="2026-12-31", XBOM="2026-12-31"), ephemeral)
    assert tick.skip_message is not None
    assert "XBOM: the calendar knows" in tick.skip_message


@pytest.mark.parametrize("as_job", [False, True], ids=["assets", "job"])
@pytest.mark.parametrize(
    ("cursor", "expected"),
    [("2024-07-05", ("2024-07-08", "2024-07-08")), ("2024-07-02", ("2024-07-03", "2024-07-08"))],
    ids=["one session", "range"],
)
def test_the_requested_run_materializes_the_sessions(as_job: bool, cursor: str, expected: tuple[str, str]) -> None:
    loaded_ranges.clear()
    selection = AssetSelection.assets("raw_prices")
    sensor = build_session_close_sensor(
        calendars=calendars("XNYS"),
        partitions=partitions(),
        target=define_asset_job("ingest", selection=selection) if as_job else selection,
        settle=timedelta(minutes=45),
    )
    definitions = Definitions(assets=[raw_prices], sensors=[sensor])
    with (
        DagsterInstance.ephemeral() as instance,
        time_machine.travel("2024-07-08T21:00:00+00:00", tick=False),
    ):
        (request,) = requests(evaluate(sensor, cursor_of(XNYS=cursor), instance))
        job: JobDefinition = definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance,
            tags=request.tags,
            partition_key=request.partition_key,
            asset_selection=[raw_prices.key],
        )
        materialized = instance.get_materialized_partitions(raw_prices.key)
    assert result.success
    assert loaded_ranges == [(date.fromisoformat(expected[0]), date.fromisoformat(expected[1]))]
    assert materialized == set(calendars("XNYS")[0].sessions(*map(date.fromisoformat, expected)).strftime("%Y-%m-%d"))


# Raw data was restated ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warehouse(pg_server: "TestServer", _warehouse_template: str) -> str:
    """AAPL from 2 to 12 January 2024, computed."""
    url = pg_server.create_database("sensors", template=_warehouse_template)
    with connect(url, autocommit=True) as connection:
        for session in pd.bdate_range("2024-01-02", "2024-01-12").strftime("%Y-%m-%d"):
            connection.execute(
                "insert into raw.price_bar (symbol, session, source, close, known_from, run_id) "
                "values ('AAPL', %s, 'yahoo', 100, '2024-02-01', 'ingest')",
                [session],
            )
            connection.execute(
                "insert into analytics.indicator (symbol, session, known_from, run_id) "
                "values ('AAPL', %s, '2024-02-01', 'compute')",
                [session],
            )
    return url


def restate(url: str, session: str, close: float) -> None:
    with connect(url) as connection:
        connection.execute(
            "update raw.price_bar set known_to = clock_timestamp(), changed_xid = pg_current_xact_id() "
            "where symbol = 'AAPL' and session = %s and known_to is null",
            [session],
        )
        connection.execute(
            "insert into raw.price_bar (symbol, session, source, close, known_from, run_id) "
            "values ('AAPL', %s, 'yahoo', %s, clock_timestamp(), 'ingest')",
            [session, close],
        )


@pytest.fixture
def restatement_sensor(warehouse: str) -> SensorDefinition:
    def opened() -> AbstractContextManager[psycopg.Connection]:
        return connect(warehouse)

    return build_restatement_sensor(connect=opened, partitions=partitions(), target=AssetSelection.assets("indicators"))


def test_watching_starts_with_the_first_evaluation(
    restatement_sensor: SensorDefinition, warehouse: str, ephemeral: DagsterInstance
) -> None:
    restate(warehouse, "2024-01-04", 101)
    first = evaluate(restatement_sensor, None, ephemeral)
    assert requests(first) == []
    assert first.skip_message == "watching from now on"
    second = evaluate(restatement_sensor, first.cursor, ephemeral)
    assert requests(second) == []
    assert second.skip_message == "nothing that was computed from has changed"


def test_a_restatement_makes_one_run_from_its_session_to_the_last(
    restatement_sensor: SensorDefinition, warehouse: str, ephemeral: DagsterInstance
) -> None:
    first = evaluate(restatement_sensor, None, ephemeral)
    restate(warehouse, "2024-01-05", 102)
    restate(warehouse, "2024-01-09", 102)
    tick = evaluate(restatement_sensor, first.cursor, ephemeral)
    (request,) = requests(tick)
    assert request.tags["dagster/asset_partition_range_start"] == "2024-01-05"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-01-12"
    assert request.tags["market/cause"] == "restatement"
    repeated = evaluate(restatement_sensor, first.cursor, ephemeral)  # the daemon died before it saved the cursor
    assert [other.run_key for other in requests(repeated)] == [request.run_key]
    assert requests(evaluate(restatement_sensor, tick.cursor, ephemeral)) == []


def test_a_restatement_of_the_last_session_is_a_run_of_one_partition(
    restatement_sensor: SensorDefinition, warehouse: str, ephemeral: DagsterInstance
) -> None:
    first = evaluate(restatement_sensor, None, ephemeral)
    restate(warehouse, "2024-01-12", 103)
    (request,) = requests(evaluate(restatement_sensor, first.cursor, ephemeral))
    assert request.partition_key == "2024-01-12"


def test_a_late_action_on_a_weekend_starts_with_the_next_session(
    restatement_sensor: SensorDefinition, warehouse: str, ephemeral: DagsterInstance
) -> None:
    first = evaluate(restatement_sensor, None, ephemeral)
    with connect(warehouse) as connection:
        connection.execute(
            "insert into raw.corporate_action (symbol, ex_date, kind, source, value, known_from, run_id) "
            "values ('AAPL', '2024-01-06', 'split', 'yahoo', 2, now(), 'ingest')"
        )
    (request,) = requests(evaluate(restatement_sensor, first.cursor, ephemeral))
    assert request.tags["dagster/asset_partition_range_start"] == "2024-01-08"


def test_sessions_that_are_no_partitions_make_no_run(warehouse: str, ephemeral: DagsterInstance) -> None:
    sensor = build_restatement_sensor(
        connect=lambda: connect(warehouse),
        partitions=session_partitions(calendars("XNYS"), date(2025, 1, 2)),
        target=AssetSelection.assets("indicators"),
    )
    first = evaluate(sensor, None, ephemeral)
    restate(warehouse, "2024-01-11", 104)
    assert evaluate(sensor, first.cursor, ephemeral).skip_message == "2024-01-11 to 2024-01-12 holds no partition"


def test_a_cursor_of_a_warehouse_that_was_replaced_starts_anew(
    restatement_sensor: SensorDefinition, ephemeral: DagsterInstance
) -> None:
    tick = evaluate(restatement_sensor, json.dumps({"watermark": 10**15}), ephemeral)
    assert tick.skip_message == "watching from now on"
    assert json.loads(tick.cursor or "")["watermark"] < 10**15


# A run has failed ---------------------------------------------------------------------------------------------------


@asset(partitions_def=partitions(), backfill_policy=BackfillPolicy.single_run())
def prices() -> None:
    raise RuntimeError("yahoo did not answer for AAPL") from ConnectionError("postgresql://market:s3cr3t@db is gone")


@asset(partitions_def=partitions(), backfill_policy=BackfillPolicy.single_run())
def checked() -> None:
    """Materializes; its check does not pass."""


@asset_check(asset=checked, blocking=True)
def complete() -> AssetCheckResult:
    return AssetCheckResult(passed=False, description="212 of 505 bars")


@asset_check(asset=checked)
def plausible() -> AssetCheckResult:
    return AssetCheckResult(passed=False, description="a warning is no failure")


def failed_run(name: str, instance: DagsterInstance, tags: dict[str, str]) -> RunFailureSensorContext:
    definitions = Definitions(assets=[prices, checked], asset_checks=[complete, plausible])
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[AssetSelection.assets(name).resolve(definitions.resolve_asset_graph()).pop()],
        tags=tags,
        partition_key=tags.get("dagster/partition"),
        raise_on_error=False,
    )
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return build_run_status_sensor_context(
        "failure_alert_sensor", result.get_run_failure_event(), instance, run
    ).for_run_failure()


def test_a_failed_step_is_told_with_its_causes_and_partitions(ephemeral: DagsterInstance) -> None:
    tags = {
        "dagster/asset_partition_range_start": "2024-07-02",
        "dagster/asset_partition_range_end": "2024-07-05",
    }
    failure = run_failure(failed_run("prices", ephemeral, tags), "https://dagster.example/")
    assert failure.partitions == ("2024-07-02", "2024-07-05")
    assert failure.link == f"https://dagster.example/runs/{failure.run_id}"
    assert [step.step for step in failure.steps] == ["prices"]
    assert "RuntimeError: yahoo did not answer for AAPL" in failure.steps[0].error
    assert "caused by: ConnectionError" in failure.steps[0].error
    assert failure.checks == []


def test_a_failed_blocking_check_is_told_and_a_warning_is_not(ephemeral: DagsterInstance) -> None:
    failure = run_failure(failed_run("checked", ephemeral, {"dagster/partition": "2024-07-05"}), None)
    assert failure.partitions == ("2024-07-05", "2024-07-05")
    assert [(check.asset, check.check, check.description) for check in failure.checks] == [
        ("checked", "complete", "212 of 505 bars")
    ]
    assert failure.link is None


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with serve_webhook() as hook:
        yield hook


def alert(webhook: SecretStr | None, context: RunFailureSensorContext, **options: Any) -> None:
    sensor = build_failure_alert_sensor(webhook=webhook, ui_address="https://dagster.example", **options)
    assert sensor.default_status is DefaultSensorStatus.RUNNING
    sensor(context)


def test_the_alert_arrives_without_secrets(webhook: Webhook, ephemeral: DagsterInstance) -> None:
    alert(webhook.address, failed_run("prices", ephemeral, {"dagster/partition": "2024-07-05"}))
    (payload,) = webhook.received
    text = json.dumps(payload)
    assert "failed for 2024-07-05" in payload["text"]
    assert "yahoo did not answer for AAPL" in text
    assert "https://dagster.example/runs/" in text
    assert "s3cr3t" not in text


def test_a_webhook_that_refuses_fails_the_evaluation_and_leaves_the_alert_in_the_log(
    webhook: Webhook, ephemeral: DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.answers = [(404, {})]
    context = failed_run("prices", ephemeral, {"dagster/partition": "2024-07-05"})
    context.log.addHandler(caplog.handler)
    with pytest.raises(AlertNotDelivered):
        alert(webhook.address, context)
    assert "alert not delivered" in caplog.text
    assert context.dagster_run.run_id in caplog.text
    assert TOKEN not in caplog.text


def test_without_a_webhook_the_alert_is_logged(ephemeral: DagsterInstance, caplog: pytest.LogCaptureFixture) -> None:
    context = failed_run("prices", ephemeral, {"dagster/partition": "2024-07-05"})
    context.log.addHandler(caplog.handler)
    alert(None, context)
    assert "failed for 2024-07-05; set MARKET_ALERT_WEBHOOK" in caplog.text
