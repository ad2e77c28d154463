"""Choosing and weighting constituents: eligibility, ranking with buffers, weights, caps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from index_markets import actions_of, definition, frames_of, market_of, members_of, sessions, shares_of

from market_assets.domain.indices import Market, calculate
from market_assets.domain.indices.capping import capped_weights
from market_assets.domain.indices.selection import eligible, select
from market_assets.domain.indices.statistics import momentum, total_return_prices, volatility
from market_assets.errors import InputError

NAN = np.nan
NAMES = ("A", "B", "C", "D", "E")
EVERY = np.arange(5)


def chosen(market: Market, held: set[str], **selection: object) -> list[str]:
    rules = definition(selection=selection)
    columns = select(rules, market, len(market.sessions) - 1, EVERY, np.isin(np.array(market.symbols), list(held)))
    return [market.symbols[column] for column in columns]


def by_size(*sizes: float) -> Market:
    """Five names of price 1 with these market caps."""
    count = dict(zip(NAMES, sizes, strict=True))
    return market_of({name: [1.0] for name in NAMES}, shares=shares_of(count))


def test_the_largest_are_chosen() -> None:
    assert chosen(by_size(1, 5, 3, 4, 2), set(), kind="market_cap", count=2) == ["B", "D"]
    assert chosen(by_size(1, 5, 3, 4, 2), set(), kind="market_cap", count=9) == list(NAMES)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (set(), ["A", "B", "C"]),
        ({"D"}, ["A", "B", "D"]),
        ({"C", "D"}, ["A", "B", "C"]),
        ({"E"}, ["A", "B", "C"]),
    ],
)
def test_buffers_let_constituents_stay_inside_the_exit_rank(held: set[str], expected: list[str]) -> None:
    """Three of five by size A > B > C > D > E: two enter at once, a constituent may fall to rank four."""
    market = by_size(50, 40, 30, 20, 10)
    assert chosen(market, held, kind="market_cap", count=3, entry=2, exit=4) == expected


def test_ties_are_broken_by_symbol_and_unknown_sizes_never_chosen() -> None:
    assert chosen(by_size(7, 7, 7, 7, 7), set(), kind="market_cap", count=2) == ["A", "B"]
    market = market_of({name: [1.0] for name in NAMES}, shares=shares_of({"E": 1.0}))
    assert chosen(market, set(), kind="market_cap", count=2) == ["E"]


def test_momentum_skips_the_latest_sessions_and_counts_distributions() -> None:
    actions = actions_of(("B", 1, "split", 2.0), ("C", 2, "cash_dividend", 5.0), ("D", 1, "spin_off", 5.0, "E 1.0"))
    market = market_of(
        {
            "A": [10, 11, 12, 99],
            "B": [10, 5, 5, 99],
            "C": [10, 10, 5, 99],
            "D": [10, 5, 5, 99],
            "E": [NAN, 5, 5, 99],
        },
        actions,
    )
    earned = momentum(market, 3, 3, 1, EVERY)
    assert earned[:4] == pytest.approx([0.2, 0, 0, 0])
    assert np.isnan(earned[4])
    assert chosen(market, set(), kind="momentum", count=1, lookback=3, skip=1) == ["A"]


def test_total_return_prices_carry_gaps_and_need_the_whole_window() -> None:
    market = market_of({"A": [10, NAN, 12]}, actions_of(("A", 1, "split", 2.0)))
    assert total_return_prices(market, 2, 2, np.array([0])).ravel().tolist() == [10, 10, 24]
    assert np.isnan(total_return_prices(market, 2, 3, np.array([0]))).all()


def test_low_volatility_prefers_the_calm() -> None:
    closes = {"A": [10, 12, 10, 12], "B": [10, 10.1, 10, 10.1], "C": [10, 10, 10, 10], "D": [10, 11, 10, 11]}
    market = market_of({**closes, "E": [NAN, 10, 10.1, 10]})
    returns = np.diff(np.log(closes["A"]))
    assert volatility(market, 3, 3, EVERY)[0] == pytest.approx(returns.std(ddof=1) * np.sqrt(252))
    assert np.isnan(volatility(market, 3, 3, EVERY)[2:]).tolist() == [True, False, True]
    assert chosen(market, set(), kind="low_volatility", count=2, lookback=3, skip=0) == ["B", "D"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, [True, True, True, True]),
        ({"minimum_history": 3}, [True, True, False, True]),
        ({"minimum_history": 5}, [False] * 4),
        ({"minimum_price": 10}, [True, False, True, False]),
        ({"median_traded_value": 10_000, "traded_value_sessions": 3}, [True, False, True, True]),
    ],
)
def test_eligibility(rule: dict[str, object], expected: list[bool]) -> None:
    market = market_of({"A": [10.0] * 4, "B": [9.0] * 4, "NEW": [NAN, NAN, 10, 10], "OFF": [10, 10, 10, NAN]})
    found = eligible(definition(eligibility=rule), market, 3, np.arange(4))
    assert found.tolist() == expected


def test_traded_value_is_in_index_currency() -> None:
    fx = pd.DataFrame({"base": "EUR", "quote": "USD", "session": sessions(1), "rate": 2.0})
    frames = frames_of({"A": [10.0]}, members=members_of(["A"]).assign(currency="EUR"), fx=fx)
    market = Market.from_frames(frames)
    for floor, passes in ((20_000, True), (20_001, False)):
        rules = definition(eligibility={"median_traded_value": floor})
        assert eligible(rules, market, 0, np.array([0])).tolist() == [passes]


def test_traded_value_without_volume_is_not_eligible() -> None:
    frames = frames_of({"A": [10.0]})
    market = Market.from_frames(frames_of({"A": [10.0]}, bars=frames.bars.drop(columns="volume")))
    assert not eligible(definition(eligibility={"median_traded_value": 1}), market, 0, np.array([0])).any()


def weights_of(weighting: object, market: Market, **more: object) -> list[float]:
    return calculate(definition(weighting=weighting, **more), market).targets["target_weight"].round(12).tolist()


def test_weightings() -> None:
    closes = {"A": [10, 11, 10, 11], "B": [30, 31.5, 30, 31.5]}
    scores = {
        "value": pd.DataFrame({"symbol": ["A", "B"], "effective_date": pd.Timestamp("2019-01-01"), "score": [3, 1]})
    }
    market = market_of(closes, shares=shares_of({"A": 90, "B": 10}), scores=scores)
    base = {"base_date": str(sessions(4)[-1].date())}
    assert weights_of("equal", market) == [0.5, 0.5]
    assert weights_of("price", market) == [0.25, 0.75]
    assert weights_of("market_cap", market) == [0.75, 0.25]
    assert weights_of({"kind": "fixed", "weights": {"A": 0.2, "B": 0.5, "GONE": 0.3}}, market) == pytest.approx(
        [2 / 7, 5 / 7]
    )
    assert weights_of({"kind": "factor", "factor": "value"}, market) == [0.75, 0.25]
    calm = 1 / np.array([np.diff(np.log(closes[name])).std() for name in ("A", "B")])
    assert weights_of({"kind": "inverse_volatility", "lookback": 3}, market, **base) == pytest.approx(calm / calm.sum())


def test_names_without_the_data_of_the_weighting_are_left_out() -> None:
    scores = {
        "value": pd.DataFrame({"symbol": ["A", "B"], "effective_date": pd.Timestamp("2019-01-01"), "score": [3, -1]})
    }
    market = market_of({"A": [10.0], "B": [10.0], "C": [10.0]}, scores=scores)
    assert weights_of({"kind": "factor", "factor": "value"}, market) == [1]
    with pytest.raises(
        InputError, match=r"TEST: there are no scores named 'other' .* up to 2020-01-02; there are value"
    ):
        calculate(definition(weighting={"kind": "factor", "factor": "other"}), market)
    with pytest.raises(InputError, match="Of 3 candidates none has the price, history and data"):
        weights_of({"kind": "factor", "factor": "value"}, replace(market, scores={"value": -np.ones((1, 3))}))


def test_capped_market_cap_index_keeps_the_cap_and_the_proportions() -> None:
    market = by_size(60, 20, 10, 6, 4)
    assert weights_of({"kind": "market_cap", "cap": 0.4}, market) == pytest.approx([0.4, 0.3, 0.15, 0.09, 0.06])


def test_base_composition_filters_and_universe() -> None:
    frames = frames_of({"A": [10.0], "B": [10.0]}, members=members_of(["A"]))
    assert calculate(definition(), Market.from_frames(frames)).targets["symbol"].tolist() == ["A"]


# Caps -----------------------------------------------------------------------------------------------------------


def free_weights(sizes: list[float]) -> np.ndarray:
    return np.array(sizes) / sum(sizes)


sizes = st.lists(st.floats(1, 1e4), min_size=1, max_size=60)


@given(sizes, st.floats(0.02, 0.999))
def test_one_cap_holds_and_keeps_the_order(values: list[float], cap: float) -> None:
    assume(abs(len(values) * cap - 1) > 1e-9)
    free = free_weights(values)
    if len(values) * cap < 1:
        with pytest.raises(InputError, match=f"{len(values)} constituents cannot each stay at or below"):
            capped_weights(free, cap=cap)
        return
    weights = capped_weights(free, cap=cap)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights.max() <= cap * (1 + 1e-12) or free.max() <= cap
    order = np.argsort(free, kind="stable")
    assert (np.diff(weights[order]) >= -1e-15).all()
    small = weights < cap
    if small.any():
        assert weights[small] / free[small] == pytest.approx(np.full(small.sum(), (weights[small] / free[small])[0]))


@given(sizes)
def test_5_10_40_holds(values: list[float]) -> None:
    free = free_weights(values)
    if len(values) < 16:
        with pytest.raises(InputError, match=r"cannot meet 0\.05/0\.1/0\.4; at least 16 are needed"):
            capped_weights(free, cap=0.10, threshold=0.05, limit=0.40)
        return
    weights = capped_weights(free, cap=0.10, threshold=0.05, limit=0.40)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights.max() <= 0.10 * (1 + 1e-12)
    assert weights[weights > 0.05 * (1 + 1e-12)].sum() <= 0.40 * (1 + 1e-9)
    assert (np.diff(weights[np.argsort(-free, kind="stable")]) <= 1e-12).all()


def test_5_10_40_of_a_portfolio_that_meets_it_is_itself() -> None:
    free = np.array([0.09, 0.08, 0.07, 0.06] + [0.7 / 20] * 20)
    assert capped_weights(free, cap=0.10, threshold=0.05, limit=0.40) == pytest.approx(free)


def test_5_10_40_of_a_concentrated_portfolio() -> None:
    """Four at the cap of 10 % use up the 40 %; the fifth is held at 5 %, the rest share in proportion."""
    free = free_weights([30, 20, 15, 10, 8] + [17 / 30] * 30)
    weights = capped_weights(free, cap=0.10, threshold=0.05, limit=0.40)
    assert weights[:5] == pytest.approx([0.10, 0.10, 0.10, 0.10, 0.05])
    assert weights[5:] == pytest.approx(np.full(30, 0.55 / 30))
