"""An ingestion that stopped goes on where it stopped: nothing answered is asked for twice, and no row is lost."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from scripted_vendor import NOW, ScriptedPlatform, ScriptedVendor, bar

from market_assets.errors import SourceRejected, SourceUnavailable, TerminalError
from market_assets.ingestion import ingest
from market_assets.ingestion.checkpoints import reopen
from market_assets.sources.base import Batch
from market_assets.warehouse.connection import connect
from market_assets.warehouse.writes import WriteResult

START, END = date(2024, 1, 2), date(2024, 1, 8)
SESSIONS = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"]
DOWN, UNKNOWN = SourceUnavailable("desk is down"), SourceRejected("desk does not know it")


class Killed(BaseException):
    """The process dies here: nothing in the platform catches it."""


class Mortal(ScriptedVendor):
    """A vendor during whose request for `dies_at` the process is killed."""

    dies_at: str | None = None

    def _fetch(self, request: Any) -> Any:
        if self.dies_at in request.names:
            raise Killed
        return super()._fetch(request)


@pytest.fixture
def platform_of(tmp_path, warehouse_url):
    def make(*vendors: ScriptedVendor, members: str = "ABCDE", **settings: Any) -> ScriptedPlatform:
        settings = {"ingest": {"chunk_symbols": 1, **settings}}
        return ScriptedPlatform(tmp_path, warehouse_url, vendors, dict.fromkeys(members, "XNYS"), settings)

    return make


def vendor_of(symbols: str, name: str = "desk") -> Mortal:
    return Mortal(name, [bar(symbol, day) for symbol in symbols for day in SESSIONS])


def rows(url: str, query: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(query).fetchall()


def run(platform: ScriptedPlatform, **options: Any) -> Any:
    return ingest(platform, START, END, run_id="run", **options)


def killed_at(symbol: str, vendor: Mortal, platform: ScriptedPlatform) -> None:
    vendor.dies_at = symbol
    with pytest.raises(Killed):
        run(platform)
    vendor.dies_at = None


def test_a_killed_ingestion_asks_only_for_what_was_not_answered(platform_of, warehouse_url):
    vendor = vendor_of("ABCDE")
    platform = platform_of(vendor)
    killed_at("D", vendor, platform)
    assert vendor.asked == [("A",), ("B",), ("C",)]
    report = run(platform)
    assert vendor.asked[3:] == [("D",), ("E",)], "A, B and C are not asked for again"
    assert (report.resumed, report.requests, report.failures) == (3, 2, [])
    assert report.bars == WriteResult(received=10, added=10)
    assert report.bars_by_session == {date.fromisoformat(day): 5 for day in SESSIONS}
    assert report.bars_by_source == {"desk": 25}
    assert rows(warehouse_url, "select count(*), count(distinct (symbol, session)) from raw.price_bar") == [(25, 25)]


def test_a_run_killed_after_its_ingestion_asks_for_nothing_twice(platform_of, warehouse_url):
    vendor = vendor_of("ABCDE")
    platform = platform_of(vendor)
    killed_at("B", vendor, platform)
    ingest(platform, START, END, run_id="killed in its checks")
    asked = list(vendor.asked)
    reopen(warehouse_url, ["killed in its checks"])
    report = run(platform)
    assert vendor.asked == asked
    assert (report.resumed, report.requests, report.failures) == (5, 0, [])
    assert report.bars_by_session == {date.fromisoformat(day): 5 for day in SESSIONS}
    run(platform)
    assert vendor.asked != asked, "it is complete now"


def test_an_ingestion_that_ended_is_never_resumed(platform_of):
    vendor = vendor_of("AB")
    platform = platform_of(vendor, members="AB")
    run(platform)
    report = run(platform)
    assert vendor.asked == [("A",), ("B",)] * 2, "a deliberate second run asks for everything"
    assert (report.resumed, report.bars.unchanged) == (0, 10)


def test_what_failed_for_the_moment_is_asked_again_and_what_was_refused_is_not(platform_of):
    vendor = vendor_of("ABC")
    vendor.failing = {"B": DOWN, "C": UNKNOWN}
    platform = platform_of(vendor, members="ABC")
    first = run(platform)
    assert {failure.symbol: failure.retryable for failure in first.failures} == {"B": True, "C": False}
    vendor.failing.pop("B")
    vendor.asked.clear()
    second = run(platform)
    assert vendor.asked == [("B",)]
    assert [(failure.symbol, failure.cause) for failure in second.failures] == [("C", "desk does not know it")]
    assert second.bars_by_session[END] == 2
    vendor.asked.clear()
    run(platform)
    assert vendor.asked == [("A",), ("B",), ("C",)], "nothing was owed any more: a new ingestion asks all again"


def test_a_key_that_was_refused_is_no_verdict_on_the_symbols(platform_of):
    vendor = vendor_of("AB")
    platform = platform_of(vendor, members="AB")
    vendor.dead = SourceRejected("the key is wrong")
    with pytest.raises(TerminalError, match="the key is wrong"):
        run(platform)
    vendor.dead = None
    assert run(platform).bars.added == 10


def test_what_a_fallback_answered_is_not_asked_of_the_first_source_again(platform_of):
    first, second = vendor_of("ABC", "first"), vendor_of("ABC", "second")
    first.failing = {"A": DOWN, "B": DOWN}
    platform = platform_of(first, second, members="ABC")
    killed_at("B", second, platform)
    assert (first.asked, second.asked) == ([("A",), ("B",), ("C",)], [("A",)])
    first.asked.clear()
    report = run(platform)
    assert (first.asked, second.asked) == ([("B",)], [("A",), ("B",)])
    assert report.bars_by_source == {"first": 5, "second": 10}


def test_parts_of_a_range_are_resumed_one_by_one(platform_of, warehouse_url):
    vendor = vendor_of("A")
    vendor.batch = Batch(days=2)
    asked: list[tuple[date, date]] = []
    fetch = vendor._fetch

    def watch(request: Any) -> Any:
        if len(asked) == 2:
            asked.append((START, START))
            raise Killed
        asked.append((request.start, request.end))
        return fetch(request)

    vendor._fetch = watch  # type: ignore[method-assign]
    platform = platform_of(vendor, members="A")
    with pytest.raises(Killed):
        run(platform)
    asked.pop()
    done = asked.copy()
    asked.append((START, START))
    report = run(platform)
    assert done == [(date(2024, 1, 2), date(2024, 1, 3)), (date(2024, 1, 4), date(2024, 1, 5))]
    assert asked[3:] == [(date(2024, 1, 6), date(2024, 1, 7)), (date(2024, 1, 8), date(2024, 1, 8))]
    assert report.bars_by_session == {date.fromisoformat(day): 1 for day in SESSIONS}


@pytest.mark.parametrize("change", ["range", "assets", "symbols", "age", "off", "sources"])
def test_only_the_same_ingestion_is_resumed_and_only_for_a_while(platform_of, change):
    vendor = vendor_of("AB")
    platform = platform_of(vendor, members="AB")
    killed_at("B", vendor, platform)
    vendor.asked.clear()
    if change == "range":
        ingest(platform, START, date(2024, 1, 5), run_id="run")
    elif change == "assets":
        run(platform, write={"raw_prices"})
    elif change == "symbols":
        run(platform, symbols=["A"])
    else:
        if change == "age":
            platform.now = lambda: NOW + timedelta(hours=9.5)  # before New York closes
            settings = {"resume_hours": 9}
        else:
            settings = {"resume_hours": 0} if change == "off" else {}
        other = vendor_of("AB", "other") if change == "sources" else None
        now = platform.now
        platform = platform_of(vendor, *filter(None, [other]), members="AB", **settings)
        platform.now = now
        run(platform)
    assert ("A",) in vendor.asked


def test_a_symbol_added_to_the_universe_meanwhile_is_asked_for(platform_of):
    vendor = vendor_of("ABCD")
    killed_at("C", vendor, platform_of(vendor, members="ABC"))
    vendor.asked.clear()
    report = run(platform_of(vendor, members="ABCD"))
    assert vendor.asked == [("C",), ("D",)]
    assert report.bars_by_session[END] == 4


def test_old_plans_are_forgotten(platform_of, warehouse_url):
    vendor = vendor_of("A")
    platform = platform_of(vendor, members="A")
    run(platform)
    with connect(warehouse_url, autocommit=True) as connection:
        connection.execute("update ingest.plan set started_at = started_at - interval '31 days'")
    run(platform)
    assert rows(warehouse_url, "select count(*) from ingest.plan") == [(1,)]
    assert rows(warehouse_url, "select count(*) from ingest.checkpoint") == [(1,)]
