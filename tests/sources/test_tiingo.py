"""Tiingo's protocol against a local stand-in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from tiingo_server import TiingoServer
from vendor_contract import VendorContract, outcome_of
from vendor_listings import Listing, sample_listings

from market_assets.sources.base import FetchRequest, SecurityRef
from market_assets.sources.tiingo import notice

AAPL = SecurityRef("AAPL", "XNAS", "USD")
BRK = SecurityRef("BRK.B", "XNYS", "USD")
IBM = SecurityRef("IBM", "XNYS", "USD")
FEW = (dt.date(2005, 2, 24), dt.date(2005, 3, 2))


@pytest.fixture(scope="module")
def listings() -> dict[str, Listing]:
    return sample_listings({"AAPL": "AAPL", "IBM": "IBM", "MSFT": "BRK-B"})


@pytest.fixture(scope="module")
def shared(listings: dict[str, Listing]) -> Iterator[TiingoServer]:
    with TiingoServer(listings.values()) as server:
        yield server


class TestTiingo(VendorContract):
    kind, prices, variable = "tiingo", "prices", "MARKET_TIINGO_KEY"
    refs = (AAPL, BRK)
    start, end, few = dt.date(2005, 1, 3), dt.date(2005, 5, 31), FEW

    @pytest.fixture
    def server(self, shared: TiingoServer) -> TiingoServer:
        return shared

    def test_bars_and_events_are_as_traded(self, server: TiingoServer, listings: dict[str, Listing]) -> None:
        answer = self.build(server).fetch(FetchRequest((AAPL, IBM), self.start, self.end))
        for symbol in ("AAPL", "IBM"):
            truth = listings[symbol].between(str(self.start), str(self.end))
            bars = answer.bars[answer.bars["symbol"] == symbol]
            for column in ("open", "high", "low", "close", "volume"):
                np.testing.assert_allclose(bars[column], truth[column])
        events = answer.actions[["symbol", "kind", "value"]].to_numpy().tolist()
        assert events[0] == ["AAPL", "split", 2.0]
        assert events[1:] == [["IBM", "cash_dividend", value] for value in (0.18, 0.2)]

    def test_facts_of_the_security(self, server: TiingoServer) -> None:
        (row,) = self.build(server).fetch(FetchRequest((IBM,), *FEW)).securities.to_dict("records")
        assert (row["exchange"], row["name"], row["currency"]) == ("XNYS", "Example Inc.", "USD")
        assert row["first_session"] == pd.Timestamp("2003-01-02")
        assert pd.isna(row["last_session"])

    def test_another_security_in_the_answer_is_refused(self, server: TiingoServer) -> None:
        server.inject("wrong_symbol")
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert outcome.error == "UnexpectedPayload"
        assert "asked for IBM, answered for WRONG" in outcome.cause

    def test_a_moment_instead_of_a_date_is_refused(self, server: TiingoServer) -> None:
        server.inject("wrong_time")
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert outcome.error == "UnexpectedPayload"
        assert "is a moment, not a date" in outcome.cause

    def test_a_spent_allocation_rests_for_an_hour(self, server: TiingoServer) -> None:
        server.inject("allocation")
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert outcome.error == "RateLimited"
        assert "requests are used up" in outcome.cause
        assert notice("IBM", "Error: You have run over your hourly request allocation.").retry_after == 3600

    def test_an_empty_answer_is_believed_only_when_the_whole_history_is_empty_there_too(
        self, server: TiingoServer
    ) -> None:
        request = FetchRequest((IBM,), *FEW)
        expected = self.build(server).fetch(request)
        server.inject("no_rows", times=1, path="prices")
        mended = self.build(server).fetch(request)
        pd.testing.assert_frame_equal(mended.bars, expected.bars)
        pd.testing.assert_frame_equal(mended.actions, expected.actions)
        server.inject("no_rows")
        outcome = outcome_of(self.build(server), request)
        assert (outcome.error, outcome.retryable) == ("SourceUnavailable", True)
        assert "an empty answer for 5 sessions from 2005-02-24" in outcome.cause

    def test_before_the_listing_there_is_nothing_to_ask_for(self, server: TiingoServer) -> None:
        answer = self.build(server).fetch(FetchRequest((IBM,), dt.date(2002, 6, 3), dt.date(2002, 6, 28)))
        assert (len(answer.bars), answer.failures, answer.requests_made) == (0, (), 1)

    def test_after_the_end_of_its_data_an_empty_answer_is_believed(self, server: TiingoServer) -> None:
        answer = self.build(server).fetch(FetchRequest((IBM,), dt.date(2008, 6, 2), dt.date(2008, 6, 30)))
        assert (len(answer.bars), answer.failures) == (0, ())

    def test_a_session_that_has_not_closed_has_no_bar(self, server: TiingoServer) -> None:
        now = pd.Timestamp("2005-03-01 11:00", tz="America/New_York").to_pydatetime()
        bars = self.build(server, self.context(now=lambda: now)).fetch(FetchRequest((IBM,), *FEW)).bars
        assert bars["session"].max() == pd.Timestamp("2005-02-28")

    def test_long_ranges_are_asked_in_pieces_that_shrink_when_the_answer_is_cut_off(self, server: TiingoServer) -> None:
        request = FetchRequest((IBM,), dt.date(2003, 1, 2), dt.date(2006, 12, 29))
        whole = self.build(server).fetch(request)
        assert server.requests["prices"] == 1
        server.inject("cut_body", times=2, path="prices")
        pieces = self.build(server).fetch(request)
        pd.testing.assert_frame_equal(pieces.bars, whole.bars)
        pd.testing.assert_frame_equal(pieces.actions, whole.actions)
        assert server.requests["prices"] > 4

    def test_share_classes_and_exceptions_are_spelled_tiingos_way(self, server: TiingoServer) -> None:
        self.build(server, symbols={"BIG": "IBM"}).fetch(FetchRequest((BRK, SecurityRef("BIG", "XNYS", "USD")), *FEW))
        assert {asked.path.split("/")[3] for asked in server.asked} == {"BRK-B", "IBM"}

    def test_two_sources_may_use_two_keys(self, server: TiingoServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARKET_SECOND_KEY", "not+the/key")
        outcome = outcome_of(self.build(server, key_variable="MARKET_SECOND_KEY"), FetchRequest((IBM,), *FEW))
        assert "Check MARKET_SECOND_KEY" in outcome.cause
