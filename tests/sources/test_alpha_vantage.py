"""Alpha Vantage's protocol against a local stand-in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from alpha_vantage_server import AlphaVantageServer
from vendor_contract import VendorContract, outcome_of
from vendor_listings import Listing, sample_listings
from vendor_stand_in import KEY

from market_assets.errors import RateLimited, SourceRejected
from market_assets.sources.alpha_vantage import notice
from market_assets.sources.base import FetchRequest, SecurityRef

AAPL = SecurityRef("AAPL", "XNAS", "USD")
BRK = SecurityRef("BRK.B", "XNYS", "USD")
IBM = SecurityRef("IBM", "XNYS", "USD")
FEW = (dt.date(2005, 2, 24), dt.date(2005, 3, 2))
RECENT = dt.datetime(2005, 3, 4, 22, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def listings() -> dict[str, Listing]:
    return sample_listings({"AAPL": "AAPL", "IBM": "IBM", "MSFT": "BRK-B"})


@pytest.fixture(scope="module")
def shared(listings: dict[str, Listing]) -> Iterator[AlphaVantageServer]:
    with AlphaVantageServer(listings.values()) as server:
        yield server


class TestAlphaVantage(VendorContract):
    kind, prices, variable = "alpha_vantage", "TIME_SERIES_DAILY", "MARKET_ALPHA_VANTAGE_KEY"
    refs = (AAPL, BRK)
    start, end, few = dt.date(2005, 1, 3), dt.date(2005, 5, 31), FEW
    kept = False  # every answer reaches to the present

    @pytest.fixture
    def server(self, shared: AlphaVantageServer) -> AlphaVantageServer:
        return shared

    def test_bars_and_events_are_as_traded(self, server: AlphaVantageServer, listings: dict[str, Listing]) -> None:
        answer = self.build(server).fetch(FetchRequest((AAPL, IBM), self.start, self.end))
        for symbol in ("AAPL", "IBM"):
            truth = listings[symbol].between(str(self.start), str(self.end))
            bars = answer.bars[answer.bars["symbol"] == symbol]
            for column in ("open", "high", "low", "close", "volume"):
                np.testing.assert_allclose(bars[column], truth[column], rtol=1e-6)
        events = answer.actions[["symbol", "kind", "value"]].to_numpy().tolist()
        assert events == [["AAPL", "split", 2.0], ["IBM", "cash_dividend", 0.18], ["IBM", "cash_dividend", 0.2]]

    def test_the_adjusted_series_says_the_same_in_one_request(self, server: AlphaVantageServer) -> None:
        request = FetchRequest((AAPL, IBM), self.start, self.end)
        three = self.build(server).fetch(request)
        server.premium = True
        try:
            one = self.build(server, adjusted=True).fetch(request)
        finally:
            server.premium = False
        pd.testing.assert_frame_equal(one.bars, three.bars)
        pd.testing.assert_frame_equal(one.actions, three.actions)
        assert (one.requests_made, three.requests_made) == (2, 6)

    def test_recent_ranges_ask_for_the_compact_series_and_others_for_all(self, server: AlphaVantageServer) -> None:
        def size() -> str:
            return next(asked.query["outputsize"] for asked in server.asked if "outputsize" in asked.query)

        request = FetchRequest((IBM,), *FEW)
        self.build(server).fetch(request)
        assert size() == "full"
        server.heal()
        recent = self.context(now=lambda: RECENT, closed_through=lambda _exchange: RECENT.date())
        self.build(server, recent).fetch(request)
        assert size() == "compact"

    @pytest.mark.parametrize("fault", ["burst", "minute", "daily"])
    def test_a_limit_is_a_limit_though_its_status_is_200(self, server: AlphaVantageServer, fault: str) -> None:
        server.inject(fault)
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert (outcome.error, outcome.retryable) == ("RateLimited", True)
        assert "limit reached" in outcome.cause
        assert KEY not in outcome.cause  # which the daily notice spells out

    @pytest.mark.parametrize("fault", ["premium", "full_is_premium"])
    def test_what_the_plan_does_not_include_is_refused(self, server: AlphaVantageServer, fault: str) -> None:
        server.inject(fault)
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert (outcome.error, outcome.retryable) == ("SourceRejected", False)
        assert "not in the plan" in outcome.cause

    @pytest.mark.parametrize("endpoint", ["TIME_SERIES_DAILY", "DIVIDENDS", "SPLITS"])
    def test_another_security_in_any_answer_is_refused(self, server: AlphaVantageServer, endpoint: str) -> None:
        server.inject("wrong_symbol", path=endpoint)
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert outcome.error == "UnexpectedPayload"
        assert "asked for IBM, answered for WRONG" in outcome.cause

    def test_dates_of_another_zone_are_refused(self, server: AlphaVantageServer) -> None:
        server.inject("wrong_timezone")
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert outcome.error == "UnexpectedPayload"
        assert "dates in Asia/Tokyo instead of US/Eastern" in outcome.cause

    def test_a_security_without_events_has_bars_all_the_same(self, server: AlphaVantageServer) -> None:
        server.inject("no_events", path="DIVIDENDS")
        server.inject("no_events", path="SPLITS")
        answer = self.build(server).fetch(FetchRequest((IBM,), *FEW))
        assert (len(answer.bars), len(answer.actions), answer.failures) == (5, 0, ())

    def test_an_empty_series_is_a_fault(self, server: AlphaVantageServer) -> None:
        server.inject("no_rows")
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert (outcome.error, outcome.retryable) == ("SourceUnavailable", True)

    def test_before_the_first_row_nothing_is_missing(self, server: AlphaVantageServer) -> None:
        answer = self.build(server).fetch(FetchRequest((IBM,), dt.date(2002, 6, 3), dt.date(2002, 6, 28)))
        assert (len(answer.bars), answer.failures) == (0, ())


def test_a_daily_limit_rests_for_an_hour_and_a_burst_does_not() -> None:
    daily = notice("IBM", f'{{"Information": "{AlphaVantageServer.DAILY}"}}')
    burst = notice("IBM", f'{{"Information": "{AlphaVantageServer.BURST}"}}')
    assert isinstance(daily, RateLimited)
    assert isinstance(burst, RateLimited)
    assert (daily.retry_after, burst.retry_after) == (3600, None)


def test_a_refused_key_is_said_to_be_one() -> None:
    refused = notice("IBM", f'{{"Error Message": "{AlphaVantageServer.NO_KEY}"}}')
    assert isinstance(refused, SourceRejected)
    assert "the key was refused" in str(refused)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Meta Data": {}}', "not JSON"])
def test_what_is_no_notice_is_left_to_the_reader(text: str) -> None:
    assert notice("IBM", text) is None
