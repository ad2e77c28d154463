"""Exchange rates of an index: which pairs give a rate, how long it is carried, and what happens without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_markets import actions_of, definition, frames_of, members_of, random_frames, sessions

from market_assets.domain.indices import IndexState, Market, calculate
from market_assets.domain.indices.rates import Rates
from market_assets.errors import InputError

NAN = np.nan


def fx_of(*rows: tuple[str, int, float]) -> pd.DataFrame:
    """(pair, session number, rate)."""
    days = sessions(400)
    return pd.DataFrame(
        [(*pair.split("/"), days[number], rate) for pair, number, rate in rows],
        columns=["base", "quote", "session", "rate"],
    )


def rates(fx: pd.DataFrame | None, currency: str, quote: str, count: int = 4, limit: int = 20) -> list[float]:
    return Rates(fx, sessions(count).to_numpy("datetime64[D]"), limit).of(currency, quote).tolist()


def test_a_pair_counts_in_both_directions() -> None:
    fx = fx_of(("GBP/USD", 0, 1.25), ("GBP/USD", 2, 1.6))
    assert rates(fx, "GBP", "USD") == [1.25, 1.25, 1.6, 1.6]
    assert rates(fx, "USD", "GBP") == [0.8, 0.8, 0.625, 0.625]


def test_hundredths_need_no_rate_of_their_own() -> None:
    fx = fx_of(("GBP/USD", 0, 1.25))
    assert rates(fx, "GBp", "USD") == [0.0125] * 4
    assert rates(None, "GBp", "GBP") == [0.01] * 4
    assert rates(fx_of(("USD/ZAR", 0, 20.0)), "ZAc", "USD") == [0.0005] * 4


def test_a_cross_goes_through_the_common_currency_with_the_youngest_legs() -> None:
    through_eur = [("EUR/GBP", 0, 0.5), ("EUR/USD", 0, 1.0)]
    assert rates(fx_of(*through_eur), "GBP", "USD") == [2.0] * 4
    fx = fx_of(*through_eur, ("GBP/JPY", 1, 200.0), ("USD/JPY", 1, 125.0), ("JPY/CHF", 0, 1.0))
    assert rates(fx, "GBP", "USD") == [2.0, 1.6, 1.6, 1.6]
    assert np.isnan(rates(fx, "GBP", "CHF", 1)[0]), "CHF is two steps away at first: JPY has no rate in GBP yet"


def test_the_pair_itself_is_preferred_while_it_is_young_enough() -> None:
    fx = fx_of(("GBP/USD", 0, 1.3), *((pair, day, 2.0) for pair in ("GBP/EUR", "EUR/USD") for day in range(4)))
    assert rates(fx, "GBP", "USD", limit=1) == [1.3, 1.3, 4.0, 4.0]


def test_a_rate_is_carried_up_to_the_limit_and_never_back() -> None:
    fx = fx_of(("GBP/USD", 1, 1.25))
    assert rates(fx, "GBP", "USD", 5, limit=2) == pytest.approx([NAN, 1.25, 1.25, 1.25, NAN], nan_ok=True)
    weekend = fx.assign(session=pd.Timestamp("2020-01-04"))  # counts from the session before it on
    assert rates(weekend, "GBP", "USD", 5, limit=2) == pytest.approx([NAN, NAN, 1.25, 1.25, NAN], nan_ok=True)


@pytest.mark.parametrize(("days", "at"), [([1, 2, 3, 4], "2020-01-02"), ([0], "2020-01-07"), ([0, 4], "2020-01-07")])
def test_a_session_without_a_rate_is_refused_with_pair_and_session(days: list[int], at: str) -> None:
    members = members_of(["A", "B"]).assign(currency=["USD", "GBp"])
    frames = frames_of(
        {"A": [10.0] * 5, "B": [9.0] * 5}, members=members, fx=fx_of(*(("GBP/USD", day, 1.25) for day in days))
    )
    rules = definition(missing_price={"limit": 2})
    with pytest.raises(InputError, match=rf"TEST: no rate of GBP/USD at {at} .* 2 sessions before .* which B needs"):
        calculate(rules, Market.from_frames(frames, "USD", 2))


def test_a_rate_is_needed_only_for_names_that_the_index_may_hold() -> None:
    members = members_of(["A", "B"]).assign(currency=["USD", "GBP"])
    market = Market.from_frames(frames_of({"A": [10.0, 11.0], "B": [9.0, 9.0]}, members=members))
    values = calculate(definition(universe={"currencies": ["USD"]}), market).values
    assert values["price_return"].tolist() == pytest.approx([100, 110])


def test_a_new_company_is_quoted_in_the_currency_of_its_parent() -> None:
    """P falls from 10 to 8 as it hands out one share of C each, worth 2; both are in GBP."""
    frames = frames_of(
        {"P": [10.0, 8.0, 8.0], "C": [NAN, 2.0, 2.0]},
        actions_of(("P", 1, "spin_off", 2.0, "C 1")),
        members_of(["P"]).assign(currency="GBP"),
        fx=fx_of(("GBP/USD", 0, 1.5)),
    )
    market = Market.from_frames(frames)
    assert market.currency == ("GBP", "GBP")
    assert calculate(definition(), market).values["price_return"].tolist() == pytest.approx([100, 100, 100])


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.integers(1, 28))
def test_an_increment_over_gaps_of_the_rates_gives_the_same_bits(seed: int, cut: int) -> None:
    """The second part sees only the lookback; some rates in it are from before."""
    random = np.random.default_rng(seed)
    frames = random_frames(seed, worthless=False)
    days = frames.sessions
    quoted = frames.members.assign(currency=np.where(frames.members["symbol"] == "ANCHOR", "USD", "GBp"))
    there = [day for at, day in enumerate(days) if at % 3 == 0 or random.random() < 0.5]
    fx = pd.DataFrame({"base": "USD", "quote": "GBP", "session": there, "rate": random.uniform(0.7, 0.9, len(there))})
    frames = replace(frames, members=quoted, fx=fx)
    rules = definition(
        base_date=days[0].date().isoformat(),
        rebalance={"frequency": "monthly", "reference_offset": 2},
        eligibility={"median_traded_value": 10, "traded_value_sessions": 4},
        missing_price={"limit": 2, "then": "keep"},
    )
    whole = calculate(rules, Market.from_frames(frames, "USD", 2))
    begun = calculate(rules, Market.from_frames(frames, "USD", 2), upto=days[cut].date())
    window = days[max(0, cut + 1 - rules.lookback_sessions) :]
    seen = replace(frames, sessions=window, bars=frames.bars[frames.bars["session"].isin(window)])
    state = IndexState.from_rows(begun.values, begun.constituents)
    rest = calculate(rules, Market.from_frames(seen, "USD", 2), state)
    for name in ("values", "constituents", "rebalances", "targets"):
        joined = pd.concat([getattr(begun, name), getattr(rest, name)], ignore_index=True)
        pd.testing.assert_frame_equal(joined, getattr(whole, name), check_exact=True)
