"""Symbols that fail: a minority is listed and leaves the run green, a majority blocks what is computed from it."""

# No `from __future__ import annotations`: the platform becomes a Dagster resource.

import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, materialize
from scripted_vendor import ScriptedPlatform, ScriptedVendor, bar

from market_assets.assets.ingest import build_ingest
from market_assets.checks import build_quality_checks
from market_assets.errors import SourceRejected, SourceUnavailable

DAY = "2024-01-03"
SYMBOLS = "ABCDE"


@pytest.fixture
def ingest_with_checks(tmp_path, warehouse_url, instance: DagsterInstance):
    def run(failing: str) -> ExecuteInProcessResult:
        vendor = ScriptedVendor("desk", [bar(symbol, DAY) for symbol in SYMBOLS])
        vendor.failing = {
            symbol: SourceRejected(f"desk does not know {symbol}")
            if symbol == failing[0]
            else SourceUnavailable("desk is down")
            for symbol in failing
        }
        platform = ScriptedPlatform(tmp_path, warehouse_url, [vendor], dict.fromkeys(SYMBOLS, "XNYS"))
        checks = [
            check
            for check in build_quality_checks(platform)
            if AssetKey("raw_prices") in check.keys_by_input_name.values()
        ]
        return materialize(
            [build_ingest(platform.partitions), checks[0]],
            partition_key=DAY,
            instance=instance,
            resources={"platform": platform},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    return run


def evaluations(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {found.check_name: found.passed for found in result.get_asset_check_evaluations() if found.partition is None}


def test_a_failing_minority_is_listed_and_the_run_stays_green(ingest_with_checks):
    result = ingest_with_checks("AB")
    assert result.success
    (made,) = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == AssetKey("raw_prices")
    ]
    shown = {name: value.value for name, value in made.metadata.items()}
    assert shown["symbols_missing"] == 2
    assert shown["failures_by_error"] == {"SourceRejected": 1, "SourceUnavailable": 1}
    assert "| A | SourceRejected | desk does not know A |" in shown["failures"]
    assert "| B | SourceUnavailable | desk is down |" in shown["failures"]
    found = evaluations(result)
    assert found["completeness_floor"]
    assert not found["completeness"], "worth a look"


def test_a_failing_majority_blocks(ingest_with_checks):
    result = ingest_with_checks("ABC")
    assert not result.success
    assert not evaluations(result)["completeness_floor"]
