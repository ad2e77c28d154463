"""Adjustment factors and the conversion to as-traded: worked examples, a plain-loop oracle, round trips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_assets.domain.adjustments import PriceBasis, adjust, adjustment_factors, to_as_traded
from market_assets.errors import InputError, SchemaMismatch

CALENDAR = pd.bdate_range("2003-02-10", periods=30)


def bars_of(symbol: str, closes: Sequence[float], sessions: pd.DatetimeIndex | None = None) -> pd.DataFrame:
    dates = CALENDAR[: len(closes)] if sessions is None else sessions
    close = np.asarray(closes, float)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": dates,
            "open": close,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": 1_000.0,
        }
    )


def actions_of(*rows: tuple[str, str | pd.Timestamp, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["symbol", "ex_date", "kind", "value"])
    return frame.assign(ex_date=pd.to_datetime(frame["ex_date"]))


NO_ACTIONS = actions_of()


def test_worked_example_of_yahoo_help_sln28256() -> None:
    """Microsoft, February 2003: 2:1 on the 18th, 0.08 dividend on the 19th (the help page's numbers, cents)."""
    sessions = pd.to_datetime(["2003-02-13", "2003-02-14", "2003-02-18", "2003-02-19", "2003-02-20", "2003-02-21"])
    bars = bars_of("MSFT", [46.99, 48.30, 24.96, 24.53, 24.91, 24.95], sessions)
    actions = actions_of(("MSFT", "2003-02-18", "split", 2.0), ("MSFT", "2003-02-19", "cash_dividend", 0.08))

    factors = adjustment_factors(bars, actions)
    assert factors["split_factor"].tolist() == [0.5, 0.5, 1, 1, 1, 1]
    assert factors["dividend_factor"].round(4).tolist() == [0.9968] * 3 + [1.0] * 3
    assert adjust(bars, actions)["close"].round(2).tolist() == [23.42, 24.07, 24.88, 24.53, 24.91, 24.95]
    assert adjust(bars, actions)["volume"].tolist() == [2000, 2000, 1000, 1000, 1000, 1000]


def test_without_dividends_only_splits_are_applied() -> None:
    bars = bars_of("A", [10, 5, 5])
    actions = actions_of(("A", CALENDAR[1], "split", 2), ("A", CALENDAR[2], "cash_dividend", 1))
    assert adjust(bars, actions, dividends=False)["close"].tolist() == [5, 5, 5]


@pytest.mark.parametrize(
    ("kind", "value", "factor"),
    [
        ("split", 2.0, 0.5),
        ("split", 0.1, 10.0),
        ("stock_dividend", 0.05, 1 / 1.05),
    ],
)
def test_share_count_events_scale_prices_and_volume(kind: str, value: float, factor: float) -> None:
    bars = bars_of("A", [100, 100, 100])
    factors = adjustment_factors(bars, actions_of(("A", CALENDAR[1], kind, value)))
    assert factors["split_factor"].to_numpy() == pytest.approx([factor, 1, 1])
    assert factors["dividend_factor"].tolist() == [1, 1, 1]
    adjusted = adjust(bars, actions_of(("A", CALENDAR[1], kind, value)))
    assert adjusted["volume"].to_numpy() == pytest.approx([1000 / factor, 1000, 1000])


@pytest.mark.parametrize("kind", ["cash_dividend", "special_dividend", "spin_off"])
def test_distributions_act_on_the_total_return_factor(kind: str) -> None:
    factors = adjustment_factors(bars_of("A", [100, 90, 90]), actions_of(("A", CALENDAR[1], kind, 10)))
    assert factors["dividend_factor"].to_numpy() == pytest.approx([0.9, 1, 1])
    assert factors["cash_amount"].tolist() == [0, 10, 0]
    assert factors["split_factor"].tolist() == [1, 1, 1]


def test_symbol_change_moves_no_price() -> None:
    factors = adjustment_factors(bars_of("A", [1, 2, 3]), actions_of(("A", CALENDAR[1], "symbol_change", np.nan)))
    assert (factors.iloc[:, 4:] == 1.0).all(axis=None)


def test_events_of_one_session_are_added_and_put_on_the_share_basis_of_the_close_before() -> None:
    actions = actions_of(
        ("A", CALENDAR[1], "split", 4),
        ("A", CALENDAR[1], "cash_dividend", 1),
        ("A", CALENDAR[1], "special_dividend", 2),
    )
    factors = adjustment_factors(bars_of("A", [100, 22]), actions)
    assert factors["cash_amount"].tolist() == [0, 12]
    assert factors["split_factor"].tolist() == [0.25, 1]
    assert factors["dividend_factor"].to_numpy() == pytest.approx([0.88, 1])


def test_action_on_a_closed_day_applies_at_the_next_session_of_its_symbol() -> None:
    sessions = pd.to_datetime(["2003-02-13", "2003-02-14", "2003-02-18"])
    actions = actions_of(("A", "2003-02-15", "split", 2), ("A", "2003-02-16", "cash_dividend", 1))
    factors = adjustment_factors(bars_of("A", [100, 100, 49], sessions), actions)
    assert factors["split_ratio"].tolist() == [1, 1, 2]
    assert factors["dividend_factor"].to_numpy() == pytest.approx([0.98, 0.98, 1])


def test_dividend_before_a_split_in_one_trading_gap_is_on_the_old_share_basis() -> None:
    sessions = pd.to_datetime(["2003-02-13", "2003-02-14", "2003-03-03"])
    actions = actions_of(("A", "2003-02-20", "cash_dividend", 10), ("A", "2003-02-24", "split", 2))
    factors = adjustment_factors(bars_of("A", [100, 100, 45], sessions), actions)
    assert factors["dividend_factor"].to_numpy() == pytest.approx([0.9, 0.9, 1])


@pytest.mark.parametrize("ex_date", ["2003-01-02", CALENDAR[0], "2003-12-31"])
@pytest.mark.parametrize(("kind", "value"), [("split", 7.0), ("cash_dividend", 5.0)])
def test_actions_at_or_before_the_first_bar_or_after_the_last_change_nothing(
    ex_date: str | pd.Timestamp, kind: str, value: float
) -> None:
    factors = adjustment_factors(bars_of("A", [10, 11, 12]), actions_of(("A", ex_date, kind, value)))
    assert (factors[["split_factor", "dividend_factor", "split_ratio"]] == 1.0).all(axis=None)
    assert (factors["cash_amount"] == 0.0).all()


def test_symbols_are_independent_and_unknown_ones_ignored() -> None:
    bars = pd.concat([bars_of("A", [10, 10, 10]), bars_of("B", [20, 20, 20])], ignore_index=True)
    actions = actions_of(("A", CALENDAR[2], "split", 2), ("B", CALENDAR[1], "split", 5), ("C", CALENDAR[1], "split", 9))
    factors = adjustment_factors(bars, actions)
    assert factors["split_factor"].tolist() == [0.5, 0.5, 1, 0.2, 1, 1]


def test_missing_close_is_read_as_the_last_known_one() -> None:
    factors = adjustment_factors(bars_of("A", [50, np.nan, 45]), actions_of(("A", CALENDAR[2], "cash_dividend", 5)))
    assert factors["dividend_factor"].to_numpy() == pytest.approx([0.9, 0.9, 1])


def test_index_of_the_bars_is_kept() -> None:
    bars = bars_of("A", [10, 10, 10]).set_axis([7, 8, 9])
    assert adjustment_factors(bars, NO_ACTIONS).index.tolist() == [7, 8, 9]
    assert adjust(bars, NO_ACTIONS).equals(bars)


def test_empty_bars_give_empty_factors() -> None:
    empty = bars_of("A", []).iloc[:0]
    assert adjustment_factors(empty, actions_of(("A", CALENDAR[0], "split", 2))).empty
    assert to_as_traded(empty, NO_ACTIONS, "adjusted").empty


@pytest.mark.parametrize("amount", [50.0, 51.0])
def test_distribution_at_or_above_the_price_is_refused_by_name(amount: float) -> None:
    with pytest.raises(InputError, match=r"A: cash_dividend with ex-date 2003-02-11 pays 5\d a share out of .* 50"):
        adjustment_factors(bars_of("A", [50, 10]), actions_of(("A", CALENDAR[1], "cash_dividend", amount)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("A", CALENDAR[1], "split", 0.0)], r"A: split with ex-date 2003-02-11 and value 0.0 needs a value above"),
        ([("A", CALENDAR[1], "cash_dividend", -1.0)], "needs a value above zero"),
        ([("A", CALENDAR[1], "spin_off", np.nan)], "needs a value above zero"),
        ([("A", CALENDAR[1], "raffle", 1.0)], "of a kind that has no rule; known kinds: split"),
        ([("A", CALENDAR[1], "split", 2.0)] * 2, "is given twice; keep one source per event"),
    ],
)
def test_impossible_actions_are_refused(rows: list[tuple[str, pd.Timestamp, str, float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        adjustment_factors(bars_of("A", [50, 50]), actions_of(*rows))


def test_frames_without_order_or_columns_are_refused() -> None:
    bars = bars_of("A", [1, 2])
    with pytest.raises(SchemaMismatch, match=r"not sorted by .* see A 2003-02-10"):
        adjustment_factors(bars.iloc[::-1], NO_ACTIONS)
    with pytest.raises(SchemaMismatch, match="bars lacks close"):
        adjustment_factors(bars.drop(columns="close"), NO_ACTIONS)
    with pytest.raises(SchemaMismatch, match="actions lacks kind, value"):
        adjustment_factors(bars, NO_ACTIONS[["symbol", "ex_date"]])


def test_split_after_the_last_bar_is_undone_in_a_vendor_frame() -> None:
    """A split-adjusted bar of 2013 already holds Apple's 7:1 of 2014."""
    sessions = pd.to_datetime(["2013-02-28", "2013-03-01"])
    vendor = bars_of("AAPL", [441.40 / 7, 430.47 / 7], sessions).assign(volume=7_000.0)
    raw = to_as_traded(vendor, actions_of(("AAPL", "2014-06-09", "split", 7.0)), "split_adjusted", decimals=4)
    assert raw["close"].tolist() == [441.40, 430.47]
    assert raw["volume"].tolist() == [1_000.0, 1_000.0]


def test_as_traded_frames_pass_unchanged_and_unknown_basis_is_refused() -> None:
    bars = bars_of("A", [1.23456, 2])
    assert to_as_traded(bars, actions_of(("A", CALENDAR[1], "split", 2.0)), "as_traded").equals(bars)
    wrong: PriceBasis = "close"  # type: ignore[assignment]  # what a typo in a source's declaration looks like
    with pytest.raises(ValueError, match="unknown price basis 'close'; allowed: as_traded, split_adjusted, adj"):
        to_as_traded(bars, NO_ACTIONS, wrong)


def test_distribution_after_the_last_bar_of_an_adjusted_frame_is_refused() -> None:
    with pytest.raises(InputError, match="A: cash_dividend with ex-date 2003-12-31 lies after the last bar"):
        to_as_traded(bars_of("A", [1, 2]), actions_of(("A", "2003-12-31", "cash_dividend", 0.1)), "adjusted")


def test_apple_as_traded_history_is_restored_from_its_split_adjusted_form() -> None:
    """Real bars (bokeh-sampledata, as traded) and Apple's real splits: 2:1 on 2000-06-21 and 2005-02-28."""
    from bokeh_sampledata import stocks

    raw = bars_of("AAPL", stocks.AAPL["close"], pd.DatetimeIndex(stocks.AAPL["date"]))
    actions = actions_of(("AAPL", "2000-06-21", "split", 2.0), ("AAPL", "2005-02-28", "split", 2.0))
    vendor = adjust(raw, actions, dividends=False)
    assert vendor["close"].iloc[0] == pytest.approx(raw["close"].iloc[0] / 4)
    moves = vendor["close"].pct_change().abs()
    assert moves[vendor["session"].isin(actions["ex_date"])].max() < 0.10
    restored = to_as_traded(vendor, actions, "split_adjusted", decimals=4)
    assert restored["close"].tolist() == raw["close"].tolist()


# Generated markets --------------------------------------------------------------------------------------------

Market = tuple[pd.DataFrame, pd.DataFrame]


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """One to three symbols with own calendars and gaps, and actions on any day around them."""
    frames, rows = [], []
    values = {
        "split": (2.0, 3.0, 0.5, 1.5),
        "stock_dividend": (0.05, 0.1),
        "cash_dividend": (0.1, 0.7),
        "spin_off": (1.0, 1.3),
    }
    event = st.tuples(st.integers(-3, 20), st.sampled_from(sorted(values)), st.integers(0, 3))
    for symbol in ("A", "B", "C")[: draw(st.integers(1, 3))]:
        present = sorted(draw(st.sets(st.integers(0, 11), min_size=1)))
        random = np.random.default_rng(draw(st.integers(0, 2**16)))
        frames.append(bars_of(symbol, random.uniform(20, 500, len(present)), CALENDAR[present]))
        for day, kind, choice in draw(st.lists(event, max_size=6, unique_by=lambda item: item[:2])):
            value = values[kind][choice % len(values[kind])]
            rows.append((symbol, CALENDAR[0] + pd.Timedelta(days=day), kind, value))
    return pd.concat(frames, ignore_index=True), actions_of(*rows)


def plain_factors(bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """The conventions of the module docstring as the plainest possible loops."""
    out = []
    for symbol, own in bars.groupby("symbol", sort=False):
        split, dividend = np.ones(len(own)), np.ones(len(own))
        sessions, close = own["session"].tolist(), own["close"].tolist()
        events = actions[actions["symbol"] == symbol]
        for i in range(1, len(own)):
            due = events[(events["ex_date"] > sessions[i - 1]) & (events["ex_date"] <= sessions[i])]
            ratio, cash = 1.0, 0.0
            for date in sorted(due["ex_date"].unique()):
                today = due[due["ex_date"] == date]
                for event in today.itertuples():
                    ratio *= {"split": event.value, "stock_dividend": 1 + event.value}.get(event.kind, 1.0)
                cash += ratio * today.loc[today["kind"].isin(["cash_dividend", "spin_off"]), "value"].sum()
            split[:i] /= ratio
            dividend[:i] *= 1 - cash / close[i - 1]
        out.append(pd.DataFrame({"split_factor": split, "dividend_factor": dividend}))
    return pd.concat(out, ignore_index=True)


@settings(max_examples=30, deadline=None)
@given(markets())
def test_factors_equal_the_plain_loops(market: Market) -> None:
    bars, actions = market
    factors = adjustment_factors(bars, actions)
    expected = plain_factors(bars, actions)
    np.testing.assert_allclose(factors[expected.columns], expected, rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(markets())
def test_factors_end_at_one_and_forward_factors_start_there(market: Market) -> None:
    bars, actions = market
    by_symbol = adjustment_factors(bars, actions).groupby(bars["symbol"])
    assert (by_symbol[["split_factor", "dividend_factor"]].last() == 1.0).all(axis=None)
    assert (by_symbol[["forward_split_factor", "forward_dividend_factor"]].first() == 1.0).all(axis=None)


@settings(max_examples=30, deadline=None)
@given(markets(), st.integers(1, 16))
def test_a_later_event_or_bar_never_restates_a_forward_factor(market: Market, day: int) -> None:
    bars, actions = market
    cut = CALENDAR[0] + pd.Timedelta(days=day)
    whole = adjustment_factors(bars, actions)
    early = adjustment_factors(bars[bars["session"] <= cut], actions[actions["ex_date"] <= cut])
    columns = ["symbol", "session", "forward_split_factor", "forward_dividend_factor"]
    pd.testing.assert_frame_equal(whole.loc[bars["session"] <= cut, columns], early[columns], check_exact=True)


@settings(max_examples=30, deadline=None)
@given(markets(), st.sampled_from(["split_adjusted", "adjusted"]))
def test_conversion_to_as_traded_undoes_the_adjustment(market: Market, basis: PriceBasis) -> None:
    bars, actions = market
    last = bars.groupby("symbol")["session"].max()
    inside = actions["ex_date"] <= actions["symbol"].map(last)
    vendor = adjust(bars, actions[inside], dividends=basis == "adjusted")
    restored = to_as_traded(vendor, actions[inside], basis)
    columns = ["open", "high", "low", "close", "volume"]
    np.testing.assert_allclose(restored[columns], bars[columns], rtol=1e-11)


@settings(max_examples=25, deadline=None)
@given(markets())
def test_adjusted_return_over_an_ex_date_is_the_return_of_a_holder(market: Market) -> None:
    """(P(t) x ratio) / (P(t-1) - cash on the basis of t-1) is the reinvested growth across every session."""
    bars, actions = market
    factors = adjustment_factors(bars, actions)
    adjusted = adjust(bars, actions)["close"].groupby(bars["symbol"]).pct_change() + 1
    previous = bars["close"].groupby(bars["symbol"]).shift()
    holder = bars["close"] * factors["split_ratio"] / (previous - factors["cash_amount"])
    np.testing.assert_allclose(adjusted.dropna(), holder.dropna(), rtol=1e-11)
