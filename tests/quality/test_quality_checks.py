"""Suites as asset checks, in real runs on a Dagster instance in PostgreSQL: what is stored, what is stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from small_market import SESSIONS, SYMBOLS, Market

from market_assets.instance import instance_for
from quality.checks import Database, build_checks, scope_of
from quality.errors import ScopeError
from quality.results import PostgresResultSink
from quality.suite import ExpectationCheck, RowCheck, Scope, Severity, Suite
from quality.suites.price_bar import price_bar_suite

PARTITIONS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-13", exclusions=["0 0 * * 6", "0 0 * * 0"])


def range_of(first: date, last: date) -> dict[str, str]:
    """Tags of a run over a range of sessions."""
    return {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}


ALL = range_of(SESSIONS[0], SESSIONS[-1])
FIFTH = SESSIONS[4]
SUITE = price_bar_suite()

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")


class Platform:
    """raw_prices with its checks, an asset downstream of it in sessions and one without partitions."""

    def __init__(self, market: Market, instance: dg.DagsterInstance, dagster_url: str) -> None:
        self.market = market
        self.instance = instance
        self._dagster_url = dagster_url

    def materialize(
        self,
        checks: dg.AssetChecksDefinition,
        tags: dict[str, str] | None = None,
        partition: date | None = None,
        partitioned: bool = True,
    ) -> dg.ExecuteInProcessResult:
        """One run over the graph."""
        return dg.materialize(
            [*graph(partitioned), checks],  # type: ignore[list-item] # checks are assets to Dagster
            instance=self.instance,
            tags=tags,
            partition_key=None if partition is None else str(partition),
            raise_on_error=False,
        )

    def checks(self, suite: Suite = SUITE, partitioned: bool = True, **options: object) -> dg.AssetChecksDefinition:
        """Checks of raw_prices on the market's warehouse."""
        return build_checks(
            suite,
            "raw_prices",
            database=Database(lambda _: self.market.url),
            sink=PostgresResultSink(),
            partitions_def=PARTITIONS if partitioned else None,
            **options,  # type: ignore[arg-type]
        )

    def executions(self, check: str | None = None) -> list[tuple[str, str | None, str, bool]]:
        """(check, partition, status, whether of a run) of asset_check_executions, oldest first."""
        with psycopg.connect(self._dagster_url) as connection:
            rows = connection.execute(
                "select check_name, partition, execution_status, run_id <> '' from asset_check_executions "
                "where check_name = coalesce(%s, check_name) order by id",
                (check,),
            )
            return list(rows)

    def results(self, check: str) -> dict[date, tuple[bool, int, str | None]]:
        """Current stored results of a check: session -> (passed, failed rows, detail)."""
        rows = self.market.connection.execute(
            "select session, passed, failed_rows, detail from quality.result "
            "where known_to is null and asset = 'raw_prices' and check_name = %s order by session",
            (check,),
        )
        found = {session: (passed, failed, detail) for session, passed, failed, detail in rows}
        self.market.connection.commit()
        return found


def graph(partitioned: bool) -> Sequence[dg.AssetsDefinition]:
    sessions = PARTITIONS if partitioned else None
    policy = dg.BackfillPolicy.single_run() if partitioned else None

    @dg.asset(partitions_def=sessions, backfill_policy=policy)
    def raw_prices() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult()

    @dg.asset(partitions_def=sessions, backfill_policy=policy, deps=[raw_prices])
    def indicators() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult()

    @dg.asset(deps=[indicators])
    def marts() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult()

    return [raw_prices, indicators, marts]


@pytest.fixture
def platform(good_market: Market, empty_dagster_url: str, tmp_path: Path) -> Iterator[Platform]:
    with instance_for(empty_dagster_url, tmp_path) as instance:
        yield Platform(good_market, instance, empty_dagster_url)


@pytest.fixture
def stock_platform(good_market: Market, empty_dagster_url: str, tmp_path: Path) -> Iterator[Platform]:
    """On the storage classes that come with Dagster."""
    settings = f'storage: {{postgres: {{postgres_url: "{empty_dagster_url}"}}}}\ntelemetry: {{enabled: false}}\n'
    (tmp_path / "dagster.yaml").write_text(settings, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield Platform(good_market, instance, empty_dagster_url)


def evaluations(result: dg.ExecuteInProcessResult, check: str) -> list[dg.AssetCheckEvaluation]:
    return [found for found in result.get_asset_check_evaluations() if found.check_name == check]


def aggregate(result: dg.ExecuteInProcessResult, check: str) -> dg.AssetCheckEvaluation:
    return evaluations(result, check)[-1]


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {
        event.asset_key.to_user_string()
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }


NAMES = [check.name for check in SUITE.checks]


def test_a_good_range_leaves_one_result_a_check_and_nothing_planned(platform: Platform) -> None:
    result = platform.materialize(platform.checks(), ALL)
    assert result.success
    assert platform.executions() == [(name, None, "SUCCEEDED", True) for name in NAMES]
    for name in NAMES:
        assert list(platform.results(name)) == list(SESSIONS)
        assert {passed for passed, _, _ in platform.results(name).values()} == {True}


def test_a_faulty_session_of_a_range_is_named_by_partition(platform: Platform) -> None:
    platform.market.set_bar("BBB", FIFTH, low=-1.0)
    result = platform.materialize(platform.checks(), ALL)
    assert result.success
    assert platform.executions("prices_positive") == [
        ("prices_positive", str(FIFTH), "FAILED", True),
        ("prices_positive", None, "FAILED", True),
    ]
    assert {status for _, _, status, _ in platform.executions()} == {"SUCCEEDED", "FAILED"}
    assert platform.results("prices_positive")[FIFTH] == (
        False,
        1,
        "1 of 4 rows: symbol=BBB, source=sample, close=112, high=113, low=-1, open=111.75",
    )
    assert platform.results("prices_positive")[SESSIONS[3]] == (True, 0, None)

    of_session = evaluations(result, "prices_positive")[0]
    assert of_session.description == f"{FIFTH}: {platform.results('prices_positive')[FIFTH][2]}"
    assert "| BBB | " in str(of_session.metadata["failing_rows"].value)

    found = aggregate(result, "prices_positive")
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert found.description == f"1 row failed in 1 of 10 sessions: {FIFTH} (1)"
    values = {name: entry.value for name, entry in found.metadata.items()}
    assert values["sessions_checked"] == 10
    assert values["sessions_failed"] == 1
    assert values["rows_checked"] == 40
    assert values["failing_sessions"] == [str(FIFTH)]
    assert values["threshold"] == "> 0"
    assert values["expectation"] == "FailingRows"
    assert values["seconds"] > 0
    assert "| BBB | " in values["failing_rows"]
    assert "```sql" in values["sql"]


@pytest.mark.parametrize("storage", ["platform", "stock_platform"])
def test_the_same_session_may_fail_run_after_run_and_then_recover(storage: str, request: pytest.FixtureRequest) -> None:
    platform: Platform = request.getfixturevalue(storage)
    three = range_of(SESSIONS[3], SESSIONS[5])
    platform.market.set_bar("BBB", FIFTH, low=-1.0)
    platform.materialize(platform.checks(), three)
    platform.materialize(platform.checks(), partition=FIFTH)
    platform.market.set_bar("BBB", FIFTH, low=111.0)
    result = platform.materialize(platform.checks(), three)
    told = [(e.partition, e.passed, e.description) for e in evaluations(result, "prices_positive")]
    assert told == [
        (str(FIFTH), True, f"{FIFTH}: holds again"),
        (None, True, "Holds for 12 rows in 2024-01-04 to 2024-01-08."),
    ]
    statuses = [(partition, status) for _, partition, status, _ in platform.executions("prices_positive")]
    assert statuses == [(str(FIFTH), "FAILED"), (None, "FAILED")] * 2 + [(str(FIFTH), "SUCCEEDED"), (None, "SUCCEEDED")]
    assert platform.results("prices_positive")[FIFTH] == (True, 0, None)
    assert "PLANNED" not in {status for _, _, status, _ in platform.executions()}


@pytest.mark.parametrize("faulty", [False, True])
def test_a_single_session_is_reported_alike(platform: Platform, faulty: bool) -> None:
    if faulty:
        platform.market.set_bar("BBB", FIFTH, low=-1.0)
    result = platform.materialize(platform.checks(), partition=FIFTH)
    assert result.success
    expected = [(str(FIFTH), "FAILED"), (None, "FAILED")] if faulty else [(None, "SUCCEEDED")]
    assert [(partition, status) for _, partition, status, _ in platform.executions("prices_positive")] == expected
    assert platform.results("prices_positive").keys() == {FIFTH}


def test_a_structural_fault_stops_what_is_downstream_and_names_the_check(platform: Platform) -> None:
    platform.market.execute("delete from raw.price_bar where session = %s", FIFTH)
    result = platform.materialize(platform.checks(), ALL)
    assert not result.success
    assert materialized(result) == {"raw_prices"}
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "completeness_floor" in str(failure.step_failure_data.error)
    assert "prices_positive" not in str(failure.step_failure_data.error)
    assert platform.results("completeness_floor")[FIFTH][:2] == (False, 4)
    assert "PLANNED" not in {status for _, _, status, _ in platform.executions()}


def test_wrong_rows_and_warnings_stop_nothing(platform: Platform) -> None:
    platform.market.set_bar("BBB", FIFTH, low=-1.0)
    platform.market.execute("delete from raw.price_bar where symbol = 'AAA' and session = %s", FIFTH)
    result = platform.materialize(platform.checks(), ALL)
    assert result.success
    assert materialized(result) == {"raw_prices", "indicators", "marts"}
    assert aggregate(result, "completeness").severity is dg.AssetCheckSeverity.WARN
    assert not aggregate(result, "completeness").passed


def test_blocking_follows_severity(platform: Platform) -> None:
    specs = {spec.name: spec for spec in platform.checks().check_specs}
    assert {name for name, spec in specs.items() if spec.blocking} == {
        "schema",
        "unique_key",
        "completeness_floor",
        "not_stale",
    }
    assert specs["completeness"].metadata["severity"] == "warning"


def test_an_asset_without_partitions_is_checked_whole(platform: Platform) -> None:
    platform.market.set_bar("BBB", FIFTH, low=-1.0)
    result = platform.materialize(platform.checks(partitioned=False), partitioned=False)
    assert result.success
    assert platform.executions("prices_positive") == [("prices_positive", None, "FAILED", True)]
    assert list(platform.results("prices_positive")) == list(SESSIONS)
    assert not platform.results("prices_positive")[FIFTH][0]
    assert aggregate(result, "prices_positive").description == f"1 row failed in 1 of 10 sessions: {FIFTH} (1)"


def test_checks_of_a_partitioned_asset_can_be_run_on_the_whole_table(platform: Platform) -> None:
    platform.market.set_bar("BBB", FIFTH, low=-1.0)
    result = dg.materialize(
        [*graph(partitioned=True), platform.checks()],  # type: ignore[list-item]
        instance=platform.instance,
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("raw_prices"), "prices_positive")),
        raise_on_error=False,
    )
    assert result.success
    assert platform.executions() == [
        ("prices_positive", str(FIFTH), "FAILED", True),
        ("prices_positive", None, "FAILED", True),
    ]


def crashing(severity: Severity = Severity.WARNING) -> RowCheck:
    return RowCheck(
        name="crashing",
        description="Reads a column that does not exist.",
        severity=severity,
        identify=("symbol",),
        query="select session, symbol, no_such_column from batch",
    )


def suite_of(*checks: RowCheck | ExpectationCheck) -> Suite:
    return Suite(name="probe", schema="raw", table="price_bar", checks=checks)


def test_a_check_that_crashes_is_an_error_that_names_the_exception(platform: Platform) -> None:
    result = platform.materialize(platform.checks(suite_of(crashing(), *SUITE.checks)), ALL)
    found = aggregate(result, "crashing")
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert found.description is not None
    assert "UndefinedColumn" in found.description
    assert "no_such_column" in found.description
    assert [found.partition for found in evaluations(result, "crashing")] == [None]
    assert aggregate(result, "prices_positive").passed
    stored = platform.results("crashing")
    assert list(stored) == list(SESSIONS)
    assert stored[FIFTH] == (
        False,
        0,
        'could not be evaluated: UndefinedColumn: column "no_such_column" does not exist',
    )
    assert result.success  # not blocking, as declared


def test_a_blocking_check_that_crashes_blocks(platform: Platform) -> None:
    result = platform.materialize(platform.checks(suite_of(crashing(Severity.CRITICAL))), ALL)
    assert materialized(result) == {"raw_prices"}


def test_a_check_with_nothing_to_look_at_says_so(platform: Platform) -> None:
    platform.market.execute("delete from raw.price_bar")
    result = platform.materialize(platform.checks(), ALL)
    found = aggregate(result, "prices_positive")
    assert found.passed
    assert found.description is not None
    assert found.description.startswith("Nothing to look at: no rows in 2024-01-01 to 2024-01-12")
    assert found.metadata["sessions_without_rows"].value == 10
    assert platform.results("prices_positive")[FIFTH] == (True, 0, "nothing to look at")


def test_session_events_are_limited_and_shared_and_the_latest_come_first(platform: Platform) -> None:
    platform.market.execute("update raw.price_bar set low = -1, volume = -1")
    result = platform.materialize(platform.checks(max_session_events=6), ALL)
    for name in ("prices_positive", "volume_not_negative"):
        *sessions, total = evaluations(result, name)
        assert [found.partition for found in sessions] == [str(session) for session in SESSIONS[-3:]]
        assert total.metadata["session_events_omitted"].value == 7
        assert total.description is not None
        assert total.description.endswith("7 earlier sessions are in the result store only.")
        assert total.metadata["sessions_failed"].value == 10
        assert len(platform.results(name)) == 10


def test_session_events_can_be_turned_off(platform: Platform) -> None:
    platform.market.set_bar("BBB", FIFTH, low=-1.0)
    result = platform.materialize(platform.checks(max_session_events=0), ALL)
    assert [found.partition for found in evaluations(result, "prices_positive")] == [None]


def test_a_second_run_stores_nothing_new(platform: Platform) -> None:
    platform.market.set_bar("BBB", FIFTH, low=-1.0)
    platform.materialize(platform.checks(), ALL)
    count = "select count(*), count(*) filter (where known_to is null) from quality.result"
    first = platform.market.connection.execute(count).fetchone()
    platform.market.connection.commit()
    assert first == (len(NAMES) * len(SESSIONS),) * 2
    platform.materialize(platform.checks(), ALL)
    assert platform.market.connection.execute(count).fetchone() == first


def test_automation_waits_for_blocking_checks_and_goes_on_after_a_good_range(platform: Platform) -> None:
    @dg.asset(
        deps=["raw_prices"],
        automation_condition=dg.AutomationCondition.missing()
        & dg.AutomationCondition.all_deps_blocking_checks_passed(),
    )
    def follower() -> None: ...

    def requested() -> int:
        definitions = dg.Definitions(assets=[*graph(partitioned=True), follower], asset_checks=[platform.checks()])
        return dg.evaluate_automation_conditions(definitions, platform.instance).total_requested

    assert requested() == 0
    bars = "delete from raw.price_bar where session = %s"
    platform.market.execute(bars, FIFTH)
    platform.materialize(platform.checks(), ALL)
    assert requested() == 0
    platform.market.execute("delete from raw.universe_member")
    platform.materialize(platform.checks(), ALL)
    assert requested() == 1


def test_a_built_in_expectation_speaks_for_the_range(platform: Platform) -> None:
    def between() -> object:
        from great_expectations.expectations import ExpectColumnValuesToBeBetween

        return ExpectColumnValuesToBeBetween(column="close", max_value=130)

    check = ExpectationCheck(
        name="close_below_130",
        description="Closes stay below 130.",
        severity=Severity.WARNING,
        build=between,  # type: ignore[arg-type]
        identify=("symbol", "session"),
    )
    result = platform.materialize(platform.checks(suite_of(check)), ALL)
    found = aggregate(result, "close_below_130")
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.metadata["expectation"].value == "ExpectColumnValuesToBeBetween"
    assert found.metadata["rows_checked"].value == 40
    assert found.metadata["failed_rows"].value == 9
    assert "| DDD | " in found.metadata["failing_rows"].value
    assert len(evaluations(result, "close_below_130")) == 1
    assert {passed for passed, _, _ in platform.results("close_below_130").values()} == {False}
    alone = platform.materialize(platform.checks(suite_of(check)), partition=FIFTH)
    assert [found.partition for found in evaluations(alone, "close_below_130")] == [str(FIFTH), None]


def test_an_expectation_that_cannot_be_built_is_an_error(platform: Platform) -> None:
    def broken() -> object:
        raise RuntimeError("no such expectation")

    check = ExpectationCheck(name="broken", description="", severity=Severity.ERROR, build=broken)  # type: ignore[arg-type]
    result = platform.materialize(platform.checks(suite_of(check)), ALL)
    assert aggregate(result, "broken").metadata["error"].value == "RuntimeError: no such expectation"


def test_a_database_that_cannot_be_reached_fails_the_step(platform: Platform) -> None:
    checks = build_checks(
        SUITE,
        "raw_prices",
        database=Database(lambda _: "postgresql://user:s3cret@localhost:1/none"),
        partitions_def=PARTITIONS,
    )
    result = platform.materialize(checks, ALL)
    assert not result.success
    assert materialized(result) == {"raw_prices"}
    assert "s3cret" not in "".join(str(event) for event in result.all_events)


def test_the_url_may_come_from_a_resource_and_the_sink_may_be_left_out(good_market: Market) -> None:
    checks = build_checks(
        SUITE,
        "raw_prices",
        database=Database(lambda context: str(context.resources.warehouse), frozenset({"warehouse"})),
        additional_deps=["corporate_actions"],
    )
    assert next(iter(checks.check_specs)).additional_deps
    result = dg.materialize(
        [*graph(partitioned=False), checks],  # type: ignore[list-item]
        resources={"warehouse": good_market.url},
    )
    assert result.success
    assert {found.passed for found in result.get_asset_check_evaluations()} == {True}


def test_no_connection_to_the_warehouse_is_left_open(platform: Platform) -> None:
    platform.materialize(platform.checks(), ALL)
    others = platform.market.connection.execute(
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    ).fetchone()
    platform.market.connection.commit()
    assert others == (0,)


def test_the_sessions_of_a_run_are_those_of_its_tags() -> None:
    assert scope_of(ALL, PARTITIONS) == Scope(SESSIONS)
    assert scope_of({"dagster/partition": "2024-01-05"}, PARTITIONS) == Scope((date(2024, 1, 5),))
    assert scope_of({}, PARTITIONS) == Scope()
    assert scope_of(ALL, None) == Scope()


def test_partitions_that_are_not_sessions_are_refused() -> None:
    with pytest.raises(ScopeError, match="ISO dates"):
        scope_of({"dagster/partition": "europe"}, dg.StaticPartitionsDefinition(["europe"]))


def test_symbols_of_the_market_are_what_the_counts_above_assume() -> None:
    assert (len(SYMBOLS), len(SESSIONS)) == (4, 10)
