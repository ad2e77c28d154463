"""Each check of the indicator suite holds on good values and finds a planted fault in its session, and only there."""

from __future__ import annotations

from datetime import date

import pytest
from small_market import SESSIONS, Market

from quality.suite import Scope
from quality.suites.indicator import ColumnBounds, IndicatorThresholds, indicator_suite

BANDS = ("bollinger_lower", "bollinger_middle", "bollinger_upper")
BOUNDS = (
    ColumnBounds("rsi_14", 0.0, 100.0),
    ColumnBounds("sma_20", 0.0),
    ColumnBounds("drawdown_252", None, 0.0),
    *(ColumnBounds(column) for column in BANDS),
)
SUITE = indicator_suite(BOUNDS, [BANDS], {"rsi_14": 3, "sma_20": 1})
FIFTH = SESSIONS[4]


@pytest.fixture
def indicators(market: Market) -> Market:
    """Two symbols in ten sessions; rsi_14 is null in the first three bars of each, sma_20 in the first."""
    market.insert(
        "analytics.indicator",
        (
            {
                "symbol": symbol,
                "session": session,
                "rsi_14": None if number < 3 else 50.0,
                "sma_20": None if number < 1 else 100.0,
                "drawdown_252": -0.25,
                "bollinger_lower": 90.0,
                "bollinger_middle": 100.0,
                "bollinger_upper": 110.0,
            }
            for symbol in ("AAA", "BBB")
            for number, session in enumerate(SESSIONS)
        ),
    )
    return market


def plant(market: Market, column: str, value: float | None, session: date = FIFTH) -> None:
    market.execute(
        f"update analytics.indicator set {column} = %s where symbol = 'BBB' and session = %s",  # noqa: S608
        value,
        session,
    )


def test_good_indicators_pass_every_check(indicators: Market) -> None:
    outcomes = indicators.run(SUITE)
    assert list(outcomes) == ["schema", "unique_key", "within_bounds", "band_order", "null_only_in_warm_up"]
    assert indicators.failing(SUITE) == {}
    assert outcomes["within_bounds"].rows == 20


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rsi_14", 100.001),
        ("rsi_14", -0.001),
        ("rsi_14", float("nan")),
        ("sma_20", float("inf")),
        ("sma_20", -1.0),
        ("drawdown_252", 0.1),
        ("bollinger_upper", float("nan")),
    ],
)
def test_a_value_outside_its_bounds_is_named_with_its_column(indicators: Market, column: str, value: float) -> None:
    plant(indicators, column, value)
    outcome = indicators.run(SUITE)["within_bounds"]
    assert outcome.failing_sessions == [FIFTH]
    (row,) = outcome.sessions[FIFTH].sample
    assert row["symbol"] == "BBB"
    assert row["outside"].startswith(f"{column}=")


@pytest.mark.parametrize(("column", "value"), [("rsi_14", 100.0 + 1e-9), ("rsi_14", -1e-10), ("drawdown_252", 1e-12)])
def test_rounding_over_a_bound_is_no_fault(indicators: Market, column: str, value: float) -> None:
    plant(indicators, column, value)
    assert indicators.failing(SUITE) == {}
    exact = indicator_suite(BOUNDS, [], {}, IndicatorThresholds(rounding=0.0))
    assert indicators.failing(exact) == {"within_bounds": [FIFTH]}


@pytest.mark.parametrize(("column", "value"), [("bollinger_lower", 101.0), ("bollinger_upper", 99.0)])
def test_bands_that_cross_are_shown(indicators: Market, column: str, value: float) -> None:
    plant(indicators, column, value)
    outcome = indicators.run(SUITE)["band_order"]
    assert outcome.failing_sessions == [FIFTH]
    assert outcome.sessions[FIFTH].sample[0]["crossed"].startswith("bollinger_lower / bollinger_middle")


def test_bands_of_a_flat_price_may_touch(indicators: Market) -> None:
    for column in BANDS:
        plant(indicators, column, 100.0)
    assert indicators.failing(SUITE) == {}


def test_a_null_after_the_warm_up_is_found(indicators: Market) -> None:
    plant(indicators, "rsi_14", None)
    plant(indicators, "sma_20", None)
    outcome = indicators.run(SUITE)["null_only_in_warm_up"]
    assert outcome.failing_sessions == [FIFTH]
    assert outcome.sessions[FIFTH].sample[0]["columns"] == "rsi_14=null, sma_20=null"
    assert outcome.sessions[FIFTH].sample[0]["bar"] == 5


def test_bars_before_the_range_count_for_the_warm_up(indicators: Market) -> None:
    assert indicators.failing(SUITE, Scope(SESSIONS[2:])) == {}
    assert indicators.failing(SUITE, Scope((SESSIONS[2],))) == {}
    plant(indicators, "rsi_14", None)
    assert indicators.failing(SUITE, Scope((FIFTH,))) == {"null_only_in_warm_up": [FIFTH]}


def test_columns_without_a_warm_up_may_be_null_anywhere(indicators: Market) -> None:
    plant(indicators, "drawdown_252", None)
    assert indicators.failing(SUITE) == {}
    assert "null_only_in_warm_up" not in indicators.run(indicator_suite(BOUNDS, [BANDS], {}))


def test_thresholds_are_written_for_people(indicators: Market) -> None:
    thresholds = {check.name: check.threshold for check in SUITE.checks}
    assert thresholds["within_bounds"] == "rsi_14 in [0, 100]; sma_20 >= 0; drawdown_252 <= 0"
    assert thresholds["band_order"] == "bollinger_lower <= bollinger_middle <= bollinger_upper"
    assert thresholds["null_only_in_warm_up"] == "first 1 to 3 bars, by column"
