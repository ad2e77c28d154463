"""Indices with a restatement policy: what a correction changes, what it may not, and what it would have changed.

Two indices of the same rules over three companies and 20 sessions: FROZEN with five open days, OPEN without a policy.
They are weighted anew each session, so that every level depends on every price before it.
"""

# No `from __future__ import annotations`: the fixture's platform becomes a Dagster resource.

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dagster import AutomationCondition, DagsterInstance, materialize
from warehouse_with_views import new_warehouse

from market_assets.assets.indices import build_indices
from market_assets.commands.index import explain
from market_assets.config import load_config
from market_assets.index_calculation import calculate_indices
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect, read_frame
from market_assets.warehouse.tables import (
    DIVISOR_CHANGE,
    INDEX_CONSTITUENT,
    INDEX_RECALCULATION,
    INDEX_VALUE,
    PRICE_BAR,
    UNIVERSE_MEMBER,
)
from market_assets.warehouse.versions import as_of, write_versions

SESSIONS = pd.bdate_range("2024-01-16", "2024-02-12")
"""No exchange holiday lies between them."""
LAST_FROZEN = SESSIONS[14]
RULES = {"base_date": "2024-01-16", "weighting": "equal", "rebalance": {"frequency": "daily"}}
LEVELS = ["price_return", "total_return", "net_total_return", "divisor", "market_value"]


@pytest.fixture
def platform(pg_server, _warehouse_template: str, tmp_path: Path) -> Platform:
    """Everything calculated once."""
    frozen = {"id": "FROZEN", "restatement": {"open_days": 5}, **RULES}
    settings = {
        "partitions": {"start": SESSIONS[0].date(), "end": SESSIONS[-1].date()},
        "sources": [{"kind": "sample"}],
        "indices": [frozen, {"id": "OPEN", **RULES}],
    }
    (tmp_path / "market.yaml").write_text(yaml.safe_dump(settings))
    columns = "symbol,exchange,name,currency,member_from,member_to\n"
    (tmp_path / "universe.csv").write_text(columns + "".join(f"{name},XNYS,{name},USD,2024-01-16,\n" for name in "ABC"))
    (tmp_path / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
    made = Platform(load_config(tmp_path / "market.yaml", {}))
    made.warehouse_url = new_warehouse(pg_server, _warehouse_template)
    member = {"exchange": "XNYS", "currency": "USD", "member_from": SESSIONS[0], "member_to": pd.NaT}
    members = pd.DataFrame({"symbol": list("ABC"), "name": list("ABC"), **member})
    write_versions(made.warehouse_url, UNIVERSE_MEMBER, members, run_id="load")
    random = np.random.default_rng(4)
    for symbol in "ABC":
        close = (50 * np.exp(np.cumsum(random.normal(0, 0.02, len(SESSIONS))))).round(2)
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        bars = pd.DataFrame({"symbol": symbol, "session": SESSIONS, "source": "sample", **prices, "volume": 1e5})
        write_versions(made.warehouse_url, PRICE_BAR, bars.assign(currency="USD"), run_id="load")
    calculated(made)
    return made


def calculated(platform: Platform, first: int = 0, last: int = -1):
    """The report of a calculation of the sessions numbered `first` to `last`."""
    return calculate_indices(platform, SESSIONS[first].date(), SESSIONS[last].date(), run_id="run")


def correct(platform: Platform, symbol: str, session: int, factor: float) -> None:
    url = platform.warehouse_url
    bar = as_of(url, PRICE_BAR, None, "symbol = $2 and session = $3", (symbol, SESSIONS[session].date()))
    write_versions(url, PRICE_BAR, bar.assign(close=bar["close"] * factor), run_id="correction")


def levels(platform: Platform, index_id: str, table=INDEX_VALUE) -> pd.DataFrame:
    rows = as_of(platform.warehouse_url, table, None, "index_id = $2", (index_id,))
    return rows.set_index("session").drop(columns="index_id")


def test_without_a_policy_a_correction_changes_every_level_from_its_session_on(platform):
    before = levels(platform, "OPEN")
    correct(platform, "B", 3, 1.1)
    calculated(platform, 3)
    changed = (levels(platform, "OPEN")["price_return"] != before["price_return"]).to_numpy()
    assert not changed[:3].any()
    assert changed[3]
    assert levels(platform, "OPEN", INDEX_RECALCULATION).empty


def test_frozen_levels_stay_and_the_recalculation_stands_beside_them_with_its_reason(platform):
    tables = (INDEX_VALUE, INDEX_CONSTITUENT, DIVISOR_CHANGE)
    before = [levels(platform, "FROZEN", table) for table in tables]
    correct(platform, "B", 11, 1.1)
    report = calculated(platform, 11)
    for table, published in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(
            levels(platform, "FROZEN", table).loc[:LAST_FROZEN], published.loc[:LAST_FROZEN], check_exact=True
        )
    beside = levels(platform, "FROZEN", INDEX_RECALCULATION)
    assert beside.index.tolist() == SESSIONS[11:15].tolist()
    pd.testing.assert_frame_equal(
        beside[LEVELS], levels(platform, "OPEN").loc[beside.index, LEVELS], check_exact=True, obj="as if never frozen"
    )
    assert set(beside["reason"]) == {"corrected: price of B on 2024-01-31"}
    assert report.frozen == {"FROZEN": "4 levels from 2024-01-31 on; corrected: price of B on 2024-01-31"}
    assert report.recalculations.added == 4
    assert report.value_rows[LAST_FROZEN.date()] == 2
    assert report.constituent_rows[LAST_FROZEN.date()] == 6


def test_a_correction_of_an_open_session_is_published_and_the_open_sessions_continue_from_the_last_frozen_one(platform):
    correct(platform, "B", 3, 1.1)
    correct(platform, "A", 16, 0.9)
    before = levels(platform, "FROZEN")["price_return"]
    calculated(platform, 3)
    now, free = levels(platform, "FROZEN")["price_return"], levels(platform, "OPEN")["price_return"]
    assert (now != before).tolist() == [False] * 16 + [True] * 4
    moved = (now.iloc[16] / now.iloc[15]) / (before.iloc[16] / before.iloc[15])
    assert moved == pytest.approx(1 - 0.1 / 3, abs=0.001), "a third of the index lost a tenth"
    grown, as_if_open = now.loc[LAST_FROZEN:].pct_change()[1:], free.loc[LAST_FROZEN:].pct_change()[1:]
    pd.testing.assert_series_equal(grown, as_if_open, rtol=1e-12)
    assert (now[3:] != free[3:]).all()


def test_a_later_recalculation_knows_of_earlier_departures(platform):
    correct(platform, "B", 3, 1.1)
    calculated(platform, 3)
    correct(platform, "A", 8, 1.2)
    calculated(platform, 8)
    beside = levels(platform, "FROZEN", INDEX_RECALCULATION)
    assert beside.index.tolist() == SESSIONS[3:15].tolist()
    pd.testing.assert_frame_equal(beside[LEVELS], levels(platform, "OPEN").loc[beside.index, LEVELS], check_exact=True)


def test_a_correction_that_is_taken_back_withdraws_the_recalculation_and_leaves_its_versions(platform):
    published = levels(platform, "FROZEN")
    correct(platform, "B", 3, 2.0)
    calculated(platform, 3)
    correct(platform, "B", 3, 0.5)
    report = calculated(platform, 3)
    assert levels(platform, "FROZEN", INDEX_RECALCULATION).empty
    assert report.recalculations.withdrawn == 12
    assert not report.frozen
    pd.testing.assert_frame_equal(levels(platform, "FROZEN"), published, rtol=1e-12)
    versions = read_frame(platform.warehouse_url, "select count(*) as versions from indices.index_recalculation")
    assert versions["versions"].iloc[0] == 12


def test_calculating_again_without_a_correction_writes_nothing(platform):
    again = calculated(platform)
    assert again.values.versions_written == again.constituents.versions_written == 0
    assert again.recalculations.versions_written == again.values.withdrawn == 0
    assert len(again.levels) == 2 * len(SESSIONS)
    part = calculated(platform, 2, 6)
    assert part.values.versions_written == part.values.withdrawn == 0
    assert list(part.value_rows.values()) == [2] * 5


def test_sessions_that_were_never_published_are_filled_in_before_frozen_ones(platform):
    whole = levels(platform, "FROZEN")
    with connect(platform.warehouse_url) as connection:
        for table in ("index_value", "index_constituent", "divisor_change", "rebalance", "rebalance_target"):
            connection.execute(f"delete from indices.{table} where session < %s", (SESSIONS[6],))  # noqa: S608
    calculated(platform, 0, 8)
    pd.testing.assert_frame_equal(levels(platform, "FROZEN"), whole, check_exact=True)


def test_another_definition_is_a_reason_too(platform):
    changed = {**platform.config.indices[0], "rebalance": {"frequency": "never"}}
    config = platform.config.model_copy(update={"indices": (changed,)})
    other = Platform(config)
    other.warehouse_url = platform.warehouse_url
    report = calculated(other)
    assert report.frozen["FROZEN"].endswith(
        "definition, calendar or code changed: no price, action, membership, share count or reference file did"
    )


def test_a_run_warns_and_says_which_levels_it_kept(platform, instance: DagsterInstance):
    correct(platform, "B", 3, 1.1)
    correct(platform, "C", 3, 1.1)
    bounds = (SESSIONS[3], SESSIONS[-1])
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    result = materialize(
        [build_indices(platform.partitions, AutomationCondition.eager())],
        tags={name: day.date().isoformat() for name, day in zip(names, bounds, strict=True)},
        instance=instance,
        resources={"platform": platform},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success
    last = [event.materialization for event in result.get_asset_materialization_events()][len(SESSIONS) - 4]
    assert last.partition == SESSIONS[-1].date().isoformat()
    why = "12 levels from 2024-01-19 on; corrected: price of B on 2024-01-19, price of C on 2024-01-19"
    assert last.metadata["frozen_levels_that_depart"].value == {"FROZEN": why}
    assert last.metadata["recalculations_written"].value == 12
    warned = [record.user_message for record in instance.all_logs(result.run_id) if record.level == 30]
    assert f"index FROZEN: frozen levels stay although a recalculation departs from {why}" in warned


def test_the_latest_days_are_counted_in_sessions_of_the_index(platform):
    """One more session is calculated: what was the first open one is frozen now."""
    with connect(platform.warehouse_url) as connection:
        connection.execute("delete from indices.index_value where session = %s", (SESSIONS[-1],))
        connection.execute("delete from indices.index_constituent where session = %s", (SESSIONS[-1],))
    correct(platform, "A", 14, 0.9)
    first, last = date(2024, 2, 5), SESSIONS[-2].date()
    calculate_indices(platform, first, last, run_id="open")
    assert levels(platform, "FROZEN", INDEX_RECALCULATION).empty, "the fifth session from the end is open"
    calculated(platform, -1)
    correct(platform, "A", 14, 0.9)
    calculated(platform, 14)
    assert levels(platform, "FROZEN", INDEX_RECALCULATION).index.tolist() == [SESSIONS[14]]


def test_explain_shows_what_a_frozen_level_would_be(platform, monkeypatch: pytest.MonkeyPatch, capsys):
    correct(platform, "B", 3, 1.1)
    calculated(platform, 3)
    monkeypatch.setenv("MARKET_DATABASE_URL", platform.warehouse_url)
    explain("FROZEN", LAST_FROZEN.date(), None, 0, as_json=True)
    told = json.loads(capsys.readouterr().out)
    (beside,) = told["recalculation"]
    assert beside["reason"] == "corrected: price of B on 2024-01-19"
    assert beside["price_return"] == levels(platform, "OPEN")["price_return"][LAST_FROZEN]
    assert told["levels"]["price_return"]["level"] == levels(platform, "FROZEN")["price_return"][LAST_FROZEN]
    explain("FROZEN", LAST_FROZEN.date(), None, 0, as_json=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "these levels are frozen; with what is known now: price return" in text
