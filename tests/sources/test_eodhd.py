"""EODHD's protocol against a local stand-in."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from eodhd_server import EodhdServer
from hypothesis import given
from hypothesis import strategies as st
from vendor_contract import VendorContract, outcome_of
from vendor_listings import Listing, sample_listings
from vendor_stand_in import KEY

from market_assets.fetching import HttpCache
from market_assets.sources.base import FetchRequest, SecurityRef
from market_assets.sources.by_symbol import Action, Rows
from market_assets.sources.eodhd import EXCHANGES, _as_traded

AAPL = SecurityRef("AAPL", "XNAS", "USD")
BRK = SecurityRef("BRK.B", "XNYS", "USD")
IBM = SecurityRef("IBM", "XNYS", "USD")
BT = SecurityRef("BT.A", "XLON", "GBP")
ETF = SecurityRef("CSPX", "XLON", "USD")
FEW = (dt.date(2005, 2, 24), dt.date(2005, 3, 2))


@pytest.fixture(scope="module")
def listings() -> dict[str, Listing]:
    us = sample_listings({"AAPL": "AAPL.US", "IBM": "IBM.US", "MSFT": "BRK-B.US"})
    pence = sample_listings({"IBM": "BT-A.LSE"}, currency="GBX", unit=100.0)
    dollars = sample_listings({"MSFT": "CSPX.LSE"}, currency="USD")
    return us | {"BT": pence["IBM"], "ETF": dollars["MSFT"]}


@pytest.fixture(scope="module")
def shared(listings: dict[str, Listing]) -> Iterator[EodhdServer]:
    with EodhdServer(listings.values()) as server:
        yield server


class TestEodhd(VendorContract):
    kind, prices, variable = "eodhd", "eod", "MARKET_EODHD_KEY"
    refs = (AAPL, BRK)
    start, end, few = dt.date(2005, 1, 3), dt.date(2005, 5, 31), FEW

    @pytest.fixture
    def server(self, shared: EodhdServer) -> EodhdServer:
        return shared

    def test_raw_prices_and_adjusted_volume_both_become_as_traded(
        self, server: EodhdServer, listings: dict[str, Listing]
    ) -> None:
        answer = self.build(server).fetch(FetchRequest((AAPL, IBM), self.start, self.end))
        for symbol in ("AAPL", "IBM"):
            truth = listings[symbol].between(str(self.start), str(self.end))
            bars = answer.bars[answer.bars["symbol"] == symbol]
            for column in ("open", "high", "low", "close", "volume"):
                np.testing.assert_allclose(bars[column], truth[column])
        assert answer.actions["kind"].tolist() == ["split", "cash_dividend", "cash_dividend"]
        assert answer.actions["value"].tolist() == [2.0, 0.18, 0.2]

    def test_a_split_after_the_range_is_in_the_volume_but_not_among_the_actions(
        self, server: EodhdServer, listings: dict[str, Listing]
    ) -> None:
        january = dt.date(2005, 1, 3), dt.date(2005, 1, 31)
        answer = self.build(server).fetch(FetchRequest((AAPL,), *january))
        truth = listings["AAPL"].between(*map(str, january))
        np.testing.assert_allclose(answer.bars["volume"], truth["volume"])
        assert answer.actions.empty

    def test_a_split_that_is_only_announced_changes_nothing(
        self, server: EodhdServer, listings: dict[str, Listing]
    ) -> None:
        asked_on = dt.datetime(2005, 2, 25, 23, 0, tzinfo=dt.UTC)  # a Friday; the split is on the Monday
        context = self.context(now=lambda: asked_on, closed_through=lambda _exchange: asked_on.date())
        splits = listings["AAPL"].actions
        listings["AAPL"].actions = splits[splits["kind"] != "split"]  # the volume is not adjusted for it yet
        try:
            before = self.build(server, context).fetch(FetchRequest((AAPL,), FEW[0], asked_on.date()))
        finally:
            listings["AAPL"].actions = splits
        after = self.build(server).fetch(FetchRequest((AAPL,), FEW[0], asked_on.date()))
        pd.testing.assert_frame_equal(before.bars, after.bars)

    def test_a_kept_answer_is_not_read_after_a_new_split(
        self, server: EodhdServer, listings: dict[str, Listing], tmp_path: Path
    ) -> None:
        """The volume of closed history changes with every split: the same question has another answer then."""
        listing, actions = listings["IBM"], listings["IBM"].actions
        context = self.context(cache=HttpCache(tmp_path))
        request = FetchRequest((IBM,), *FEW)
        before = self.build(server, context).fetch(request)
        new = {"symbol": "IBM", "ex_date": pd.Timestamp("2006-06-01"), "kind": "split", "source": "x", "value": 4.0}
        listing.actions = pd.concat([actions, pd.DataFrame([{**new, "currency": "USD"}])], ignore_index=True)
        try:
            after = self.build(server, context).fetch(request)
        finally:
            listing.actions = actions
        assert server.requests["eod"] == 2
        pd.testing.assert_frame_equal(before.bars, after.bars)

    def test_dividends_come_as_paid_also_from_the_adjusted_amount(self, server: EodhdServer) -> None:
        stated = self.build(server).fetch(FetchRequest((IBM, BRK), self.start, self.end)).actions
        server.inject("adjusted_only", path="div")
        derived = self.build(server).fetch(FetchRequest((IBM, BRK), self.start, self.end)).actions
        pd.testing.assert_frame_equal(stated, derived)

    def test_pence_and_dollars_of_london_are_told_apart_by_its_list(
        self, server: EodhdServer, listings: dict[str, Listing]
    ) -> None:
        answer = self.build(server).fetch(FetchRequest((BT, ETF), self.start, self.end))
        assert server.requests["exchange-symbol-list"] == 1
        for symbol, listing, currency in (("BT.A", listings["BT"], "GBP"), ("CSPX", listings["ETF"], "USD")):
            bars = answer.bars[answer.bars["symbol"] == symbol].merge(listing.bars, on="session")
            np.testing.assert_allclose(bars["close_x"], bars["close_y"])
            assert set(bars["currency_x"]) == {currency}
        paid = answer.actions[answer.actions["symbol"] == "BT.A"]
        assert paid["value"].tolist() == [0.18, 0.2]
        assert set(paid["currency"]) == {"GBP"}

    def test_a_symbol_that_its_list_does_not_have_is_refused(self, server: EodhdServer) -> None:
        outcome = outcome_of(self.build(server), FetchRequest((SecurityRef("VOD", "XLON", "GBP"),), *FEW))
        assert outcome.error == "SourceRejected"
        assert "not among the symbols of LSE" in outcome.cause

    def test_the_daily_limit_comes_with_status_402(self, server: EodhdServer) -> None:
        server.inject("daily")
        outcome = outcome_of(self.build(server), FetchRequest((IBM,), *FEW))
        assert (outcome.error, outcome.retryable) == ("RateLimited", True)
        assert "requests are used up" in outcome.cause
        assert KEY not in outcome.cause

    def test_a_split_that_is_no_ratio_is_refused(self, server: EodhdServer) -> None:
        server.inject("wrong_split", path="splits")
        outcome = outcome_of(self.build(server), FetchRequest((AAPL,), *FEW))
        assert outcome.error == "UnexpectedPayload"

    def test_an_empty_answer_is_not_believed_at_once(self, server: EodhdServer) -> None:
        request = FetchRequest((IBM,), *FEW)
        expected = self.build(server).fetch(request)
        server.inject("no_rows", times=1, path="eod")
        pd.testing.assert_frame_equal(self.build(server).fetch(request).bars, expected.bars)
        server.inject("no_rows")
        assert outcome_of(self.build(server), request).error == "SourceUnavailable"


@given(
    volumes=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
    splits=st.lists(st.tuples(st.integers(0, 35), st.sampled_from([2.0, 3.0, 1.5, 7.0, 0.1, 0.25])), max_size=4),
)
def test_a_volume_adjusted_by_any_splits_comes_back_to_the_share(
    volumes: list[int], splits: list[tuple[int, float]]
) -> None:
    """To every share, unless the adjusted number was the smaller one: EODHD rounded it to a whole number."""
    days = np.datetime64("2005-01-01") + np.arange(len(volumes))
    actions = [Action(dt.date(2005, 1, 1) + dt.timedelta(days=day), "split", ratio) for day, ratio in splits]
    later = np.array([math.prod(action.value for action in actions if action.ex_date > day.item()) for day in days])
    sent = np.column_stack([np.ones((len(volumes), 4)), np.rint(np.array(volumes) * later)])
    rows = _as_traded(Rows(days, sent), actions, 0.01)
    allowed = np.where(later >= 1, 0, 0.5 / later + 0.5)
    assert (np.abs(rows.bars[:, 4] - volumes) <= allowed).all()
    np.testing.assert_allclose(rows.bars[:, :4], 0.01)


def test_exchanges_have_calendars() -> None:
    import exchange_calendars

    assert set(EXCHANGES) <= set(exchange_calendars.get_calendar_names())
