"""Corrections are looked for in the last sessions, and in more of them once a week; the report says what changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from scripted_vendor import ScriptedPlatform, ScriptedVendor, bar

from market_assets.ingestion import ingest
from market_assets.warehouse.writes import WriteResult

FIRST = date(2024, 1, 2)
NOON = datetime(2024, 3, 4, 12, tzinfo=UTC)
"""A Monday before New York opens: Friday 2024-03-01 is the newest session."""


class Watched(ScriptedVendor):
    """A vendor that notes the days it is asked for."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.days: list[tuple[date, date]] = []

    def _fetch(self, request: Any) -> Any:
        self.days.append((request.start, request.end))
        return super()._fetch(request)


@pytest.fixture
def platform(tmp_path, warehouse_url) -> ScriptedPlatform:
    settings = {"ingest": {"lookback_sessions": 3, "weekly_lookback_sessions": 20}}
    made = ScriptedPlatform(tmp_path, warehouse_url, [Watched("desk")], {"A": "XNYS", "B": "XNYS"}, settings, NOON)
    days = made.sessions("XNYS", FIRST, date(2024, 3, 15))
    vendor_of(made).rows = [bar(symbol, str(day.date())) for symbol in "AB" for day in days]
    return made


def vendor_of(platform: ScriptedPlatform) -> Watched:
    vendor = platform.sources()[0]
    assert isinstance(vendor, Watched)
    return vendor


def evening_of(platform: ScriptedPlatform, day: date) -> Any:
    """The run of one session after its close."""
    platform.now = lambda: datetime(day.year, day.month, day.day, 22, tzinfo=UTC)
    vendor_of(platform).days.clear()
    return ingest(platform, day, day, run_id=f"run of {day}")


def test_nothing_is_read_again_where_nothing_is_stored(platform):
    evening_of(platform, date(2024, 3, 1))
    assert vendor_of(platform).days == [(date(2024, 3, 1), date(2024, 3, 1))]


def test_a_long_range_holds_the_last_sessions_anyway(platform):
    for _ in range(2):
        report = ingest(platform, FIRST, date(2024, 3, 1), run_id="history")
        assert report.reread_from is None
    assert vendor_of(platform).days == [(FIRST, date(2024, 3, 1))] * 2


def test_a_range_that_ends_before_the_newest_session_is_read_as_it_stands(platform):
    ingest(platform, FIRST, date(2024, 3, 1), run_id="history")
    vendor_of(platform).days.clear()
    ingest(platform, date(2024, 2, 1), date(2024, 2, 5), run_id="one week")
    assert vendor_of(platform).days == [(date(2024, 2, 1), date(2024, 2, 5))]


def test_a_correction_in_the_last_sessions_becomes_a_version_and_is_told(platform):
    ingest(platform, FIRST, date(2024, 3, 1), run_id="history")
    rows = {(row["symbol"], str(row["session"].date())): row for row in vendor_of(platform).rows}
    rows["A", "2024-02-29"]["close"] = 10.5
    rows["B", "2024-03-01"]["volume"] = 1200.0
    report = evening_of(platform, date(2024, 3, 4))
    assert vendor_of(platform).days == [(date(2024, 2, 29), date(2024, 3, 4))]
    assert report.reread_from == date(2024, 2, 29)
    assert report.bars == WriteResult(received=6, added=2, restated=2, unchanged=2)
    assert report.bars_by_session == {date(2024, 3, 4): 2}, "rows of the run's own session"
    assert report.restated.largest == pytest.approx(0.05)
    assert report.restated.median == pytest.approx(0.025)
    cases = report.restated.cases[["symbol", "session", "column", "old", "new"]].astype({"session": "str"})
    assert cases.to_numpy().tolist() == [
        ["B", "2024-03-01", "volume", 1000.0, 1200.0],
        ["A", "2024-02-29", "close", 10.0, 10.5],
    ]


def test_once_a_week_more_sessions_are_read_again(platform):
    ingest(platform, FIRST, date(2024, 3, 1), run_id="history")
    first_read = {}
    for day in platform.sessions("XNYS", date(2024, 3, 4), date(2024, 3, 13)):
        session = day.date()
        evening_of(platform, session)
        first_read[session] = vendor_of(platform).days[0][0]
    sessions = platform.sessions("XNYS", FIRST, date(2024, 3, 15))

    def back(day: date, count: int) -> date:
        return sessions[sessions.searchsorted(str(day), side="right") - count].date()

    weekly = {day for day, first in first_read.items() if first == back(day, 20)}
    daily = {day for day, first in first_read.items() if first == back(day, 3)}
    assert weekly | daily == set(first_read)
    assert weekly == {date(2024, 3, 11)}, "the first week counts from the history, which read them all"


def test_a_weekly_run_that_was_killed_did_not_happen(platform):
    ingest(platform, FIRST, date(2024, 3, 1), run_id="history")
    vendor, week_later = vendor_of(platform), date(2024, 3, 11)
    fetch = vendor._fetch

    def die(request: Any) -> Any:
        raise KeyboardInterrupt

    vendor._fetch = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        evening_of(platform, week_later)
    vendor._fetch = fetch  # type: ignore[method-assign]
    assert evening_of(platform, week_later).reread_from < date(2024, 2, 20)
    assert evening_of(platform, week_later + timedelta(days=1)).reread_from == date(2024, 3, 8)


def test_lookback_can_be_turned_off(tmp_path, warehouse_url):
    off = {"ingest": {"lookback_sessions": 0, "weekly_lookback_sessions": 0}}
    platform = ScriptedPlatform(tmp_path, warehouse_url, [Watched("desk")], {"A": "XNYS"}, off, NOON)
    vendor_of(platform).rows = [bar("A", "2024-02-29"), bar("A", "2024-03-01")]
    for day in (date(2024, 2, 29), date(2024, 3, 1)):
        assert evening_of(platform, day).reread_from is None
    assert vendor_of(platform).days == [(date(2024, 3, 1), date(2024, 3, 1))]
