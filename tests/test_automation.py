"""Declarative automation on a small graph of the platform's shape, evaluated as the daemon does, tick by tick."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetSelection,
    AssetSpec,
    BackfillPolicy,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    RunRequest,
    asset,
    multi_asset,
    multi_asset_check,
)
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.automation_tick_evaluation_context import AutomationTickEvaluationContext

from market_assets.automation import COMPLETE_RUN_TAG, build_automation_sensor, marts_condition, session_condition
from market_assets.partitions import load_calendars, session_partitions

OVERRIDES = Path(__file__).parents[1] / "config" / "calendar_overrides.csv"
START, END = date(2024, 11, 25), date(2024, 12, 31)
SESSIONS = session_partitions(load_calendars(["XNYS"], START, OVERRIDES, date(2026, 11, 21)), START, END)

INGEST = ["raw_prices", "corporate_actions"]
ANALYTICS = ["index_constituents", "index_values", "indicators"]
MARTS = ["fct_daily_bar", "fct_indicator", "mart_performance"]
SINGLE_RUN = BackfillPolicy.single_run()


@dataclass
class Platform:
    """The graph, its instance and the automation's cursor."""

    instance: DagsterInstance
    checks_pass: bool = True
    during_ingest: list[Any] = field(default_factory=list)
    cursor: AssetDaemonCursor = field(default_factory=AssetDaemonCursor.empty)

    def __post_init__(self) -> None:
        self.definitions = self._definitions()
        self.job = self.definitions.resolve_implicit_global_asset_job_def()

    def _definitions(self) -> Definitions:
        follow = session_condition(AssetSelection.assets("raw_prices"))
        after = marts_condition([AssetKey("indicators"), AssetKey("index_values")])

        @asset(partitions_def=SESSIONS, backfill_policy=SINGLE_RUN)
        def raw_prices() -> None:
            """Bars."""

        @asset(deps=[raw_prices])
        def corporate_actions() -> None:
            for call in self.during_ingest:
                call()

        @multi_asset_check(
            specs=[
                AssetCheckSpec("complete", asset="raw_prices", blocking=True),
                AssetCheckSpec("plausible", asset="raw_prices"),
            ]
        )
        def raw_prices_checks() -> Iterator[AssetCheckResult]:
            yield AssetCheckResult(asset_key="raw_prices", check_name="complete", passed=self.checks_pass)
            yield AssetCheckResult(
                asset_key="raw_prices", check_name="plausible", passed=False, severity=AssetCheckSeverity.WARN
            )

        @asset(
            partitions_def=SESSIONS,
            backfill_policy=SINGLE_RUN,
            deps=["int_adjusted_bar", "raw_prices"],
            automation_condition=follow,
        )
        def indicators() -> None:
            """Read adjusted bars."""

        @multi_asset(
            specs=[
                AssetSpec(
                    name,
                    deps=["int_adjusted_bar", "raw_prices", "corporate_actions"],
                    partitions_def=SESSIONS,
                    automation_condition=follow,
                )
                for name in ("index_constituents", "index_values")
            ],
            backfill_policy=SINGLE_RUN,
        )
        def indices() -> Iterator[MaterializeResult]:
            for name in ("index_constituents", "index_values"):
                yield MaterializeResult(asset_key=name)

        @multi_asset(
            specs=[
                AssetSpec("fct_daily_bar", deps=["int_adjusted_bar", "raw_prices"], automation_condition=after),
                AssetSpec("fct_indicator", deps=["indicators"], automation_condition=after),
                AssetSpec("mart_performance", deps=["fct_indicator", "index_values"], automation_condition=after),
            ],
            can_subset=True,
        )
        def marts() -> Iterator[MaterializeResult]:
            for name in MARTS:
                yield MaterializeResult(asset_key=name)

        # Inside a run a blocking check gates only what names the checked asset as a dependency, and not what reads it
        # through a virtual asset: so everything below names raw_prices beside the view.
        view = AssetSpec("int_adjusted_bar", deps=["raw_prices", "corporate_actions"], is_virtual=True)
        return Definitions(
            assets=[raw_prices, corporate_actions, view, indicators, indices, marts],
            asset_checks=[raw_prices_checks],
            sensors=[build_automation_sensor(AssetSelection.all())],
        )

    def run(self, assets: Sequence[str], first: str | None = None, last: str | None = None, **tags: str) -> bool:
        """A run of `assets` with their checks, over the partitions of [first, last]."""
        if first is not None:
            tags |= {
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last or first,
            }
        return self.job.execute_in_process(
            instance=self.instance,
            asset_selection=[AssetKey(name) for name in assets],
            tags=tags,
            raise_on_error=False,
        ).success

    def check(self, session: str) -> bool:
        """The checks of raw_prices alone, as `re-execute from failure` runs them."""
        keys = {AssetCheckKey(AssetKey("raw_prices"), name) for name in ("complete", "plausible")}
        job = self.job.get_subset(asset_selection=set(), asset_check_selection=keys)
        return job.execute_in_process(
            instance=self.instance, tags={"dagster/partition": session}, raise_on_error=False
        ).success

    def tick(self) -> list[RunRequest]:
        """What the automation sensor launches now."""
        context = AutomationTickEvaluationContext(
            evaluation_id=self.cursor.evaluation_id + 1,
            instance=self.instance,
            asset_graph=self.definitions.resolve_asset_graph(),
            cursor=self.cursor,
            materialize_run_tags={},
            observe_run_tags={},
            auto_observe_asset_keys=set(),
            asset_selection=AssetSelection.all(),
            logger=logging.getLogger("test"),
            emit_backfills=True,
        )
        requests, self.cursor, _ = context.evaluate()
        return list(requests)


def names(request: RunRequest) -> list[str]:
    return sorted(key.to_user_string() for key in request.asset_selection or [])


@pytest.fixture
def platform() -> Iterator[Platform]:
    """History until 29 November, computed by a complete run, and one evaluation after it."""
    with DagsterInstance.ephemeral() as instance:
        platform = Platform(instance)
        assert platform.tick() == []
        assert platform.run([*INGEST, *ANALYTICS, *MARTS], "2024-11-25", "2024-11-29", **{COMPLETE_RUN_TAG: "yes"})
        assert platform.tick() == []
        yield platform


def test_an_ingested_session_makes_one_run_of_the_analytics_and_then_one_of_the_marts(platform: Platform) -> None:
    assert platform.run(INGEST, "2024-12-02")
    (request,) = platform.tick()
    assert names(request) == ANALYTICS
    assert request.partition_key == "2024-12-02"
    assert platform.tick() == []  # requested once

    assert platform.run(ANALYTICS, "2024-12-02")
    (request,) = platform.tick()
    assert names(request) == MARTS
    assert request.partition_key is None
    assert platform.tick() == []

    assert platform.run(MARTS)
    assert platform.tick() == []


def test_the_marts_wait_until_all_analytics_are_done(platform: Platform) -> None:
    assert platform.run(INGEST, "2024-12-02")
    assert len(platform.tick()) == 1
    # the indices are queued in a run of their own, the indicators are done
    queued = platform.instance.create_run_for_job(
        platform.job,
        execution_plan=None,
        asset_selection=frozenset({AssetKey("index_values"), AssetKey("index_constituents")}),
        tags={"dagster/partition": "2024-12-02"},
    )
    assert platform.run(["indicators"], "2024-12-02")
    assert platform.tick() == []
    platform.instance.report_run_failed(queued)
    assert [names(request) for request in platform.tick()] == [MARTS]


def test_a_range_after_downtime_makes_one_backfill_of_every_session(platform: Platform) -> None:
    assert platform.run(INGEST, "2024-12-02", "2024-12-05")
    (request,) = platform.tick()
    assert request.asset_graph_subset is not None
    subsets = request.asset_graph_subset.partitions_subsets_by_asset_key
    expected = ["2024-12-02", "2024-12-03", "2024-12-04", "2024-12-05"]
    requested = {key.to_user_string(): sorted(subset.get_partition_keys()) for key, subset in subsets.items()}
    assert requested == dict.fromkeys(ANALYTICS, expected)
    assert platform.run(ANALYTICS, "2024-12-02", "2024-12-05")
    assert [names(request) for request in platform.tick()] == [MARTS]


def test_a_failed_blocking_check_holds_and_a_passed_one_lets_go(platform: Platform) -> None:
    platform.checks_pass = False
    assert not platform.run(INGEST, "2024-12-02")
    assert platform.tick() == []
    assert platform.tick() == []
    platform.checks_pass = True
    assert platform.check("2024-12-02")
    (request,) = platform.tick()
    assert (names(request), request.partition_key) == (ANALYTICS, "2024-12-02")


def test_a_session_that_is_ingested_again_and_passes_goes_on_once(platform: Platform) -> None:
    platform.checks_pass = False
    assert not platform.run(INGEST, "2024-12-02")
    assert platform.tick() == []
    platform.checks_pass = True
    assert platform.run(INGEST, "2024-12-02")
    assert [names(request) for request in platform.tick()] == [ANALYTICS]
    assert platform.tick() == []


def test_marts_are_held_by_a_check_of_what_they_read(platform: Platform) -> None:
    assert platform.run(INGEST, "2024-12-02")
    assert len(platform.tick()) == 1
    platform.checks_pass = False
    assert not platform.check("2024-12-02")
    assert platform.run(ANALYTICS, "2024-12-02")
    assert [names(request) for request in platform.tick()] == [["fct_indicator", "mart_performance"]]
    platform.checks_pass = True
    assert platform.check("2024-12-02")
    assert [names(request) for request in platform.tick()] == [["fct_daily_bar"]]


def test_nothing_follows_while_the_ingestion_is_running(platform: Platform) -> None:
    """The bars are written, the actions are not yet: an evaluation in between waits, the next one goes on."""
    seen: list[list[RunRequest]] = []
    platform.during_ingest = [lambda: seen.append(platform.tick())]
    assert platform.run(INGEST, "2024-12-02")
    assert seen == [[]]
    assert [names(request) for request in platform.tick()] == [ANALYTICS]


def test_an_update_of_an_unpartitioned_dependency_alone_computes_nothing_again(platform: Platform) -> None:
    assert platform.run(["corporate_actions"])
    assert platform.tick() == []


def test_bars_whose_checks_were_left_out_are_not_followed(platform: Platform) -> None:
    job = platform.job.get_subset(asset_selection={AssetKey("raw_prices")}, asset_check_selection=set())
    assert job.execute_in_process(instance=platform.instance, tags={"dagster/partition": "2024-12-02"}).success
    assert platform.tick() == []
    assert platform.check("2024-12-02")
    assert [names(request) for request in platform.tick()] == [ANALYTICS]


@pytest.mark.parametrize("fails", [False, True])
def test_a_complete_run_starts_nothing_even_where_it_stopped_half_way(platform: Platform, fails: bool) -> None:
    platform.checks_pass = not fails
    everything = [*INGEST, *ANALYTICS, *MARTS]
    assert platform.run(everything, "2024-12-02", "2024-12-06", **{COMPLETE_RUN_TAG: "yes"}) is not fails
    assert platform.tick() == []
    platform.checks_pass = True
    assert platform.check("2024-12-06")
    assert platform.tick() == []


def test_blocking_checks_gate_inside_a_recomputation(platform: Platform) -> None:
    """The restatement sensor's job: the checks of the bars and what is downstream, without the bars themselves."""
    job = platform.job.get_subset(
        asset_selection={AssetKey(name) for name in [*ANALYTICS, *MARTS]},
        asset_check_selection={AssetCheckKey(AssetKey("raw_prices"), "complete")}
        | {AssetCheckKey(AssetKey("raw_prices"), "plausible")},
    )
    tags = {"dagster/asset_partition_range_start": "2024-11-26", "dagster/asset_partition_range_end": "2024-11-29"}
    assert job.execute_in_process(instance=platform.instance, tags=tags).success
    platform.checks_pass = False
    result = job.execute_in_process(instance=platform.instance, tags=tags, raise_on_error=False)
    assert not result.success
    assert result.get_asset_materialization_events() == []


def test_the_sensor_evaluates_in_the_daemon_and_groups_sessions() -> None:
    sensor = build_automation_sensor(AssetSelection.all())
    assert sensor.emit_backfills
    assert sensor.sensor_type.value == "AUTO_MATERIALIZE"  # built-in conditions only: nothing for the code server to do
