"""Stooq's protocol against a local stand-in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest
from stooq_server import StooqServer
from vendor_contract import VendorContract, outcome_of
from vendor_listings import Listing, sample_listings

from market_assets.errors import RateLimited
from market_assets.sources.base import FetchRequest, SecurityRef
from market_assets.sources.stooq import EXCHANGES, notice

AAPL = SecurityRef("AAPL", "XNAS", "USD")
BRK = SecurityRef("BRK.B", "XNYS", "USD")
IBM = SecurityRef("IBM", "XNYS", "USD")
FEW = (dt.date(2005, 2, 24), dt.date(2005, 3, 2))


@pytest.fixture(scope="module")
def listings() -> dict[str, Listing]:
    return sample_listings({"AAPL": "aapl.us", "IBM": "ibm.us", "MSFT": "brk-b.us"})


@pytest.fixture(scope="module")
def shared(listings: dict[str, Listing]) -> Iterator[StooqServer]:
    with StooqServer(listings.values()) as server:
        yield server


class TestStooq(VendorContract):
    kind, prices, variable = "stooq", "csv", "MARKET_STOOQ_KEY"
    refs = (AAPL, BRK)
    start, end, few = dt.date(2005, 1, 3), dt.date(2005, 5, 31), FEW

    @pytest.fixture
    def server(self, shared: StooqServer) -> StooqServer:
        return shared

    def test_unadjusted_prices_are_asked_for_and_are_as_traded(
        self, server: StooqServer, listings: dict[str, Listing]
    ) -> None:
        answer = self.build(server).fetch(FetchRequest((AAPL, IBM), self.start, self.end))
        assert {asked.query["o"] for asked in server.asked} == {"1111111"}
        for symbol in ("AAPL", "IBM"):
            truth = listings[symbol].between(str(self.start), str(self.end))
            bars = answer.bars[answer.bars["symbol"] == symbol]
            for column in ("open", "high", "low", "close", "volume"):
                np.testing.assert_allclose(bars[column], truth[column], rtol=1e-5)
        assert answer.actions.empty
        assert answer.securities.empty

    def test_adjusted_prices_are_refused_instead_of_stored(self, server: StooqServer) -> None:
        """They parse like any other, and without Stooq's list of actions they cannot be undone."""
        server.inject("adjusted")
        january = FetchRequest((AAPL, IBM), dt.date(2005, 1, 3), dt.date(2005, 1, 31))
        answer = self.build(server).fetch(january)
        assert answer.bars.empty
        assert {failure.symbol: failure.error for failure in answer.failures} == {
            "AAPL": "UnexpectedPayload",  # by a later split
            "IBM": "UnexpectedPayload",  # by later dividends
        }
        assert "closes lie between the cents" in answer.failures[0].cause
        assert "Use another source" in answer.failures[0].cause

    def test_the_hits_limit_is_a_limit_though_its_status_is_200(self, server: StooqServer) -> None:
        server.inject("limit")
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert (outcome.error, outcome.retryable) == ("RateLimited", True)
        told = notice("ibm.us", "Exceeded the daily hits limit")
        assert isinstance(told, RateLimited)
        assert told.retry_after == 3600

    @pytest.mark.parametrize("fault", ["half_row", "half_number"])
    def test_a_row_that_is_not_whole_is_an_answer_cut_off(self, server: StooqServer, fault: str) -> None:
        server.inject(fault)
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert (outcome.error, outcome.retryable) == ("AnswerCutOff", True)
        assert "cut off in row" in outcome.cause

    def test_no_data_is_believed_only_of_a_symbol_that_has_data_elsewhere(self, server: StooqServer) -> None:
        later = self.build(server).fetch(FetchRequest((IBM,), dt.date(2008, 6, 2), dt.date(2008, 6, 30)))
        assert (len(later.bars), later.failures) == (0, ())
        server.inject("no_rows", times=1)
        once = self.build(server).fetch(FetchRequest((IBM,), *FEW))
        assert len(once.bars) == 5

    def test_symbols_are_written_stooqs_way(self, server: StooqServer) -> None:
        self.build(server, symbols={"BIG": "IBM.US"}).fetch(
            FetchRequest((BRK, SecurityRef("BIG", "XNYS", "USD")), *FEW)
        )
        assert {asked.query["s"] for asked in server.asked} == {"brk-b.us", "ibm.us"}


def test_exchanges_have_calendars() -> None:
    import exchange_calendars

    assert set(EXCHANGES) <= set(exchange_calendars.get_calendar_names())
