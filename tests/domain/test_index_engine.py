"""Index calculation on markets small enough to check by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from index_markets import actions_of, definition, frames_of, market_of, members_of, sessions, shares_of

from market_assets.domain.indices import IndexState, Market, calculate
from market_assets.errors import InputError

NAN = math.nan
MARKET_CAP = {"kind": "market_cap"}


def levels(result: object, column: str = "price_return") -> list[float]:
    return result.values[column].round(9).tolist()  # type: ignore[attr-defined]  # IndexResult, kept short here


def change(result: object, reason: str) -> pd.Series:
    rows = result.divisor_changes  # type: ignore[attr-defined]
    return rows[rows["reason"] == reason].squeeze(axis=0)


def test_equal_weight_starts_at_the_base_value_and_drifts() -> None:
    result = calculate(definition(base_value=1000), market_of({"A": [10, 20, 20], "B": [100, 100, 50]}))
    assert levels(result) == [1000, 1500, 1250]
    first, second = (result.constituents[result.constituents["session"] == day] for day in sessions(2))
    assert first["weight"].tolist() == [0.5, 0.5]
    assert first["contribution"].tolist() == [0, 0]
    assert first["shares"].tolist() == [50_000, 5_000]
    assert second["weight"].to_numpy() == pytest.approx([2 / 3, 1 / 3])
    assert second["contribution"].tolist() == [0.5, 0]
    assert result.values["divisor"].tolist() == [1000, 1000, 1000]
    assert result.values["market_value"].tolist() == [1e6, 1.5e6, 1.25e6]
    assert result.values["constituents"].tolist() == [2, 2, 2]


def test_price_weight_is_the_sum_of_prices_over_a_divisor() -> None:
    result = calculate(definition(weighting="price"), market_of({"A": [10, 20], "B": [90, 90]}))
    assert levels(result) == [100, 110]
    assert result.values["divisor"].tolist() == [1, 1]


def test_market_cap_weights_shares_outstanding_times_free_float() -> None:
    free_float = pd.DataFrame(
        {"symbol": ["A", "B"], "effective_date": pd.Timestamp("2015-01-01"), "factor": [1.0, 0.5]}
    )
    market = market_of({"A": [10, 11], "B": [20, 20]}, shares=shares_of({"A": 100, "B": 100}), free_float=free_float)
    result = calculate(definition(weighting=MARKET_CAP), market)
    assert result.constituents["weight"].iloc[:2].tolist() == [0.5, 0.5]
    assert levels(result) == [100, 105]
    assert result.values["market_value"].iloc[0] == 2_000
    ignored = calculate(definition(weighting={"kind": "market_cap", "free_float": False}), market)
    assert ignored.values["market_value"].iloc[0] == 3_000


def test_rebalance_restores_the_weights_after_the_close_without_moving_the_level() -> None:
    """Third Friday of January 2020 is the 17th, session 11; the new shares count from the 20th."""
    closes = {"A": [10.0] * 11 + [30, 30, 60], "B": [10.0] * 14}
    result = calculate(definition(rebalance={"frequency": "monthly", "weekday": "friday", "nth": 3}), market_of(closes))
    assert levels(result)[-4:] == [100, 200, 200, 300]
    row = result.rebalances.iloc[-1]
    assert (row["effective_close"], row["session"]) == (pd.Timestamp("2020-01-17"), pd.Timestamp("2020-01-20"))
    assert row["turnover"] == pytest.approx(0.25)
    divisor = change(result, "rebalance")
    assert divisor["session"] == pd.Timestamp("2020-01-20")
    assert divisor["market_value_before"] / divisor["divisor_before"] == pytest.approx(200)
    assert divisor["market_value_after"] / divisor["divisor_after"] == pytest.approx(200)


def test_reference_session_before_the_effective_close_sets_shares_at_its_prices() -> None:
    closes = {"A": [10.0] * 10 + [20, 20, 20, 20], "B": [10.0] * 14}
    schedule = {"frequency": "monthly", "weekday": "friday", "nth": 3, "reference_offset": 2}
    result = calculate(definition(rebalance=schedule), market_of(closes))
    opened = result.constituents[result.constituents["session"] == "2020-01-20"]
    assert opened["weight"].to_numpy() == pytest.approx([2 / 3, 1 / 3])
    assert result.rebalances["reference_session"].iloc[-1] == pd.Timestamp("2020-01-15")
    assert result.targets["target_weight"].tolist() == [0.5] * 4


def test_split_between_reference_and_effective_close_is_brought_onto_the_new_basis() -> None:
    closes = {"A": [10.0] * 10 + [5, 5, 5, 5], "B": [10.0] * 14}
    schedule = {"frequency": "monthly", "weekday": "friday", "nth": 3, "reference_offset": 2}
    result = calculate(definition(rebalance=schedule), market_of(closes, actions_of(("A", 10, "split", 2.0))))
    assert result.constituents["weight"].tail(2).to_numpy() == pytest.approx([0.5, 0.5])
    assert levels(result) == [100] * 14


@pytest.mark.parametrize("weighting", ["equal", MARKET_CAP])
@pytest.mark.parametrize(
    ("kind", "value", "ratio"), [("split", 4.0, 4.0), ("split", 0.1, 0.1), ("stock_dividend", 0.25, 1.25)]
)
def test_splits_change_shares_and_never_the_level(weighting: object, kind: str, value: float, ratio: float) -> None:
    market = market_of(
        {"A": [100, 100 / ratio], "B": [50, 50]},
        actions_of(("A", 1, kind, value)),
        shares=shares_of({"A": 10, "B": 10}),
    )
    result = calculate(definition(weighting=weighting), market)
    assert levels(result) == [100, 100]
    before, after = result.constituents.loc[result.constituents["symbol"] == "A", "shares"]
    assert after / before == pytest.approx(ratio)
    assert result.divisor_changes["reason"].tolist() == ["base"]


def test_split_in_a_price_weighted_index_rescales_the_divisor() -> None:
    market = market_of({"A": [100, 50, 60], "B": [50, 50, 50]}, actions_of(("A", 1, "split", 2.0)))
    result = calculate(definition(weighting="price"), market)
    assert levels(result) == [100, 100, 110]
    row = change(result, "split")
    assert (row["divisor_before"], row["divisor_after"]) == (1.5, 1.0)
    assert row["detail"] == "A 2"


def test_regular_dividend_is_reinvested_in_total_return_and_after_tax_in_net() -> None:
    market = market_of({"A": [100, 98], "B": [100, 100]}, actions_of(("A", 1, "cash_dividend", 2.0)))
    result = calculate(definition(withholding_tax=0.3), market)
    assert levels(result) == [100, 99]
    assert levels(result, "total_return") == [100, 100]
    assert levels(result, "net_total_return") == [100, 99.7]


def test_withholding_tax_by_country() -> None:
    market = market_of(
        {"A": [100, 98], "B": [100, 98]},
        actions_of(("A", 1, "cash_dividend", 2.0), ("B", 1, "cash_dividend", 2.0)),
        countries={"A": "CH"},
    )
    result = calculate(definition(withholding_tax={"default": 0.1, "by_country": {"CH": 0.35}}), market)
    assert levels(result, "net_total_return") == [100, 99.55]


def test_dividend_with_a_split_on_one_day_is_per_new_share() -> None:
    actions = actions_of(("A", 1, "split", 2.0), ("A", 1, "cash_dividend", 1.0))
    result = calculate(definition(), market_of({"A": [100, 49]}, actions))
    assert levels(result) == [100, 98]
    assert levels(result, "total_return") == [100, 100]


@pytest.mark.parametrize("kind", ["special_dividend", "spin_off"])
def test_special_distribution_leaves_every_level_and_rescales_the_divisor(kind: str) -> None:
    market = market_of({"A": [100, 80], "B": [100, 100]}, actions_of(("A", 1, kind, 20.0)))
    result = calculate(definition(withholding_tax=0.3), market)
    assert [levels(result, name)[1] for name in ("price_return", "total_return", "net_total_return")] == [100] * 3
    row = change(result, "special_dividend")
    assert row["divisor_after"] / row["divisor_before"] == pytest.approx(0.9)
    assert row["detail"] == "A 20"


def test_distribution_above_the_price_is_refused_by_name() -> None:
    market = market_of({"A": [100, 80]}, actions_of(("A", 1, "special_dividend", 100.0)))
    with pytest.raises(InputError, match=r"A: special_dividend of 100 a share on 2020-01-03 out of .* close of 100"):
        calculate(definition(), market)


def test_spin_off_is_held_at_zero_and_leaves_after_one_session_outside_the_universe() -> None:
    frames = frames_of(
        {"EBAY": [66, 28, 28, 28], "B": [66, 66, 66, 66], "PYPL": [NAN, 38, 41, 50]},
        actions_of(("EBAY", 1, "spin_off", 38.0, "PYPL 1.0")),
        members_of(["EBAY", "B"]),
    )
    result = calculate(definition(), Market.from_frames(frames))
    assert levels(result) == [100, 100, 100, 100]
    assert result.values["constituents"].tolist() == [2, 3, 2, 2]
    row = change(result, "spin_off")
    assert row["divisor_before"] == row["divisor_after"]
    assert row["detail"] == "+PYPL from EBAY 1, at zero"
    assert change(result, "deletion")["detail"] == "-PYPL"


def test_spin_off_of_a_universe_member_stays_and_a_missing_first_price_takes_the_stated_value() -> None:
    frames = frames_of(
        {"EBAY": [66, 28, 28], "PYPL": [NAN, NAN, 41]},
        actions_of(("EBAY", 1, "spin_off", 38.0, "PYPL 2.0")),
        members_of(["EBAY", "PYPL"], PYPL=(1, None)),
    )
    result = calculate(definition(), Market.from_frames(frames))
    assert levels(result) == [100, 100, round(100 * (28 + 82) / 66, 9)]


def test_reinvested_spin_off_never_holds_the_new_company() -> None:
    frames = frames_of(
        {"EBAY": [66, 28], "PYPL": [NAN, 99]},
        actions_of(("EBAY", 1, "spin_off", 38.0, "PYPL 1.0")),
        members_of(["EBAY"]),
    )
    result = calculate(definition(spin_offs="reinvest"), Market.from_frames(frames))
    assert levels(result) == [100, 100]
    assert change(result, "spin_off")["divisor_after"] < change(result, "spin_off")["divisor_before"]


@pytest.mark.parametrize(("weighting", "divisor"), [("equal", 1.0), (MARKET_CAP, 2200 / 2000), ("price", 180 / 200)])
def test_rights_below_the_market_move_no_level(weighting: object, divisor: float) -> None:
    """One new share at 40 for two held at 100: theoretical ex-rights price 80, subscription money 20 per share held."""
    market = market_of(
        {"A": [100, 80], "B": [100, 100]},
        actions_of(("A", 1, "rights", 0.5, "40")),
        shares=shares_of({"A": 10, "B": 10}),
    )
    result = calculate(definition(weighting=weighting), market)
    assert levels(result) == [100, 100]
    assert result.values["divisor"].iloc[1] / result.values["divisor"].iloc[0] == pytest.approx(divisor)


def test_rights_above_the_market_are_not_taken_up() -> None:
    result = calculate(definition(), market_of({"A": [100, 100]}, actions_of(("A", 1, "rights", 0.5, "100"))))
    assert levels(result) == [100, 100]
    assert result.divisor_changes["reason"].tolist() == ["base"]


@pytest.mark.parametrize(
    ("worth", "expected", "counts"),
    [(NAN, [100, 100, 110], [2, 1, 1]), (0.0, [100, 50, 55], [2, 2, 1]), (50.0, [100, 75, 82.5], [2, 2, 1])],
)
def test_delisting_at_the_last_price_at_zero_and_at_a_stated_worth(
    worth: float, expected: list[float], counts: list[int]
) -> None:
    market = market_of({"A": [100, NAN, NAN], "B": [10, 10, 11]}, actions_of(("A", 1, "delisting", worth)))
    result = calculate(definition(), market)
    assert levels(result) == expected
    assert result.values["constituents"].tolist() == counts
    assert change(result, "delisting")["detail"] == "-A"


def test_cash_merger_pays_its_price_and_then_leaves() -> None:
    market = market_of({"A": [95, NAN, NAN], "B": [95, 95, 95]}, actions_of(("A", 1, "merger_cash", 100.0)))
    result = calculate(definition(), market)
    assert levels(result) == [100, 102.631578947, 102.631578947]
    assert result.values["constituents"].tolist() == [2, 2, 1]


def test_stock_merger_gives_acquirer_shares_to_a_market_cap_index() -> None:
    market = market_of(
        {"A": [10, NAN], "B": [20, 22]},
        actions_of(("A", 1, "merger_stock", 0.5, "B")),
        shares=shares_of({"A": 100, "B": 100}),
    )
    result = calculate(definition(weighting=MARKET_CAP), market)
    assert result.constituents["shares"].iloc[-1] == 150
    assert levels(result) == [100, 110]
    assert change(result, "merger")["detail"] == "-A into B 0.5"
    equal = calculate(definition(), market)
    assert equal.constituents["symbol"].tolist() == ["A", "B", "B"]
    assert levels(equal) == [100, 110]


def test_changes_of_one_reason_at_one_session_are_one_row() -> None:
    market = market_of(
        {"A": [10, NAN], "B": [20, NAN], "C": [70, 77]},
        actions_of(("A", 1, "merger_stock", 0.5, "C"), ("B", 1, "merger_stock", 0.5, "ELSEWHERE")),
        shares=shares_of({"A": 100, "B": 100, "C": 100}),
    )
    result = calculate(definition(weighting=MARKET_CAP), market)
    row = change(result, "merger")
    assert row["detail"] == "-A into C 0.5; -B"
    assert (row["market_value_before"], row["market_value_after"]) == (10_000, 10_500)
    assert (row["divisor_before"], row["divisor_after"]) == (100, 105)
    assert levels(result) == [100, 110]


def test_symbol_change_carries_the_position_over() -> None:
    frames = frames_of(
        {"FB": [10, 10, NAN], "META": [NAN, NAN, 12], "B": [10, 10, 10]},
        actions_of(("FB", 2, "symbol_change", NAN, "META")),
        members_of(["B", "FB", "META"], FB=(0, 1), META=(2, None)),
    )
    result = calculate(definition(), Market.from_frames(frames))
    assert levels(result) == [100, 100, 110]
    assert result.divisor_changes["reason"].tolist() == ["base"]
    assert result.constituents["symbol"].tolist()[-2:] == ["B", "META"]


def test_symbol_change_to_an_unknown_symbol_is_refused() -> None:
    market = market_of({"FB": [10, 10]}, actions_of(("FB", 1, "symbol_change", NAN, "META")))
    with pytest.raises(InputError, match="FB changes its symbol on 2020-01-03, but the new one is not in the universe"):
        calculate(definition(), market)


def test_suspension_carries_the_last_price_through_a_split() -> None:
    market = market_of({"A": [10, NAN, NAN, 6], "B": [10, 10, 10, 10]}, actions_of(("A", 2, "split", 2.0)))
    result = calculate(definition(), market)
    assert levels(result) == [100, 100, 100, 110]
    own = result.constituents[result.constituents["symbol"] == "A"]
    assert own["price"].tolist() == [10, 10, 5, 6]
    assert own["carried_sessions"].tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("delete_at_last", [100, 100, 100, 100, 200]),
        ("delete_at_zero", [100, 100, 100, 50, 100]),
        ("keep", [100, 100, 100, 100, 150]),
    ],
)
def test_price_missing_beyond_the_limit_follows_the_rule(then: str, expected: list[float]) -> None:
    market = market_of({"A": [10, NAN, NAN, NAN, NAN], "B": [10, 10, 10, 10, 20]})
    result = calculate(definition(missing_price={"limit": 2, "then": then}), market)
    assert levels(result) == expected


def test_price_missing_beyond_the_limit_can_be_refused() -> None:
    market = market_of({"A": [10, NAN, NAN, NAN], "B": [10, 10, 10, 10]})
    with pytest.raises(InputError, match="index TEST: A had no price for more than 2 sessions at 2020-01-07"):
        calculate(definition(missing_price={"limit": 2, "then": "refuse"}), market)


def test_member_that_lists_between_rebalances_enters_at_the_next_one() -> None:
    closes = {"A": [10.0] * 40, "FB": [NAN] * 5 + [10.0] * 35}
    frames = frames_of(closes, members=members_of(["A", "FB"], FB=(5, None)))
    result = calculate(definition(rebalance={"frequency": "monthly"}), Market.from_frames(frames))
    entered = result.constituents.loc[result.constituents["symbol"] == "FB", "session"].min()
    assert entered == pd.Timestamp("2020-02-03")
    assert result.rebalances["additions"].tolist() == [("A",), ("FB",)]
    assert result.divisor_changes["detail"].iloc[-1] == "reference 2020-01-31, turnover 0.5000 +FB"


def test_fast_entry_lets_a_new_member_in_after_its_sessions() -> None:
    closes = {"A": [10, 10, 10, 20, 20, 20], "NEW": [NAN, NAN, 5, 5, 5, 10]}
    frames = frames_of(closes, members=members_of(["A", "NEW"], NEW=(2, None)))
    result = calculate(definition(fast_entry={"after": 3}), Market.from_frames(frames))
    assert result.values["constituents"].tolist() == [1, 1, 1, 1, 1, 2]
    assert levels(result) == [100, 100, 100, 200, 200, 300]
    assert change(result, "fast_entry")["detail"] == "+NEW"


def test_fast_entry_by_rank_admits_only_the_largest() -> None:
    closes = {"A": [10.0] * 4, "BIG": [NAN, 10, 10, 10], "TINY": [NAN, 10, 10, 10]}
    members = members_of(list(closes), BIG=(1, None), TINY=(1, None))
    frames = frames_of(closes, members=members, shares=shares_of({"A": 10, "BIG": 100, "TINY": 1}))
    rule = {"weighting": MARKET_CAP, "fast_entry": {"after": 1, "rank": 2}}
    result = calculate(definition(**rule), Market.from_frames(frames))
    assert result.constituents["symbol"].tolist() == ["A", "A", "A", "BIG", "A", "BIG"]


def test_fast_entry_into_a_price_weighted_index_is_one_share() -> None:
    frames = frames_of({"A": [10.0] * 4, "NEW": [NAN, 30, 30, 60]}, members=members_of(["A", "NEW"], NEW=(1, None)))
    result = calculate(definition(weighting="price", fast_entry={"after": 1}), Market.from_frames(frames))
    assert levels(result) == [100, 100, 100, 175]
    assert result.constituents["shares"].tolist() == [1] * 6


@pytest.mark.parametrize(("rule", "counts"), [("immediate", [2, 2, 1, 1]), ("next_rebalance", [2, 2, 2, 2])])
def test_member_that_leaves_goes_at_once_or_at_the_next_rebalance(rule: str, counts: list[int]) -> None:
    frames = frames_of({"A": [10.0] * 4, "B": [10.0] * 4}, members=members_of(["A", "B"], B=(0, 1)))
    result = calculate(definition(membership_end=rule), Market.from_frames(frames))
    assert result.values["constituents"].tolist() == counts
    assert levels(result) == [100] * 4


def test_prices_in_another_currency_move_with_the_rate() -> None:
    members = members_of(["A", "B"]).assign(currency=["USD", "EUR"])
    fx = pd.DataFrame({"base": "EUR", "quote": "USD", "session": sessions(3), "rate": [1.0, 1.2, 1.2]})
    frames = frames_of(
        {"A": [10, 10, 10], "B": [10, 10, NAN]}, actions_of(("B", 1, "cash_dividend", 1.0)), members, fx=fx
    )
    result = calculate(definition(), Market.from_frames(frames))
    assert levels(result) == [100, 110, 110]
    assert levels(result, "total_return")[1] == 116
    assert result.constituents["fx_rate"].tolist() == [1, 1, 1, 1.2, 1, 1.2]


def test_universe_filters_and_unknown_currency_rates() -> None:
    members = members_of(["A", "B"]).assign(currency=["USD", "EUR"], exchange=["XNYS", "XPAR"])
    frames = frames_of({"A": [10, 11], "B": [10, 20]}, members=members)
    market = Market.from_frames(frames)
    with pytest.raises(InputError, match=r"TEST: no rate of EUR/USD at 2020-01-02 .* which B needs"):
        calculate(definition(), market)
    for only_a in ({"exchanges": ["XNYS"]}, {"currencies": ["USD"]}, {"symbols": ["A"]}):
        assert levels(calculate(definition(universe=only_a), market)) == [100, 110]


def test_events_of_names_outside_the_index_change_nothing() -> None:
    frames = frames_of(
        {"A": [10.0] * 3, "OUT": [10.0] * 3},
        actions_of(
            ("OUT", 1, "split", 2.0),
            ("OUT", 1, "special_dividend", 1.0),
            ("OUT", 1, "cash_dividend", 1.0),
            ("OUT", 1, "rights", 0.5, "2"),
            ("OUT", 1, "spin_off", 2.0, "A 1.0"),
            ("OUT", 2, "merger_stock", 1.0, "A"),
            ("OUT", 2, "delisting", 0.0),
            ("OUT", 2, "symbol_change", NAN, "A"),
        ),
        members_of(["A"]),
    )
    result = calculate(definition(), Market.from_frames(frames))
    assert levels(result, "total_return") == [100] * 3
    assert result.divisor_changes["reason"].tolist() == ["base"]


def test_no_constituent_left_is_refused() -> None:
    market = market_of({"A": [10, NAN]}, actions_of(("A", 1, "delisting", NAN)))
    with pytest.raises(
        InputError, match=r"index TEST: no constituent of value is left at 2020-01-03 after delisting \(-A"
    ):
        calculate(definition(), market)
    worthless = market_of({"A": [10, NAN]}, actions_of(("A", 1, "delisting", 0.0)))
    with pytest.raises(InputError, match="index TEST: its constituents are worth nothing at 2020-01-03"):
        calculate(definition(), worthless)


def test_index_without_eligible_members_at_its_base_is_refused() -> None:
    frames = frames_of({"A": [10, 10]}, members=members_of(["A"], A=(1, None)))
    with pytest.raises(InputError, match=r"no universe member can be a constituent at 2020-01-02 .* Of 0 candidates"):
        calculate(definition(), Market.from_frames(frames))


def test_base_date_must_be_a_session_within_reach() -> None:
    market = market_of({"A": [10, 10, 10]})
    with pytest.raises(InputError, match="base_date 2020-01-04 is not a session; the next one is 2020-01-06"):
        calculate(definition(base_date="2020-01-04"), market)
    with pytest.raises(InputError, match="the market begins at 2020-01-02, after the base date 2019-01-02"):
        calculate(definition(base_date="2019-01-02"), market)
    with pytest.raises(InputError, match="the market holds no session up to the one asked for"):
        calculate(definition(), market, upto=pd.Timestamp("2019-12-31").date())


def test_nothing_is_calculated_before_the_base_date() -> None:
    result = calculate(definition(base_date="2020-02-03"), market_of({"A": [10, 10, 10]}))
    assert result.values.empty
    assert result.constituents.empty
    assert result.state is None


def test_nothing_new_gives_empty_frames_and_the_same_state() -> None:
    market = market_of({"A": [10, 11, 12]})
    result = calculate(definition(), market)
    again = calculate(definition(), market, result.state)
    assert again.values.empty
    assert again.state is result.state


def test_upto_ends_the_calculation_there() -> None:
    market = market_of({"A": [10, 11, 12]})
    result = calculate(definition(), market, upto=sessions(2)[-1].date())
    assert levels(result) == [100, 110]
    assert str(result.state.session) == "2020-01-03"


def test_state_of_another_index_or_with_too_short_a_market_is_refused() -> None:
    frames = frames_of({"A": list(np.linspace(10, 20, 60))})
    result = calculate(definition(), Market.from_frames(frames), upto=sessions(50)[-1].date())
    with pytest.raises(InputError, match="index OTHER cannot continue from a state of TEST"):
        calculate(definition(id="OTHER"), Market.from_frames(frames), result.state)
    short = Market.from_frames(frames_of({"A": [10.0] * 60}, sessions=sessions(60)[45:]))
    with pytest.raises(
        InputError, match=r"continue after 2020-03-11 .* reach 21 sessions back .* begins at 2020-03-05"
    ):
        calculate(definition(), short, result.state)


def test_state_is_exactly_the_stored_rows() -> None:
    market = market_of({"A": [10, 11, 12], "B": [10, NAN, 12]})
    result = calculate(definition(), market)
    stored = IndexState.from_rows(result.values, result.constituents)
    for name in ("index_id", "session", "price_return", "total_return", "net_total_return", "divisor", "symbols"):
        assert getattr(stored, name) == getattr(result.state, name)
    for name in ("shares", "price", "fx_rate", "carried_sessions"):
        assert getattr(stored, name).tolist() == getattr(result.state, name).tolist()


def test_state_needs_every_constituent_row_and_column() -> None:
    from market_assets.errors import SchemaMismatch

    result = calculate(definition(), market_of({"A": [10, 11], "B": [10, 12]}))
    with pytest.raises(SchemaMismatch, match=r"index TEST has 2 constituents on 2020-01-03, but 1 rows"):
        IndexState.from_rows(result.values, result.constituents.iloc[:-1])
    with pytest.raises(SchemaMismatch, match="from the rows of one index, not of none"):
        IndexState.from_rows(result.values.iloc[:0], result.constituents)
    with pytest.raises(InputError, match="the market lacks its constituents B of 2020-01-03"):
        calculate(definition(), market_of({"A": [10, 11, 12]}), result.state)
