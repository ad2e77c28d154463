"""The protocol of the NSE's archive against a local stand-in, on both sides of the change of format."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from nse_server import NseServer, Traded
from vendor_contract import VendorContract, outcome_of, sessions

from market_assets.fetching import HttpCache
from market_assets.sources.base import FetchRequest, SecurityRef
from market_assets.sources.nse_bhavcopy import _date

RELIANCE = SecurityRef("RELIANCE", "XBOM", "INR")
TCS = SecurityRef("TCS", "XBOM", "INR")
LATE = SecurityRef("LATE", "XBOM", "INR")
START, END = dt.date(2024, 7, 1), dt.date(2024, 7, 16)
HOLIDAY = "2024-07-10"  # in this market; XBOM was open
TODAY = dt.datetime(2024, 7, 24, 15, 0, tzinfo=dt.UTC)


def rows_of(position: int, day: pd.Timestamp) -> list[Traded]:
    """Two shares, a bond, and a share in two series; one share lists on the 15th."""
    price = 100.0 + position
    rows = [
        Traded("RELIANCE", "EQ", (price, price + 2, price - 2, price + 1, 1000 + position)),
        Traded("TCS", "BE" if position % 3 == 0 else "EQ", (2 * price, 2 * price + 2, 2 * price, 2 * price + 1, 50)),
        Traded("GOLDBOND", "GB", (9.0, 9.0, 9.0, 9.0, 1)),
    ]
    if position % 2:
        rows.insert(0, Traded("RELIANCE", "BE", (1.0, 1.0, 1.0, 1.0, 1)))
    if day >= pd.Timestamp("2024-07-15"):
        rows.append(Traded("LATE", "EQ", (5.0, 5.0, 5.0, 5.0, 5)))
    return rows


@pytest.fixture(scope="module")
def shared() -> Iterator[NseServer]:
    days = sessions("XBOM", START, TODAY.date())
    files = {f"{day:%Y-%m-%d}": rows_of(position, day) for position, day in enumerate(days)}
    del files[HOLIDAY]
    with NseServer(files) as server:
        yield server


class TestNseBhavcopy(VendorContract):
    kind, prices, variable = "nse_bhavcopy", "udiff", ""
    refs = (RELIANCE, TCS)
    unknown = SecurityRef("NOSUCH", "XBOM", "INR")
    start, end, few = START, END, (dt.date(2024, 7, 8), dt.date(2024, 7, 9))

    @pytest.fixture
    def server(self, shared: NseServer) -> NseServer:
        return shared

    def context(self, **lent):
        if "now" not in lent:
            lent = {"now": lambda: TODAY, "closed_through": lambda _exchange: TODAY.date()} | lent
        return super().context(**lent)

    def test_both_formats_make_one_series(self, server: NseServer) -> None:
        answer = self.build(server).fetch(FetchRequest(self.refs, START, END))
        bars = answer.bars[answer.bars["symbol"] == "RELIANCE"].reset_index(drop=True)
        assert server.requests == {"legacy": 5, "udiff": 7}
        assert bars["session"].dt.strftime("%m-%d").tolist() == [
            *("07-01", "07-02", "07-03", "07-04", "07-05"),
            *("07-08", "07-09", "07-11", "07-12", "07-15", "07-16"),
        ]
        assert bars["close"].tolist() == [101.0 + position for position in (0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11)]
        assert (bars["volume"] == bars["close"] + 899).all()
        assert set(bars["currency"]) == {"INR"}

    def test_one_request_a_session_whatever_the_number_of_symbols(self, server: NseServer) -> None:
        one = self.build(server).fetch(FetchRequest((RELIANCE,), *self.few))
        two = self.build(server).fetch(FetchRequest(self.refs, *self.few))
        assert one.requests_made == two.requests_made == 2
        assert self.build(server).batch.days == 7

    def test_equity_is_preferred_to_trade_for_trade_and_both_to_the_rest(self, server: NseServer) -> None:
        answer = self.build(server).fetch(FetchRequest((RELIANCE, TCS), START, START + dt.timedelta(days=1)))
        assert (answer.bars["close"] > 100).all()
        assert len(answer.bars) == 4
        gold = FetchRequest((SecurityRef("GOLDBOND", "XBOM", "INR"),), START, START)
        assert outcome_of(self.build(server), gold).error == "SourceRejected"
        assert len(self.build(server, series=["GB"]).fetch(gold).bars) == 1

    def test_a_session_without_a_file_was_a_holiday_once_it_is_old(self, server: NseServer) -> None:
        day = dt.date.fromisoformat(HOLIDAY)
        answer = self.build(server).fetch(FetchRequest(self.refs, day, day))
        assert (len(answer.bars), answer.failures) == (0, ())

    def test_a_file_that_is_not_there_yet_is_asked_for_again(self, server: NseServer) -> None:
        day = dt.date.fromisoformat(HOLIDAY)
        evening = dt.datetime(2024, 7, 10, 11, 0, tzinfo=dt.UTC)
        context = self.context(now=lambda: evening, closed_through=lambda _exchange: day)
        outcome = outcome_of(self.build(server, context), FetchRequest(self.refs, day, day))
        assert (outcome.error, outcome.retryable) == ("SourceUnavailable", True)
        assert "not published yet" in outcome.cause

    def test_before_its_listing_a_security_is_no_failure(self, server: NseServer) -> None:
        answer = self.build(server).fetch(FetchRequest((RELIANCE, LATE), *self.few))
        assert answer.failures == ()
        assert set(answer.bars["symbol"]) == {"RELIANCE"}

    def test_whether_a_symbol_exists_is_looked_up_once(self, server: NseServer) -> None:
        source = self.build(server)
        for day in range(1, 6):
            source.fetch(FetchRequest((self.unknown,), dt.date(2024, 7, day), dt.date(2024, 7, day)))
        assert server.requests == {"legacy": 5, "udiff": 1}

    def test_names_come_from_the_newer_format(self, server: NseServer) -> None:
        old = self.build(server).fetch(FetchRequest((RELIANCE,), START, START))
        new = self.build(server).fetch(FetchRequest((RELIANCE,), *self.few))
        assert old.securities.empty
        assert new.securities["name"].tolist() == ["RELIANCE LTD"]

    def test_rows_of_another_day_are_refused(self, server: NseServer) -> None:
        server.inject("wrong_day")
        outcome = outcome_of(self.build(server), FetchRequest((RELIANCE,), *self.few))
        assert outcome.error == "UnexpectedPayload"
        assert "a row of 2024-07-09" in outcome.cause

    def test_a_file_without_rows_is_cut_off(self, server: NseServer) -> None:
        server.inject("no_rows")
        assert outcome_of(self.build(server), FetchRequest((RELIANCE,), *self.few)).error == "AnswerCutOff"

    def test_recent_files_are_not_kept(self, server: NseServer, tmp_path: Path) -> None:
        context = self.context(cache=HttpCache(tmp_path))
        for _ in range(2):
            self.build(server, context).fetch(FetchRequest((RELIANCE,), dt.date(2024, 7, 8), dt.date(2024, 7, 16)))
        # Of 6 files two have 10 later sessions; a session without a file is asked for each time.
        assert server.requests["udiff"] == 7 + 7 - 2

    def test_a_platform_symbol_may_differ(self, server: NseServer) -> None:
        answer = self.build(server, symbols={"RIL": "RELIANCE"}).fetch(
            FetchRequest((SecurityRef("RIL", "XBOM", "INR"),), *self.few)
        )
        assert set(answer.bars["symbol"]) == {"RIL"}


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-07-08", (2024, 7, 8)),
        ("05-JUL-2024", (2024, 7, 5)),
        ("03-Nov-94", (1994, 11, 3)),
        ("01-JAN-16", (2016, 1, 1)),
    ],
)
def test_dates_of_all_ages_are_read(text: str, day: tuple[int, int, int]) -> None:
    assert _date(text) == dt.date(*day)
