"""Which source is asked for what: chains by exchange, cross-checks, and requests of the size a source likes."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_vendor import ScriptedPlatform, ScriptedVendor, bar

from market_assets.errors import SourceUnavailable
from market_assets.ingestion import IngestReport, ingest, run
from market_assets.ingestion.requests import pieces, windows
from market_assets.ingestion.store import store
from market_assets.sources.base import Batch, SecurityRef
from market_assets.warehouse.connection import connect

START, END = date(2024, 1, 2), date(2024, 1, 8)
MEMBERS = {"A": "XNYS", "L": "XLON", "B": "XNYS"}
CHAINS = {"XNYS": {"sources": ["first", "second"], "cross_check": ["third"]}, "default": {"sources": ["second"]}}


def vendor(name: str, close: float = 10.0) -> ScriptedVendor:
    currency = {"L": "GBP"}
    return ScriptedVendor(
        name, [bar(symbol, "2024-01-02", close, currency=currency.get(symbol, "USD")) for symbol in MEMBERS]
    )


@pytest.fixture
def vendors() -> list[ScriptedVendor]:
    return [vendor("first"), vendor("second"), vendor("third")]


@pytest.fixture
def platform_of(tmp_path, warehouse_url, vendors):
    def make(**settings: Any) -> ScriptedPlatform:
        return ScriptedPlatform(tmp_path, warehouse_url, vendors, MEMBERS, {"ingest": settings})

    return make


def bars_of(url: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(
            "select symbol, source from raw.price_bar where known_to is null order by 1, 2"
        ).fetchall()


def test_each_exchange_has_its_chain_and_requests_of_its_own(platform_of, vendors):
    report = ingest(platform_of(chains=CHAINS), START, END, run_id="run")
    assert [vendor.asked for vendor in vendors] == [[("A", "B")], [("L",)], [("A", "B")]]
    assert report.failures == []


def test_cross_check_sources_are_stored_beside_the_chain_under_their_own_name(platform_of, warehouse_url):
    ingest(platform_of(chains=CHAINS), START, END, run_id="run")
    assert bars_of(warehouse_url) == [
        ("A", "first"),
        ("A", "third"),
        ("B", "first"),
        ("B", "third"),
        ("L", "second"),
    ]


def test_a_fallback_answers_for_one_symbol_and_no_bar_changes_its_source(platform_of, vendors, warehouse_url):
    vendors[0].failing = {"B": SourceUnavailable("down")}
    ingest(platform_of(chains=CHAINS), START, END, run_id="run")
    assert [vendor.asked for vendor in vendors] == [[("A", "B")], [("L",), ("B",)], [("A", "B")]]
    assert ("B", "second") in bars_of(warehouse_url)
    assert ("B", "first") not in bars_of(warehouse_url)


def test_a_cross_check_that_cannot_answer_is_counted_and_nothing_is_missing(platform_of, vendors):
    vendors[2].dead = SourceUnavailable("third is down")
    report = ingest(platform_of(chains=CHAINS), START, END, run_id="run")
    assert report.failures == []
    assert report.cross_check_failures == {"third": 2}


def test_one_source_alone_leaves_chains_aside(platform_of, vendors):
    ingest(platform_of(chains=CHAINS), START, END, run_id="run", only_source="third")
    assert Counter(symbol for names in vendors[2].asked for symbol in names) == {"A": 1, "B": 1, "L": 1}
    assert vendors[0].asked == vendors[1].asked == []


@pytest.mark.parametrize(
    ("batch", "asked"),
    [
        (Batch(), [("A", "B")]),
        (Batch(symbols=1), [("A",), ("B",)]),
        (Batch(symbols=2, days=4), [("A", "B"), ("A", "B")]),
    ],
)
def test_requests_are_as_large_as_the_source_likes(platform_of, vendors, batch, asked):
    vendors[0].batch = batch
    ingest(platform_of(chunk_symbols=250, chains=CHAINS), START, END, run_id="run")
    assert vendors[0].asked == asked


@given(
    length=st.integers(0, 400),
    days=st.none() | st.integers(1, 500),
    symbols=st.integers(0, 30),
    size=st.integers(1, 40),
)
def test_pieces_cover_every_question_once(length, days, symbols, size):
    first = date(2024, 1, 1)
    last = first + timedelta(days=length)
    parts = windows(first, last, days)
    covered = [start + timedelta(days=n) for start, end in parts for n in range((end - start).days + 1)]
    assert covered == [first + timedelta(days=n) for n in range(length + 1)]
    refs = [SecurityRef(f"S{number}", "XNYS", "USD") for number in range(symbols)]
    requests = list(pieces([(ref, *part) for ref in refs for part in parts], size))
    asked = Counter((name, request.start, request.end) for request in requests for name in request.names)
    assert asked == Counter({(ref.symbol, *part): 1 for ref in refs for part in parts})
    assert all(0 < len(request.symbols) <= size for request in requests)


@pytest.mark.parametrize(
    ("batch", "overlaps"),
    [(Batch(symbols=1), True), (Batch(symbols=2, days=2), False)],
    ids=["symbols apart", "days of the same symbols"],
)
def test_an_answer_is_stored_beside_the_one_before_it_only_about_other_symbols(
    platform_of, vendors, monkeypatch, batch, overlaps
):
    """Bars are judged by those before them, which have to be stored then."""
    monkeypatch.setattr(ScriptedVendor, "batch", batch)
    spans: list[tuple[float, float]] = []

    def timed(*arguments: Any, **options: Any) -> IngestReport:
        began = time.monotonic()
        stored = store(*arguments, **options)
        time.sleep(0.2)
        spans.append((began, time.monotonic()))
        return stored

    monkeypatch.setattr(run, "store", timed)
    ingest(platform_of(chains={"default": {"sources": ["first"]}}), START, END, run_id="run")
    assert len(spans) > 2
    beside = [later[0] < earlier[1] for earlier, later in pairwise(sorted(spans))]
    assert any(beside) if overlaps else not any(beside)
