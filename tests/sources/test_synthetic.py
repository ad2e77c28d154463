"""The invented market: seeded, indifferent to how it is asked, and blind to its own future."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from contract import FRAMES, SourceContract
from hypothesis import given, settings
from hypothesis import strategies as st

from market_assets.domain.adjustments import adjust
from market_assets.errors import ConfigError
from market_assets.sources.base import FetchRequest, FetchResult, PriceSource, SecurityRef
from market_assets.sources.options import SourceContext, calendar_sessions
from market_assets.sources.registry import build_source
from market_assets.sources.synthetic import SyntheticSource
from market_assets.sources.synthetic_options import FAULT_KINDS

START, END = dt.date(2015, 1, 2), dt.date(2017, 12, 29)
LIVELY = {
    "symbols": 120,
    "late_listings": 0.4,
    "delistings_per_year": 0.1,
    "suspensions_per_year": 2.0,
    "markets": [{"exchange": "XNYS", "currency": "USD"}, {"exchange": "XLON", "currency": "GBP"}],
}


def synthetic(context: SourceContext | None = None, **options: Any) -> SyntheticSource:
    source = build_source("synthetic", options=LIVELY | options, context=context)
    assert isinstance(source, SyntheticSource)
    return source


def everything(source: PriceSource, start: dt.date = START, end: dt.date = END) -> FetchResult:
    return source.fetch(FetchRequest(source.known_securities(), start, end))


@pytest.fixture(scope="module")
def market() -> FetchResult:
    return everything(synthetic())


class TestSyntheticContract(SourceContract):
    refs = (SecurityRef("SYN00001", "XNYS", "USD"), SecurityRef("SYN00004", "XLON", "GBP"))
    start, end = dt.date(2016, 2, 1), dt.date(2016, 12, 30)

    @pytest.fixture
    def source(self) -> PriceSource:
        return synthetic(seed=3, late_listings=0.0, delistings_per_year=0.0)


class TestFaultySyntheticContract(TestSyntheticContract):
    """Planted faults and restatements change values and rows, never the contract."""

    @pytest.fixture
    def source(self) -> PriceSource:
        return synthetic(
            seed=3,
            late_listings=0.0,
            delistings_per_year=0.0,
            faults=["duplicate_row", "foreign_bar", "missing_bar", "phantom_session", "stale_repeat", "unit_100x"],
            fault_rate=0.2,
            vintage=2,
        )


def part_of(market: FetchResult, symbols: list[str], start: dt.date, end: dt.date) -> pd.DataFrame:
    bars = market.bars
    inside = bars["symbol"].isin(symbols) & bars["session"].between(pd.Timestamp(start), pd.Timestamp(end))
    return bars[inside].reset_index(drop=True)


DATES = st.dates(START, END)
ALL_FAULTS = {"faults": list(FAULT_KINDS), "fault_rate": 0.2, "vintage": 1}


@pytest.fixture(scope="module")
def faulty() -> FetchResult:
    return everything(synthetic(**ALL_FAULTS))


@settings(max_examples=8, deadline=None)
@given(dates=st.tuples(DATES, DATES), chosen=st.sets(st.integers(1, 120), min_size=1, max_size=4))
def test_a_bar_is_the_same_whatever_range_and_company_it_is_asked_in(
    market: FetchResult, faulty: FetchResult, dates: tuple[dt.date, dt.date], chosen: set[int]
) -> None:
    start, end = sorted(dates)
    for source, whole in ((synthetic(), market), (synthetic(**ALL_FAULTS), faulty)):
        refs = tuple(ref for ref in source.known_securities() if int(ref.symbol[3:]) in chosen)
        part = source.fetch(FetchRequest(refs, start, end)).bars
        expected = part_of(whole, [ref.symbol for ref in refs], start, end)
        pd.testing.assert_frame_equal(part, expected)


def test_the_seed_is_the_market(market: FetchResult) -> None:
    again, other = everything(synthetic()), everything(synthetic(seed=1))
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(market, name))
    assert not other.bars["close"].head(50).equals(market.bars["close"].head(50))


def test_every_row_is_labelled_as_invented(market: FetchResult) -> None:
    for name in FRAMES:
        assert (getattr(market, name)["source"] == "synthetic").all()
    assert market.securities["name"].str.startswith("Synthetic Company").all()
    with pytest.raises(ConfigError, match="has to say so"):
        build_source("synthetic", "nasdaq", {"symbols": 1})


def test_bars_are_consistent(market: FetchResult) -> None:
    bars = market.bars
    assert (bars["low"] > 0).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["volume"] >= 1).all()
    assert (bars["volume"] % 1 == 0).all()
    prices = bars[["open", "high", "low", "close"]].to_numpy()
    np.testing.assert_allclose(prices * 100, np.rint(prices * 100), atol=1e-6)
    assert market.duplicate_bars == 0


def test_bars_stand_on_sessions_of_their_exchange(market: FetchResult) -> None:
    exchange = market.securities.set_index("symbol")["exchange"]
    for name in ("XNYS", "XLON"):
        bars = market.bars[market.bars["symbol"].map(exchange) == name]
        assert bars["session"].isin(calendar_sessions(name, START, END).as_unit("us")).all()


def test_events_explain_every_large_move(market: FetchResult) -> None:
    """Adjusted for its own events, no price halves or doubles in a session, but for collapses before a delisting."""
    adjusted = adjust(market.bars, market.actions)
    same = adjusted["symbol"] == adjusted["symbol"].shift(1)
    moves = np.log(adjusted["close"] / adjusted["close"].shift(1))[same]
    last = market.securities.set_index("symbol")["last_session"]
    ends_within = (adjusted["symbol"].map(last) - adjusted["session"]).dt.days <= 21
    tiny = adjusted["close"] < 0.5
    assert moves[~ends_within & ~tiny].abs().max() < 0.5
    splits = market.actions[market.actions["kind"] == "split"]
    assert set(splits["value"]) <= {0.1, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0}
    assert len(splits) > 5


def test_volatility_comes_in_regimes(market: FetchResult) -> None:
    adjusted = adjust(market.bars, market.actions)
    adjusted = adjusted[adjusted["symbol"].isin(adjusted["symbol"].unique()[:20])]
    wide = adjusted.pivot_table(index="session", columns="symbol", values="close")
    index = np.log(wide).diff().mean(axis=1).dropna()
    assert 0.05 < index.std() * np.sqrt(252) < 0.45
    # Absolute returns of a market with regimes are autocorrelated; those of a random walk are not.
    assert index.abs().autocorr(1) > 2 / np.sqrt(len(index))


def test_companies_list_delist_and_are_suspended(market: FetchResult) -> None:
    listed = market.securities.set_index("symbol")
    bars = market.bars.groupby("symbol")["session"].agg(["min", "max"])
    assert (listed["first_session"] > pd.Timestamp(START)).sum() >= 5
    assert listed["last_session"].notna().sum() >= 5
    assert (bars["min"] >= listed["first_session"].reindex(bars.index)).all()
    gone = listed["last_session"].dropna()
    assert (bars["max"].reindex(gone.index) <= gone).all()
    pause = market.bars.groupby("symbol")["session"].diff().dt.days
    assert (pause > 7).sum() > 20
    assert pause.max() < 120


def test_nothing_of_the_future_is_told(market: FetchResult) -> None:
    gone = market.securities.dropna(subset="last_session").iloc[0]
    late = market.securities[market.securities["first_session"] > pd.Timestamp(START)].iloc[0]
    source = synthetic()
    refs = {ref.symbol: ref for ref in source.known_securities()}

    def at(symbol: str, end: pd.Timestamp) -> FetchResult:
        return source.fetch(FetchRequest((refs[symbol],), START, end.date()))

    before = at(gone["symbol"], gone["last_session"])
    assert before.securities["last_session"].isna().all()
    after = at(gone["symbol"], gone["last_session"] + pd.Timedelta(days=5))
    assert after.securities["last_session"].tolist() == [gone["last_session"]]
    unlisted = at(late["symbol"], late["first_session"] - pd.Timedelta(days=1))
    assert unlisted.bars.empty
    assert unlisted.securities.empty
    assert unlisted.failures == ()


def test_sessions_that_have_not_closed_have_no_bar() -> None:
    context = SourceContext(closed_through=lambda _exchange: dt.date(2016, 3, 10))
    bars = everything(synthetic(context), dt.date(2016, 3, 1), dt.date(2016, 3, 31)).bars
    assert bars["session"].max() == pd.Timestamp("2016-03-10")
    unborn = SourceContext(closed_through=lambda _exchange: dt.date(2014, 12, 31))
    assert everything(synthetic(unborn)).bars.empty


def test_share_counts_start_with_the_one_in_force_and_follow_splits(market: FetchResult) -> None:
    shares = market.shares.set_index(["symbol", "effective_date"])["shares"]
    splits = market.actions[market.actions["kind"] == "split"]
    for split in splits.to_dict("records"):
        history = shares[split["symbol"]]
        at = history.index.get_loc(split["ex_date"])
        if split["ex_date"].day_of_year > 5:  # at the turn of a year the count changes for its own reasons too
            assert history.iloc[at] == pytest.approx(history.iloc[at - 1] * split["value"], rel=1e-12)

    whole = everything(synthetic(), END, END).shares
    counts = whole.groupby("symbol").size()
    assert (counts == 1).all()
    last = market.shares.groupby("symbol")["shares"].last()
    pd.testing.assert_series_equal(whole.set_index("symbol")["shares"], last)


def test_a_restated_market_differs_in_the_restated_share_of_its_bars(market: FetchResult) -> None:
    keys = ["symbol", "session"]
    restated = everything(synthetic(vintage=1, restatement_rate=0.05)).bars
    twice = everything(synthetic(vintage=2, restatement_rate=0.05)).bars
    pd.testing.assert_frame_equal(restated[keys], market.bars[keys])
    changed = (restated != market.bars).any(axis=1)
    assert changed.mean() == pytest.approx(0.05, abs=0.01)
    assert (twice != restated).any(axis=1).mean() == pytest.approx(0.05, abs=0.01)
    assert (restated["volume"] != market.bars["volume"])[changed].mean() > 0.7
    assert (restated["high"] >= restated["close"]).all()
    assert restated["open"].equals(market.bars["open"])


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_each_fault_is_planted_where_the_record_says_and_nowhere_else(market: FetchResult, kind: str) -> None:
    source = synthetic(faults=[kind], fault_rate=0.01)
    answer = everything(source)
    record = source.planted_faults(FetchRequest(source.known_securities(), START, END))
    assert set(record["fault"]) == {kind}
    planted = pd.MultiIndex.from_frame(record[["symbol", "session"]])
    assert not planted.has_duplicates

    clean, dirty = (bars.set_index(["symbol", "session"]) for bars in (market.bars, answer.bars))
    if kind == "duplicate_row":
        assert answer.duplicate_bars == len(record)
        assert set(dirty.index[dirty.index.duplicated()]) == set(planted)
        return
    if kind == "missing_bar":
        assert set(clean.index.difference(dirty.index)) == set(planted)
        return
    if kind == "phantom_session":
        assert set(dirty.index.difference(clean.index)) == set(planted)
        exchange = market.securities.set_index("symbol")["exchange"]
        for symbol, session in planted:
            assert session not in calendar_sessions(exchange[symbol], START, END)
        return
    assert clean.index.equals(dirty.index)
    differs = clean.index[((clean != dirty) & ~(clean.isna() & dirty.isna())).any(axis=1)]
    assert set(differs) == set(planted)
    bad, good = dirty.loc[planted], clean.loc[planted]
    proofs = {
        "foreign_bar": (bad["close"] / good["close"]).round(2).isin([3.7, 0.29]).all(),
        "inverted_range": (bad["high"] < bad["low"]).all(),
        "nan_row": bad[["open", "high", "low", "close"]].isna().all(axis=None),
        "negative_volume": (bad["volume"] == -good["volume"]).all(),
        "split_applied_twice": (bad["close"] != good["close"]).all(),
        "split_not_applied": (bad["close"] != good["close"]).all(),
        "stale_repeat": (bad["close"] != good["close"]).any(),
        "unit_100x": np.allclose(bad["close"], good["close"] * 100),
        "wrong_currency": (bad["currency"] == "EUR").all(),
        "zero_price": (bad[["open", "high", "low", "close", "volume"]] == 0).all(axis=None),
    }
    assert proofs[kind]


def test_faults_of_splits_hit_split_sessions() -> None:
    source = synthetic(faults=["split_not_applied", "split_applied_twice"])
    request = FetchRequest(source.known_securities(), START, END)
    record, answer = source.planted_faults(request), source.fetch(request)
    splits = answer.actions[answer.actions["kind"] == "split"].set_index(["symbol", "ex_date"])["value"]
    assert set(zip(record["symbol"], record["session"], strict=True)) <= set(splits.index)
    assert set(record["fault"]) == {"split_not_applied", "split_applied_twice"}


def test_the_record_of_a_range_is_a_part_of_the_record() -> None:
    source = synthetic(**ALL_FAULTS)
    refs = source.known_securities()
    whole = source.planted_faults(FetchRequest(refs, START, END))
    start, end = dt.date(2016, 5, 2), dt.date(2016, 5, 31)
    part = source.planted_faults(FetchRequest(refs[:40], start, end))
    inside = whole["session"].between(pd.Timestamp(start), pd.Timestamp(end))
    expected = whole[inside & whole["symbol"].isin([ref.symbol for ref in refs[:40]])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, expected)
    assert len(part) > 10


def test_the_order_of_fault_kinds_does_not_matter() -> None:
    one = everything(synthetic(faults=["zero_price", "unit_100x"], fault_rate=0.05))
    other = everything(synthetic(faults=["unit_100x", "zero_price"], fault_rate=0.05))
    pd.testing.assert_frame_equal(one.bars, other.bars)


def test_a_calendar_that_begins_after_the_market_is_refused() -> None:
    def late_calendar(exchange: str, start: dt.date, end: dt.date) -> pd.DatetimeIndex:
        return calendar_sessions(exchange, max(start, dt.date(2016, 1, 1)), end)

    with pytest.raises(ConfigError, match="begins on 2016-01-0"):
        everything(synthetic(SourceContext(sessions=late_calendar)))


@pytest.mark.parametrize(
    ("symbol", "exchange"),
    [("SYN00121", "XNYS"), ("SYN00000", "XNYS"), ("SYN1", "XNYS"), ("ABC00001", "XNYS"), ("SYN00001", "XLON")],
)
def test_symbols_it_did_not_invent_are_unknown(symbol: str, exchange: str) -> None:
    answer = synthetic().fetch(FetchRequest((SecurityRef(symbol, exchange, "USD"),), START, START))
    assert [failure.error for failure in answer.failures] == ["SourceRejected"]
    assert "SYN00001 to SYN00120" in answer.failures[0].cause


def test_large_markets_are_simulated_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    import market_assets.sources.synthetic as module

    whole = everything(synthetic(), end=dt.date(2015, 3, 31))
    monkeypatch.setattr(module, "BLOCK", 7)
    pd.testing.assert_frame_equal(everything(synthetic(), end=dt.date(2015, 3, 31)).bars, whole.bars)
