"""Yahoo's faults, met by the real client with a real guard: bars equal to an undisturbed run, and few requests.

Time is replaced where something waits: the guard's clock moves only when it sleeps.
"""

from __future__ import annotations

import datetime as dt
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from chaos.yahoo_listings import Listing, listings_of
from chaos.yahoo_server import CHART, CRUMB, TRANSIENT, YahooServer
from market_assets.domain.adjustments import to_as_traded
from market_assets.fetching.breaker import CircuitBreaker
from market_assets.fetching.cache import HttpCache
from market_assets.fetching.guard import Guard
from market_assets.fetching.limiter import TokenBucket
from market_assets.fetching.ranges import FIVE_YEARS, Window
from market_assets.fetching.retry import RetryPolicy
from market_assets.sources.base import FetchRequest, FetchResult, SecurityRef
from market_assets.sources.frames import ACTIONS
from market_assets.sources.options import SourceContext
from market_assets.sources.sample import SampleSource
from market_assets.sources.yahoo import YahooOptions, YahooSource

# yfinance 1.7 warns of pandas 4 on every answer.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

NEW_YORK = "America/New_York"
NOW = pd.Timestamp("2013-03-04 20:00", tz=NEW_YORK).to_pydatetime()
FIRST, LAST = dt.date(2000, 3, 1), dt.date(2013, 2, 28)
PATIENCE, SLOW = 0.5, 0.7  # seconds a client waits and a slow answer takes; a loaded machine answers in a tenth
AAPL = SecurityRef("AAPL", "XNAS", "USD")
IBM = SecurityRef("IBM", "XNYS", "USD")
GOOG = SecurityRef("GOOG", "XNAS", "USD")
ALL = (AAPL, IBM, GOOG)


class Waits:
    """A clock that moves only when the guard sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def clock(self) -> float:
        return self.seconds

    def now(self) -> dt.datetime:
        return NOW + dt.timedelta(seconds=self.seconds)


@pytest.fixture(autouse=True)
def fresh_client() -> Iterator[None]:
    """yfinance keeps one client a process, with its crumb and cookie; each test starts without."""
    from yfinance.data import SingletonMeta, YfData

    SingletonMeta._instances.pop(YfData, None)
    yield
    SingletonMeta._instances.pop(YfData, None)


@pytest.fixture(scope="module")
def traded() -> FetchResult:
    """The sample's thirteen years of three companies, as traded; AAPL splits twice, GOOG lists in 2004."""
    return SampleSource().fetch(FetchRequest(ALL, FIRST, dt.date(2013, 3, 1)))


@pytest.fixture
def server(traded: FetchResult) -> Iterator[YahooServer]:
    """Yahoo with the last years of the three companies: the stand-in answers faster with less to adjust."""
    recent = traded.bars[traded.bars["session"] >= "2008-12-01"]
    with YahooServer(listings_of(recent, traded.actions)) as running:
        running.delay = SLOW
        yield running


@pytest.fixture
def old_server(traded: FetchResult) -> Iterator[YahooServer]:
    """Yahoo with all thirteen years: AAPL splits twice, GOOG lists in 2004."""
    with YahooServer(listings_of(traded.bars, traded.actions)) as running:
        yield running


def guarded(waits: Waits, attempts: int = 4, threshold: int = 12) -> Guard:
    return Guard(
        TokenBucket(5.0, 10, waits.clock, waits.sleep),
        RetryPolicy(attempts, 1.0, 60.0, random.Random(11)),  # noqa: S311 - repeatable, not secret
        CircuitBreaker("yahoo", threshold, dt.timedelta(seconds=300), now=waits.now),
        sleep=waits.sleep,
    )


def yahoo(
    server: YahooServer,
    guard: Guard | None = None,
    now: dt.datetime = NOW,
    timeout: float = 5.0,
    window: int = FIVE_YEARS,
    **context: Any,
) -> YahooSource:
    """Yahoo as the platform builds it. Tests of slow answers give a short timeout, those of ranges a small window."""
    options = YahooOptions(endpoint=server.url, timeout_seconds=timeout, threads=1)
    source = YahooSource("yahoo", options, SourceContext(now=lambda: now, guard=guard or guarded(Waits()), **context))
    source._histories.window = Window(window)
    return source


def as_traded(answer: FetchResult) -> pd.DataFrame:
    return to_as_traded(answer.bars, answer.actions, "split_adjusted", decimals=6)


def require_what_was_traded(answer: FetchResult, traded: FetchResult, first: dt.date, last: dt.date) -> None:
    """Bars of every symbol asked for, as they were printed on the tape."""
    assert answer.failures == ()
    symbols = list(answer.bars["symbol"].unique())
    truth = traded.bars[
        traded.bars["session"].between(pd.Timestamp(first), pd.Timestamp(last)) & traded.bars["symbol"].isin(symbols)
    ]
    got = as_traded(answer)
    key = ["symbol", "session"]
    pd.testing.assert_frame_equal(
        got[[*key, "open", "high", "low", "close", "volume"]].reset_index(drop=True),
        truth[[*key, "open", "high", "low", "close", "volume"]].reset_index(drop=True),
        rtol=1e-6,
    )


# Ranges ---------------------------------------------------------------------------------------------------------------


def test_thirteen_years_are_three_requests_a_symbol_and_the_splits_in_them_are_known(
    old_server: YahooServer, traded: FetchResult
) -> None:
    answer = yahoo(old_server).fetch(FetchRequest(ALL, FIRST, LAST))
    require_what_was_traded(answer, traded, FIRST, LAST)
    assert set(answer.bars["symbol"]) == {"AAPL", "IBM", "GOOG"}
    # 2009 to now, 2004 to 2008, 2000 to 2003; GOOG listed in 2004 and is not asked about before.
    assert old_server.asked == {"AAPL": 3, "IBM": 3, "GOOG": 2}


def test_a_range_that_ended_long_ago_takes_one_more_small_request_for_the_splits_since(
    old_server: YahooServer, traded: FetchResult
) -> None:
    first, last = dt.date(2001, 1, 2), dt.date(2004, 12, 31)
    answer = yahoo(old_server).fetch(FetchRequest((AAPL,), first, last))
    require_what_was_traded(answer, traded, first, last)
    later = answer.actions[answer.actions["ex_date"] > pd.Timestamp(last)]
    assert later[["kind", "value"]].to_numpy().tolist() == [["split", 2.0]]
    assert old_server.asked == {"AAPL": 2}


def test_one_request_serves_a_lookback(server: YahooServer, traded: FetchResult) -> None:
    answer = yahoo(server).fetch(FetchRequest((AAPL, IBM), dt.date(2013, 2, 22), LAST))
    require_what_was_traded(answer, traded, dt.date(2013, 2, 22), LAST)
    assert server.asked == {"AAPL": 1, "IBM": 1}


def test_ranges_give_what_one_request_would(old_server: YahooServer) -> None:
    whole, cut = yahoo(old_server, window=100 * 365), yahoo(old_server, window=97)
    request = FetchRequest(ALL, dt.date(2004, 6, 1), dt.date(2005, 12, 30))
    expected, got = whole.fetch(request), cut.fetch(request)
    assert got.requests_made > expected.requests_made
    pd.testing.assert_frame_equal(got.bars, expected.bars)
    pd.testing.assert_frame_equal(got.actions, expected.actions)


def test_an_event_between_two_ranges_is_not_lost(traded: FetchResult) -> None:
    """New Year's Day is no session, and a cut lies there."""
    bars = traded.bars[traded.bars["symbol"] == "IBM"]
    actions = pd.DataFrame({"symbol": ["IBM"], "ex_date": pd.to_datetime(["2009-01-01"]), "kind": "split"})
    actions = ACTIONS.conform(actions.assign(source="x", value=4.0, currency="USD", detail=None), "test")
    with YahooServer([Listing("IBM", bars, actions)]) as server:
        answer = yahoo(server).fetch(FetchRequest((IBM,), FIRST, LAST))
    require_what_was_traded(answer, traded, FIRST, LAST)
    assert answer.actions["ex_date"].tolist() == [pd.Timestamp("2009-01-01")]


@pytest.mark.parametrize("fault", ["slow", "truncated_json", "cut_body", "partial"])
def test_a_range_that_is_too_large_is_halved_and_the_window_grows_again(
    server: YahooServer, traded: FetchResult, fault: str
) -> None:
    first, source = dt.date(2010, 3, 1), yahoo(server, timeout=PATIENCE if fault == "slow" else 5.0, window=400)
    server.inject(fault, times=2)
    answer = source.fetch(FetchRequest((AAPL,), first, LAST))
    require_what_was_traded(answer, traded, first, LAST)
    assert server.injected[fault] == 2
    assert server.asked["AAPL"] > 4 + 2  # more than four ranges, and the two that failed
    server.asked.clear()
    source.fetch(FetchRequest((AAPL,), first, LAST))
    assert server.asked["AAPL"] == 4


def test_it_falls_back_to_single_sessions(server: YahooServer, traded: FetchResult) -> None:
    """No answer of more than one session comes in time; what the first symbol taught serves the second."""
    first, plain, late = dt.date(2013, 2, 22), server.chart, []

    def chart(symbol: str, query: dict[str, list[str]], fault: str = "") -> tuple[int, Any]:
        status, document = plain(symbol, query, fault)
        stamps = document["chart"]["result"][0].get("timestamp", ())
        if query["interval"] == ["1d"] and len(stamps) > 1:
            late.append(symbol)
            time.sleep(SLOW)
        return status, document

    server.chart = chart  # type: ignore[method-assign]
    source = yahoo(server, timeout=PATIENCE, window=64)
    answer = source.fetch(FetchRequest((AAPL, IBM), first, LAST))
    require_what_was_traded(answer, traded, first, LAST)
    assert late.count("AAPL") >= 2
    assert late.count("IBM") <= 1


# Faults ---------------------------------------------------------------------------------------------------------------

REQUEST = FetchRequest(ALL, dt.date(2012, 1, 3), LAST)


@pytest.mark.parametrize(
    "fault",
    [
        "429",
        "500",
        "502",
        "401",
        "reset",
        "slow",
        "slow_body",
        "truncated_json",
        "cut_body",
        "empty",
        "null_result",
        "partial",
    ],
)
def test_a_passing_fault_leaves_no_trace(server: YahooServer, traded: FetchResult, fault: str) -> None:
    server.inject(fault, times=2)
    answer = yahoo(server, timeout=PATIENCE if fault.startswith("slow") else 5.0).fetch(REQUEST)
    require_what_was_traded(answer, traded, REQUEST.start, REQUEST.end)
    assert server.injected[fault] == 2


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_of_all_kinds_at_random_leave_no_trace(server: YahooServer, traded: FetchResult, seed: int) -> None:
    server.inject_randomly(0.3, kinds=TRANSIENT, seed=seed)
    first = dt.date(2009, 1, 2)
    answer = yahoo(server, guarded(Waits(), attempts=12, threshold=1000), window=400).fetch(
        FetchRequest(ALL, first, LAST)
    )
    require_what_was_traded(answer, traded, first, LAST)
    assert server.injected.total() > 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("html", "UnexpectedPayload"),
        ("wrong_shape", "UnexpectedPayload"),
        ("wrong_symbol", "UnexpectedPayload"),
        ("wrong_timezone", "UnexpectedPayload"),
        ("not_found", "SourceRejected"),
    ],
)
def test_a_final_answer_is_not_asked_for_again_and_fails_no_other_symbol(
    server: YahooServer, traded: FetchResult, fault: str, error: str
) -> None:
    server.inject(fault, symbols={"IBM"})
    answer = yahoo(server).fetch(REQUEST)
    assert [(failure.symbol, failure.error, failure.retryable) for failure in answer.failures] == [
        ("IBM", error, False)
    ]
    assert set(answer.bars["symbol"]) == {"AAPL", "GOOG"}
    assert server.asked == {"AAPL": 1, "IBM": 1, "GOOG": 1}


def test_a_symbol_that_keeps_failing_is_asked_as_often_as_the_policy_says(server: YahooServer) -> None:
    server.inject("500", symbols={"IBM"})
    answer = yahoo(server).fetch(REQUEST)
    assert [failure.error for failure in answer.failures] == ["SourceUnavailable"]
    assert server.asked == {"AAPL": 1, "IBM": 4, "GOOG": 1}


def test_retry_after_is_waited_for(server: YahooServer, traded: FetchResult) -> None:
    waits = Waits()
    server.inject("429", times=1, retry_after="45")
    answer = yahoo(server, guarded(waits)).fetch(REQUEST)
    require_what_was_traded(answer, traded, REQUEST.start, REQUEST.end)
    assert 45.0 <= waits.seconds <= 50.0
    assert server.asked.total() == 4


def test_a_429_that_names_tomorrow_stops_the_run(server: YahooServer) -> None:
    waits = Waits()
    server.inject("429", retry_after="86400")
    answer = yahoo(server, guarded(waits)).fetch(REQUEST)
    assert [failure.error for failure in answer.failures] == ["RateLimited", "CircuitOpen", "CircuitOpen"]
    assert (server.asked.total(), waits.seconds) == (1, 0.0)


@pytest.mark.parametrize("fault", ["429", "500", "reset", "html"])
def test_a_failing_crumb_costs_no_bar(server: YahooServer, traded: FetchResult, fault: str) -> None:
    server.inject(fault, path=CRUMB)
    answer = yahoo(server).fetch(REQUEST)
    require_what_was_traded(answer, traded, REQUEST.start, REQUEST.end)
    assert server.injected[fault] >= 1


@pytest.mark.parametrize("fault", ["500", "reset"])
def test_a_dead_source_is_asked_no_more_once_its_circuit_is_open(traded: FetchResult, fault: str) -> None:
    bars = traded.bars[traded.bars["symbol"] == "IBM"].tail(30)
    refs = tuple(SecurityRef(f"S{number}", "XNYS", "USD") for number in range(24))
    waits, request = Waits(), FetchRequest(refs, dt.date(2013, 2, 1), LAST)
    guard = guarded(waits, threshold=6)
    with YahooServer([Listing(ref.symbol, bars) for ref in refs]) as server:
        server.inject(fault, path=CHART)
        options = YahooOptions(endpoint=server.url, timeout_seconds=5.0, threads=4)
        source = YahooSource("yahoo", options, SourceContext(now=lambda: NOW, guard=guard))
        answer = source.fetch(request)
        assert len(answer.failures) == 24
        assert {failure.error for failure in answer.failures} >= {"CircuitOpen"}
        assert all(failure.retryable for failure in answer.failures)
        assert 6 <= server.asked.total() <= 6 + 3  # threads that were already asking
        before = server.requests.total()
        assert len(source.fetch(request).failures) == 24
        assert server.requests.total() == before
        server.heal()
        waits.seconds += 300
        assert len(source.fetch(FetchRequest(refs[:1], request.start, request.end)).bars) == 19
        assert source.fetch(request).failures == ()


def test_a_partial_list_of_symbols_fails_the_missing_ones_only(server: YahooServer) -> None:
    del server.listings["IBM"]
    answer = yahoo(server).fetch(REQUEST)
    assert [(failure.symbol, failure.error) for failure in answer.failures] == [("IBM", "SourceRejected")]
    assert set(answer.bars["symbol"]) == {"AAPL", "GOOG"}


def test_at_eleven_in_new_york_todays_row_is_no_bar(server: YahooServer) -> None:
    """Yahoo shows 2013-02-28 since its opening at 9:30."""
    now = pd.Timestamp("2013-02-28 11:00", tz=NEW_YORK).to_pydatetime()
    answer = yahoo(server, now=now).fetch(FetchRequest(ALL, dt.date(2013, 2, 1), dt.date(2013, 3, 1)))
    assert server.listings["IBM"].bars["session"].max() > pd.Timestamp("2013-02-28")
    assert answer.bars.groupby("symbol")["session"].max().unique().tolist() == [pd.Timestamp("2013-02-27")]
    today = yahoo(server, now=now).fetch(FetchRequest(ALL, dt.date(2013, 2, 28), dt.date(2013, 2, 28)))
    assert (len(today.bars), today.requests_made) == (0, 0)


# Missing sessions: cut off, or not traded -----------------------------------------------------------------------------


def test_a_suspension_is_believed_when_two_answers_agree(server: YahooServer, traded: FetchResult) -> None:
    """Forty sessions without a bar at the end of the range, although it traded afterwards."""
    listing, last = server.listings["IBM"], dt.date(2012, 6, 29)
    suspended = listing.bars["session"].between(pd.Timestamp("2012-05-03"), pd.Timestamp("2012-08-31"))
    listing.bars = listing.bars[~suspended].reset_index(drop=True)
    answer = yahoo(server).fetch(FetchRequest((IBM,), dt.date(2010, 1, 4), last))
    assert answer.failures == ()
    assert answer.bars["session"].max() == pd.Timestamp("2012-05-02")
    assert len(answer.bars) == (listing.bars["session"].between("2010-01-04", "2012-06-29")).sum()
    assert server.asked["IBM"] <= 5


def test_an_empty_answer_for_the_splits_since_is_not_believed(old_server: YahooServer) -> None:
    """Without those splits every bar would be converted wrongly."""
    old_server.inject("empty", symbols={"AAPL"})
    answer = yahoo(old_server).fetch(FetchRequest((AAPL,), dt.date(2001, 1, 2), dt.date(2004, 12, 31)))
    assert [(failure.error, failure.retryable) for failure in answer.failures] == [("SourceUnavailable", True)]
    assert answer.bars.empty


# Cache ----------------------------------------------------------------------------------------------------------------

WINDOW = 400
TO_PRESENT = (dt.date(2011, 1, 3), dt.date(2013, 2, 8))
LONG_AGO = (dt.date(2009, 1, 2), dt.date(2010, 12, 31))


@pytest.mark.parametrize("days", [TO_PRESENT, LONG_AGO])
def test_closed_history_is_asked_for_once(
    server: YahooServer, traded: FetchResult, tmp_path: Path, days: tuple[dt.date, dt.date]
) -> None:
    request = FetchRequest(ALL, *days)
    once = yahoo(server, cache=HttpCache(tmp_path), window=WINDOW).fetch(request)
    asked = server.requests.total()
    again = yahoo(server, cache=HttpCache(tmp_path), window=WINDOW).fetch(request)
    assert again.requests_made == server.requests.total() - asked == 0
    pd.testing.assert_frame_equal(again.bars, once.bars)
    pd.testing.assert_frame_equal(again.actions, once.actions)
    pd.testing.assert_frame_equal(again.securities, once.securities)
    require_what_was_traded(again, traded, *days)


@pytest.mark.parametrize("how", ["no cache", "switched off", "fresh", "last ten sessions"])
def test_otherwise_everything_is_asked_for_again(server: YahooServer, tmp_path: Path, how: str) -> None:
    cache = None if how == "no cache" else HttpCache(tmp_path, enabled=how != "switched off")
    last = dt.date(2013, 2, 19) if how == "last ten sessions" else dt.date(2013, 2, 15)
    request = FetchRequest((AAPL, IBM), dt.date(2012, 1, 3), last)
    for _ in range(2):
        yahoo(server, cache=cache, fresh=how == "fresh").fetch(request)
    assert server.asked == {"AAPL": 2, "IBM": 2}


def test_older_ranges_of_a_request_up_to_now_come_from_the_cache(
    server: YahooServer, traded: FetchResult, tmp_path: Path
) -> None:
    request = FetchRequest((AAPL, IBM), dt.date(2010, 1, 4), LAST)
    yahoo(server, cache=HttpCache(tmp_path), window=WINDOW).fetch(request)
    server.asked.clear()
    again = yahoo(server, cache=HttpCache(tmp_path), window=WINDOW).fetch(request)
    require_what_was_traded(again, traded, request.start, LAST)
    assert server.asked == {"AAPL": 1, "IBM": 1}


def split_tomorrow(server: YahooServer, ratio: float) -> None:
    """IBM splits on 2013-03-01: Yahoo divides its whole history."""
    row = {"symbol": ["IBM"], "ex_date": pd.to_datetime(["2013-03-01"]), "kind": "split", "source": "x"}
    split = ACTIONS.conform(pd.DataFrame(row).assign(value=ratio, currency="USD", detail=None), "test")
    listing = server.listings["IBM"]
    listing.actions = ACTIONS.conform(pd.concat([listing.actions, split]), "test")


def test_a_new_split_makes_kept_ranges_a_different_question(
    server: YahooServer, traded: FetchResult, tmp_path: Path
) -> None:
    """Bars of before the split beside splits of after it would be off by its ratio."""
    request = FetchRequest((IBM,), dt.date(2010, 1, 4), LAST)
    yahoo(server, cache=HttpCache(tmp_path), window=WINDOW).fetch(request)
    split_tomorrow(server, 4.0)
    again = yahoo(server, cache=HttpCache(tmp_path), window=WINDOW).fetch(request)
    require_what_was_traded(again, traded, request.start, LAST)
    assert (again.actions["kind"] == "split").sum() == 1


@pytest.mark.parametrize("days", [TO_PRESENT, LONG_AGO])
def test_what_is_left_of_a_cache_is_not_mixed_with_what_is_new(
    server: YahooServer, traded: FetchResult, tmp_path: Path, days: tuple[dt.date, dt.date]
) -> None:
    """Any one file is gone when a split has happened meanwhile: all bars are of one moment nevertheless."""
    request, full = FetchRequest((IBM,), *days), tmp_path / "full"
    yahoo(server, cache=HttpCache(full), window=WINDOW).fetch(request)
    split_tomorrow(server, 4.0)
    kept = sorted(full.rglob("*.answer"))
    assert len(kept) == 3
    for number, gone in enumerate(kept):
        folder = tmp_path / f"copy {number}"
        shutil.copytree(full, folder)
        (folder / gone.relative_to(full)).unlink()
        answer = yahoo(server, cache=HttpCache(folder), window=WINDOW).fetch(request)
        require_what_was_traded(answer, traded, *days)


def test_a_full_disk_under_the_cache_costs_requests_and_nothing_else(
    server: YahooServer, traded: FetchResult, tmp_path: Path
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here; test_http_cache.py limits the size of files instead")
    try:
        for _ in range(2):
            answer = yahoo(server, cache=HttpCache(tmp_path / "http"), window=WINDOW).fetch(
                FetchRequest(ALL, *TO_PRESENT)
            )
            require_what_was_traded(answer, traded, *TO_PRESENT)
        assert answer.requests_made > 0
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
