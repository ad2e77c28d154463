"""A blocking check that fails stops what is computed from its asset in the same run, and names the session."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance
from typer.testing import CliRunner

from market_assets.cli import app

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("vendor")]

COPIED, BEFORE = "2024-03-06", "2024-03-05"
PRICES_AND_VOLUME = ["open", "high", "low", "close", "volume"]


@pytest.fixture
def copied_session(vendor):
    """The vendor sends one session as a copy of the session before it."""
    bars = vendor.bars.set_index(["date", "symbol"])
    honest = bars.loc[pd.Timestamp(COPIED)].copy()
    bars.loc[pd.Timestamp(COPIED), PRICES_AND_VOLUME] = bars.loc[pd.Timestamp(BEFORE), PRICES_AND_VOLUME].to_numpy()
    vendor.bars = bars.reset_index()
    vendor.write()
    return honest


def test_a_copied_session_stops_the_run_until_it_is_corrected(project, vendor, copied_session):
    output = CliRunner().invoke(app, ["backfill"])
    assert output.exit_code == 1
    assert "raw_prices.completeness_floor (error): 6 rows failed in 1 of 61 sessions: 2024-03-06 (6)" in output.stdout
    assert project.query("select rule, session::text, count(*) from quality.quarantine group by 1, 2") == [
        ("stale_repeat", COPIED, 6)
    ], "the copies themselves are not stored"
    assert project.count("raw.price_bar") > 0, "what was stored stays: the check judges it, it does not undo it"
    for table in ("analytics.indicator", "indices.index_value", "indices.index_constituent"):
        assert project.count(table) == 0, f"{table} was computed from bars that a blocking check refused"
    assert not [name for name in project.tables() if name.startswith("marts.")], "dbt ran on refused bars"
    failing = project.query(
        "select check_name, session::text from quality.result "
        "where known_to is null and not passed and severity = 'critical'"
    )
    assert failing == [("completeness_floor", COPIED)]
    with DagsterInstance.get() as instance:
        assert failed_partitions(instance, "completeness_floor") == [COPIED]
        materialized = instance.get_materialized_partitions(AssetKey("indicators"))
    assert materialized == set()
    status = json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)
    assert {asset["asset"]: asset["failing_checks"] for asset in status["assets"]}["raw_prices"] == [
        "completeness",
        "completeness_floor",
    ]

    bars = vendor.bars.set_index(["date", "symbol"])
    bars.loc[pd.Timestamp(COPIED), PRICES_AND_VOLUME] = copied_session[PRICES_AND_VOLUME].to_numpy()
    vendor.bars = bars.reset_index()
    vendor.write()
    again = CliRunner().invoke(app, ["backfill"])
    assert again.exit_code == 0, again.output
    assert project.query("select max(session)::text from indices.index_value") == [("2024-03-28",)]
    with DagsterInstance.get() as instance:
        assert failed_partitions(instance, "completeness_floor") == []


def failed_partitions(instance: DagsterInstance, check: str) -> list[str]:
    """Partitions whose latest evaluation of a check of raw_prices failed."""
    key = AssetCheckKey(AssetKey("raw_prices"), check)
    latest: dict[str, bool] = {}
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=100):
        evaluation = record.event.dagster_event.event_specific_data if record.event else None
        if evaluation is not None and evaluation.partition is not None:
            latest.setdefault(evaluation.partition, evaluation.passed)
    return sorted(partition for partition, passed in latest.items() if not passed)
