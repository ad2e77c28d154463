"""Three vendors on a real warehouse: who is stored, who is disputed, and what a third opinion settles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from scripted_vendor import ScriptedPlatform, ScriptedVendor, bar

from market_assets.ingestion import IngestReport, ingest
from market_assets.warehouse.connection import connect

DAY = "2024-01-04"
START, END = date(2024, 1, 2), date(2024, 1, 8)


class Desk:
    """First is asked, second and third are compared; `say` sets the closes a vendor sends from now on."""

    def __init__(self, folder: Path, url: str, **options: Any) -> None:
        self.url = url
        self.vendors = {name: ScriptedVendor(name) for name in ("first", "second", "third")}
        chain = {"sources": ["first"], "cross_check": ["second", "third"]}
        settings = {"ingest": {"chains": {"default": chain}, "resume_hours": 0, **options}}
        self.platform = ScriptedPlatform(folder, url, list(self.vendors.values()), {"A": "XNYS"}, settings)
        self.runs = 0

    def say(self, **closes: float | None) -> IngestReport:
        """Ingest with these closes of A on DAY; a vendor that is not named has no bar."""
        for name, vendor in self.vendors.items():
            close = closes.get(name)
            vendor.rows = [] if close is None else [bar("A", DAY, close)]
        self.runs += 1
        return ingest(self.platform, START, END, run_id=f"run-{self.runs}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with connect(self.url) as connection:
            return connection.execute(query).fetchall()

    @property
    def stored(self) -> dict[str, float]:
        return dict(self.rows("select source, close from raw.price_bar where known_to is null"))

    @property
    def held(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select source, (raw_row ->> 'close')::float8, status, resolved_by, note "
            "from quality.quarantine order by 1, 2"
        )

    @property
    def agreement(self) -> dict[str, tuple[int, int, float]]:
        found = self.rows(
            "select source, compared, disagreed, rate from quality.source_agreement where known_to is null order by 1"
        )
        return {source: tuple(counts) for source, *counts in found}


@pytest.fixture
def desk(tmp_path: Path, warehouse_url: str) -> Desk:
    return Desk(tmp_path, warehouse_url)


@pytest.fixture
def desk_of(tmp_path: Path, warehouse_url: str) -> Callable[..., Desk]:
    return lambda **options: Desk(tmp_path, warehouse_url, **options)


def test_sources_that_agree_are_all_stored(desk: Desk) -> None:
    report = desk.say(first=10.0, second=10.005, third=10.0)
    assert desk.stored == {"first": 10.0, "second": 10.005, "third": 10.0}
    assert report.quarantined == {}
    assert desk.agreement == dict.fromkeys(("first", "second", "third"), (1, 0, 0.0))


def test_of_two_that_disagree_the_newcomer_is_held_with_both_closes_in_the_reason(desk: Desk) -> None:
    report = desk.say(first=10.0, second=11.0)
    assert desk.stored == {"first": 10.0}
    assert (report.received, report.quarantined) == (2, {"disputed": 1})
    ((reason, candidate),) = desk.rows("select reason, candidate ->> 'close' from quality.quarantine")
    assert reason == "close 11 of second against 10 of first, and no majority of sources supports it"
    assert float(candidate) == 11.0
    assert desk.agreement == {"first": (1, 1, 1.0), "second": (1, 1, 1.0)}


def test_a_third_that_sides_with_the_disputed_row_settles_it_with_a_note_in_the_trail(desk: Desk) -> None:
    desk.say(first=10.0, second=11.0)
    desk.say(first=10.0, third=11.0)
    assert desk.stored == {"first": 10.0, "second": 11.0, "third": 11.0}
    assert desk.held == [("second", 11.0, "replayed", "reconciliation", "close supported by third")]
    trail = desk.rows("select status, by, note, run_id from quality.quarantine_event order by event_id")
    assert trail == [
        ("open", "ingestion", None, "run-1"),
        ("replayed", "reconciliation", "close supported by third", "run-2"),
    ]
    assert desk.rows("select source, run_id from raw.price_bar where source <> 'first' order by 1") == [
        ("second", "run-2"),
        ("third", "run-2"),
    ]
    assert desk.agreement == {"first": (1, 1, 1.0), "second": (1, 0, 0.0), "third": (1, 0, 0.0)}


def test_three_in_one_run_are_settled_in_one_run(desk: Desk) -> None:
    report = desk.say(first=10.0, second=11.0, third=11.0)
    assert desk.stored == {"first": 10.0, "second": 11.0, "third": 11.0}
    assert report.received == report.bars.received + sum(report.quarantined.values()) == 3


def test_a_restated_bar_that_leaves_its_companion_is_disputed_and_the_old_one_stays(desk: Desk) -> None:
    desk.say(first=10.0, second=10.0)
    desk.say(first=12.0, second=10.0)
    assert desk.stored == {"first": 10.0, "second": 10.0}
    assert [row[:3] for row in desk.held] == [("first", 12.0, "open")]
    assert desk.agreement == {"first": (1, 1, 1.0), "second": (1, 1, 1.0)}


def test_a_vendor_that_comes_round_is_stored_and_its_old_row_rejected(desk: Desk) -> None:
    desk.say(first=10.0, second=11.0)
    desk.say(first=10.0, second=10.0)
    assert desk.stored == {"first": 10.0, "second": 10.0}
    ((*_, status, by, note),) = desk.held
    assert (status, by, note) == (
        "rejected",
        "reconciliation",
        "replaced: second has given a bar since that is believed",
    )


def test_the_same_answers_again_write_nothing(desk: Desk) -> None:
    desk.say(first=10.0, second=11.0, third=12.0)
    before = (desk.stored, desk.held, desk.agreement)
    report = desk.say(first=10.0, second=11.0, third=12.0)
    assert (report.bars.versions_written, report.agreement.versions_written) == (0, 0)
    assert report.quarantined == {"disputed": 2}
    assert (desk.stored, desk.held, desk.agreement) == before


def test_a_coarse_price_step_of_the_exchange_is_agreement(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(tick_size={"XNYS": 0.5})
    desk.say(first=10.0, second=10.5)
    assert desk.stored == {"first": 10.0, "second": 10.5}


def test_bars_of_a_split_adjusted_vendor_are_compared_and_released_as_traded(desk: Desk) -> None:
    desk.vendors["second"].basis = "split_adjusted"
    desk.vendors["second"].actions = [("A", "2024-01-05", "split", 2.0)]
    desk.say(first=10.0, second=5.5)
    desk.say(first=10.0, third=11.0)
    assert desk.stored == {"first": 10.0, "second": 11.0, "third": 11.0}


def test_an_ingestion_of_actions_alone_settles_nothing(desk: Desk) -> None:
    desk.say(first=10.0, second=11.0)
    desk.vendors["third"].rows = [bar("A", DAY, 11.0)]
    ingest(desk.platform, START, END, run_id="actions", write={"corporate_actions"})
    assert desk.stored == {"first": 10.0}
    assert [row[2] for row in desk.held] == ["open"]


def test_one_source_is_compared_with_nothing(tmp_path: Path, warehouse_url: str) -> None:
    vendor = ScriptedVendor("desk", [bar("A", DAY)])
    platform = ScriptedPlatform(tmp_path, warehouse_url, [vendor], {"A": "XNYS"})
    report = ingest(platform, START, END, run_id="run")
    assert (report.bars.added, report.agreement.received) == (1, 0)
