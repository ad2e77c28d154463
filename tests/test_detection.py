"""Each rule on real faults with their corrected form, on planted faults, and on markets that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from detection_cases import Case, clean_controls, examined, known_bad, planted, yahoo_frame
from detection_report import PAGE, page
from scripted_vendor import ScriptedPlatform, ScriptedVendor

from market_assets.domain.plausibility import HOLDING_RULES
from market_assets.ingestion import ingest
from market_assets.ingestion.deciding import accept
from market_assets.sources.base import FetchRequest, FetchResult
from market_assets.sources.registry import build_source
from market_assets.warehouse.connection import connect

pytestmark = pytest.mark.xdist_group("detection")


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> tuple[Case, ...]:
    """The faulty frames."""
    assert shared_data.is_dir()
    return known_bad()


def test_the_page_says_what_the_rules_find(shared_data: Path) -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run `python tests/detection_report.py`"


def test_each_faulty_frame_is_held_on_exactly_the_rows_that_its_corrected_form_changes(cases: tuple[Case, ...]) -> None:
    assert len(cases) == 8
    for case in cases:
        assert case.hit == case.wrong != frozenset(), case.name
        assert case.repairs[0] == case.repairs[1], f"{case.name}: a proposal is not the corrected row"
        assert case.corrected == {}, f"{case.name}: the corrected form is held back"
        assert not case.other & set(HOLDING_RULES), case.name


def test_clean_controls_raise_nothing(shared_data: Path) -> None:
    assert [(name, found) for name, _, found in clean_controls()] == [
        ("CALM-1d-no-bad-divs", set()),
        ("EWG-1d-no-bad-divs", set()),
    ]


def test_every_planted_fault_is_found_by_its_rule_and_nothing_else_is() -> None:
    faulty, clean = planted(True), planted(False)
    missed = faulty.faults[faulty.faults["rule"] != faulty.faults["expected"]]
    assert missed.empty, missed
    assert set(faulty.faults["expected"]) >= {"foreign_bar", "split_applied_twice", "split_not_applied", "unit_100x"}
    assert faulty.alarms == {}
    assert (clean.alarms, len(clean.faults)) == ({}, 0)


def test_the_real_crash_of_apple_is_stored() -> None:
    sample = build_source("sample")
    refs = sample.known_securities()
    request = FetchRequest(refs, pd.Timestamp("2000-03-01").date(), pd.Timestamp("2013-03-01").date())
    found = examined(sample.fetch(request), sample.basis)
    assert found.held() == {}
    crash = found.bars[(found.bars["symbol"] == "AAPL") & (found.bars["session"] == "2000-09-29")]
    assert crash["rule"].tolist() == [""]


class YahooFrames(ScriptedVendor):
    """A vendor that answers with frames of known_bad."""

    def __init__(self, frames: list[FetchResult]) -> None:
        super().__init__("yahoo", basis="split_adjusted")
        self.frames = frames

    def _fetch(self, request: FetchRequest) -> FetchResult:
        def joined(name: str) -> pd.DataFrame:
            parts = pd.concat([getattr(frame, name) for frame in self.frames])
            parts = parts[parts["symbol"].isin(request.names)]
            return parts.assign(currency="GBP") if "currency" in parts else parts

        names = ("bars", "actions", "adjusted_closes")
        return FetchResult(**{name: joined(name) for name in names}, requests_made=1, origin="yahoo")


def test_faulty_dividends_and_units_go_through_ingestion_into_quarantine_and_out_again(
    shared_data: Path, tmp_path: Path, warehouse_url: str
) -> None:
    names = ("ABDP-L-1d-bad-div", "KAP-IL-1d-bad-div", "AET-L-1d-100x-error")
    frames = [yahoo_frame(shared_data / "known_bad" / f"{name}.csv") for name in names]
    symbols = [frame.bars["symbol"].iloc[0] for frame in frames]
    platform = ScriptedPlatform(
        tmp_path,
        warehouse_url,
        [YahooFrames(frames)],
        dict.fromkeys(symbols, "XLON"),
        {"partitions": {"start": pd.Timestamp("2022-01-04").date()}},
        now=pd.Timestamp("2024-09-02T12:00Z").to_pydatetime(),
    )
    universe = (tmp_path / "universe.csv").read_text().replace("2024-01-02", "2022-01-04")
    (tmp_path / "universe.csv").write_text(universe)
    days = pd.concat([frame.bars["session"] for frame in frames])
    report = ingest(platform, days.min().date(), days.max().date(), run_id="load")

    assert report.quarantined == {"unit_100x": 14}
    assert report.quarantined_actions == {"dividend_100x": 5, "repeated_dividend": 1}
    assert report.warned == {"just_outside_range": 44}
    assert report.received == sum(len(frame.bars) for frame in frames) == report.bars.added + 14
    assert report.rows_received["actions"] == report.actions.added + 6

    def rows(query: str) -> list[tuple[Any, ...]]:
        with connect(warehouse_url) as connection:
            return connection.execute(query).fetchall()  # type: ignore[call-overload]  # a query of this test

    stored = (
        "select count(*), min(value), max(value) from raw.corporate_action where known_to is null and symbol = 'ABDP-L'"
    )
    assert rows(stored) == [(0, None, None)]
    numbers = [
        number for (number,) in rows("select quarantine_id from quality.quarantine where rule = 'dividend_100x'")
    ]
    assert accept(warehouse_url, numbers, by="ana", note="pence", proposed=True).written.added == 5
    assert rows(stored) == [(5, 0.0176, 0.0442)]
    again = ingest(platform, days.min().date(), days.max().date(), run_id="again")
    assert again.quarantined_actions == report.quarantined_actions
    assert again.actions.versions_written == again.bars.versions_written == 0
