"""A security that changes its symbol: its series carries on under the new one, on a real warehouse."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from scripted_vendor import ScriptedPlatform, ScriptedVendor, bar

from market_assets.ingestion import ingest
from market_assets.universe import Universe
from market_assets.warehouse.connection import connect

START, END = date(2024, 1, 2), date(2024, 1, 8)
OLD = [bar("FB", "2024-01-02", 10.0), bar("FB", "2024-01-03", 11.0)]
NEW = [bar("META", "2024-01-04", 12.0), bar("META", "2024-01-05", 13.0)]


class House:
    """A platform whose universe says that FB becomes META on 2024-01-04."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.vendor = ScriptedVendor("desk", [*OLD, *NEW])
        members = {"FB": "XNYS", "META": "XNYS"}
        self.platform = ScriptedPlatform(folder, url, [self.vendor], members, {"ingest": {"resume_hours": 0}})
        self.rename("META")

    def rename(self, new_symbol: str) -> None:
        ended = {"member_to": date(2024, 1, 3), "new_symbol": new_symbol}
        universe = self.platform.universe
        self.platform.universe = Universe(
            tuple(replace(m, **ended) if m.symbol == "FB" else m for m in universe.members)
        )

    def ingest(self, run_id: str = "run") -> None:
        ingest(self.platform, START, END, run_id=run_id)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with connect(self.url) as connection:
            return connection.execute(query).fetchall()

    def closes(self, symbol: str) -> list[float]:
        return [
            close
            for (close,) in self.rows(
                f"select close from raw.price_bar where symbol = '{symbol}' and known_to is null order by session"  # noqa: S608
            )
        ]


@pytest.fixture
def house(tmp_path: Path, warehouse_url: str) -> House:
    return House(tmp_path, warehouse_url)


def test_the_series_carries_on_under_the_new_symbol_and_the_old_one_stays(house: House) -> None:
    house.vendor.actions = [("FB", "2024-01-03", "cash_dividend", 0.5)]
    house.ingest()
    assert house.closes("META") == [10.0, 11.0, 12.0, 13.0]
    assert house.closes("FB") == [10.0, 11.0]
    actions = "select symbol, ex_date::text, kind, source, detail from raw.corporate_action order by 1, 2"
    assert house.rows(actions) == [
        ("FB", "2024-01-03", "cash_dividend", "desk", None),
        ("FB", "2024-01-04", "symbol_change", "universe", "META"),
        ("META", "2024-01-03", "cash_dividend", "desk", None),
    ]


def test_again_writes_nothing_and_a_correction_is_carried_on(house: House) -> None:
    house.ingest("run-1")
    house.ingest("run-2")
    assert house.rows("select distinct run_id from raw.price_bar") == [("run-1",)]
    house.vendor.rows[0] = bar("FB", "2024-01-02", 10.5)
    house.ingest("run-3")
    assert house.closes("META") == [10.5, 11.0, 12.0, 13.0]


def test_what_a_source_gives_under_the_new_symbol_stays(house: House) -> None:
    house.ingest()
    house.vendor.rows.append(bar("META", "2024-01-02", 9.0))
    house.ingest()
    house.ingest()
    assert house.closes("META") == [9.0, 11.0, 12.0, 13.0]


def test_an_action_of_a_source_links_symbols_too_and_changes_follow_each_other(house: House) -> None:
    house.rename("MID")
    house.ingest()
    assert house.closes("MID") == [10.0, 11.0]
    with connect(house.url, autocommit=True) as connection:
        connection.execute(
            "insert into raw.corporate_action (symbol, ex_date, kind, source, currency, detail, known_from, run_id) "
            "values ('MID', '2024-01-04', 'symbol_change', 'desk', 'USD', 'META', now(), 'by hand')"
        )
    house.ingest()
    assert house.closes("META") == [10.0, 11.0, 12.0, 13.0]
