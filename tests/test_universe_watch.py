"""Which symbols are new in the universe file, and what the sensor asks for because of them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from dagster import AssetSelection, DagsterInstance, Definitions, asset, build_sensor_context
from dagster._core.definitions.sensor_definition import SensorExecutionData

from market_assets.assets.ingest import SYMBOLS_TAG
from market_assets.automation import COMPLETE_RUN_TAG
from market_assets.partitions import load_calendars, session_partitions
from market_assets.sensors import build_universe_sensor
from market_assets.universe import Member, Universe
from market_assets.universe_watch import find_additions, read_cursor, write_cursor

FIRST, LAST = date(2024, 1, 2), date(2024, 1, 31)
OVERRIDES = Path(__file__).parents[1] / "config" / "calendar_overrides.csv"
PARTITIONS = session_partitions(load_calendars(["XNYS"], FIRST, OVERRIDES, FIRST), FIRST, LAST)


def universe(*symbols: str, exchange: str = "XNYS", until: date | None = None) -> Universe:
    return Universe(tuple(Member(symbol, exchange, symbol, "USD", date(2020, 1, 2), until) for symbol in symbols))


def test_a_symbol_that_was_not_seen_is_new_once():
    found = find_additions(universe("A", "B", "C"), {"A"}, {"XNYS"}, FIRST, LAST)
    assert (found.symbols, found.problems) == (("B", "C"), ())
    assert find_additions(universe("A", "B", "C"), found.seen, {"XNYS"}, FIRST, LAST).symbols == ()


def test_a_symbol_that_left_before_the_first_partition_has_no_history_to_load():
    found = find_additions(universe("A", until=date(2023, 12, 29)), set(), {"XNYS"}, FIRST, LAST)
    assert found.symbols == ()


def test_a_symbol_that_comes_back_is_new_again():
    without = find_additions(universe("A"), {"A", "B"}, {"XNYS"}, FIRST, LAST)
    assert find_additions(universe("A", "B"), without.seen, {"XNYS"}, FIRST, LAST).symbols == ("B",)


def test_a_symbol_of_an_unknown_exchange_waits_until_the_calendar_is_loaded():
    found = find_additions(universe("L", exchange="XLON"), {"A"}, {"XNYS"}, FIRST, LAST)
    assert found.symbols == ()
    assert found.problems == ("L: XLON is new in the universe; reload the code location for its calendar",)
    assert find_additions(universe("L", exchange="XLON"), found.seen, {"XNYS", "XLON"}, FIRST, LAST).symbols == ("L",)


def test_identical_additions_have_one_run_key():
    keys = {
        find_additions(universe(*names), {"A"}, {"XNYS"}, FIRST, LAST).run_key(FIRST, LAST) for names in ("BC", "CB")
    }
    assert len(keys) == 1
    assert find_additions(universe("B"), {"A"}, {"XNYS"}, FIRST, LAST).run_key(FIRST, LAST) not in keys


def test_the_cursor_keeps_what_was_seen():
    assert read_cursor(write_cursor({"B", "A"})) == {"A", "B"}
    assert read_cursor(None) is None


# The sensor ---------------------------------------------------------------------------------------------------------


@asset(partitions_def=PARTITIONS)
def raw_prices() -> None:
    """What the sensor loads."""


def tick(file: Universe, loaded: set[str], cursor: str | None = None) -> SensorExecutionData:
    sensor = build_universe_sensor(
        load=lambda: file,
        loaded_symbols=lambda: loaded,
        exchanges=["XNYS"],
        partitions=PARTITIONS,
        target=AssetSelection.assets("raw_prices"),
    )
    definitions = Definitions(assets=[raw_prices], sensors=[sensor])
    with (
        DagsterInstance.ephemeral() as instance,
        build_sensor_context(instance=instance, cursor=cursor, definitions=definitions) as context,
    ):
        return sensor.evaluate_tick(context)


def test_the_history_of_added_symbols_alone_is_asked_for():
    result = tick(universe("A", "B", "C"), {"A"})
    assert result.run_requests is not None
    [request] = result.run_requests
    tags = {name: value for name, value in request.tags.items() if name.startswith(("market/", "dagster/asset"))}
    assert tags == {
        "dagster/asset_partition_range_start": "2024-01-02",
        "dagster/asset_partition_range_end": "2024-01-31",
        "market/cause": "universe",
        SYMBOLS_TAG: "B,C",
        COMPLETE_RUN_TAG: "restatement_sensor",
    }
    assert json.loads(result.cursor or "") == {"symbols": ["A", "B", "C"]}


@pytest.mark.parametrize("loaded", [set(), {"A", "B"}])
def test_where_nothing_was_loaded_or_nothing_is_new_there_is_nothing_to_do(loaded):
    result = tick(universe("A", "B"), loaded)
    assert not result.run_requests
    assert result.skip_message == "no symbol was added to the universe"


def test_the_cursor_decides_once_there_is_one():
    assert not tick(universe("A", "B"), {"A"}, cursor=write_cursor({"A", "B"})).run_requests


def test_what_cannot_be_loaded_yet_is_said():
    result = tick(universe("L", exchange="XLON"), {"A"})
    assert "reload the code location" in (result.skip_message or "")
