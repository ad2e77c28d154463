"""Which dividends are held back because prices or the vendor's adjusted closes contradict them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from market_assets.domain.plausibility import ACTION_RULES, ACTION_WARNINGS, examine_dividends

SESSIONS = pd.bdate_range("2024-01-01", periods=12).astype("datetime64[us]")
NONE = pd.DataFrame(
    {
        "symbol": pd.Series(dtype="str"),
        "session": pd.Series(dtype="datetime64[us]"),
        "adjusted_close": pd.Series(dtype="float64"),
    }
)


def bars(close: list[float]) -> pd.DataFrame:
    values = dict.fromkeys(("open", "high", "low", "close"), close)
    return pd.DataFrame(
        {"symbol": "A", "session": SESSIONS[: len(close)], **values, "volume": 1000.0, "currency": "USD"}
    )


def actions(*rows: tuple[int, str, float]) -> pd.DataFrame:
    """(session number, kind, value) of A."""
    return pd.DataFrame(
        {
            "symbol": "A",
            "ex_date": [SESSIONS[number] for number, _, _ in rows],
            "kind": [kind for _, kind, _ in rows],
            "value": [value for _, _, value in rows],
            "currency": "USD",
        }
    )


def adjusted(frame: pd.DataFrame, *taken: tuple[int, float], splits: dict[int, float] | None = None) -> pd.DataFrame:
    """A vendor's adjusted closes that take off cash at sessions, from as-traded bars."""
    close = frame["close"].to_numpy(float)
    factor = np.ones(len(close))
    for number, cash in taken:
        factor[:number] *= 1 - cash / (close[number - 1] / (splits or {}).get(number, 1.0))
    for number, ratio in (splits or {}).items():
        factor[:number] /= ratio
    return frame[["symbol", "session"]].assign(adjusted_close=close * factor)


FLAT = bars([20.0] * 6)


def rules(frame, paid, shown=NONE) -> list[str]:
    found = examine_dividends(frame, paid, shown)
    assert set(found.rule) - {""} <= set(ACTION_RULES)
    assert set(found.warning) - {""} <= set(ACTION_WARNINGS)
    return list(found.rule)


def test_a_dividend_that_adjusted_closes_took_is_right():
    paid = actions((3, "cash_dividend", 1.0))
    found = examine_dividends(FLAT, paid, adjusted(FLAT, (3, 1.0)))
    assert list(found.rule) == list(found.warning) == [""]


def test_a_dividend_of_which_adjusted_closes_took_a_hundredth_is_held_and_a_hundredth_proposed():
    paid = actions((2, "cash_dividend", 0.02), (4, "cash_dividend", 1.76))
    found = examine_dividends(FLAT, paid, adjusted(FLAT, (2, 0.02), (4, 0.0176)))
    assert list(found.rule) == ["", "dividend_100x"]
    assert found.proposals.to_dict() == {"value": {1: pytest.approx(0.0176)}}


def test_a_dividend_that_adjusted_closes_ignore_is_stored_and_warned_of():
    found = examine_dividends(FLAT, actions((3, "cash_dividend", 0.7)), adjusted(FLAT))
    assert list(found.rule) == [""]
    assert list(found.warning) == ["dividend_not_adjusted"]


def test_a_tiny_dividend_is_below_the_vendors_rounding():
    found = examine_dividends(FLAT, actions((3, "cash_dividend", 0.05)), adjusted(FLAT))
    assert list(found.warning) == [""]


def test_splits_do_not_confuse_what_was_taken():
    frame = bars([40.0, 40.0, 40.0, 20.0, 20.0, 20.0])
    paid = actions((3, "cash_dividend", 1.0), (3, "split", 2.0))
    assert rules(frame, paid, adjusted(frame, (3, 1.0), splits={3: 2.0})) == ["", ""]
    assert rules(frame, paid, adjusted(frame, (3, 0.01), splits={3: 2.0})) == ["dividend_100x", ""]


def test_without_adjusted_closes_a_large_dividend_is_taken_as_it_is():
    assert rules(FLAT, actions((3, "cash_dividend", 9.0))) == [""]


def test_the_scale_of_adjusted_closes_does_not_matter():
    paid = actions((2, "cash_dividend", 0.7), (4, "cash_dividend", 1.76))
    shown = adjusted(FLAT, (2, 0.7), (4, 0.0176))
    for scale in (0.03, 1.0, 4.0):
        moved = shown.assign(adjusted_close=shown["adjusted_close"] * scale)
        assert rules(FLAT, paid, moved) == ["", "dividend_100x"]


@pytest.mark.parametrize("close", [np.nan, 0.0, -1.0, 0.0499])
@pytest.mark.parametrize("number", [2, 3])
def test_an_adjusted_close_that_is_missing_impossible_or_coarse_tells_nothing(close, number):
    shown = adjusted(FLAT)
    shown.loc[number, "adjusted_close"] = close
    found = examine_dividends(FLAT, actions((3, "cash_dividend", 0.7)), shown)
    assert list(found.rule) == list(found.warning) == [""]


def test_rounding_to_four_decimals_hides_no_dividend():
    frame, paid = bars([20.0] * 6), actions((3, "cash_dividend", 0.11))
    shown = adjusted(frame, (3, 0.11))
    for scale in np.geomspace(0.00251, 0.1, 25):
        rounded = shown.assign(adjusted_close=(shown["adjusted_close"] * scale).round(4))
        found = examine_dividends(frame, paid, rounded)
        assert list(found.rule) == list(found.warning) == [""]


def test_a_dividend_in_another_currency_is_not_compared_with_the_prices():
    """150 yen out of 20 dollars would look as if adjusted closes had taken a hundredth of it."""
    frame, paid = bars([200.0] * 6), actions((3, "cash_dividend", 150.0))
    assert rules(frame, paid, adjusted(frame, (3, 1.0))) == ["dividend_100x"]
    assert rules(frame, paid.assign(currency="JPY"), adjusted(frame, (3, 1.0))) == [""]


def test_a_bar_on_another_scale_does_not_put_the_dividend_in_doubt():
    frame, paid = bars([1000.0] * 6), actions((3, "cash_dividend", 7.5))
    shown = adjusted(frame, (3, 7.5))
    frame.loc[2, "close"] /= 100
    shown.loc[2, "adjusted_close"] /= 100
    assert rules(frame, paid, shown) == [""]


def test_adjusted_closes_may_take_a_dividend_after_its_ex_date():
    paid = actions((5, "cash_dividend", 0.7))
    assert list(examine_dividends(FLAT, paid, adjusted(FLAT)).warning) == [""]
    longer = bars([20.0] * 7)
    assert list(examine_dividends(longer, paid, adjusted(longer)).warning) == ["dividend_not_adjusted"]


@pytest.mark.parametrize(("amount", "proposed"), [(25.0, 0.25), (20.0, 0.2), (3000.0, None)])
def test_a_dividend_above_the_price_is_held(amount, proposed):
    found = examine_dividends(FLAT, actions((3, "special_dividend", amount)), NONE)
    assert list(found.rule) == ["dividend_above_price"]
    assert found.proposals["value"].to_dict() == ({} if proposed is None else {0: proposed})


def test_of_two_statements_of_one_dividend_the_one_without_a_fall_is_held():
    # KAP.IL: 1.81 on 2022-07-12 and 1.95 on 2022-07-13; the price fell by 1.06 and 0.78.
    frame = bars([26.2, 26.2, 25.14, 24.36, 23.84, 24.36])
    assert rules(frame, actions((2, "cash_dividend", 1.813), (3, "cash_dividend", 1.954))) == ["", "repeated_dividend"]
    late = bars([26.2, 26.2, 25.7, 24.0, 23.84, 24.36])
    assert rules(late, actions((2, "cash_dividend", 1.813), (3, "cash_dividend", 1.954))) == ["repeated_dividend", ""]


@pytest.mark.parametrize(
    "paid",
    [
        actions((2, "cash_dividend", 1.8), (3, "special_dividend", 1.9)),
        actions((2, "cash_dividend", 1.8), (3, "cash_dividend", 0.9)),
        actions((2, "cash_dividend", 1.8), (7, "cash_dividend", 1.8)),
        actions((2, "cash_dividend", 0.2), (3, "cash_dividend", 0.2)),
    ],
    ids=["another kind", "another amount", "a week later", "too small to see"],
)
def test_two_dividends_may_be_two(paid):
    assert rules(bars([26.0] * 9), paid) == ["", ""]


def test_two_dividends_that_both_left_the_price_are_two():
    assert rules(
        bars([26.2, 26.2, 24.4, 22.5, 22.5]), actions((2, "cash_dividend", 1.8), (3, "cash_dividend", 1.9))
    ) == ["", ""]


@pytest.mark.parametrize("number", [0, 11])
def test_a_dividend_with_no_bar_before_it_or_none_after_says_nothing(number):
    assert rules(bars([20.0] * 6), actions((number, "cash_dividend", 50.0))) == [""]


def test_actions_of_unknown_symbols_and_no_actions_have_no_findings():
    assert rules(FLAT, actions((3, "cash_dividend", 50.0)).assign(symbol="B")) == [""]
    assert examine_dividends(FLAT, actions((3, "split", 2.0)).iloc[:0], NONE).rule.empty
    assert rules(FLAT.iloc[:0], actions((3, "cash_dividend", 50.0))) == [""]
