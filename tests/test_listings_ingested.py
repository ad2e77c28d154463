"""Delistings on a real warehouse: several vendors, several evenings, the universe file, and one who is believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scripted_vendor import ScriptedPlatform, ScriptedVendor, bar

from market_assets.errors import SourceRejected, SourceUnavailable
from market_assets.ingestion import ingest
from market_assets.sources.base import FetchRequest, FetchResult
from market_assets.sources.frames import SECURITIES
from market_assets.universe import Universe
from market_assets.warehouse.connection import connect

EVENINGS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10)]
GONE = SourceRejected("no such symbol", unknown=True)


class Registry(ScriptedVendor):
    """A vendor that also states facts: symbol -> last session, None = listed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.listings: dict[str, str | None] = {}

    def _fetch(self, request: FetchRequest) -> FetchResult:
        answer = super()._fetch(request)
        rows = [
            (symbol, "XNYS", f"{symbol} of {self.name}", "USD", pd.NaT, pd.Timestamp(last), self.name)
            for symbol, last in self.listings.items()
            if symbol in request.names
        ]
        facts = pd.DataFrame(rows, columns=list(SECURITIES.columns))
        return FetchResult(bars=answer.bars, failures=answer.failures, securities=facts, origin=self.name)


class Evenings:
    """Runs one ingestion an evening; A trades until `trades_until`, B for ever."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url, self.folder = url, folder
        self.vendors = {name: Registry(name) for name in ("first", "second", "third")}
        self.trades_until = EVENINGS[0]
        self.universe: Callable[[Universe], Universe] = lambda universe: universe

    def run(self, evening: int, **failing: Exception) -> None:
        """One evening; vendors fail for A as named, otherwise they send what trades."""
        day = EVENINGS[evening]
        for name, vendor in self.vendors.items():
            vendor.failing = {"A": failing[name]} if name in failing else {}  # type: ignore[dict-item]
            until = {"A": self.trades_until, "B": day}
            vendor.rows = [bar(s, d.isoformat()) for s in until for d in EVENINGS if d <= until[s]]
        now = datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
        chain = {"sources": ["first"], "cross_check": ["second", "third"]}
        settings = {"ingest": {"chains": {"default": chain}, "resume_hours": 0, "delisting": {"sessions": 2}}}
        members = {"A": "XNYS", "B": "XNYS"}
        platform = ScriptedPlatform(self.folder, self.url, list(self.vendors.values()), members, settings, now)
        platform.universe = self.universe(platform.universe)
        ingest(platform, EVENINGS[0], day, run_id=f"evening-{evening}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with connect(self.url) as connection:
            return connection.execute(query).fetchall()

    @property
    def last_sessions(self) -> dict[str, date | None]:
        return dict(self.rows("select symbol, last_session from raw.security where known_to is null"))


@pytest.fixture
def evenings(tmp_path: Path, warehouse_url: str) -> Evenings:
    return Evenings(tmp_path, warehouse_url)


def test_two_vendors_on_two_evenings_delist_and_a_trade_revives(evenings: Evenings) -> None:
    evenings.run(0)
    evenings.run(1, first=GONE, second=GONE)
    assert evenings.last_sessions == {}, "not yet"
    evenings.run(2, first=GONE, second=GONE)
    assert evenings.last_sessions == {"A": EVENINGS[0]}
    assert evenings.rows("select name, exchange, currency, source from raw.security") == [
        ("A", "XNYS", "USD", "listings")
    ]
    evenings.trades_until = EVENINGS[3]
    evenings.run(3)
    assert evenings.last_sessions == {"A": None}
    findings = evenings.rows(
        "select source, finding from ingest.listing_evidence where session = '2024-01-05' order by 1"
    )
    assert findings == [("first", "traded"), ("second", "traded"), ("third", "traded")]


def test_one_vendor_that_says_404_again_and_again_never_delists(evenings: Evenings) -> None:
    evenings.run(0)
    for evening in range(1, 4):
        evenings.run(evening, first=GONE)
    assert evenings.last_sessions == {}
    assert evenings.rows("select count(*) from ingest.listing_evidence where finding = 'absent'") == [(3,)]


def test_vendors_that_fail_for_other_reasons_say_nothing(evenings: Evenings) -> None:
    for evening in range(2):
        evenings.run(evening, first=SourceRejected("key refused"), second=SourceUnavailable("down"))
    assert evenings.rows("select count(*) from ingest.listing_evidence") == [(0,)]


def test_a_stated_last_session_is_one_voice_and_no_fact(evenings: Evenings) -> None:
    evenings.trades_until = EVENINGS[1]
    evenings.vendors["first"].listings = {"A": "2024-01-03"}
    evenings.run(2)
    evenings.run(3, second=GONE)
    assert evenings.last_sessions == {"A": None}
    evenings.run(4, second=GONE)
    assert evenings.last_sessions == {"A": EVENINGS[1]}, "what the one that knows says"


def test_a_vendor_that_is_authoritative_is_believed_at_once(evenings: Evenings) -> None:
    evenings.vendors["first"].authoritative = True  # type: ignore[misc]
    evenings.vendors["first"].listings = {"A": "2024-01-02"}
    evenings.run(1)
    assert evenings.last_sessions == {"A": EVENINGS[0]}


def test_the_universe_file_says_when_a_listing_ended(evenings: Evenings) -> None:
    def delisted(universe: Universe) -> Universe:
        return Universe(tuple(replace(m, last_session=EVENINGS[1]) if m.symbol == "A" else m for m in universe.members))

    evenings.universe = delisted
    evenings.run(2)
    assert evenings.last_sessions == {"A": EVENINGS[1]}


def test_facts_of_the_first_source_are_not_replaced_by_those_it_is_compared_to(evenings: Evenings) -> None:
    for name in ("first", "second"):
        evenings.vendors[name].listings = {"A": None}
    evenings.run(0)
    evenings.run(1)
    versions = evenings.rows("select name, known_to is null from raw.security")
    assert versions == [("A of first", True)]
