"""A stored session taken apart: the parts are those of the calculation, and they sum up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_markets import actions_of, definition, market_of, random_frames, sessions

from market_assets.domain.indices import IndexResult, Market, calculate
from market_assets.domain.indices.explanation import Explanation, explain_session
from market_assets.errors import SchemaMismatch


def explained(result: IndexResult, number: int) -> Explanation:
    """Session `number` of a result, from its rows and those of the session before."""
    days = result.values["session"]
    near = days[max(0, number - 1) : number + 1]
    values, constituents = result.values, result.constituents
    return explain_session(values[values["session"].isin(near)], constituents[constituents["session"].isin(near)])


def test_weight_at_the_open_times_return_is_the_contribution() -> None:
    result = calculate(definition(base_value=1000), market_of({"A": [10, 20, 30], "B": [100, 100, 50]}))
    made = explained(result, 2)
    assert (made.session, made.previous) == (sessions(3)[2], sessions(3)[1])
    rows = made.holdings.set_index("symbol")
    assert rows.index.tolist() == ["A", "B"], "the largest contribution first"
    assert rows["symbol_return"].tolist() == pytest.approx([0.5, -0.5])
    assert rows["opening_weight"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert rows["contribution"].tolist() == pytest.approx([1 / 3, -1 / 6])
    assert made.dividend_points == 0
    assert made.levels.loc["price_return"].tolist() == pytest.approx([1750, 1500, 1 / 6])
    assert made.changes.empty


def test_the_base_date_has_weights_and_no_returns() -> None:
    made = explained(calculate(definition(), market_of({"A": [10, 20], "B": [10, 20]})), 0)
    assert made.previous is None
    assert np.isnan(made.dividend_points)
    assert made.holdings["weight"].tolist() == [0.5, 0.5]
    assert made.holdings[["opening_weight", "symbol_return"]].isna().all(axis=None)
    assert made.levels["change"].isna().all()
    assert (made.unexplained, len(made.changes)) == (0.0, 0)


def test_a_split_resizes_and_does_not_look_like_a_loss() -> None:
    market = market_of({"A": [100, 55], "B": [50, 50]}, actions_of(("A", 1, "split", 2.0)))
    made = explained(calculate(definition(), market), 1)
    assert made.holdings.set_index("symbol").loc["A", "symbol_return"] == pytest.approx(0.1)
    assert made.changes.to_dict("records") == [
        {"symbol": "A", "change": "resized", "shares_before": 5_000.0, "shares": 10_000.0}
    ]


def test_regular_dividends_are_counted_in_index_points() -> None:
    market = market_of({"A": [100, 98], "B": [100, 100]}, actions_of(("A", 1, "cash_dividend", 2.0)))
    made = explained(calculate(definition(), market), 1)
    assert made.dividend_points == pytest.approx(1.0)
    assert made.levels["change"].tolist() == pytest.approx([-0.01, 0.0, 0.0])


def test_a_new_company_held_at_zero_has_a_contribution_and_no_return() -> None:
    closes = {"A": [100, 80, 80], "B": [100, 100, 100], "NEW": [np.nan, 20, 20]}
    market = market_of(closes, actions_of(("A", 1, "spin_off", 20.0, "NEW 1")))
    made = explained(calculate(definition(), market), 1)
    row = made.holdings.set_index("symbol").loc["NEW"]
    assert np.isnan(row["symbol_return"])
    assert (row["opening_weight"], row["contribution"]) == (0.0, pytest.approx(0.1))
    assert made.unexplained == pytest.approx(0, abs=1e-15)
    assert made.changes[["symbol", "change"]].to_numpy().tolist() == [["NEW", "added"]]


def test_a_name_that_left_is_a_deletion() -> None:
    market = market_of({"A": [10, 10, 9, 9], "B": [10, 10, 11, 12]}, actions_of(("A", 2, "delisting", 8.0)))
    made = explained(calculate(definition(), market), 3)
    assert made.changes[["symbol", "change"]].to_numpy().tolist() == [["A", "deleted"]]
    assert made.holdings["symbol"].tolist() == ["B"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_parts_sum_to_the_whole_in_any_market(seed: int) -> None:
    """Gaps, listings, leavers, splits, distributions and delistings."""
    frames = random_frames(seed)
    rules = definition(base_date=str(frames.sessions[0].date()), rebalance={"frequency": "monthly"})
    result = calculate(rules, Market.from_frames(frames))
    for number in (1, len(result.values) // 2, len(result.values) - 1):
        made = explained(result, number)
        rows = made.holdings
        assert abs(made.unexplained) < 1e-12
        assert rows["weight"].sum() == pytest.approx(1)
        assert rows["opening_weight"].sum() == pytest.approx(1)
        known = rows.dropna(subset="symbol_return")
        np.testing.assert_allclose(known["opening_weight"] * known["symbol_return"], known["contribution"], atol=1e-13)


def test_rows_that_do_not_belong_together_are_refused() -> None:
    result = calculate(definition(), market_of({"A": [10, 20], "B": [10, 20]}))
    with pytest.raises(SchemaMismatch, match="2 constituents on 2020-01-03, but 0 rows"):
        explain_session(result.values, result.constituents.head(0))
    other = result.values.assign(index_id="OTHER")
    with pytest.raises(SchemaMismatch, match="rows of one index"):
        explain_session(pd.concat([result.values, other]), result.constituents)
    with pytest.raises(SchemaMismatch, match="rows of one index"):
        explain_session(result.values.head(0), result.constituents)
