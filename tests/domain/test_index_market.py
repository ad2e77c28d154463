"""From frames to arrays: alignment, membership intervals, share counts, and events by session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from index_markets import actions_of, frames_of, market_of, members_of, sessions, shares_of

from market_assets.domain.calendars import known_exchanges
from market_assets.domain.indices import Market
from market_assets.domain.indices.countries import COUNTRY_OF_EXCHANGE
from market_assets.domain.indices.events import Rights, Transfer, index_events
from market_assets.errors import InputError, SchemaMismatch

NAN = np.nan
COLUMN = np.array([0])


def test_bars_are_placed_by_session_and_symbol() -> None:
    market = market_of({"B": [1, NAN], "A": [3, 4]})
    assert market.symbols == ("A", "B")
    assert market.close.tolist()[0] == [3, 1]
    assert market.close[1, 0] == 4
    assert np.isnan(market.close[1, 1])
    assert market.volume is not None
    assert market.volume[0].tolist() == [1000, 1000]
    assert market.fx is None


def test_bars_outside_the_sessions_are_left_out() -> None:
    frames = frames_of({"A": [1, 2, 3, 4]}, sessions=sessions(4)[1:3])
    assert Market.from_frames(frames).close.ravel().tolist() == [2, 3]


def test_prices_of_zero_and_below_are_missing() -> None:
    assert np.isnan(market_of({"A": [0, -1]}).close).all()


def test_two_bars_of_one_session_are_refused() -> None:
    frames = frames_of({"A": [1, 2]})
    doubled = replace(frames, bars=pd.concat([frames.bars, frames.bars.tail(1)]))
    with pytest.raises(SchemaMismatch, match="A has several bars on 2020-01-03; keep one source per bar"):
        Market.from_frames(doubled)


def test_membership_runs_through_member_to_and_may_return() -> None:
    members = pd.concat([members_of(["A"], A=(1, 2)), members_of(["A"], A=(4, None))])
    frames = frames_of({"A": [1.0] * 6}, members=members)
    assert Market.from_frames(frames).member.ravel().tolist() == [False, True, True, False, True, True]


def test_arrays_that_do_not_fit_are_refused() -> None:
    market = market_of({"A": [1, 2], "B": [1, 2]})
    for change, problem in (
        ({"volume": np.ones((1, 2))}, r"market\.volume is \(1, 2\)"),
        ({"scores": {"value": np.ones((3, 2))}}, r"market\.scores\[value\] is \(3, 2\)"),
        ({"sessions": market.sessions[[0, 0]]}, "sessions must increase"),
        ({"symbols": ("B", "A")}, "symbols must be sorted"),
        ({"country": ("US",)}, "country has 1 entries for 2 symbols"),
    ):
        with pytest.raises(SchemaMismatch, match=problem):
            replace(market, **change)


def test_share_counts_follow_splits_until_the_next_count() -> None:
    """100 shares counted before; 2:1 on session 1; recounted as 190 on session 3; 3:1 on the day of the recount 4."""
    shares = shares_of({"A": 100.0})
    counted = pd.DataFrame({"symbol": "A", "effective_date": sessions(5)[[3, 4]], "shares": [190.0, 570.0]})
    actions = actions_of(
        ("A", 1, "split", 2.0), ("A", 2, "stock_dividend", 0.05), ("A", 4, "split", 3.0), ("OTHER", 1, "split", 9.0)
    )
    market = market_of({"A": [1.0] * 5}, actions, shares=pd.concat([shares, counted]))
    assert market.shares_outstanding is not None
    assert market.shares_outstanding.ravel() == pytest.approx([100, 200, 210, 190, 570])


def test_splits_before_the_window_count_too() -> None:
    frames = frames_of({"A": [1.0] * 5}, actions_of(("A", 1, "split", 2.0)), shares=shares_of({"A": 100.0}))
    window = Market.from_frames(replace(frames, sessions=sessions(5)[3:]))
    assert window.shares_outstanding is not None
    assert window.shares_outstanding.ravel().tolist() == [200, 200]


def test_free_float_shares() -> None:
    floats = pd.DataFrame({"symbol": ["A", "Z"], "effective_date": pd.Timestamp("2019-01-01"), "factor": 0.4})
    market = market_of({"A": [1.0]}, shares=shares_of({"A": 100.0}), free_float=floats)
    assert market.free_float_shares(0, COLUMN, free_float=True).tolist() == [40]
    assert market.free_float_shares(0, COLUMN, free_float=False).tolist() == [100]
    assert np.isnan(market_of({"A": [1.0]}).free_float_shares(0, COLUMN, free_float=True)).all()


def test_price_is_carried_over_splits_and_special_distributions_up_to_the_limit() -> None:
    actions = actions_of(("A", 1, "split", 2.0), ("A", 2, "special_dividend", 1.0))
    market = market_of({"A": [10, NAN, NAN, NAN], "B": [1, 1, 1, 1]}, actions)
    assert market.price_at(3, COLUMN, limit=3).tolist() == [4]
    assert np.isnan(market.price_at(3, COLUMN, limit=2)).all()
    assert market.price_at(0, COLUMN, limit=3).tolist() == [10]


def test_rates_take_the_last_one_known() -> None:
    members = members_of(["A", "B"]).assign(currency=["EUR", "USD"])
    fx = pd.DataFrame({"base": "EUR", "quote": "USD", "session": sessions(4)[[1, 3]], "rate": [1.1, 1.2]})
    market = Market.from_frames(frames_of({"A": [1.0] * 4, "B": [1.0] * 4}, members=members, fx=fx))
    assert market.fx is not None
    assert np.isnan(market.fx[0, 0])
    assert market.fx[1:, 0].tolist() == [1.1, 1.1, 1.2]
    assert market.fx[:, 1].tolist() == [1] * 4


def test_a_symbol_is_taxed_where_it_is_listed_unless_its_country_is_given() -> None:
    members = members_of(["A", "B", "C"]).assign(exchange=["XPAR", "XNAS", "OTHER"])
    frames = replace(frames_of({name: [1.0] for name in "ABC"}), members=members, countries={"B": "IE"})
    assert Market.from_frames(frames).country == ("FR", "IE", "")
    assert set(COUNTRY_OF_EXCHANGE) <= set(known_exchanges())


def test_events_are_placed_at_the_session_on_or_after_the_ex_date() -> None:
    actions = actions_of(
        ("A", "2020-01-02", "split", 2.0),
        ("A", "2020-01-04", "split", 3.0),
        ("A", "2020-01-06", "stock_dividend", 0.5),
        ("A", "2020-01-06", "cash_dividend", 1.0),
        ("B", "2020-01-06", "special_dividend", 2.0),
        ("B", "2020-01-06", "spin_off", 0.5),
        ("Z", "2020-01-06", "split", 9.0),
        ("A", "2020-02-06", "split", 9.0),
    )
    events = index_events(actions, sessions(3).to_numpy("datetime64[D]"), ["A", "B"])
    assert events.ratios[2].columns.tolist() == [0]
    assert events.ratios[2].values.tolist() == [4.5]
    assert events.dividends[2].values.tolist() == [1]
    assert events.specials[2].values.tolist() == [2.5]
    assert events.positions() == {2}
    assert events.ratio_between(0, 2, np.array([0, 1])).tolist() == [4.5, 1]


def test_cash_before_a_split_in_one_gap_is_put_on_the_new_share_basis() -> None:
    actions = actions_of(("A", "2020-01-04", "cash_dividend", 3.0), ("A", "2020-01-05", "split", 3.0))
    events = index_events(actions, sessions(3).to_numpy("datetime64[D]"), ["A"])
    assert events.dividends[2].values.tolist() == [1]


def test_events_that_name_another_symbol() -> None:
    actions = actions_of(
        ("A", 1, "spin_off", 4.0, "B 0.5"),
        ("A", 2, "symbol_change", NAN, "B"),
        ("B", 1, "merger_stock", 0.3, "GONE"),
        ("B", 2, "rights", 0.25, "8.5"),
    )
    events = index_events(actions, sessions(3).to_numpy("datetime64[D]"), ["A", "B"])
    assert events.spin_offs == {1: [Transfer(0, 1, 0.5, 4.0)]}
    assert [change[:2] for change in events.symbol_changes[2]] == [(0, 1)]
    assert [merger[:3] for merger in events.stock_mergers[1]] == [(1, -1, 0.3)]
    assert events.rights == {2: [Rights(1, 0.25, 8.5)]}
    assert [paid.values.tolist() for paid in events.cash(1)] == [[4.0]]


@pytest.mark.parametrize("detail", ["", "the new company", "GONE 1.0", "B none", "B -1"])
def test_spin_off_without_a_usable_name_is_a_special_distribution(detail: str) -> None:
    events = index_events(
        actions_of(("A", 1, "spin_off", 4.0, detail)), sessions(3).to_numpy("datetime64[D]"), ["A", "B"]
    )
    assert events.spin_offs == {}
    assert events.specials[1].values.tolist() == [4.0]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("A", 1, "raffle", 1.0)], r"A: raffle with ex-date 2020-01-03 .* known kinds: split, stock_dividend"),
        ([("A", 1, "split", 0.0)], "needs a value above zero"),
        ([("A", 1, "cash_dividend", NAN)], "needs a value above zero"),
        ([("A", 1, "delisting", -1.0)], "needs a value of zero or more, or none"),
        ([("A", 1, "split", 2.0), ("A", 1, "split", 2.0)], "given twice"),
        ([("A", 1, "rights", 0.5, "free")], "needs the subscription price in `detail`"),
        ([("A", 1, "merger_stock", 0.5)], "needs the other symbol in `detail`"),
        ([("A", 1, "symbol_change", NAN)], "needs the other symbol in `detail`"),
    ],
)
def test_unusable_events_are_refused_by_name(rows: list[tuple[object, ...]], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        index_events(actions_of(*rows), sessions(3).to_numpy("datetime64[D]"), ["A"])


def test_actions_without_their_columns_are_refused() -> None:
    with pytest.raises(SchemaMismatch, match="actions lack value"):
        index_events(actions_of().drop(columns="value"), sessions(3).to_numpy("datetime64[D]"), ["A"])
