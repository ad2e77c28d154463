"""The ingest assets in real Dagster runs: what each materialization says, and what is asked of the vendors."""

# No `from __future__ import annotations`: the fixture's platform becomes a Dagster resource.

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance, ExecuteInProcessResult, materialize
from scripted_vendor import ScriptedPlatform, ScriptedVendor, bar

from market_assets.assets.ingest import SOURCE_TAG, build_ingest
from market_assets.errors import SourceRejected, SourceUnavailable
from market_assets.warehouse.connection import connect

SESSIONS = ["2024-01-02", "2024-01-03", "2024-01-04"]
RANGE = {"dagster/asset_partition_range_start": SESSIONS[0], "dagster/asset_partition_range_end": SESSIONS[-1]}
CONSOLE = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Ingest = Callable[..., ExecuteInProcessResult]


@pytest.fixture
def vendor() -> ScriptedVendor:
    made = ScriptedVendor("desk", [bar(symbol, day) for symbol in "AB" for day in SESSIONS])
    made.rows[0]["close"] = -1.0
    made.actions = [("A", "2024-01-03", "cash_dividend", 0.5)]
    return made


@pytest.fixture
def ingest_run(tmp_path, warehouse_url, instance: DagsterInstance, vendor) -> Ingest:
    platform = ScriptedPlatform(tmp_path, warehouse_url, [vendor], dict.fromkeys("ABC", "XNYS"))

    def run(selection: Any = None, tags: dict[str, str] | None = None, **options: Any) -> ExecuteInProcessResult:
        return materialize(
            [build_ingest(platform.partitions)],
            selection=selection,
            tags=RANGE if tags is None else tags,
            instance=instance,
            resources={"platform": platform},
            raise_on_error=False,
            run_config=CONSOLE,
            **options,
        )

    return run


def materializations(result: ExecuteInProcessResult, asset: str) -> dict[str | None, AssetMaterialization]:
    return {
        event.materialization.partition: event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == AssetKey(asset)
    }


def test_each_partition_says_how_many_rows_it_has_and_the_last_one_shows_the_rest(ingest_run, vendor):
    vendor.failing = {"C": SourceRejected("desk does not know C. Remove it from the universe.")}
    result = ingest_run()
    assert result.success
    bars = materializations(result, "raw_prices")
    assert list(bars) == SESSIONS
    counts = {day: made.metadata["dagster/partition_row_count"].value for day, made in bars.items()}
    assert counts == {"2024-01-02": 1, "2024-01-03": 2, "2024-01-04": 2}
    for made in bars.values():
        shown = {name: value.value for name, value in made.metadata.items()}
        assert (shown["rows_received"], shown["rows_quarantined"], shown["symbols_missing"]) == (6, 1, 1)
        assert (shown["versions_written"], shown["rows_added"], shown["sources"]) == (5, 5, "desk")
    last = bars[SESSIONS[-1]].metadata
    assert last["quarantined_by_rule"].value == {"non_positive_price": 1}
    assert last["bars_by_source"].value == {"desk": 5}
    assert "| C | SourceRejected | desk does not know C. Remove it from the universe. |" in last["failures"].value
    assert last["plot"].value.startswith("![plot](data:image/png;base64,")
    first = bars[SESSIONS[0]].metadata
    assert not {"plot", "failures", "quarantined_by_rule"} & set(first), "twenty years of one picture are 200 MB"


def test_actions_and_facts_are_one_materialization_each(ingest_run):
    result = ingest_run()
    actions, facts = (materializations(result, name) for name in ("corporate_actions", "securities"))
    assert list(actions) == list(facts) == [None]
    assert actions[None].metadata["rows_added"].value == 1
    assert facts[None].metadata["rows_added"].value > 0


def test_one_partition_is_one_session(ingest_run, vendor):
    result = ingest_run(tags={}, partition_key="2024-01-03")
    assert result.success
    assert materializations(result, "raw_prices").keys() == {"2024-01-03"}
    assert materializations(result, "raw_prices")["2024-01-03"].metadata["rows_received"].value == 2


def test_unpartitioned_assets_alone_are_asked_for_over_the_whole_history(ingest_run, vendor, warehouse_url):
    asked = []
    vendor.fetch_vintages, original = lambda request: asked.append(request) or original(request), vendor.fetch_vintages
    assert ingest_run(selection=["corporate_actions"], tags={}).success
    assert [(request.start, request.end) for request in asked] == [(date(2024, 1, 2), date(2024, 1, 8))]
    with connect(warehouse_url) as connection:
        assert connection.execute("select count(*) from raw.price_bar").fetchone() == (0,)
        assert connection.execute("select count(*) from raw.corporate_action").fetchone() == (1,)


def test_the_run_may_name_the_one_source_to_ask(ingest_run, vendor):
    result = ingest_run(tags={**RANGE, SOURCE_TAG: "another"})
    assert result.success
    assert vendor.asked == []
    assert materializations(result, "raw_prices")[SESSIONS[0]].metadata["sources"].value == "none"


def test_a_terminal_error_fails_the_step_at_once_in_its_own_words(ingest_run, vendor, instance):
    vendor.failing = {name: SourceRejected(f"desk does not know {name}") for name in "ABC"}
    result = ingest_run()
    assert not result.success
    failure = result.failure_data_for_node("ingest")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description is not None
    assert "no source answered for any of 3 symbols" in failure.user_failure_data.description
    assert len(vendor.asked) == 1


def test_a_transient_error_is_tried_again_and_may_succeed(ingest_run, vendor, monkeypatch):
    monkeypatch.setattr("market_assets.policy.FIRST_WAIT_SECONDS", 0.01)
    vendor.dead = SourceUnavailable("desk is down")
    answers = vendor._fetch

    def come_back(request):
        result = None
        try:
            result = answers(request)
        finally:
            vendor.dead = None
        return result

    vendor._fetch = come_back
    result = ingest_run()
    assert result.success
    assert len(vendor.asked) == 2


@pytest.mark.parametrize("selection", [["raw_prices"], ["securities"], ["raw_prices", "corporate_actions"]])
def test_only_what_was_selected_is_materialized(ingest_run, selection):
    result = ingest_run(selection=selection, tags=RANGE if "raw_prices" in selection else {})
    assert result.success
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert made == set(selection)
