"""Which rows of a vendor's answer can be stored at all, and under which rule the others are held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.domain.screening import RULES, screen

SESSIONS = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"])
GOOD: dict[str, Any] = {
    "symbol": "A",
    "session": pd.Timestamp("2024-01-03"),
    "source": "vendor",
    "open": 10.0,
    "high": 11.0,
    "low": 9.0,
    "close": 10.5,
    "volume": 100.0,
    "currency": "USD",
}


def verdicts(*rows: dict[str, Any]) -> list[str]:
    bars = pd.DataFrame([{**GOOD, **row} for row in rows])
    return screen(
        bars,
        exchange_of={"A": "XNYS", "B": "XNYS", "L": "XLON"},
        currency_of={"A": "USD", "B": "USD", "L": "GBP"},
        sessions_of={"XNYS": SESSIONS, "XLON": SESSIONS.drop(pd.Timestamp("2024-01-04"))},
        closed_through={"XNYS": pd.Timestamp("2024-01-05"), "XLON": pd.Timestamp("2024-01-08")},
    ).tolist()


def test_a_bar_that_breaks_no_rule_can_be_stored():
    assert verdicts({}) == [""]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"session": pd.Timestamp("2024-01-06")}, "not_a_session"),
        ({"session": pd.Timestamp("2024-01-08")}, "session_not_closed"),
        ({"close": np.nan}, "missing_price"),
        ({"open": np.inf}, "missing_price"),
        ({"low": 0.0}, "non_positive_price"),
        ({"high": -1.0}, "non_positive_price"),
        ({"volume": np.nan}, "missing_volume"),
        ({"volume": np.inf}, "missing_volume"),
        ({"volume": -1.0}, "negative_volume"),
        ({"currency": "EUR"}, "wrong_currency"),
    ],
)
def test_each_rule_holds_its_row(row, rule):
    assert verdicts(row) == [rule]
    assert rule in RULES


def test_zero_volume_is_a_session_without_trades():
    assert verdicts({"volume": 0.0}) == [""]


def test_of_equal_rows_one_stands_and_of_different_ones_none():
    assert verdicts({}, {"close": 10.6}, {}, {"symbol": "B"}) == [
        "conflicting_duplicate",
        "conflicting_duplicate",
        "duplicate_row",
        "",
    ]
    assert verdicts({}, {}, {"symbol": "B"}) == ["", "duplicate_row", ""]


def test_a_row_that_breaks_several_rules_is_held_under_the_first():
    assert verdicts({}, {"close": -1.0, "volume": -1.0, "currency": "EUR"}) == ["", "non_positive_price"], (
        "casts no doubt"
    )
    assert verdicts({"close": -1.0, "volume": -1.0}) == ["non_positive_price"]
    assert list(RULES).index("not_a_session") < list(RULES).index("session_not_closed")
    assert verdicts({"session": pd.Timestamp("2024-01-13")}) == ["not_a_session"]


def test_each_exchange_has_its_own_sessions_close_and_currency():
    london = {"symbol": "L", "currency": "GBP"}
    day, last = pd.Timestamp("2024-01-04"), pd.Timestamp("2024-01-08")
    assert verdicts(london, {**london, "session": day}, {**london, "session": last}) == ["", "not_a_session", ""]
    assert verdicts({"symbol": "L"}) == ["wrong_currency"]


def test_no_rows_give_no_verdicts():
    bars = pd.DataFrame([GOOD]).iloc[:0]
    assert screen(bars, exchange_of={}, currency_of={}, sessions_of={}, closed_through={}).empty


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "symbol": st.sampled_from(["A", "B", "L"]),
                "session": st.sampled_from(list(pd.date_range("2024-01-01", "2024-01-10"))),
                "close": st.sampled_from([1.0, 0.0, -1.0, np.nan, np.inf]),
                "volume": st.sampled_from([0.0, 5.0, -5.0, np.nan]),
                "currency": st.sampled_from(["USD", "GBP"]),
            }
        ),
        min_size=1,
        max_size=12,
    )
)
def test_what_passes_is_a_bar_and_stands_once(rows):
    passed = [row for row, verdict in zip(rows, verdicts(*rows), strict=True) if verdict == ""]
    assert all(row["close"] == 1.0 and row["volume"] >= 0 and row["session"] in SESSIONS for row in passed)
    assert len({(row["symbol"], row["session"]) for row in passed}) == len(passed)


def test_verdicts_keep_the_index_of_the_bars():
    bars = pd.DataFrame([GOOD, {**GOOD, "close": -1.0}], index=[7, 3])
    verdict = screen(
        bars,
        exchange_of={"A": "XNYS"},
        currency_of={"A": "USD"},
        sessions_of={"XNYS": SESSIONS},
        closed_through={"XNYS": SESSIONS[-1]},
    )
    assert verdict.to_dict() == {7: "", 3: "non_positive_price"}
