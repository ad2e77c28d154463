"""What is corrected afterwards reaches every number that was computed from it, through the restatement sensor.

Each correction is made, the sensor is evaluated as the daemon does, and the run it asks for is executed. In the end
the warehouse must be the one that a first run over the corrected data makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
from dagster import DagsterInstance, RunRequest, build_sensor_context
from market_project import MarketProject, assert_same_tables
from vendor_folder import INDICATOR_TABLES, configured_vendor

from market_assets.warehouse.tables import PRICE_BAR
from market_assets.warehouse.versions import write_versions
from market_assets.warehouse.writes import Scope

if TYPE_CHECKING:
    from vendor_folder import VendorFolder

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("vendor")]

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class Corrections:
    """An installation, its vendor, and the cursor of its restatement sensor."""

    def __init__(self, project: MarketProject, vendor: VendorFolder) -> None:
        self.project, self.vendor = project, vendor
        self.last = vendor.sessions[-1].date().isoformat()
        self._cursor: str | None = None

    def ingest(self) -> None:
        """Publish what the vendor says now, and load all of it."""
        self.vendor.write()
        assert self.project.run(selection="group:ingest").success

    def evaluate_sensor(self) -> RunRequest | None:
        """One evaluation; the run it asks for, if any."""
        definitions = self.project.definitions()
        with (
            DagsterInstance.get() as instance,
            build_sensor_context(
                instance=instance, cursor=self._cursor, definitions=definitions, sensor_name="restatement_sensor"
            ) as context,
        ):
            tick = definitions.resolve_sensor_def("restatement_sensor").evaluate_tick(context)
        self._cursor = tick.cursor
        assert len(tick.run_requests or []) <= 1
        return tick.run_requests[0] if tick.run_requests else None

    def recompute(self) -> tuple[str, str]:
        """Evaluate the sensor and execute the run it asks for; first and last partition of the run."""
        request = self.evaluate_sensor()
        assert request is not None, "the sensor saw no correction"
        job = self.project.definitions().resolve_job_def("recompute")
        with DagsterInstance.get() as instance:
            done = job.execute_in_process(instance=instance, tags=dict(request.tags), raise_on_error=False)
        assert done.success, [event.message for event in done.all_events if event.is_failure]
        return request.tags[RANGE_START], request.tags[RANGE_END]

    def value(self, table: str, column: str, key: str, session: str) -> float | None:
        """A current value of an index (by index_id) or of a symbol; None when there is no row."""
        name = "index_id" if table == "indices.index_value" else "symbol"
        rows = self.project.query(
            f"select {column} from {table} where known_to is null and session = '{session}' and {name} = '{key}'"  # noqa: S608
        )
        return rows[0][0] if rows else None


def test_corrections_reach_every_number_computed_from_them(project, vendor, install):
    corrections = Corrections(project, vendor)
    last = corrections.last
    late_bar = vendor.bars[vendor.bar("LATE", "2024-02-20")]
    late_split = vendor.actions[(vendor.actions["symbol"] == "SPLT") & (vendor.actions["kind"] == "split")]
    vendor.bars = vendor.bars.drop(late_bar.index)
    vendor.actions = vendor.actions.drop(late_split.index)
    vendor.write()
    assert project.run().success
    assert corrections.evaluate_sensor() is None, "what was there before the sensor is no correction"

    # Restated: the close of one session was 10 % lower.
    level = corrections.value("indices.index_value", "price_return", "EQUAL", "2024-02-15")
    indicator = corrections.value("analytics.indicator", "ema_26", "PLAI", last)
    close = float(vendor.bars.loc[vendor.bar("PLAI", "2024-02-15"), "close"].iloc[0])
    vendor.restate("PLAI", "2024-02-15", close=round(close * 0.9, 4), low=round(close * 0.88, 4))
    corrections.ingest()
    assert corrections.recompute() == ("2024-02-15", last)
    assert corrections.value("indices.index_value", "price_return", "EQUAL", "2024-02-15") < level
    assert corrections.value("analytics.indicator", "ema_26", "PLAI", last) != indicator
    assert project.count("raw.price_bar", "symbol = 'PLAI' and session = '2024-02-15'") == 2
    assert corrections.evaluate_sensor() is None, "a correction is computed once"

    # Late: a bar of a session that was computed without it.
    assert corrections.value("analytics.indicator", "return_1", "LATE", "2024-02-20") is None
    vendor.bars = pd.concat([vendor.bars, late_bar]).sort_values(["symbol", "date"])
    corrections.ingest()
    assert corrections.recompute() == ("2024-02-20", last)
    assert corrections.value("analytics.indicator", "return_1", "LATE", "2024-02-20") is not None

    # A split told too late: until then a fall by half.
    fallen = corrections.value("indices.index_value", "price_return", "EQUAL", last)
    assert corrections.value("analytics.indicator", "return_1", "SPLT", "2024-02-13") < -0.4
    vendor.actions = pd.concat([late_split, vendor.actions])
    corrections.ingest()
    assert corrections.recompute() == ("2024-02-13", last)
    assert abs(corrections.value("analytics.indicator", "return_1", "SPLT", "2024-02-13")) < 0.1
    assert corrections.value("indices.index_value", "price_return", "EQUAL", last) > fallen

    # Withdrawn: the bar never was one. Its version is closed, nothing replaces it.
    withdrawn = vendor.bars[vendor.bar("SPEC", "2024-03-01")]
    day = withdrawn["date"].iloc[0].date()
    nothing = withdrawn.iloc[:0].rename(columns={"date": "session"}).assign(source="", currency="")
    scope = Scope({"session": (day, day)}, {"symbol": ["SPEC"]})
    assert write_versions(project.url, PRICE_BAR, nothing, run_id="desk", scope=scope).withdrawn == 1
    assert corrections.recompute() == ("2024-03-01", last)
    assert corrections.value("analytics.indicator", "return_1", "SPEC", "2024-03-01") is None
    assert project.count("marts.fct_daily_bar", "symbol = 'SPEC' and session = '2024-03-01'") == 0

    fresh = install("corrected")
    vendor_from_the_start = configured_vendor(fresh)
    vendor_from_the_start.bars = vendor.bars.drop(withdrawn.index)
    vendor_from_the_start.actions = vendor.actions
    vendor_from_the_start.write()
    with fresh.entered():
        assert fresh.run().success
    found, wanted = project.tables(), fresh.tables()
    exact = wanted.keys() - INDICATOR_TABLES
    assert_same_tables({name: found[name] for name in exact}, {name: wanted[name] for name in exact})
    assert_same_tables(
        {name: found[name] for name in INDICATOR_TABLES},
        {name: wanted[name] for name in INDICATOR_TABLES},
        tolerance=1e-10,
    )
