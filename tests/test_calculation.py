"""Indicators and index values of a range: continued from what is stored, equal to a calculation from the start."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml
from vendor_folder import VendorFolder
from warehouse_with_views import new_warehouse

from market_assets.calculation import calculate_indicators
from market_assets.config import load_config
from market_assets.errors import InputError
from market_assets.index_calculation import calculate_indices
from market_assets.ingestion import ingest
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect, read_frame
from market_assets.warehouse.tables import INDEX_CONSTITUENT, INDEX_VALUE, PRICE_BAR, indicator_table
from market_assets.warehouse.versions import as_of, write_versions
from market_assets.warehouse.writes import Scope

if TYPE_CHECKING:
    from conftest import TestServer

STRETCHES = [
    ("2024-01-02", "2024-02-09"),
    *[(f"2024-02-{day}",) * 2 for day in (12, 13, 14)],  # SPLT splits on the 13th
    ("2024-02-15", "2024-02-21"),
    *[(f"2024-02-{day}",) * 2 for day in (22, 23)],  # SPEC pays its special dividend on the 22nd
    ("2024-02-26", "2024-03-04"),
    *[(f"2024-03-{day:02}",) * 2 for day in (5, 6)],  # REVS splits 1:10 on the 5th
    ("2024-03-07", "2024-03-13"),
    *[(f"2024-03-{day}",) * 2 for day in (14, 15, 18)],  # DIVI pays, and the indices rebalance after the 15th
    ("2024-03-19", "2024-03-28"),
]
"""The range in one piece and session by session where something happens, one after the other."""


def platform_of(folder: Path, url: str, vendor: VendorFolder, **settings: Any) -> Platform:
    """A platform on the warehouse at `url` that loads the vendor's folder."""
    file = folder / "market.yaml"
    file.write_text(yaml.safe_dump({**vendor.settings(), **settings}))
    rows = [(symbol, "XNYS", symbol, "USD", first, last) for symbol, first, last in vendor.members()]
    columns = ["symbol", "exchange", "name", "currency", "member_from", "member_to"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "universe.csv", index=False)
    (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
    platform = Platform(load_config(file, {}))
    platform.warehouse_url = url
    return platform


@pytest.fixture(scope="module")
def market(
    pg_server: TestServer, _warehouse_template: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, VendorFolder]:
    """A warehouse that holds the vendor's bars and actions and nothing computed; and the vendor."""
    folder = tmp_path_factory.mktemp("market")
    vendor = VendorFolder(folder / "vendor")
    url = new_warehouse(pg_server, _warehouse_template)
    platform = platform_of(folder, url, vendor)
    start, end = platform.config.partitions.start, vendor.sessions[-1].date()
    ingest(platform, start, end, run_id="ingest")
    return url, vendor


@pytest.fixture
def platform(market, pg_server: TestServer, tmp_path: Path) -> Platform:
    """A platform on a copy of that warehouse."""
    url, vendor = market
    return platform_of(tmp_path, copy_of(pg_server, url), vendor)


@pytest.fixture(scope="module")
def ranged(market, pg_server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Everything computed in one calculation over the whole range."""
    url, vendor = market
    platform = platform_of(tmp_path_factory.mktemp("ranged"), copy_of(pg_server, url), vendor)
    calculate(platform, *span(platform))
    return computed(platform)


def copy_of(server: TestServer, url: str) -> str:
    return server.create_database("market_copy", template=url.split("/")[3].split("?", maxsplit=1)[0])


def span(platform: Platform) -> tuple[date, date]:
    settings = platform.config.partitions
    assert settings.end is not None
    return settings.start, settings.end


def calculate(platform: Platform, start: date, end: date, run_id: str = "run") -> None:
    calculate_indices(platform, start, end, run_id=run_id)
    calculate_indicators(platform, start, end, run_id=run_id)


def computed(platform: Platform) -> dict[str, pd.DataFrame]:
    """Current rows of every computed table."""
    return {
        table.qualified: as_of(platform.warehouse_url, table, None)
        for table in (indicator_table(), INDEX_VALUE, INDEX_CONSTITUENT)
    }


def assert_equal(found: dict[str, pd.DataFrame], wanted: dict[str, pd.DataFrame]) -> None:
    """Index tables to the bit, indicators to 1e-10."""
    for name, frame in wanted.items():
        exact = name.startswith("indices.")
        pd.testing.assert_frame_equal(found[name], frame, check_exact=exact, rtol=1e-10, atol=1e-10, obj=name)


def test_ranges_and_single_sessions_equal_one_calculation(platform, ranged):
    for first, last in STRETCHES:
        calculate(platform, date.fromisoformat(first), date.fromisoformat(last))
    assert_equal(computed(platform), ranged)


def test_the_size_of_a_chunk_changes_nothing(market, pg_server, tmp_path, ranged):
    url, vendor = market
    platform = platform_of(tmp_path, copy_of(pg_server, url), vendor, ingest={"chunk_symbols": 1})
    told: list[tuple[str, int, int]] = []
    platform.progress = lambda *progress: told.append(progress)
    calculate(platform, *span(platform))
    assert_equal(computed(platform), ranged)
    assert told[:2] == [("indices", 1, 2), ("indices", 2, 2)]
    assert told[2:] == [("indicators: symbols", done, 6) for done in range(1, 7)]


def test_the_same_calculation_again_writes_nothing(platform):
    start, end = span(platform)
    first = calculate_indicators(platform, start, end, run_id="run-1")
    again = calculate_indicators(platform, start, end, run_id="run-2")
    assert first.result.added == again.result.unchanged == 345
    assert (again.result.versions_written, again.result.withdrawn) == (0, 0)
    indices, indices_again = (calculate_indices(platform, start, end, run_id=name) for name in ("run-1", "run-2"))
    assert indices.values.added == indices_again.values.unchanged == 2 * 61
    assert indices_again.values.versions_written == indices_again.constituents.versions_written == 0
    assert indices_again.divisor_changes.versions_written == 0


def test_reports_count_what_is_current_by_session(platform):
    indicators = calculate_indicators(platform, *span(platform), run_id="run")
    assert indicators.symbols == 6
    assert indicators.rows_by_session[date(2024, 1, 31)] == 5
    assert indicators.rows_by_session[date(2024, 2, 1)] == 6, "LATE lists"
    assert sorted(indicators.last["symbol"]) == ["DIVI", "LATE", "PLAI", "REVS", "SPEC", "SPLT"]
    indices = calculate_indices(platform, *span(platform), run_id="run")
    assert indices.rebalances == 4, "the composition at the base date and March's, of two indices"
    assert indices.value_rows[date(2024, 3, 15)] == 2
    assert indices.constituent_rows[date(2024, 3, 15)] == 10
    assert indices.constituent_rows[date(2024, 3, 18)] == 12
    assert sorted(indices.levels["index_id"].unique()) == ["EQUAL", "PRICE"]


def test_a_part_of_the_range_leaves_the_rest_alone(platform, ranged):
    start, end = span(platform)
    calculate(platform, start, end, run_id="run-1")
    calculate(platform, date(2024, 2, 12), date(2024, 2, 16), run_id="run-2")
    assert_equal(computed(platform), ranged)
    with connect(platform.warehouse_url) as connection:
        runs = connection.execute("select distinct run_id from indices.index_value").fetchall()
    assert runs == [("run-1",)]


def test_the_indicators_of_a_withdrawn_bar_are_withdrawn(platform):
    start, end = span(platform)
    calculate_indicators(platform, start, end, run_id="run-1")
    day = date(2024, 3, 1)
    nothing = as_of(platform.warehouse_url, PRICE_BAR, None).iloc[:0]
    scope = Scope({"session": (day, day)}, {"symbol": ["PLAI"]})
    write_versions(platform.warehouse_url, PRICE_BAR, nothing, run_id="desk", scope=scope)
    report = calculate_indicators(platform, day, end, run_id="run-2")
    assert report.result.withdrawn == 1
    held = computed(platform)["analytics.indicator"]
    assert held[(held["symbol"] == "PLAI") & (held["session"] == pd.Timestamp(day))].empty


def test_a_published_level_is_read_back_as_it_was_known(platform):
    start, end = span(platform)
    calculate_indices(platform, start, end, run_id="run-1")
    published = as_of(platform.warehouse_url, INDEX_VALUE, None)
    known = read_frame(platform.warehouse_url, "select clock_timestamp() as now")["now"].iloc[0].to_pydatetime()
    bars = as_of(platform.warehouse_url, PRICE_BAR, None, "symbol = 'PLAI' and session = $2", (date(2024, 2, 15),))
    write_versions(platform.warehouse_url, PRICE_BAR, bars.assign(close=bars["close"] * 0.9), run_id="correction")
    calculate_indices(platform, date(2024, 2, 15), end, run_id="run-2")
    pd.testing.assert_frame_equal(as_of(platform.warehouse_url, INDEX_VALUE, known), published, check_exact=True)
    now = as_of(platform.warehouse_url, INDEX_VALUE, None)
    changed = now["session"][now["price_return"] != published["price_return"]]
    assert changed.min() == pd.Timestamp("2024-02-15"), "no level before the correction moves"


# Beta against an index of ours ---------------------------------------------------------------------------------------


def test_beta_of_single_sessions_equals_that_of_one_calculation(empty_warehouse, tmp_path):
    """300 bars of two names; the benchmark has no level at every seventh session, which is then no common bar."""
    settings = {"indices": [{"id": name, "base_date": "2024-01-02"} for name in ("FIRST", "OURS")]}
    platform = platform_of(
        tmp_path, empty_warehouse, VendorFolder(tmp_path / "v"), **settings, indicators={"benchmark": "OURS"}
    )
    sessions = pd.bdate_range("2023-01-02", periods=300)
    random = np.random.default_rng(5)
    for symbol in ("A", "B"):
        close = 50 * np.exp(np.cumsum(random.normal(0, 0.01, 300)))
        prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
        bars = pd.DataFrame({"symbol": symbol, "session": sessions, "source": "files", **prices, "volume": 1e6})
        write_versions(empty_warehouse, PRICE_BAR, bars.assign(currency="USD"), run_id="test")
    levels = pd.DataFrame({"session": sessions, "total_return": 100 * np.exp(np.cumsum(random.normal(0, 0.01, 300)))})
    known = levels[levels.index % 7 != 3]
    rest = dict.fromkeys(("price_return", "net_total_return", "divisor", "market_value"), 1.0)
    rows = known.assign(index_id="OURS", constituents=2, **rest)
    write_versions(empty_warehouse, INDEX_VALUE, rows, run_id="test")
    last = sessions[-1].date()
    calculate_indicators(platform, sessions[0].date(), last, run_id="whole")
    whole = computed(platform)["analytics.indicator"]
    with connect(empty_warehouse) as connection:
        connection.execute("delete from analytics.indicator where session > %s", (sessions[295],))
    for session in sessions[296:]:
        calculate_indicators(platform, session.date(), session.date(), run_id="daily")
    daily = computed(platform)["analytics.indicator"]
    pd.testing.assert_frame_equal(daily, whole, rtol=1e-10, atol=1e-10)
    own = daily[daily["symbol"] == "A"].set_index("session")
    closes = as_of(empty_warehouse, PRICE_BAR, None, "symbol = 'A'").set_index("session")["close"]
    returns = pd.concat([closes, known.set_index("session")["total_return"]], axis=1).dropna().pct_change().tail(252)
    assert own["beta_252"].iloc[-1] == pytest.approx(returns.cov().iloc[0, 1] / returns.var().iloc[1], rel=1e-9)
    assert own["correlation_252"].iloc[-1] == pytest.approx(returns.corr().iloc[0, 1], rel=1e-9)


# Where an index begins ----------------------------------------------------------------------------------------------


def test_an_index_has_no_rows_before_its_base_date(market, pg_server, tmp_path):
    url, vendor = market
    index = {"id": "LATER", "base_date": date(2024, 3, 1), "weighting": "equal"}
    platform = platform_of(tmp_path, copy_of(pg_server, url), vendor, indices=[index])
    start, end = span(platform)
    assert calculate_indices(platform, start, date(2024, 1, 5), run_id="run").values.received == 0
    assert calculate_indices(platform, start, end, run_id="run").values.added == 20
    values = computed(platform)["indices.index_value"]
    assert (values["session"].iloc[0], values["price_return"].iloc[0]) == (pd.Timestamp("2024-03-01"), 100.0)


def test_an_index_that_starts_before_the_first_bar_says_what_to_load(market, pg_server, tmp_path):
    url, vendor = market
    index = {"id": "EARLY", "base_date": date(2024, 1, 2), "weighting": "equal"}
    platform = platform_of(tmp_path, copy_of(pg_server, url), vendor, indices=[index])
    with connect(platform.warehouse_url) as connection:
        connection.execute("delete from raw.price_bar where session < '2024-02-01'")
    with pytest.raises(InputError) as caught:
        calculate_indices(platform, date(2024, 2, 1), date(2024, 3, 1), run_id="run")
    assert str(caught.value) == (
        "index EARLY starts at 2024-01-02, but the bars in the warehouse begin at 2024-02-01; load them with "
        "`market backfill --from 2024-01-02`, or give the index a later base_date"
    )


@pytest.fixture
def empty_warehouse(pg_server: TestServer, _warehouse_template: str) -> str:
    return new_warehouse(pg_server, _warehouse_template)


def test_an_index_without_any_bar_says_so(empty_warehouse, tmp_path):
    platform = platform_of(tmp_path, empty_warehouse, VendorFolder(tmp_path / "vendor"))
    with pytest.raises(InputError, match="the bars in the warehouse hold none up to 2024-03-28; load them with"):
        calculate_indices(platform, *span(platform), run_id="run")


def test_without_indices_and_bars_there_is_nothing_to_write(empty_warehouse, tmp_path):
    platform = platform_of(tmp_path, empty_warehouse, VendorFolder(tmp_path / "vendor"), indices=[])
    report = calculate_indicators(platform, *span(platform), run_id="run")
    assert (report.symbols, report.result.received, len(report.last)) == (0, 0, 0)
    assert len(calculate_indices(platform, *span(platform), run_id="run").levels) == 0
