"""Yahoo through the real yfinance client, against a local stand-in that speaks its chart API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from contract import SourceContract

from chaos.yahoo_listings import Listing, listings_of
from chaos.yahoo_server import CHART, CRUMB, YahooServer
from market_assets.domain.adjustments import to_as_traded
from market_assets.errors import ConfigError
from market_assets.sources.base import FetchRequest, FetchResult, PriceSource, SecurityRef, SymbolFailure
from market_assets.sources.frames import ACTIONS
from market_assets.sources.options import SourceContext, calendar_sessions
from market_assets.sources.registry import build_source
from market_assets.sources.sample import SampleSource
from market_assets.sources.yahoo import YahooOptions, YahooSource
from market_assets.sources.yahoo_exchanges import EXCHANGES, major_currency, yahoo_symbol

# yfinance 1.7 warns of pandas 4 on every answer.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

AAPL = SecurityRef("AAPL", "XNAS", "USD")
IBM = SecurityRef("IBM", "XNYS", "USD")
BRK = SecurityRef("BRK.B", "XNYS", "USD")
START, END = dt.date(2004, 6, 1), dt.date(2005, 6, 30)


@pytest.fixture(autouse=True)
def fresh_client() -> Iterator[None]:
    """yfinance keeps one client a process, with its crumb and cookie; each test starts without."""
    from yfinance.data import SingletonMeta, YfData

    SingletonMeta._instances.pop(YfData, None)
    yield
    SingletonMeta._instances.pop(YfData, None)


@pytest.fixture(scope="module")
def traded() -> FetchResult:
    """What the sample holds of AAPL, IBM and MSFT, as traded."""
    sample = SampleSource()
    refs = tuple(ref for ref in sample.known_securities() if ref.symbol in {"AAPL", "IBM", "MSFT"})
    return sample.fetch(FetchRequest(refs, dt.date(2003, 1, 2), dt.date(2006, 12, 29)))


@pytest.fixture
def server(traded: FetchResult) -> Iterator[YahooServer]:
    def rename(symbol: str) -> str:
        return "BRK-B" if symbol == "MSFT" else symbol

    with YahooServer(listings_of(traded.bars, traded.actions, rename=rename)) as running:
        running.delay = 1.0
        yield running


def yahoo(server: YahooServer, context: SourceContext | None = None, **options: Any) -> PriceSource:
    given = {"endpoint": server.url, "timeout_seconds": 0.7, "threads": 2}
    return build_source("yahoo", options=given | options, context=context)


def failure_of(server: YahooServer, **options: Any) -> SymbolFailure:
    """The one failure of a question about IBM, asked the day after the range."""
    now = dt.datetime(2005, 7, 1, 20, tzinfo=dt.UTC)
    answer = yahoo(server, SourceContext(now=lambda: now), **options).fetch(FetchRequest((IBM,), START, END))
    assert answer.bars.empty
    (failure,) = answer.failures
    assert failure.symbol == "IBM"
    return failure


class TestYahooContract(SourceContract):
    refs = (AAPL, BRK)
    start, end = START, END

    @pytest.fixture
    def source(self, server: YahooServer) -> PriceSource:
        return yahoo(server)


def test_bars_and_splits_give_back_what_was_traded(server: YahooServer, traded: FetchResult) -> None:
    answer = yahoo(server).fetch(FetchRequest((AAPL,), START, END))
    converted = to_as_traded(answer.bars, answer.actions, "split_adjusted", decimals=4)
    truth = traded.bars[(traded.bars["symbol"] == "AAPL")].set_index("session").loc[str(START) : str(END)]
    assert answer.bars["close"].iloc[0] == pytest.approx(truth["close"].iloc[0] / 2)
    for column in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(converted[column], truth[column], rtol=1e-6)


def test_splits_after_the_range_are_told_because_the_bars_carry_them(server: YahooServer) -> None:
    answer = yahoo(server).fetch(FetchRequest((AAPL,), dt.date(2005, 1, 3), dt.date(2005, 1, 31)))
    assert answer.actions[["kind", "value"]].to_numpy().tolist() == [["split", 2.0]]
    assert answer.actions["ex_date"].tolist() == [pd.Timestamp("2005-02-28")]


def test_distributions_are_given_back_as_traded(server: YahooServer, traded: FetchResult) -> None:
    """Yahoo shows them divided by later splits, at six decimals: 0.16 of 2003 as 0.005714 after a 28:1."""
    listing = server.listings["IBM"]
    future = pd.DataFrame({"symbol": ["IBM"] * 2, "ex_date": pd.to_datetime(["2006-06-01", "2006-09-01"])})
    future = future.assign(kind="split", source="sample", value=[4.0, 7.0], currency="USD", detail=None)
    listing.actions = ACTIONS.conform(pd.concat([listing.actions, future]), "test")
    answer = yahoo(server).fetch(FetchRequest((IBM,), dt.date(2003, 1, 2), dt.date(2006, 12, 29)))
    got = answer.actions[answer.actions["kind"] == "cash_dividend"].set_index("ex_date")["value"]
    paid = traded.actions[(traded.actions["symbol"] == "IBM")].set_index("ex_date")["value"]
    pd.testing.assert_series_equal(got, paid)


def test_distributions_after_the_range_are_not_told(server: YahooServer) -> None:
    answer = yahoo(server).fetch(FetchRequest((IBM,), dt.date(2004, 6, 1), dt.date(2004, 6, 30)))
    assert answer.actions.empty


def test_capital_gains_of_funds_are_special_dividends(server: YahooServer) -> None:
    server.listings["IBM"].instrument = "ETF"
    server.listings["IBM"].actions = server.listings["IBM"].actions.assign(kind="special_dividend")
    answer = yahoo(server).fetch(FetchRequest((IBM,), START, END))
    assert set(answer.actions["kind"]) == {"special_dividend"}
    assert answer.actions["value"].tolist() == [0.18, 0.18, 0.18, 0.2]


def test_facts_of_the_security(server: YahooServer) -> None:
    (row,) = yahoo(server).fetch(FetchRequest((IBM,), START, END)).securities.to_dict("records")
    assert (row["exchange"], row["name"], row["currency"]) == ("XNYS", "Example Inc.", "USD")
    assert row["first_session"] == pd.Timestamp("2003-01-02")
    assert pd.isna(row["last_session"])


def test_pence_become_pounds(traded: FetchResult) -> None:
    bars = traded.bars[traded.bars["symbol"] == "IBM"]
    london = Listing(
        "BT-A.L",
        bars,
        traded.actions[traded.actions["symbol"] == "IBM"],
        timezone="Europe/London",
        opens=dt.time(8),
        currency="GBp",
        unit=100,
    )
    with YahooServer([london]) as server:
        answer = yahoo(server).fetch(FetchRequest((SecurityRef("BT.A", "XLON", "GBP"),), START, END))
    sessions = calendar_sessions("XLON", START, END)
    truth = bars[bars["session"].between(sessions[0], sessions[-1])]
    np.testing.assert_allclose(answer.bars["close"], truth["close"])
    assert set(answer.bars["currency"]) == {"GBP"}
    assert answer.actions["value"].tolist() == [0.18, 0.18, 0.18, 0.2]


def test_a_wrong_currency_is_passed_on_for_the_rules_to_find(server: YahooServer) -> None:
    server.listings["IBM"].currency = "EUR"
    assert set(yahoo(server).fetch(FetchRequest((IBM,), START, END)).bars["currency"]) == {"EUR"}


def test_rows_without_prices_are_passed_on_as_evidence(server: YahooServer) -> None:
    listing = server.listings["IBM"]
    at = listing.bars.index[listing.bars["session"] == "2004-07-01"]
    listing.bars = listing.bars.copy()
    listing.bars.loc[at, ["open", "high", "low", "close", "volume"]] = np.nan
    bars = yahoo(server).fetch(FetchRequest((IBM,), START, END)).bars.set_index("session")
    assert bars.loc["2004-07-01", ["open", "high", "low", "close"]].isna().all()
    assert len(bars) == len(calendar_sessions("XNYS", START, END))


def test_an_event_without_a_bar_does_not_invent_one(server: YahooServer) -> None:
    listing = server.listings["IBM"]
    last = listing.bars["session"] < pd.Timestamp("2005-05-06")  # an ex-date
    listing.bars = listing.bars[last].reset_index(drop=True)
    answer = yahoo(server).fetch(FetchRequest((IBM,), START, END))
    assert answer.bars["session"].max() == pd.Timestamp("2005-05-05")
    assert answer.bars["close"].notna().all()
    assert pd.Timestamp("2005-05-06") in answer.actions["ex_date"].tolist()


@pytest.mark.parametrize(
    ("moment", "last"),
    [
        ("2005-06-30 11:00", "2005-06-29"),  # in the middle of the session
        ("2005-06-30 16:01", "2005-06-30"),
        ("2004-11-26 12:59", "2004-11-24"),  # half day after Thanksgiving, which closes at 13:00
        ("2004-11-26 13:01", "2004-11-26"),
        ("2005-03-14 08:00", "2005-03-11"),
    ],
)
def test_a_session_that_has_not_closed_has_no_bar(server: YahooServer, moment: str, last: str) -> None:
    """Yahoo shows today's row from the opening on; the stand-in has it too."""
    now = pd.Timestamp(moment, tz="America/New_York").to_pydatetime()
    source = yahoo(server, SourceContext(now=lambda: now))
    bars = source.fetch(FetchRequest((IBM,), START, END)).bars
    assert bars["session"].max() == pd.Timestamp(last)


def test_the_platforms_clock_decides_what_has_closed(server: YahooServer) -> None:
    source = yahoo(server, SourceContext(closed_through=lambda _exchange: dt.date(2004, 6, 15)))
    assert source.fetch(FetchRequest((IBM,), START, END)).bars["session"].max() == pd.Timestamp("2004-06-15")


def test_a_range_without_closed_sessions_is_not_asked_for(server: YahooServer) -> None:
    source = yahoo(server, SourceContext(closed_through=lambda _exchange: dt.date(2004, 5, 28)))
    answer = source.fetch(FetchRequest((IBM,), START, END))
    assert (len(answer.bars), answer.failures, answer.requests_made) == (0, (), 0)
    assert server.requests.total() == 0


def test_two_requests_a_symbol_for_a_range_long_ago(server: YahooServer) -> None:
    """One for the range, one for the splits since, once cookie and crumb are there."""
    source = yahoo(server)
    first = source.fetch(FetchRequest((AAPL, IBM, BRK), START, END))
    assert first.requests_made == server.requests.total()
    before = server.requests.total()
    second = source.fetch(FetchRequest((AAPL, IBM, BRK), START, END))
    assert second.requests_made == server.requests.total() - before == 6
    assert server.asked == {"AAPL": 4, "IBM": 4, "BRK-B": 4}


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_questions_at_a_time_than_threads(traded: FetchResult, threads: int) -> None:
    bars = traded.bars[traded.bars["symbol"] == "IBM"].tail(30)
    listings = [Listing(f"S{number}", bars) for number in range(12)]
    with YahooServer(listings, latency=0.03) as server:
        refs = tuple(SecurityRef(listing.symbol, "XNYS", "USD") for listing in listings)
        end = bars["session"].max().date()
        answer = yahoo(server, threads=threads).fetch(FetchRequest(refs, bars["session"].min().date(), end))
        assert len(answer.bars) == 360
        assert server.in_flight_at_most <= threads


@pytest.mark.parametrize(
    ("fault", "error", "retryable", "told"),
    [
        ("429", "RateLimited", True, "no time was given"),
        ("500", "SourceUnavailable", True, "HTTP 500"),
        ("502", "SourceUnavailable", True, "HTTP 502"),
        ("401", "SourceUnavailable", True, "crumb refused"),
        ("reset", "SourceUnavailable", True, "Ask again later"),
        ("slow", "SourceUnavailable", True, "Read timed out"),
        ("truncated_json", "SourceUnavailable", True, "cut off after"),
        ("cut_body", "SourceUnavailable", True, "Ask again"),
        ("empty", "SourceUnavailable", True, "an empty answer for 274 sessions"),
        ("html", "UnexpectedPayload", False, "begins '<!DOCTYPE html>"),
        ("null_result", "SourceUnavailable", True, "an answer without a result"),
        ("wrong_shape", "UnexpectedPayload", False, "not a chart"),
        ("wrong_symbol", "UnexpectedPayload", False, "asked for IBM, answered for WRONG"),
        ("wrong_timezone", "UnexpectedPayload", False, "dated in Asia/Tokyo instead of America/New_York"),
        ("not_found", "SourceRejected", False, "symbol may be delisted"),
    ],
)
def test_each_fault_is_told_for_what_it_is(
    server: YahooServer, fault: str, error: str, retryable: bool, told: str
) -> None:
    server.inject(fault, symbols={"IBM"})
    failure = failure_of(server, timeout_seconds=0.15 if fault == "slow" else 5.0)
    assert (failure.error, failure.retryable) == (error, retryable)
    assert told in failure.cause
    assert "IBM" in failure.cause
    assert server.injected[fault] >= 1


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None)])
def test_retry_after_is_read(server: YahooServer, header: str, seconds: float | None) -> None:
    from market_assets.errors import RateLimited

    server.inject("429", retry_after=header)
    source = yahoo(server)
    assert isinstance(source, YahooSource)
    with pytest.raises(RateLimited) as caught:
        source._client.history("IBM", "America/New_York", START)
    assert caught.value.retry_after == seconds


def test_one_bad_symbol_does_not_fail_the_others(server: YahooServer) -> None:
    server.inject("500", symbols={"IBM"})
    answer = yahoo(server).fetch(FetchRequest((AAPL, IBM, BRK), START, END))
    assert [failure.symbol for failure in answer.failures] == ["IBM"]
    assert set(answer.bars["symbol"]) == {"AAPL", "BRK.B"}


def test_after_the_fault_the_answer_is_that_of_an_undisturbed_client(server: YahooServer) -> None:
    source, request = yahoo(server), FetchRequest((AAPL, IBM, BRK), START, END)
    undisturbed = source.fetch(request)
    server.inject_randomly(0.8, kinds=("500", "429", "reset", "truncated_json"), seed=5)
    assert len(source.fetch(request).failures) > 0
    server.heal()
    recovered = source.fetch(request)
    pd.testing.assert_frame_equal(recovered.bars, undisturbed.bars)
    pd.testing.assert_frame_equal(recovered.actions, undisturbed.actions)


@pytest.mark.parametrize("fault", ["429", "500", "html", "reset"])
def test_a_failing_crumb_does_not_stop_the_chart(server: YahooServer, fault: str) -> None:
    server.inject(fault, path=CRUMB)
    answer = yahoo(server).fetch(FetchRequest((IBM,), START, END))
    assert answer.failures == ()
    assert len(answer.bars) == 274
    assert server.injected[fault] >= 1


def test_an_empty_answer_is_believed_before_the_listing_and_after_the_end(server: YahooServer) -> None:
    before = yahoo(server).fetch(FetchRequest((IBM,), dt.date(2002, 6, 3), dt.date(2002, 6, 28)))
    after = yahoo(server).fetch(FetchRequest((IBM,), dt.date(2014, 6, 2), dt.date(2014, 6, 30)))
    assert before.bars.empty
    assert after.bars.empty
    assert before.failures == after.failures == ()


def test_a_dead_yahoo_is_a_failure_of_every_symbol(server: YahooServer) -> None:
    server.inject("reset", path=CHART)
    server.inject("reset", path=CRUMB)
    answer = yahoo(server).fetch(FetchRequest((AAPL, IBM), START, END))
    assert [failure.error for failure in answer.failures] == ["SourceUnavailable"] * 2


def test_a_session_can_be_given(server: YahooServer) -> None:
    session = requests.Session()
    options = YahooOptions(endpoint=server.url)
    from market_assets.sources.yahoo_client import _routed_session

    session.mount("https://", _routed_session(server.url).get_adapter("https://query2.finance.yahoo.com"))
    source = YahooSource("yahoo", options, SourceContext(), session=session)
    assert len(source.fetch(FetchRequest((IBM,), START, END)).bars) == 274


def test_without_an_endpoint_yfinances_own_session_is_used() -> None:
    from yfinance._http import is_supported_session

    source = build_source("yahoo")
    assert isinstance(source, YahooSource)
    assert is_supported_session(source._client._session)


def test_a_symbol_can_be_named_otherwise(server: YahooServer) -> None:
    answer = yahoo(server, symbols={"BIG": "IBM"}).fetch(FetchRequest((SecurityRef("BIG", "XNYS", "USD"),), START, END))
    assert set(answer.bars["symbol"]) == {"BIG"}
    assert server.asked == {"IBM": 2}


@pytest.mark.parametrize(
    ("symbol", "exchange", "expected"),
    [
        ("BRK.B", "XNYS", "BRK-B"),
        ("VOD", "XLON", "VOD.L"),
        ("VOD.L", "XLON", "VOD.L"),
        ("BT.A", "XLON", "BT-A.L"),
        ("RELIANCE", "XBOM", "RELIANCE.BO"),
        ("7203", "XTKS", "7203.T"),
    ],
)
def test_symbols_are_spelled_yahoos_way(symbol: str, exchange: str, expected: str) -> None:
    assert yahoo_symbol(symbol, exchange) == expected


def test_zones_are_those_of_the_calendars() -> None:
    import exchange_calendars

    known = set(exchange_calendars.get_calendar_names())
    assert set(EXCHANGES) <= known
    for exchange in ("XNYS", "XLON", "XBOM", "XTKS", "XASX", "BVMF"):
        calendar = exchange_calendars.get_calendar(exchange, start="2024-01-02", end="2024-12-30")
        assert str(calendar.tz) == EXCHANGES[exchange][1]


def test_minor_units() -> None:
    assert major_currency("GBp") == ("GBP", 0.01)
    assert major_currency("USD") == ("USD", 1.0)


def test_bad_options_are_refused() -> None:
    for options in ({"threads": 0}, {"endpoint": "yahoo.example"}, {"timeout_seconds": 0}, {"retries": 3}):
        with pytest.raises(ConfigError):
            build_source("yahoo", options=options)


def test_its_cache_is_private_to_the_process(server: YahooServer, tmp_path: Path) -> None:
    import yfinance.cache

    yahoo(server).fetch(FetchRequest((IBM,), START, END))
    folder = Path(yfinance.cache._CookieDBManager.get_location())
    assert folder.name.startswith("market-yahoo-")
    assert folder.is_dir()
