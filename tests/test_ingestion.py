"""Vendor rows into the warehouse: nothing is lost, nothing unfinished is stored, the next source is asked in turn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scripted_vendor import NOW, ScriptedPlatform, ScriptedVendor, bar

from market_assets.errors import RateLimited, SessionNotClosed, SourceRejected, SourceUnavailable, TerminalError
from market_assets.ingestion import IngestReport, ingest
from market_assets.sources.base import FetchRequest
from market_assets.sources.options import SourceContext
from market_assets.sources.synthetic import SyntheticSource
from market_assets.sources.synthetic_options import SyntheticOptions
from market_assets.warehouse.connection import connect
from market_assets.warehouse.writes import WriteResult

START, END = date(2024, 1, 2), date(2024, 1, 8)
SESSIONS = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"]


@pytest.fixture
def platform_of(tmp_path, warehouse_url):
    def make(*vendors: Any, members: dict[str, str] | None = None, **options: Any) -> ScriptedPlatform:
        return ScriptedPlatform(tmp_path, warehouse_url, vendors, members or {"A": "XNYS", "B": "XNYS"}, **options)

    return make


def stored(url: str, query: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(query).fetchall()


def bars_of(url: str) -> list[tuple]:
    return stored(
        url, "select symbol, session::text, source, close from raw.price_bar where known_to is null order by 1, 2, 3"
    )


# Stored, unchanged, restated ----------------------------------------------------------------------------------------


def test_every_bar_is_stored_with_its_source_and_run(platform_of, warehouse_url):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-02"), bar("B", "2024-01-02", 20.0)])
    report = ingest(platform_of(vendor), START, END, run_id="run-1")
    assert report.bars == WriteResult(received=2, added=2)
    assert report.received == 2
    assert report.requests == 1
    assert report.bars_by_source == {"desk": 2}
    assert report.bars_by_session == {date(2024, 1, 2): 2}
    assert bars_of(warehouse_url) == [("A", "2024-01-02", "desk", 10.0), ("B", "2024-01-02", "desk", 20.0)]
    assert stored(warehouse_url, "select distinct run_id from raw.price_bar") == [("run-1",)]


def test_the_same_answer_again_writes_nothing(platform_of, warehouse_url):
    platform = platform_of(ScriptedVendor("desk", [bar("A", day) for day in SESSIONS]))
    first = ingest(platform, START, END, run_id="run-1")
    again = ingest(platform, START, END, run_id="run-2")
    assert first.reference.added > 0
    assert again.bars == WriteResult(received=5, unchanged=5)
    assert again.reference.versions_written == again.actions.versions_written == 0
    assert stored(warehouse_url, "select distinct run_id from raw.price_bar") == [("run-1",)]


def test_a_restated_bar_gets_a_new_version_and_an_absent_one_stays(platform_of, warehouse_url):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-02"), bar("A", "2024-01-03")])
    platform = platform_of(vendor)
    ingest(platform, START, END, run_id="run-1")
    vendor.rows = [bar("A", "2024-01-02", 10.5)]
    report = ingest(platform, START, END, run_id="run-2")
    assert report.bars == WriteResult(received=1, restated=1)
    assert bars_of(warehouse_url) == [("A", "2024-01-02", "desk", 10.5), ("A", "2024-01-03", "desk", 10.0)]


def test_the_configuration_becomes_reference_data(platform_of, warehouse_url):
    platform = platform_of(ScriptedVendor("first"), ScriptedVendor("second"), members={"A": "XNYS", "L": "XLON"})
    ingest(platform, START, END, run_id="run-1")
    assert stored(warehouse_url, "select exchange, source, priority from raw.source_priority order by 1, 3") == [
        ("XLON", "first", 1),
        ("XLON", "second", 2),
        ("XNYS", "first", 1),
        ("XNYS", "second", 2),
    ]
    assert stored(warehouse_url, "select exchange, tick_size from raw.exchange order by 1") == [
        ("XLON", 0.01),
        ("XNYS", 0.01),
    ]
    assert stored(warehouse_url, "select symbol, exchange, currency from raw.universe_member order by 1") == [
        ("A", "XNYS", "USD"),
        ("L", "XLON", "GBP"),
    ]
    sessions = stored(warehouse_url, "select exchange, min(session), max(session) from raw.trading_session group by 1")
    assert sorted(sessions) == [("XLON", START, END), ("XNYS", START, END)], "only sessions that have closed"


def test_only_the_assets_asked_for_are_written(platform_of, warehouse_url):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-02")])
    vendor.actions = [("A", "2024-01-02", "cash_dividend", 0.5)]
    report = ingest(platform_of(vendor), START, END, run_id="run-1", write={"corporate_actions"})
    assert (report.bars, report.reference, report.actions.added) == (WriteResult(), WriteResult(), 1)
    assert bars_of(warehouse_url) == []
    assert stored(warehouse_url, "select count(*) from raw.universe_member") == [(0,)]


def test_only_members_of_the_range_are_asked_for(platform_of):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-02")])
    platform = platform_of(vendor, members={"A": "XNYS"}, settings={"partitions": {"start": date(2023, 1, 3)}})
    report = ingest(platform, date(2023, 1, 3), date(2023, 1, 31), run_id="run-1")
    assert vendor.asked == []
    assert report.received == 0


def test_symbols_are_asked_for_in_chunks_and_progress_is_told(platform_of):
    vendor = ScriptedVendor("desk", [bar(name, "2024-01-02") for name in "ABCDE"])
    platform = platform_of(vendor, members=dict.fromkeys("ABCDE", "XNYS"), settings={"ingest": {"chunk_symbols": 2}})
    told: list[tuple[str, int, int]] = []
    platform.progress = lambda *progress: told.append(progress)
    report = ingest(platform, START, END, run_id="run-1")
    assert vendor.asked == [("A",), ("B", "C"), ("D", "E")]
    assert told == [("raw_prices: symbols", done, 5) for done in (1, 3, 5)]
    assert (report.received, report.bars.added, report.requests) == (5, 5, 3)


# Price basis --------------------------------------------------------------------------------------------------------


def test_a_split_adjusted_answer_is_stored_as_traded(platform_of, warehouse_url):
    vendor = ScriptedVendor(
        "desk", [bar("A", "2024-01-03", 10.0), bar("A", "2024-01-04", 10.0)], basis="split_adjusted"
    )
    vendor.actions = [("A", "2024-01-04", "split", 2.0)]
    ingest(platform_of(vendor), START, END, run_id="run-1")
    assert stored(warehouse_url, "select session::text, close, volume from raw.price_bar order by 1") == [
        ("2024-01-03", 20.0, 500.0),
        ("2024-01-04", 10.0, 1000.0),
    ]


def test_digits_that_a_vendors_division_left_are_no_restatement(platform_of):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-03", 10.0 / 3)], basis="split_adjusted")
    vendor.actions = [("A", "2024-01-04", "split", 3.0)]
    platform = platform_of(vendor)
    ingest(platform, START, END, run_id="run-1")
    vendor.rows = [bar("A", "2024-01-03", np.nextafter(10.0 / 3, 4))]
    assert ingest(platform, START, END, run_id="run-2").bars == WriteResult(received=1, unchanged=1)


# Quarantine ---------------------------------------------------------------------------------------------------------


def test_a_row_that_is_no_bar_is_kept_with_rule_reason_and_the_row_as_it_came(platform_of, warehouse_url):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-02"), bar("A", "2024-01-03", 9.5, volume=-7.0, low=np.nan)])
    report = ingest(platform_of(vendor), START, END, run_id="run-1")
    assert report.quarantined == {"missing_price": 1}
    assert report.bars == WriteResult(received=1, added=1)
    rows = stored(
        warehouse_url,
        "select table_name, rule, reason, symbol, session::text, source, status, run_id, raw_row "
        "from quality.quarantine",
    )
    raw = {
        "symbol": "A",
        "session": "2024-01-03",
        "source": "desk",
        "open": 9.5,
        "high": 9.5,
        "low": None,
        "close": 9.5,
        "volume": -7.0,
        "currency": "USD",
    }
    reason = "open, high, low or close is missing or infinite"
    assert rows == [("raw.price_bar", "missing_price", reason, "A", "2024-01-03", "desk", "open", "run-1", raw)]


def test_a_faulty_row_that_comes_again_is_one_case(platform_of, warehouse_url):
    platform = platform_of(ScriptedVendor("desk", [bar("A", "2024-01-03", -1.0)]))
    for run in ("run-1", "run-2"):
        assert ingest(platform, START, END, run_id=run).quarantined == {"non_positive_price": 1}
    assert stored(warehouse_url, "select run_id from quality.quarantine") == [("run-1",)]


def test_a_row_with_an_infinity_is_kept_too(platform_of, warehouse_url):
    platform = platform_of(ScriptedVendor("desk", [bar("A", "2024-01-03", high=np.inf, volume=-np.inf)]))
    assert ingest(platform, START, END, run_id="run-1").quarantined == {"missing_price": 1}
    assert stored(warehouse_url, "select raw_row->>'high', raw_row->>'volume' from quality.quarantine") == [
        ("inf", "-inf")
    ]


def test_the_same_row_twice_is_stored_once(platform_of, warehouse_url):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-02"), bar("A", "2024-01-02")])
    report = ingest(platform_of(vendor), START, END, run_id="run-1")
    assert report.quarantined == {"duplicate_row": 1}
    assert bars_of(warehouse_url) == [("A", "2024-01-02", "desk", 10.0)]


def test_two_statements_about_one_session_are_both_held(platform_of, warehouse_url):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-02"), bar("A", "2024-01-02", 11.0)])
    report = ingest(platform_of(vendor), START, END, run_id="run-1")
    assert report.quarantined == {"conflicting_duplicate": 2}
    assert bars_of(warehouse_url) == []


RULE_OF_FAULT = {
    "duplicate_row": "duplicate_row",
    "phantom_session": "not_a_session",
    "nan_row": "missing_price",
    "zero_price": "non_positive_price",
    "negative_volume": "negative_volume",
    "wrong_currency": "wrong_currency",
}


@pytest.mark.parametrize("seed", range(3))
def test_rows_received_are_stored_unchanged_or_quarantined_whatever_the_vendor_does(platform_of, warehouse_url, seed):
    options = SyntheticOptions(
        seed=seed, symbols=12, start=date(2023, 1, 3), faults=tuple(RULE_OF_FAULT), fault_rate=0.05, late_listings=0
    )
    vendor = SyntheticSource("synthetic", options, SourceContext(now=lambda: NOW))
    symbols = {f"SYN{number:05}": "XNYS" for number in range(1, 13)}
    platform = platform_of(vendor, members=symbols)
    request = FetchRequest(vendor.known_securities(), START, END)
    planted = Counter(RULE_OF_FAULT[fault] for fault in vendor.planted_faults(request)["fault"])
    sent = len(vendor.fetch(request).bars)

    first = ingest(platform, START, END, run_id="run-1")
    assert first.received == sent == first.bars.added + sum(first.quarantined.values())
    assert first.quarantined == planted
    assert sum(planted.values()) > 0
    assert stored(warehouse_url, "select count(*) from raw.price_bar") == [(first.bars.added,)]
    again = ingest(platform, START, END, run_id="run-2")
    assert again.received == sent == again.bars.unchanged + sum(again.quarantined.values())
    assert again.bars.versions_written == 0


def test_a_lost_row_is_a_defect_that_is_seen():
    report = IngestReport(received=3, bars=WriteResult(received=1, added=1), quarantined=Counter(duplicate_row=1))
    with pytest.raises(AssertionError, match="3 bars received, 2 stored, unchanged or quarantined: rows are lost"):
        report.check()


@pytest.mark.parametrize("table", ["actions", "securities", "shares"])
def test_a_lost_action_or_fact_is_seen_too(table):
    report = IngestReport(rows_received=Counter({table: 2}), **{table: WriteResult(received=1, added=1)})
    lost = f"{table}: 2 rows received, 1 stored, unchanged or quarantined: rows are lost"
    with pytest.raises(AssertionError, match=lost):
        report.check()
    with pytest.raises(AssertionError, match="does not add up"):
        IngestReport(**{table: WriteResult(received=2, added=1)}).check()


# Sessions that have not closed --------------------------------------------------------------------------------------


def test_a_session_that_has_not_closed_is_refused_with_the_time_it_closes(platform_of, warehouse_url):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-09")])
    with pytest.raises(SessionNotClosed) as caught:
        ingest(platform_of(vendor), START, date(2024, 1, 9), run_id="run-1")
    assert str(caught.value) == (
        "session 2024-01-09 of XNYS closes at 2024-01-09 21:00 UTC and it is 2024-01-09 12:00 UTC; "
        "its bars are not final. Ask for sessions up to 2024-01-08."
    )
    assert vendor.asked == [], "the vendor is not even asked"
    assert bars_of(warehouse_url) == []


@pytest.mark.parametrize(
    ("now", "accepted"),
    [
        (datetime(2024, 7, 3, 16, 59, tzinfo=UTC), False),  # the session before Independence Day ends at 13:00
        (datetime(2024, 7, 3, 17, 0, tzinfo=UTC), True),
        (datetime(2024, 3, 8, 20, 59, tzinfo=UTC), False),  # winter time: 16:00 in New York is 21:00 UTC
        (datetime(2024, 3, 8, 21, 0, tzinfo=UTC), True),
        (datetime(2024, 3, 11, 20, 0, tzinfo=UTC), True),  # summer time since the day before: 20:00 UTC
    ],
)
def test_the_calendar_says_when_a_session_has_closed(platform_of, now, accepted):
    vendor = ScriptedVendor("desk", [bar("A", now.date().isoformat()), bar("B", now.date().isoformat())])
    platform = platform_of(vendor, now=now)
    if accepted:
        assert ingest(platform, now.date(), now.date(), run_id="run-1").bars.added == 2
    else:
        with pytest.raises(SessionNotClosed):
            ingest(platform, now.date(), now.date(), run_id="run-1")


def test_a_range_may_end_on_a_closed_day(platform_of):
    weekend = datetime(2024, 1, 7, 12, tzinfo=UTC)
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-05")])
    assert ingest(platform_of(vendor, now=weekend), START, date(2024, 1, 7), run_id="run-1").bars.added == 1


def test_an_exchange_that_closes_later_waits_without_holding_the_others(platform_of, warehouse_url):
    # At noon in London on 2024-01-09 Tokyo has closed that day and New York has not opened.
    vendor = ScriptedVendor("desk", [bar("T", "2024-01-09", currency="JPY"), bar("A", "2024-01-09")])
    platform = platform_of(vendor, members={"A": "XNYS", "T": "XTKS"})
    report = ingest(platform, date(2024, 1, 9), date(2024, 1, 9), run_id="run-1")
    assert vendor.asked == [("T",)], "New York has a run of its own"
    assert (report.received, report.failures) == (1, [])
    assert bars_of(warehouse_url) == [("T", "2024-01-09", "desk", 10.0)]


def test_a_bar_of_an_open_session_that_a_vendor_sends_unasked_is_held_back(platform_of, warehouse_url):
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-08"), bar("A", "2024-01-09")])
    vendor._checked = lambda result, _: result  # type: ignore[method-assign]  # a vendor that breaks the contract
    vendor._fetch = lambda request: ScriptedVendor._fetch(vendor, replace(request, end=date(2024, 1, 9)))  # type: ignore[method-assign]
    report = ingest(platform_of(vendor), START, END, run_id="run-1")
    assert report.quarantined == {"session_not_closed": 1}
    assert bars_of(warehouse_url) == [("A", "2024-01-08", "desk", 10.0)]


# The chain of sources -----------------------------------------------------------------------------------------------


def test_the_next_source_is_asked_for_what_the_one_before_could_not_answer(platform_of, warehouse_url):
    first = ScriptedVendor("first", [bar("A", "2024-01-02")])
    first.failing = {"B": SourceUnavailable("first is down for B")}
    second = ScriptedVendor("second", [bar("A", "2024-01-02", 99.0), bar("B", "2024-01-02", 20.0)])
    report = ingest(platform_of(first, second), START, END, run_id="run-1")
    assert (first.asked, second.asked) == ([("A", "B")], [("B",)])
    assert bars_of(warehouse_url) == [("A", "2024-01-02", "first", 10.0), ("B", "2024-01-02", "second", 20.0)]
    assert report.failures == []
    assert report.bars_by_source == {"first": 1, "second": 1}


@pytest.mark.parametrize("error", [SourceUnavailable("down"), RateLimited("slow down", 30), SourceRejected("bad key")])
def test_a_source_that_does_not_answer_at_all_is_replaced_by_the_next(platform_of, warehouse_url, error):
    first, second = ScriptedVendor("first"), ScriptedVendor("second", [bar("A", "2024-01-02"), bar("B", "2024-01-02")])
    first.dead = error
    report = ingest(platform_of(first, second), START, END, run_id="run-1")
    assert second.asked == [("A", "B")]
    assert report.failures == []
    assert len(bars_of(warehouse_url)) == 2


def test_a_symbol_that_no_source_knows_is_reported_with_the_last_cause(platform_of):
    first, second = ScriptedVendor("first", [bar("A", "2024-01-02")]), ScriptedVendor("second")
    first.failing = {"B": SourceUnavailable("first is down")}
    second.failing = {"B": SourceRejected("second does not know B")}
    report = ingest(platform_of(first, second), START, END, run_id="run-1")
    assert [(f.symbol, f.error, f.cause) for f in report.failures] == [
        ("B", "SourceRejected", "second does not know B")
    ]


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ({"A": SourceUnavailable("down"), "B": RateLimited("slow")}, SourceUnavailable),
        ({"A": SourceUnavailable("down"), "B": SourceRejected("unknown")}, TerminalError),
    ],
)
def test_no_answer_for_any_symbol_is_an_error_that_may_be_worth_another_try(platform_of, errors, raised):
    vendor = ScriptedVendor("desk")
    vendor.failing = errors
    with pytest.raises(raised, match="no source answered for any of 2 symbols from 2024-01-02 to 2024-01-08; A: down"):
        ingest(platform_of(vendor), START, END, run_id="run-1")


def test_one_source_alone_can_be_asked(platform_of, warehouse_url):
    first, second = (
        ScriptedVendor("first", [bar("A", "2024-01-02")]),
        ScriptedVendor("second", [bar("A", "2024-01-03")]),
    )
    ingest(platform_of(first, second), START, END, run_id="run-1", only_source="second")
    assert first.asked == []
    assert bars_of(warehouse_url) == [("A", "2024-01-03", "second", 10.0)]


def test_a_chunk_is_stored_whole_or_not_at_all(platform_of, warehouse_url):
    """An action that cannot be stored takes the chunk's bars with it; the chunk before stays."""
    vendor = ScriptedVendor("desk", [bar("A", "2024-01-02"), bar("B", "2024-01-02")])
    vendor.actions = [("B", "2024-01-02", "split", 2.0), ("B", "2024-01-02", "split", 3.0)]
    platform = platform_of(vendor, settings={"ingest": {"chunk_symbols": 1}})
    with pytest.raises(TerminalError, match="keys stand twice"):
        ingest(platform, START, END, run_id="run-1")
    assert bars_of(warehouse_url) == [("A", "2024-01-02", "desk", 10.0)]


def test_bars_by_session_count_what_was_stored(platform_of):
    vendor = ScriptedVendor("desk", [bar(symbol, day) for symbol in "AB" for day in SESSIONS[:2]])
    vendor.rows.append(bar("A", SESSIONS[2], -1.0))
    report = ingest(platform_of(vendor), START, END, run_id="run-1")
    assert report.bars_by_session == {date(2024, 1, 2): 2, date(2024, 1, 3): 2}
    assert pd.Timestamp(SESSIONS[2]).date() not in report.bars_by_session
