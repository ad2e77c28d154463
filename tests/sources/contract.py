"""What every price source must do. A source's test class inherits `SourceContract` and supplies the fixtures.

Subclasses define `source` (fixture), `refs` (two securities that trade in the range), `start` and `end` (a range of at
least five sessions), and `unknown` (a security the source has never heard of).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd
import pytest

from market_assets.domain.adjustments import to_as_traded
from market_assets.errors import InputError
from market_assets.sources.base import PRICE_BASES, FetchRequest, FetchResult, PriceSource, SecurityRef
from market_assets.sources.frames import (
    ACTION_COLUMNS,
    ACTION_KINDS,
    BAR_COLUMNS,
    SECURITY_COLUMNS,
    SHARES_COLUMNS,
)

FRAMES = ("bars", "actions", "securities", "shares")


def assert_same_answer(left: FetchResult, right: FetchResult) -> None:
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(left, name), getattr(right, name))
    assert left.failures == right.failures
    assert left.known_at == right.known_at


class SourceContract:
    refs: tuple[SecurityRef, ...]
    start: dt.date
    end: dt.date
    unknown = SecurityRef("NOSUCH", "XNYS", "USD")

    @pytest.fixture
    def source(self) -> PriceSource:
        raise NotImplementedError

    @pytest.fixture
    def request_all(self) -> FetchRequest:
        return FetchRequest(self.refs, self.start, self.end)

    @pytest.fixture
    def answer(self, source: PriceSource, request_all: FetchRequest) -> FetchResult:
        return source.fetch(request_all)

    def test_declares_a_name_a_basis_and_its_coverage(self, source: PriceSource) -> None:
        assert source.name
        assert source.basis in PRICE_BASES
        assert all(source.provides.answers(ref.exchange) for ref in self.refs)

    def test_frames_have_the_declared_columns_and_dtypes(self, answer: FetchResult) -> None:
        assert tuple(answer.bars.columns) == BAR_COLUMNS
        assert tuple(answer.actions.columns) == ACTION_COLUMNS
        assert tuple(answer.securities.columns) == SECURITY_COLUMNS
        assert tuple(answer.shares.columns) == SHARES_COLUMNS
        for frame, dates in (
            (answer.bars, ["session"]),
            (answer.actions, ["ex_date"]),
            (answer.securities, ["first_session", "last_session"]),
            (answer.shares, ["effective_date"]),
        ):
            for column in frame.columns:
                if column in dates:
                    assert str(frame[column].dtype) == "datetime64[us]"
                    assert (frame[column].dropna() == frame[column].dropna().dt.normalize()).all()
                elif column in {"open", "high", "low", "close", "volume", "value", "shares"}:
                    assert str(frame[column].dtype) == "float64"
                else:
                    assert str(frame[column].dtype) == "str"

    def test_answers_each_known_symbol_with_bars(self, answer: FetchResult) -> None:
        assert answer.failures == ()
        assert set(answer.bars["symbol"]) == {ref.symbol for ref in self.refs}
        assert answer.requests_made >= 1

    def test_bars_are_ordered_and_labelled(self, source: PriceSource, answer: FetchResult) -> None:
        keys = answer.bars[["symbol", "session"]]
        pd.testing.assert_frame_equal(keys, keys.sort_values(["symbol", "session"], ignore_index=True))
        assert (answer.bars["source"] == source.name).all()
        assert set(answer.actions["source"]) | set(answer.securities["source"]) <= {source.name}

    def test_prices_carry_the_currency_of_the_security(self, answer: FetchResult) -> None:
        currency = {ref.symbol: ref.currency for ref in self.refs}
        assert (answer.bars["currency"] == answer.bars["symbol"].map(currency)).all()

    def test_equal_requests_give_equal_answers(self, source: PriceSource, request_all: FetchRequest) -> None:
        assert_same_answer(source.fetch(request_all), source.fetch(request_all))

    def test_the_order_of_symbols_does_not_matter(self, source: PriceSource, answer: FetchResult) -> None:
        reversed_request = FetchRequest(self.refs[::-1], self.start, self.end)
        assert_same_answer(source.fetch(reversed_request), answer)

    def test_range_is_respected(self, source: PriceSource, answer: FetchResult) -> None:
        sessions = sorted(set(answer.bars["session"]))
        low, high = sessions[1].date(), sessions[-2].date()
        inner = source.fetch(FetchRequest(self.refs, low, high))
        expected = answer.bars[answer.bars["session"].between(sessions[1], sessions[-2])]
        pd.testing.assert_frame_equal(inner.bars, expected.reset_index(drop=True))
        assert (inner.actions["ex_date"] >= pd.Timestamp(low)).all()
        if source.basis == "as_traded":
            assert (inner.actions["ex_date"] <= pd.Timestamp(high)).all()

    def test_a_symbol_is_answered_alike_alone_and_in_company(self, source: PriceSource, answer: FetchResult) -> None:
        for ref in self.refs:
            alone = source.fetch(FetchRequest((ref,), self.start, self.end))
            for name in FRAMES:
                frame = getattr(answer, name)
                expected = frame[frame["symbol"] == ref.symbol].reset_index(drop=True)
                pd.testing.assert_frame_equal(getattr(alone, name), expected)

    def test_no_symbols_is_an_empty_answer(self, source: PriceSource) -> None:
        empty = source.fetch(FetchRequest((), self.start, self.end))
        assert all(getattr(empty, name).empty for name in FRAMES)
        assert empty.failures == ()

    def test_a_range_without_sessions_is_an_empty_answer(self, source: PriceSource) -> None:
        saturday = self.start + dt.timedelta(days=(5 - self.start.weekday()) % 7)
        answer = source.fetch(FetchRequest(self.refs, saturday, saturday + dt.timedelta(days=1)))
        assert answer.bars.empty
        assert answer.failures == ()

    def test_a_reversed_range_is_refused(self) -> None:
        with pytest.raises(InputError, match="reversed"):
            FetchRequest(self.refs, self.end, self.start - dt.timedelta(days=1))

    def test_an_unknown_symbol_fails_alone(self, source: PriceSource, answer: FetchResult) -> None:
        mixed = source.fetch(FetchRequest((self.unknown, *self.refs), self.start, self.end))
        assert [failure.symbol for failure in mixed.failures] == [self.unknown.symbol]
        failure = mixed.failures[0]
        assert failure.error == "SourceRejected"
        assert not failure.retryable
        assert self.unknown.symbol in failure.cause
        pd.testing.assert_frame_equal(mixed.bars, answer.bars)

    def test_an_exchange_it_does_not_cover_fails_without_a_request(self, source: PriceSource) -> None:
        if source.provides.exchanges is None:
            assert source.provides.answers("XLON")
            return
        stranger = replace(self.unknown, exchange="XNOWHERE")
        answer = source.fetch(FetchRequest((stranger,), self.start, self.end))
        assert [failure.error for failure in answer.failures] == ["SourceRejected"]
        assert "XNOWHERE" in answer.failures[0].cause

    def test_actions_are_of_known_kinds_with_their_value(self, answer: FetchResult) -> None:
        assert set(answer.actions["kind"]) <= set(ACTION_KINDS)
        valued = answer.actions[answer.actions["kind"] != "symbol_change"]
        assert (valued["value"] > 0).all()

    def test_bars_and_actions_convert_to_as_traded(self, source: PriceSource, answer: FetchResult) -> None:
        bars = answer.bars.drop_duplicates(["symbol", "session"])
        converted = to_as_traded(bars, answer.actions, source.basis)
        assert len(converted) == len(bars)
        assert (converted["close"] > 0).all()

    def test_securities_describe_what_was_asked(self, answer: FetchResult) -> None:
        assert not answer.securities["symbol"].duplicated().any()
        exchanges = {ref.symbol: ref.exchange for ref in self.refs}
        assert (answer.securities["exchange"] == answer.securities["symbol"].map(exchanges)).all()
        first = answer.bars.groupby("symbol")["session"].min()
        listed = answer.securities.set_index("symbol")["first_session"].dropna()
        assert (listed <= first.reindex(listed.index)).all()

    def test_vintages_end_in_the_latest_answer(self, source: PriceSource, request_all: FetchRequest) -> None:
        results = list(source.fetch_vintages(request_all))
        seen = pd.concat([result.bars for result in results], ignore_index=True)
        latest = source.fetch(request_all).bars
        keys = ["symbol", "session"]
        pd.testing.assert_frame_equal(
            seen.drop_duplicates(keys, keep="last").sort_values(keys, ignore_index=True),
            latest.drop_duplicates(keys, keep="last").reset_index(drop=True),
        )
        moments = [result.known_at for result in results if result.known_at is not None]
        assert moments == sorted(moments)

    def test_known_securities_can_be_fetched(self, source: PriceSource) -> None:
        listed = source.known_securities()
        assert len({ref.symbol for ref in listed}) == len(listed)
        if listed:
            assert {ref.symbol for ref in self.refs} <= {ref.symbol for ref in listed}
