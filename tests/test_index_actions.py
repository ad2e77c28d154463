"""Every kind of corporate action from a vendor's file to the index portfolio: ingested, stored, read, applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
import yaml
from warehouse_with_views import new_warehouse

from market_assets.config import load_config
from market_assets.index_calculation import calculate_indices
from market_assets.ingestion import ingest
from market_assets.resources import Platform
from market_assets.sources.frames import ACTION_KINDS
from market_assets.warehouse.connection import connect
from market_assets.warehouse.tables import DIVISOR_CHANGE, INDEX_CONSTITUENT, INDEX_VALUE, SECURITY
from market_assets.warehouse.versions import as_of, write_versions

if TYPE_CHECKING:
    from conftest import TestServer

SESSIONS = pd.bdate_range("2024-01-16", "2024-01-30")
LAST = {"CASHED": 3, "SWAPPED": 4, "WORTHLESS": 5, "RENAMED": 5, "QUIET": 6}
"""Number of the last session of those that leave; the others trade to the end."""
FIRST = {"CHILD": 2, "NEWNAME": 6}
NAMES = (
    *("SPLIT", "STOCKDIV", "PAYER", "SPECIAL", "PARENT", "CHILD", "CASHED", "SWAPPED", "WORTHLESS", "RENAMED"),
    *("NEWNAME", "RIGHTS", "QUIET", "ACQUIRER"),
)
# symbol, ex-date as session number, kind, value, detail
ACTIONS = [
    ("SPLIT", 2, "split", 2.0, ""),
    ("STOCKDIV", 2, "stock_dividend", 0.25, ""),
    ("PAYER", 2, "cash_dividend", 1.0, ""),
    ("SPECIAL", 2, "special_dividend", 10.0, ""),
    ("PARENT", 2, "spin_off", 20.0, "CHILD 0.5"),
    ("RIGHTS", 2, "rights", 0.25, "50"),
    ("CASHED", 4, "merger_cash", 120.0, ""),
    ("SWAPPED", 5, "merger_stock", 2.0, "ACQUIRER"),
    ("WORTHLESS", 6, "delisting", 0.0, ""),
    ("RENAMED", 6, "symbol_change", "", "NEWNAME"),
]
PRICE_AFTER = {"SPLIT": 50.0, "STOCKDIV": 80.0, "PAYER": 99.0, "SPECIAL": 90.0, "PARENT": 80.0, "RIGHTS": 90.0}
"""What a share of 100 is worth from session 2 on when nothing else happens; a child is worth 40."""


@pytest.fixture(scope="module")
def platform(pg_server: TestServer, _warehouse_template: str, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A market in which prices move by corporate actions only, loaded from files and calculated day by day."""
    folder = tmp_path_factory.mktemp("actions")
    (folder / "bars").mkdir()
    for name in NAMES:
        days = SESSIONS[FIRST.get(name, 0) : LAST.get(name, len(SESSIONS)) + 1]
        close = [40.0 if name == "CHILD" else PRICE_AFTER.get(name, 100.0) if d >= SESSIONS[2] else 100.0 for d in days]
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        pd.DataFrame({"date": days, **prices, "volume": 1000.0}).to_csv(
            folder / "bars" / f"{name}_data.csv", index=False
        )
    listed = [(name, SESSIONS[day].date(), kind, value, detail) for name, day, kind, value, detail in ACTIONS]
    columns = ["symbol", "ex_date", "kind", "value", "detail"]
    pd.DataFrame(listed, columns=columns).to_csv(folder / "actions.csv", index=False)
    options = {
        "folder": str(folder / "bars"),
        "file_name": "{symbol}_data.csv",
        "columns": {"session": "date"},
        "basis": "as_traded",
        "currency": "USD",
        "actions_file": str(folder / "actions.csv"),
    }
    settings = {
        "partitions": {"start": SESSIONS[0].date(), "end": SESSIONS[-1].date()},
        "sources": [{"kind": "files", "options": options}],
        "indices": [{"id": "EW", "base_date": SESSIONS[0].date(), "rebalance": {"frequency": "never"}}],
    }
    (folder / "market.yaml").write_text(yaml.safe_dump(settings))
    # The new name has its predecessor's bars as well: only membership says who could be held when.
    dates = {"RENAMED": (0, SESSIONS[5].date()), "NEWNAME": (6, "")}
    intervals = {name: dates.get(name, (0, "")) for name in NAMES}
    members = [f"{n},XNYS,{n},USD,{SESSIONS[first].date()},{last}\n" for n, (first, last) in intervals.items()]
    header = "symbol,exchange,name,currency,member_from,member_to\n"
    (folder / "universe.csv").write_text(header + "".join(members))
    (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
    platform = Platform(load_config(folder / "market.yaml", {}))
    platform.warehouse_url = new_warehouse(pg_server, _warehouse_template)
    ingest(platform, SESSIONS[0].date(), SESSIONS[-1].date(), run_id="ingest")
    gone = as_of(platform.warehouse_url, SECURITY, None, "symbol = 'QUIET'").assign(last_session=SESSIONS[6])
    write_versions(platform.warehouse_url, SECURITY, gone, run_id="desk")
    for session in SESSIONS:
        calculate_indices(platform, session.date(), session.date(), run_id="daily")
    return platform


@pytest.fixture(scope="module")
def url(platform: Platform) -> str:
    return platform.warehouse_url


def levels(url: str) -> pd.DataFrame:
    return as_of(url, INDEX_VALUE, None).set_index("session")[["price_return", "total_return"]]


def held(url: str, session: int) -> pd.Series:
    rows = as_of(url, INDEX_CONSTITUENT, None, "session = $2", (SESSIONS[session].date(),))
    return rows.set_index("symbol")["shares"]


def test_every_kind_is_stored(url: str) -> None:
    with connect(url) as connection:
        stored = connection.execute("select distinct kind from raw.corporate_action").fetchall()
    assert {kind for (kind,) in stored} == set(ACTION_KINDS)


def test_no_action_but_a_dividend_and_a_worthless_share_moves_the_level(url: str) -> None:
    """Twelve names of equal weight: the dividend of 1 % leaves one, the cash bid adds 20 % to one, one goes to zero."""
    level = levels(url)["price_return"]
    assert level.iloc[1] == pytest.approx(100.0, rel=1e-12)
    # The special dividend, a tenth of one name, has gone into all of them before.
    assert level.iloc[2] == pytest.approx(100.0 * (1 - 0.01 / 11.9), rel=1e-12)
    assert level.iloc[3] == pytest.approx(level.iloc[2], rel=1e-12)
    assert level.iloc[4] / level.iloc[3] == pytest.approx(1 + 0.2 / 12, rel=0.01)
    assert level.iloc[5] == pytest.approx(level.iloc[4], rel=1e-12)
    assert level.iloc[6] / level.iloc[5] == pytest.approx(1 - 1 / 10, rel=0.02)
    assert level.iloc[7:].to_numpy() == pytest.approx(level.iloc[6], rel=1e-12)
    assert levels(url)["total_return"].iloc[3] == pytest.approx(100.0, rel=1e-12), "the dividend is reinvested"


def test_shares_follow_splits_stock_dividends_rights_and_the_spin_off(url: str) -> None:
    before, after = held(url, 1), held(url, 2)
    ratio = (after / before).dropna()
    assert ratio["SPLIT"] == pytest.approx(2.0)
    assert ratio["STOCKDIV"] == pytest.approx(1.25)
    assert ratio["RIGHTS"] == pytest.approx(100 / 90), "a notional holding sells the rights and buys the share"
    assert after["CHILD"] == pytest.approx(0.5 * before["PARENT"])


def test_names_leave_as_their_actions_say_and_a_rename_keeps_the_holding(url: str) -> None:
    assert "CASHED" in held(url, 4)
    assert "CASHED" not in held(url, 5)
    assert "SWAPPED" not in held(url, 5)
    assert held(url, 6)["NEWNAME"] == held(url, 5)["RENAMED"]
    assert "WORTHLESS" not in held(url, 7)


def test_a_listing_that_ended_without_an_action_leaves_at_its_last_price(url: str) -> None:
    assert "QUIET" in held(url, 6)
    assert "QUIET" not in held(url, 7)
    changes = as_of(url, DIVISOR_CHANGE, None, "session = $2", (SESSIONS[7].date(),))
    assert "-QUIET" in changes.set_index("reason")["detail"]["delisting"]


def test_calculating_the_range_at_once_gives_the_same_bits(platform: Platform) -> None:
    again = calculate_indices(platform, SESSIONS[0].date(), SESSIONS[-1].date(), run_id="once")
    assert again.values.unchanged == len(SESSIONS)
    assert again.values.versions_written == again.constituents.versions_written == 0
