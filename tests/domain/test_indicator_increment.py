"""A daily increment equals a full recomputation, and no value changes because of what happens later."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from indicator_market import NO_ACTIONS, PRICES, Market, assert_same, markets, random_bars

from market_assets.domain.indicators import ALL, carry_columns, compute, lookback_bars
from market_assets.errors import InputError, SchemaMismatch

# Cases are generated whole markets: the health check measures their size, not a fault of the test.
thorough = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def full(market: Market) -> pd.DataFrame:
    return compute(market.adjusted(), indicators=ALL)


def increment(stored: pd.DataFrame, market: Market, after: pd.Timestamp) -> pd.DataFrame:
    """What the daily asset does: stored rows and the last bars up to `after`, and every bar since."""
    history = market.adjusted()
    complete = history[["open", "high", "low", "close", "volume"]].notna().all(axis=1)
    before = history["session"] <= after
    age = (complete & before)[::-1].groupby(history["symbol"][::-1]).cumsum()[::-1]
    # The lookback counts complete bars; the incomplete ones between them come along.
    slice_ = history[~before | (age <= lookback_bars(ALL))].reset_index(drop=True)
    known = stored[stored["session"] <= after][["symbol", "session", *carry_columns(ALL)]]
    return compute(slice_, indicators=ALL, carry=known)


@given(markets(), st.data())
@thorough
def test_an_increment_equals_a_full_recomputation(market: Market, data: st.DataObject) -> None:
    sessions = sorted(market.bars["session"].unique())
    assume(len(sessions) > 1)
    cuts = sorted(data.draw(st.lists(st.sampled_from(sessions[:-1]), min_size=1, max_size=4, unique=True)))
    stored = full(market.known_at(cuts[0]))
    for after, until in pairwise([*cuts, sessions[-1]]):
        known = market.known_at(until)
        stored = pd.concat([stored, increment(stored, known, after)], ignore_index=True)
        stored = stored.sort_values(["symbol", "session"], ignore_index=True)
    assert_same(stored, full(market), market.bars)


@given(markets(), st.floats(0.0, 1.0))
@thorough
def test_later_splits_and_dividends_change_no_value(market: Market, share: float) -> None:
    sessions = sorted(market.bars["session"].unique())
    session = sessions[int(share * (len(sessions) - 1))]
    then = full(market.known_at(session))
    now = full(market)
    assert_same(now[now["session"] <= session].reset_index(drop=True), then, market.bars)


@given(markets(), st.floats(0.0, 1.0))
@thorough
def test_with_forward_factors_later_events_change_no_bit(market: Market, share: float) -> None:
    sessions = sorted(market.bars["session"].unique())
    session = sessions[int(share * (len(sessions) - 1))]
    then = compute(market.known_at(session).adjusted(forward=True), indicators=ALL)
    now = compute(market.adjusted(forward=True), indicators=ALL)
    pd.testing.assert_frame_equal(now[now["session"] <= session].reset_index(drop=True), then, check_exact=True)


@pytest.fixture
def bars() -> pd.DataFrame:
    return random_bars(300, 60, 20)


def stored_before(bars: pd.DataFrame, session: pd.Timestamp) -> pd.DataFrame:
    """What the table holds when `session` has not been computed yet."""
    return compute(bars[bars["session"] < session].reset_index(drop=True), indicators=ALL)


def test_an_increment_returns_the_sessions_after_the_stored_ones(bars: pd.DataFrame) -> None:
    session = bars["session"][50]
    result = compute(bars, indicators=ALL, carry=stored_before(bars, session))
    # The symbol with 20 bars ends before: it has nothing new.
    assert result["symbol"].value_counts().to_dict() == {"S000": 250, "S001": 10}
    assert result["session"].min() == session


def test_the_last_stored_session_alone_is_enough_when_its_bar_is_complete(bars: pd.DataFrame) -> None:
    stored = stored_before(bars, bars["session"][250])
    last = stored.groupby("symbol").tail(1)
    increment_ = compute(bars, indicators=ALL, carry=last)
    pd.testing.assert_frame_equal(increment_, compute(bars, indicators=ALL, carry=stored))


def test_symbols_of_the_carry_that_have_no_bars_are_ignored(bars: pd.DataFrame) -> None:
    stored = stored_before(bars, bars["session"][250])
    other = stored.assign(symbol="GONE")
    both = pd.concat([stored, other], ignore_index=True)
    pd.testing.assert_frame_equal(
        compute(bars, indicators=ALL, carry=both), compute(bars, indicators=ALL, carry=stored)
    )


def test_a_symbol_without_stored_rows_starts_from_its_first_bar(bars: pd.DataFrame) -> None:
    stored = stored_before(bars, bars["session"][250])
    new = stored[stored["symbol"] != "S001"]
    result = compute(bars, indicators=ALL, carry=new)
    whole = compute(bars, indicators=ALL)
    listed = whole[whole["symbol"] == "S001"].reset_index(drop=True)
    pd.testing.assert_frame_equal(result[result["symbol"] == "S001"].reset_index(drop=True), listed)


def test_an_empty_carry_is_a_full_computation(bars: pd.DataFrame) -> None:
    none = compute(bars, indicators=ALL).iloc[:0]
    pd.testing.assert_frame_equal(compute(bars, indicators=ALL, carry=none), compute(bars, indicators=ALL))


def test_a_carry_without_the_state_columns_is_refused(bars: pd.DataFrame) -> None:
    stored = stored_before(bars, bars["session"][250]).drop(columns="rsi_14_gain")
    with pytest.raises(SchemaMismatch, match=r"carry lacks the columns \['rsi_14_gain'\]"):
        compute(bars, carry=stored)


def test_a_carry_whose_last_session_is_not_among_the_bars_is_refused(bars: pd.DataFrame) -> None:
    stored = stored_before(bars, bars["session"][250])
    short = bars[(bars["symbol"] != "S000") | (bars["session"] >= bars["session"][250])].reset_index(drop=True)
    with pytest.raises(InputError, match="carry of S000: its last stored session 2010-12-17 is not among the bars"):
        compute(short, carry=stored)


def test_a_state_that_is_null_after_its_warm_up_is_refused(bars: pd.DataFrame) -> None:
    """As after adding an indicator to the table: its history has to be computed first."""
    stored = stored_before(bars, bars["session"][250]).assign(atr_14=float("nan"))
    with pytest.raises(InputError, match="carry of S000 up to 2010-12-17: atr_14 is null after 250 complete bars"):
        compute(bars, carry=stored)


def test_a_last_stored_bar_without_volume_needs_older_rows(bars: pd.DataFrame) -> None:
    gap = bars.copy()
    gap.loc[249, "volume"] = float("nan")
    stored = stored_before(gap, gap["session"][250])
    last = stored.groupby("symbol").tail(1)
    with pytest.raises(InputError, match=r"obv is null after 249 complete bars.*pass stored rows back to the last"):
        compute(gap, carry=last)
    later = compute(gap, indicators=ALL, carry=stored)
    whole = compute(gap, indicators=ALL)
    tail = whole[whole["session"] >= gap["session"][250]].reset_index(drop=True)
    assert_same(later, tail, gap)


def test_an_increment_reads_the_lookback_and_not_more(bars: pd.DataFrame) -> None:
    """One bar less and the longest windows are not full."""
    session, symbol = bars["session"][290], "S000"
    own = bars[bars["symbol"] == symbol]
    stored = stored_before(own, session)
    whole = compute(own, indicators=ALL)
    wanted = whole[whole["session"] >= session].reset_index(drop=True)
    enough = own.iloc[290 - lookback_bars(ALL) :].reset_index(drop=True)
    assert_same(compute(enough, indicators=ALL, carry=stored), wanted, own)
    short = compute(enough.iloc[1:].reset_index(drop=True), indicators=ALL, carry=stored)
    assert short["return_252"].isna()[0]
    assert short["ema_26"].notna().all()


def test_a_long_flat_stretch_is_carried_exactly() -> None:
    """Averages decay together while nothing trades; no lookback of any length could find their ratio again."""
    values = random_bars(900)
    values.loc[150:, ["open", "high", "low", "close"]] = values["close"][150]
    market = Market(values, NO_ACTIONS)
    stored = full(market.known_at(values["session"][890]))
    later = increment(stored, market, values["session"][890])
    assert 0.0 < later["rsi_14"].iloc[-1] < 100.0
    assert_same(later, full(market).iloc[891:].reset_index(drop=True), values)


def test_a_split_between_stored_and_new_sessions_changes_the_basis_of_the_state() -> None:
    """4:1 on the last session: the table holds values per old share, the bars are per new share."""
    values = random_bars(300)
    old = (values.index < 299).astype("float64")
    after = values.assign(
        **{name: values[name] / 4.0 for name in PRICES},
        volume=values["volume"] * 4.0,
        price_factor=1.0 - 0.75 * old,
        volume_factor=1.0 + 3.0 * old,
    )
    stored = compute(values.iloc[:299], indicators=ALL)
    result = compute(after, indicators=ALL, carry=stored)
    assert_same(result, compute(after, indicators=ALL).iloc[299:].reset_index(drop=True), values)
    direction = np.sign(values["close"][299] - values["close"][298])
    assert result["obv"][0] == pytest.approx(4.0 * (stored["obv"][298] + direction * values["volume"][299]), rel=1e-12)
    assert result["ema_12"][0] == pytest.approx(
        (stored["ema_12"][298] * 11.0 + values["close"][299] * 2.0) / 13.0 / 4.0, rel=1e-12
    )


def test_daily_increments_do_not_drift() -> None:
    values = random_bars(420, seed=11)
    market = Market(values, NO_ACTIONS)
    sessions = values["session"].tolist()
    stored = full(market.known_at(sessions[350]))
    for after, until in pairwise(sessions[350:]):
        known = market.known_at(until)
        stored = pd.concat([stored, increment(stored, known, after)], ignore_index=True)
    assert_same(stored, full(market), values)
