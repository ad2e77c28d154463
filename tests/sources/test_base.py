"""What the contract enforces on a source, shown with sources that break it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd
import pytest

from market_assets.errors import InputError, RateLimited, SchemaMismatch, SourceRejected
from market_assets.sources.base import (
    Batch,
    Coverage,
    FetchRequest,
    FetchResult,
    PriceSource,
    SecurityRef,
    SymbolFailure,
)
from market_assets.sources.frames import ACTIONS, BARS
from market_assets.sources.options import SourceContext, SourceOptions

A, B = SecurityRef("A", "XNYS", "USD"), SecurityRef("B", "XLON", "GBP")
DAY = dt.date(2020, 1, 2)
REQUEST = FetchRequest((A,), DAY, DAY)


def bars(symbol: str = "A", day: dt.date = DAY, source: str = "stub") -> pd.DataFrame:
    values = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0, "currency": "USD"}
    return pd.DataFrame({"symbol": [symbol], "session": pd.Timestamp(day), "source": source, **values})


def split(ex_date: dt.date, kind: str = "split") -> pd.DataFrame:
    values = {"kind": kind, "source": "stub", "value": 2.0, "currency": "USD", "detail": None}
    return pd.DataFrame({"symbol": ["A"], "ex_date": pd.Timestamp(ex_date), **values})


class StubSource(PriceSource):
    """Answers what it is told to, whatever is asked."""

    name, basis, provides = "stub", "as_traded", Coverage(frozenset({"XNYS"}))

    def __init__(self, answer: FetchResult) -> None:
        self.answer, self.asked = answer, []

    @classmethod
    def from_options(
        cls,
        name: str,  # noqa: ARG003 - the contract's signature
        options: SourceOptions,  # noqa: ARG003
        context: SourceContext,  # noqa: ARG003
    ) -> StubSource:
        return cls(FetchResult())

    def _fetch(self, request: FetchRequest) -> FetchResult:
        self.asked.append(request.names)
        return self.answer


class TwoVintages(StubSource):
    def _fetch_vintages(self, request: FetchRequest) -> Iterator[FetchResult]:
        for hour in (1, 2):
            yield replace(self._fetch(request), known_at=dt.datetime(2020, 1, 3, hour, tzinfo=dt.UTC))


def test_an_honest_answer_passes() -> None:
    assert len(StubSource(FetchResult(bars=bars())).fetch(REQUEST).bars) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda: FetchResult(bars=bars("Z")), "symbols that were not asked for: Z"),
        (lambda: FetchResult(bars=bars(source="other")), "another source's label: other"),
        (lambda: FetchResult(bars=bars(day=dt.date(2020, 1, 3))), "cut the answer to the range"),
        (lambda: FetchResult(actions=split(dt.date(2021, 1, 4))), "cut the answer to the range"),
        (
            lambda: FetchResult(bars=bars(), failures=(SymbolFailure("A", "RateLimited", "slow", retryable=True),)),
            "also reports as failed: A",
        ),
        (
            lambda: FetchResult(failures=(SymbolFailure("Z", "RateLimited", "slow", retryable=True),)),
            "failures with symbols that were not asked for: Z",
        ),
    ],
)
def test_an_answer_to_another_question_is_refused(answer: Callable[[], FetchResult], message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        StubSource(answer()).fetch(REQUEST)


def test_later_actions_are_allowed_where_the_bars_carry_them() -> None:
    source = StubSource(FetchResult(bars=bars(), actions=split(dt.date(2021, 1, 4))))
    source.basis = "split_adjusted"
    assert len(source.fetch(REQUEST).actions) == 1
    source.answer = FetchResult(actions=split(dt.date(2019, 1, 4)))
    with pytest.raises(SchemaMismatch, match="cut the answer"):
        source.fetch(REQUEST)


def test_securities_it_does_not_cover_are_failures_without_a_question() -> None:
    source = StubSource(FetchResult(bars=bars()))
    answer = source.fetch(FetchRequest((A, B), DAY, DAY))
    assert source.asked == [("A",)]
    assert [(failure.symbol, failure.error) for failure in answer.failures] == [("B", "SourceRejected")]
    assert "exchange XLON (B); it covers XNYS" in answer.failures[0].cause


def test_vintages_are_checked_one_by_one_and_report_what_is_not_covered_once() -> None:
    results = list(TwoVintages(FetchResult(bars=bars())).fetch_vintages(FetchRequest((A, B), DAY, DAY)))
    assert [len(result.failures) for result in results] == [1, 0]
    assert [result.known_at.hour for result in results if result.known_at] == [1, 2]
    with pytest.raises(SchemaMismatch, match="not asked for: Z"):
        list(TwoVintages(FetchResult(bars=bars("Z"))).fetch_vintages(REQUEST))


def test_a_source_without_vintages_gives_one() -> None:
    (only,) = StubSource(FetchResult(bars=bars())).fetch_vintages(REQUEST)
    assert only.known_at is None


def test_a_result_types_its_frames_and_counts_duplicates() -> None:
    result = FetchResult(bars=pd.concat([bars(), bars(), bars("B")]))
    assert result.duplicate_bars == 1
    assert len(result.bars) == 3
    assert str(result.bars["session"].dtype) == "datetime64[us]"
    pd.testing.assert_frame_equal(FetchResult().bars, BARS.empty())
    pd.testing.assert_frame_equal(FetchResult().actions, ACTIONS.empty())


def test_a_result_refuses_an_unknown_kind_of_action_and_a_moment_without_zone() -> None:
    with pytest.raises(SchemaMismatch, match="unknown kind merger; known: split"):
        FetchResult(actions=split(DAY, kind="merger"))
    with pytest.raises(SchemaMismatch, match="no time zone"):
        FetchResult(known_at=pd.Timestamp("2020-01-02").to_pydatetime())


def test_a_request_is_a_range_of_distinct_symbols() -> None:
    with pytest.raises(InputError, match="2020-01-02 to 2020-01-01 is reversed"):
        FetchRequest((A,), DAY, DAY - dt.timedelta(days=1))
    with pytest.raises(InputError, match="asked for twice in one request: A"):
        FetchRequest((A, A), DAY, DAY)


@pytest.mark.parametrize(
    ("error", "retryable"), [(RateLimited("slow down", 30.0), True), (SourceRejected("no such symbol"), False)]
)
def test_a_failure_reads_retryability_from_the_type(error: RateLimited | SourceRejected, retryable: bool) -> None:
    failure = SymbolFailure.from_error("A", error)
    assert failure == SymbolFailure("A", type(error).__name__, str(error), retryable)


def test_coverage_without_exchanges_answers_for_all() -> None:
    assert Coverage().answers("XTKS")
    assert not Coverage(frozenset({"XNYS"})).answers("XTKS")


@pytest.mark.parametrize(
    ("batch", "chunk", "securities"),
    [(Batch(), 250, 250), (Batch(50), 250, 50), (Batch(50), 2, 2), (Batch(10_000, 7), 250, 10_000)],
)
def test_a_source_is_asked_for_few_enough_securities_at_once(batch, chunk, securities):
    assert batch.securities(chunk) == securities
