"""What holds for every index on every market: the invariants of the divisor method, over generated markets.

The independent calculation is index_oracle.py: it shares no code and no method with the engine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st
from index_markets import START, definition, frames_of, random_frames
from index_oracle import chained_returns

from market_assets.domain.adjustments import adjust
from market_assets.domain.indices import (
    IndexDefinition,
    IndexResult,
    IndexState,
    Market,
    MarketFrames,
    calculate,
)
from market_assets.errors import InputError

MONTHLY = {"frequency": "monthly"}
THIRD_FRIDAY = {"frequency": "monthly", "weekday": "friday", "nth": 3}
TAXED = {"withholding_tax": 0.3}

DEFINITIONS = {
    "equal, monthly": definition(rebalance=MONTHLY, **TAXED),
    "equal, third Friday, reference 3 sessions before": definition(
        rebalance={**THIRD_FRIDAY, "reference_offset": 3}, **TAXED
    ),
    "equal, daily": definition(rebalance={"frequency": "daily"}, **TAXED),
    "equal, never, short gaps to zero": definition(missing_price={"limit": 2, "then": "delete_at_zero"}, **TAXED),
    "equal, members kept, gaps kept": definition(
        rebalance=MONTHLY, membership_end="next_rebalance", missing_price={"limit": 1, "then": "keep"}, **TAXED
    ),
    "equal, fast entry": definition(rebalance=MONTHLY, fast_entry={"after": 2}, **TAXED),
    "price, third Friday": definition(weighting="price", rebalance=THIRD_FRIDAY, **TAXED),
    "market cap": definition(weighting="market_cap", rebalance=MONTHLY, **TAXED),
    "inverse volatility": definition(
        weighting={"kind": "inverse_volatility", "lookback": 6}, rebalance=MONTHLY, base_date="2020-01-20", **TAXED
    ),
    "momentum, top 2": definition(
        selection={"kind": "momentum", "count": 2, "exit": 3, "lookback": 8, "skip": 2},
        rebalance=THIRD_FRIDAY,
        base_date="2020-01-20",
        **TAXED,
    ),
    "largest 2 of price 25 with history": definition(
        selection={"kind": "market_cap", "count": 2, "entry": 1, "exit": 3},
        eligibility={"minimum_history": 2, "minimum_price": 1, "median_traded_value": 1, "traded_value_sessions": 5},
        rebalance=MONTHLY,
        base_date="2020-01-10",
        **TAXED,
    ),
}

any_definition = st.sampled_from(sorted(DEFINITIONS))
seeds = st.integers(0, 2**32 - 1)
# A seed has no structure that shrinking could simplify.
examples = settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


def frames_for(name: str, seed: int) -> MarketFrames:
    """A market for a definition; an index of two names could lose both, which is refused (test_index_engine.py)."""
    few = "top 2" in name or "largest 2" in name
    return random_frames(seed, worthless=not few)


def based(rules: IndexDefinition, frames: MarketFrames) -> IndexDefinition:
    """The definition with its base moved to a session of the market that has ANCHOR's history before it."""
    wanted = pd.Timestamp(rules.base_date)
    return replace(rules, base_date=frames.sessions[frames.sessions >= wanted][0].date())


def calculated(name: str, frames: MarketFrames) -> IndexResult:
    try:
        return calculate(based(DEFINITIONS[name], frames), Market.from_frames(frames))
    except InputError as error:
        if "no constituent of value is left" in str(error):
            reject()  # a market that ended; that it is refused is tested in test_index_engine.py
        raise


@examples
@given(seeds, any_definition)
def test_no_change_of_the_divisor_moves_the_level(seed: int, name: str) -> None:
    result = calculated(name, frames_for(name, seed))
    changes = result.divisor_changes[result.divisor_changes["reason"] != "base"]
    before = changes["market_value_before"] / changes["divisor_before"]
    after = changes["market_value_after"] / changes["divisor_after"]
    np.testing.assert_allclose(before, after, rtol=1e-12)
    closes = result.values.set_index("session")["price_return"]
    np.testing.assert_allclose(after, closes.shift().loc[changes["session"]], rtol=1e-12)


@examples
@given(seeds, any_definition)
def test_divisor_changes_account_for_every_divisor(seed: int, name: str) -> None:
    result = calculated(name, frames_for(name, seed))
    last = result.divisor_changes.groupby("session")["divisor_after"].last()
    told = last.reindex(result.values["session"]).ffill()
    assert told.tolist() == result.values["divisor"].tolist()


@examples
@given(seeds, any_definition)
def test_weights_sum_to_one_and_contributions_to_the_return(seed: int, name: str) -> None:
    result = calculated(name, frames_for(name, seed))
    sums = result.constituents.groupby("session")[["weight", "contribution"]].sum()
    np.testing.assert_allclose(sums["weight"], 1.0, rtol=1e-12)
    returns = result.values.set_index("session")["price_return"].pct_change().fillna(0.0)
    np.testing.assert_allclose(sums["contribution"], returns, atol=1e-12)
    counts = result.constituents.groupby("session").size()
    assert counts.tolist() == result.values["constituents"].tolist()


@examples
@given(seeds, any_definition)
def test_total_return_is_above_net_which_is_above_price(seed: int, name: str) -> None:
    values = calculated(name, frames_for(name, seed)).values
    slack = 1 + 1e-12
    assert (values["total_return"] * slack >= values["net_total_return"]).all()
    assert (values["net_total_return"] * slack >= values["price_return"]).all()


@examples
@given(seeds, any_definition)
def test_the_same_market_under_other_names_gives_the_same_bits(seed: int, name: str) -> None:
    """Order invariance: renaming reverses the order of the constituents in every array."""
    if "top" in name or "largest" in name:
        return  # ties of a ranking are broken by name
    frames = frames_for(name, seed)
    names = sorted(frames.members["symbol"])
    other = dict(zip(names, reversed(names), strict=True))
    renamed = replace(
        frames,
        **{
            part: getattr(frames, part).assign(symbol=getattr(frames, part)["symbol"].map(other))
            for part in ("bars", "members", "actions", "shares")
        },
    )
    pd.testing.assert_frame_equal(calculated(name, frames).values, calculated(name, renamed).values, check_exact=True)


@examples
@given(seeds, any_definition, st.floats(1e-3, 1e3))
def test_the_unit_of_currency_does_not_matter(seed: int, name: str, unit: float) -> None:
    if "price 25" in name:
        return  # a price floor is in units of currency
    frames = frames_for(name, seed)
    cash = ~frames.actions["kind"].isin(["split", "stock_dividend"])
    scaled = replace(
        frames,
        bars=frames.bars.assign(close=frames.bars["close"] * unit),
        actions=frames.actions.assign(value=frames.actions["value"].where(~cash, frames.actions["value"] * unit)),
    )
    columns = ["price_return", "total_return", "net_total_return"]
    np.testing.assert_allclose(
        calculated(name, frames).values[columns], calculated(name, scaled).values[columns], rtol=1e-10
    )


@examples
@given(seeds, any_definition, st.integers(2, 30), st.sampled_from([2.0, 3.0, 0.1, 1.05]))
def test_a_split_moves_no_level(seed: int, name: str, at: int, ratio: float) -> None:
    if "price" in name:
        return  # a split is what reweights a price-weighted index
    frames = frames_for(name, seed)
    day = frames.sessions[at % len(frames.sessions)]
    own = frames.actions["symbol"] == "ANCHOR"
    if (own & (frames.actions["ex_date"] == day) & (frames.actions["kind"] == "split")).any() or day <= pd.Timestamp(
        START
    ):
        return
    later = (frames.bars["symbol"] == "ANCHOR") & (frames.bars["session"] >= day)
    cash = own & (frames.actions["ex_date"] >= day) & ~frames.actions["kind"].isin(["split", "stock_dividend"])
    split = pd.DataFrame({"symbol": "ANCHOR", "ex_date": [day], "kind": "split", "value": ratio, "detail": None})
    divided = replace(
        frames,
        bars=frames.bars.assign(close=frames.bars["close"].where(~later, frames.bars["close"] / ratio)),
        actions=pd.concat(
            [
                frames.actions.assign(value=frames.actions["value"].where(~cash, frames.actions["value"] / ratio)),
                split.astype(frames.actions.dtypes.to_dict()),
            ],
            ignore_index=True,
        ),
    )
    columns = ["price_return", "total_return", "net_total_return"]
    np.testing.assert_allclose(
        calculated(name, frames).values[columns], calculated(name, divided).values[columns], rtol=1e-10
    )


@examples
@given(seeds)
def test_an_index_of_one_constituent_is_its_return(seed: int) -> None:
    frames = random_frames(seed)
    only = replace(
        frames,
        bars=frames.bars[frames.bars["symbol"] == "ANCHOR"].reset_index(drop=True),
        members=frames.members[frames.members["symbol"] == "ANCHOR"],
        actions=frames.actions[frames.actions["symbol"] == "ANCHOR"],
    )
    values = calculate(definition(rebalance=MONTHLY), Market.from_frames(only)).values
    regular = only.actions["kind"] == "cash_dividend"
    growth = adjust(only.bars, only.actions[~regular])["close"].pct_change().fillna(0.0)
    np.testing.assert_allclose(values["price_return"].pct_change().fillna(0.0), growth, atol=1e-12)
    # A regular dividend is reinvested at the ex-date's close: its yield on that close comes on top.
    paid = only.actions[regular].set_index("ex_date")["value"].reindex(only.bars["session"]).fillna(0.0).to_numpy()
    total = (1 + growth) * (1 + paid / only.bars["close"])
    np.testing.assert_allclose(values["total_return"].iloc[1:] / 100, total.iloc[1:].cumprod(), rtol=1e-10)


@examples
@given(seeds, any_definition, st.data())
def test_daily_increments_from_stored_rows_give_the_same_bits(seed: int, name: str, data: st.DataObject) -> None:
    """Any split points; each part sees only the lookback, and starts from rows as the warehouse stores them."""
    frames = frames_for(name, seed)
    rules = based(DEFINITIONS[name], frames)
    try:
        whole = calculate(rules, Market.from_frames(frames))
    except InputError:
        reject()  # the last constituent leaves: a market without a level, which is refused
    base = frames.sessions.get_loc(pd.Timestamp(rules.base_date))
    cuts = data.draw(st.sets(st.integers(base, len(frames.sessions) - 2), min_size=1, max_size=4))
    parts, values, constituents = [], None, None
    for last in [*sorted(cuts), len(frames.sessions) - 1]:
        state, begin = None, 0
        if values is not None:
            state = IndexState.from_rows(values, constituents)
            begin = max(0, frames.sessions.get_loc(pd.Timestamp(state.session)) + 1 - rules.lookback_sessions)
        window = frames.sessions[begin : last + 1]
        seen = replace(frames, sessions=window, bars=frames.bars[frames.bars["session"].isin(window)])
        part = calculate(rules, Market.from_frames(seen), state)
        values, constituents = part.values, part.constituents
        parts.append(part)
    for frame in ("values", "constituents", "divisor_changes", "rebalances", "targets"):
        joined = pd.concat([getattr(part, frame) for part in parts], ignore_index=True)
        pd.testing.assert_frame_equal(joined, getattr(whole, frame), check_exact=True)


@examples
@given(seeds, any_definition, st.integers(0, 29))
def test_nothing_after_the_last_session_is_read(seed: int, name: str, at: int) -> None:
    frames = frames_for(name, seed)
    rules = based(DEFINITIONS[name], frames)
    base = frames.sessions.get_loc(pd.Timestamp(rules.base_date))
    upto = frames.sessions[min(base + at, len(frames.sessions) - 2)]
    future = frames.bars["session"] > upto
    random = np.random.default_rng(seed)
    changed = replace(
        frames,
        bars=frames.bars.assign(close=frames.bars["close"].where(~future, random.uniform(1, 900, len(future)))),
        members=frames.members.assign(member_to=frames.members["member_to"].where(frames.members["member_to"] <= upto)),
        actions=frames.actions[frames.actions["ex_date"] <= upto],
    )
    one = calculate(rules, Market.from_frames(frames), upto=upto.date())
    two = calculate(rules, Market.from_frames(changed), upto=upto.date())
    for frame in ("values", "constituents", "divisor_changes", "rebalances", "targets"):
        pd.testing.assert_frame_equal(getattr(one, frame), getattr(two, frame), check_exact=True)


@settings(examples, max_examples=30)
@given(seeds, st.sampled_from(["equal", "price", "market_cap"]), st.sampled_from([0, 2, 20]), st.booleans())
def test_engine_agrees_with_chained_portfolio_returns(seed: int, weighting: str, limit: int, to_zero: bool) -> None:
    frames = random_frames(seed)
    then = "delete_at_zero" if to_zero else "delete_at_last"
    rules = definition(weighting=weighting, rebalance=MONTHLY, missing_price={"limit": limit, "then": then}, **TAXED)
    expected = chained_returns(frames, weighting, limit=limit, to_zero=to_zero, tax=0.3)
    values = calculate(rules, Market.from_frames(frames)).values
    np.testing.assert_allclose(values[expected.columns], expected, rtol=1e-10)


def test_generated_markets_hold_every_kind_of_event() -> None:
    """The properties mean little if the generator stays tame."""
    kinds: set[str] = set()
    reasons: set[str] = set()
    for seed in range(25):
        frames = random_frames(seed)
        kinds |= set(frames.actions["kind"])
        result = calculate(definition(rebalance=MONTHLY, missing_price={"limit": 3}), Market.from_frames(frames))
        reasons |= set(result.divisor_changes["reason"])
    assert kinds == {"split", "stock_dividend", "cash_dividend", "special_dividend", "spin_off", "delisting"}
    assert reasons == {"base", "rebalance", "special_dividend", "delisting", "deletion", "missing_price"}


def test_rounding_errors_do_not_build_up() -> None:
    """Equal weight of one doubled series over 2,000 daily rebalances is the series."""
    random = np.random.default_rng(1)
    path = 100 * np.exp(np.cumsum(random.normal(0, 0.01, 300)))
    market = Market.from_frames(frames_of({"A": path, "B": path * 3.7, "C": path / 11}))
    values = calculate(definition(rebalance={"frequency": "daily"}), market).values
    assert values["price_return"].to_numpy() == pytest.approx(100 * path / path[0], rel=1e-13)
