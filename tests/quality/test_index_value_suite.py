"""Each check of the index suites holds on good values and finds a planted fault in its session, and only there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_market import SESSIONS, Market

from quality.errors import SuiteError
from quality.suite import Scope
from quality.suites.index_value import IndexThresholds, index_constituent_suite, index_value_suite

VALUES = index_value_suite()
CONSTITUENTS = index_constituent_suite()
FIFTH = SESSIONS[4]


@pytest.fixture
def indices(market: Market) -> Market:
    """One index of two constituents in ten sessions, with one rebalance in the fifth."""
    values = []
    constituents = []
    for number, session in enumerate(SESSIONS):
        divisor = 10.0 if number < 4 else 12.5
        level = 100.0 + number
        values.append(
            {
                "index_id": "EW",
                "session": session,
                "price_return": level,
                "total_return": level,
                "net_total_return": level,
                "divisor": divisor,
                "market_value": level * divisor,
                "constituents": 2,
            }
        )
        for symbol, weight in (("AAA", 0.3), ("BBB", 0.7)):
            constituents.append(
                {
                    "index_id": "EW",
                    "session": session,
                    "symbol": symbol,
                    "shares": 1.0,
                    "weight": weight,
                    "price": level,
                    "contribution": 0.0,
                }
            )
    market.insert("indices.index_value", values)
    market.insert("indices.index_constituent", constituents)
    market.insert(
        "indices.divisor_change",
        [
            {
                "index_id": "EW",
                "session": FIFTH,
                "reason": "rebalance",
                "divisor_before": 10.0,
                "divisor_after": 12.5,
                "market_value_before": 1040.0,
                "market_value_after": 1300.0,
            }
        ],
    )
    return market


def change(market: Market, table: str, assignment: str) -> None:
    market.execute(f"update indices.{table} set {assignment} where session = %s", FIFTH)  # noqa: S608


def test_good_indices_pass_every_check(indices: Market) -> None:
    assert indices.failing(VALUES) == {}
    assert indices.failing(CONSTITUENTS) == {}
    outcomes = indices.run(VALUES)
    assert outcomes["level_continuous"].rows == 1
    assert outcomes["level_is_value_over_divisor"].rows == 10


@pytest.mark.parametrize(
    ("assignment", "found"),
    [
        ("divisor = 0", {"divisor_positive"}),
        ("divisor = -12.5, market_value = -1300", {"divisor_positive"}),
        ("divisor = null", {"divisor_positive"}),
        ("constituents = 0", {"has_constituents"}),
        ("constituents = null", {"has_constituents"}),
        ("market_value = 1300.001", {"level_is_value_over_divisor"}),
        ("market_value = 'NaN'", {"level_is_value_over_divisor"}),
        ("price_return = 135, market_value = 1687.5", {"return_bounded"}),
    ],
)
def test_a_wrong_index_value_is_found_in_its_session(indices: Market, assignment: str, found: set[str]) -> None:
    change(indices, "index_value", assignment)
    failing = indices.failing(VALUES)
    assert set(failing) == found
    assert failing[found.pop()][0] == FIFTH


@pytest.mark.parametrize("assignment", ["market_value_after = 1300.001", "divisor_after = 0", "divisor_before = null"])
def test_a_level_that_jumps_at_a_rebalance_is_found(indices: Market, assignment: str) -> None:
    change(indices, "divisor_change", assignment)
    outcome = indices.run(VALUES)["level_continuous"]
    assert outcome.failing_sessions == [FIFTH]
    assert outcome.sessions[FIFTH].sample[0]["reason"] == "rebalance"


def test_a_range_without_rebalances_says_it_looked_at_none(indices: Market) -> None:
    outcome = indices.run(VALUES, Scope(SESSIONS[5:]))["level_continuous"]
    assert outcome.passed
    assert outcome.rows == 0


def test_the_return_into_the_first_session_of_a_run_is_checked(indices: Market) -> None:
    change(indices, "index_value", "price_return = 135, market_value = 1687.5")
    assert indices.failing(VALUES, Scope((FIFTH,))) == {"return_bounded": [FIFTH]}
    assert indices.failing(VALUES, Scope(SESSIONS[:4])) == {}


@pytest.mark.parametrize("weight", ["0.3000001", "null", "'NaN'"])
def test_weights_that_do_not_sum_to_one_are_found(indices: Market, weight: str) -> None:
    indices.execute(
        f"update indices.index_constituent set weight = {weight} where symbol = 'AAA' and session = %s",  # noqa: S608
        FIFTH,
    )
    outcome = indices.run(CONSTITUENTS)["weights_sum_to_one"]
    assert outcome.failing_sessions == [FIFTH]
    assert outcome.sessions[FIFTH].sample[0]["index_id"] == "EW"


def test_tolerances_are_parameters(indices: Market) -> None:
    change(indices, "index_value", "market_value = 1300.001")
    assert indices.failing(index_value_suite(IndexThresholds(level_tolerance=1e-5))) == {}


@pytest.mark.parametrize(
    "wrong", [{"weight_tolerance": -1.0}, {"max_daily_return": 0.0}, {"lookback_days": 0}], ids=str
)
def test_thresholds_without_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SuiteError, match="indices"):
        replace(IndexThresholds(), **wrong)
