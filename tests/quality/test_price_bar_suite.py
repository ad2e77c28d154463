"""Each check of the price bar suite holds on good bars and finds a planted fault in its session, and only there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from small_market import SESSIONS, SYMBOLS, Market, bar, weekdays

from quality.errors import SuiteError
from quality.suite import WHOLE_TABLE, Scope
from quality.suites.price_bar import PriceBarThresholds, price_bar_suite

SUITE = price_bar_suite()
FIFTH = SESSIONS[4]


def test_good_bars_pass_every_check_and_each_one_looked_at_them(good_market: Market) -> None:
    outcomes = good_market.run(SUITE)
    assert {name: outcome.passed for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, True)
    looked_at = {name: outcome.rows for name, outcome in outcomes.items() if name not in {"schema", "sources_agree"}}
    assert looked_at == dict.fromkeys(looked_at, len(SESSIONS) * len(SYMBOLS))


def test_an_empty_table_lacks_every_bar_and_the_other_checks_looked_at_nothing(good_market: Market) -> None:
    good_market.execute("delete from raw.price_bar")
    outcomes = good_market.run(SUITE)
    assert outcomes["completeness"].failing_sessions == list(SESSIONS)
    assert outcomes["completeness_floor"].failing_sessions == list(SESSIONS)
    assert outcomes["prices_positive"].passed
    assert outcomes["prices_positive"].rows == 0


@pytest.mark.parametrize(
    "values",
    [{"low": 103.0}, {"high": 101.0}, {"open": 110.0}, {"close": 90.0}, {"low": 104.0, "high": 101.0}],
    ids=lambda values: " ".join(f"{k}={v}" for k, v in values.items()),
)
def test_low_is_lowest_and_high_is_highest(good_market: Market, values: dict[str, float]) -> None:
    good_market.set_bar("AAA", FIFTH, **values)
    outcome = good_market.run(SUITE)["ohlc_consistent"]
    assert outcome.failing_sessions == [FIFTH]
    assert outcome.sessions[FIFTH].sample[0]["symbol"] == "AAA"


def test_rounding_between_the_prices_of_a_bar_is_no_fault(good_market: Market) -> None:
    good_market.set_bar("AAA", FIFTH, high=102.0, close=102.00000001)
    assert "ohlc_consistent" not in good_market.failing(SUITE)


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), None])
@pytest.mark.parametrize("column", ["open", "close"])
def test_prices_are_numbers_above_zero(good_market: Market, column: str, price: float | None) -> None:
    good_market.set_bar("BBB", FIFTH, **{column: price})
    assert good_market.failing(SUITE)["prices_positive"] == [FIFTH]


@pytest.mark.parametrize("volume", [-1.0, float("nan"), None])
def test_volume_is_a_number_of_shares(good_market: Market, volume: float | None) -> None:
    good_market.set_bar("BBB", FIFTH, volume=volume)
    assert good_market.failing(SUITE) == {"volume_not_negative": [FIFTH]}


def test_no_volume_at_all_is_allowed(good_market: Market) -> None:
    good_market.set_bar("BBB", FIFTH, volume=0.0)
    assert good_market.failing(SUITE) == {}


def test_a_missing_bar_is_a_warning_naming_symbol_and_exchange(good_market: Market) -> None:
    good_market.execute("delete from raw.price_bar where symbol = 'CCC' and session = %s", FIFTH)
    outcomes = good_market.run(SUITE)
    assert outcomes["completeness_floor"].passed
    assert outcomes["completeness"].failing_sessions == [FIFTH]
    (row,) = outcomes["completeness"].sessions[FIFTH].sample
    assert (row["symbol"], row["exchange"], row["present_bars"], row["expected_bars"]) == ("CCC", "XNYS", 3, 4)


def test_less_than_half_of_the_bars_is_structural(good_market: Market) -> None:
    good_market.execute("delete from raw.price_bar where symbol <> 'AAA' and session = %s", FIFTH)
    assert good_market.failing(SUITE) == {"completeness_floor": [FIFTH], "completeness": [FIFTH]}


def test_completeness_threshold_is_a_parameter(good_market: Market) -> None:
    good_market.execute("delete from raw.price_bar where symbol = 'CCC' and session = %s", FIFTH)
    assert good_market.failing(price_bar_suite(PriceBarThresholds(completeness_warning=0.75))) == {}


def test_membership_is_point_in_time_and_ends_with_its_last_session(good_market: Market) -> None:
    good_market.execute("update raw.universe_member set member_to = %s where symbol = 'DDD'", FIFTH)
    good_market.execute("delete from raw.price_bar where symbol = 'DDD' and session > %s", FIFTH)
    good_market.execute("update raw.universe_member set member_from = %s where symbol = 'CCC'", FIFTH)
    good_market.execute("delete from raw.price_bar where symbol = 'CCC' and session < %s", FIFTH)
    assert good_market.failing(SUITE) == {}
    good_market.execute("delete from raw.price_bar where symbol in ('CCC', 'DDD') and session = %s", FIFTH)
    assert good_market.failing(SUITE) == {"completeness": [FIFTH]}


def test_completeness_is_judged_by_exchange(good_market: Market) -> None:
    open_in_london = SESSIONS[:5]
    good_market.fill(sessions=open_in_london, symbols=["VOD"], exchange="XLON")
    assert good_market.failing(SUITE) == {}


def test_a_second_source_does_not_hide_or_double_a_bar(good_market: Market) -> None:
    good_market.insert("raw.price_bar", [bar("AAA", FIFTH, 0, 4) | {"source": "other"}])
    good_market.execute("delete from raw.price_bar where symbol = 'AAA' and session = %s and source = 'sample'", FIFTH)
    assert good_market.failing(SUITE) == {}


def test_bars_that_nobody_asked_for_do_not_stand_in_for_a_missing_one(good_market: Market) -> None:
    good_market.execute("delete from raw.price_bar where symbol = 'CCC' and session = %s", FIFTH)
    good_market.insert("raw.price_bar", [bar("AAA", FIFTH, 0, 4) | {"source": "other"}, bar("ZZZ", FIFTH)])
    good_market.execute("update raw.universe_member set member_to = %s where symbol = 'DDD'", SESSIONS[3])
    outcome = good_market.run(SUITE)["completeness"]
    assert outcome.failing_sessions == [FIFTH]
    (row,) = outcome.sessions[FIFTH].sample
    assert (row["symbol"], row["present_bars"], row["expected_bars"]) == ("CCC", 2, 3)


def test_closed_versions_are_not_looked_at(good_market: Market) -> None:
    wrong = bar("AAA", FIFTH) | {"close": -5.0, "source": "old", "known_to": date(2024, 7, 1)}
    good_market.insert("raw.price_bar", [wrong])
    assert good_market.failing(SUITE) == {}


def test_a_copy_of_the_previous_session_is_structural(good_market: Market) -> None:
    for i, symbol in enumerate(SYMBOLS):
        previous = bar(symbol, SESSIONS[3], i, 3)
        good_market.set_bar(symbol, FIFTH, **{k: previous[k] for k in ("open", "high", "low", "close", "volume")})
    outcome = good_market.run(SUITE)["not_stale"]
    assert outcome.failing_sessions == [FIFTH]
    assert outcome.failed_rows == len(SYMBOLS)
    assert outcome.sessions[FIFTH].sample[0]["previous_session"] == str(SESSIONS[3])


def test_the_first_session_of_a_run_is_compared_with_the_one_before_it(good_market: Market) -> None:
    for i, symbol in enumerate(SYMBOLS):
        previous = bar(symbol, SESSIONS[3], i, 3)
        good_market.set_bar(symbol, FIFTH, **{k: previous[k] for k in ("open", "high", "low", "close", "volume")})
    assert good_market.failing(SUITE, Scope((FIFTH,))) == {"not_stale": [FIFTH]}
    assert good_market.failing(SUITE, Scope(SESSIONS[:4])) == {}


def test_one_repeated_bar_or_a_suspended_market_is_not_a_copied_session(good_market: Market) -> None:
    previous = bar("AAA", SESSIONS[3], 0, 3)
    good_market.set_bar("AAA", FIFTH, **{k: previous[k] for k in ("open", "high", "low", "close", "volume")})
    assert good_market.failing(SUITE) == {}
    for symbol in SYMBOLS:
        for session in SESSIONS[6:8]:
            good_market.set_bar(symbol, session, open=100.0, high=100.0, low=100.0, close=100.0, volume=0.0)
    assert "not_stale" not in good_market.failing(SUITE)


def drop_by_60_percent(market: Market) -> None:
    market.execute(
        "update raw.price_bar set open = open / 2.5, high = high / 2.5, low = low / 2.5, close = close / 2.5 "
        "where symbol = 'AAA' and session >= %s",
        FIFTH,
    )


def act(market: Market, kind: str, value: float, ex_date: date = FIFTH, source: str = "sample") -> None:
    market.insert(
        "raw.corporate_action",
        [{"symbol": "AAA", "ex_date": ex_date, "kind": kind, "source": source, "value": value, "currency": "USD"}],
    )


def test_a_jump_without_an_action_is_named_with_its_previous_close(good_market: Market) -> None:
    drop_by_60_percent(good_market)
    outcome = good_market.run(SUITE)["daily_move_explained"]
    assert outcome.failing_sessions == [FIFTH]
    (row,) = outcome.sessions[FIFTH].sample
    assert row["previous_session"] == str(SESSIONS[3])
    assert row["move"] < -0.5


@pytest.mark.parametrize(
    ("kind", "value"), [("split", 2.5), ("stock_dividend", 1.5), ("special_dividend", 61.0), ("spin_off", 61.0)]
)
def test_an_action_explains_the_jump_it_causes(good_market: Market, kind: str, value: float) -> None:
    drop_by_60_percent(good_market)
    act(good_market, kind, value)
    assert "daily_move_explained" not in good_market.failing(SUITE)
    assert "daily_move_explained" not in good_market.failing(SUITE, Scope((FIFTH,)))


def test_an_action_the_price_does_not_show_is_found_too(good_market: Market) -> None:
    act(good_market, "split", 2.5)
    assert good_market.failing(SUITE) == {"daily_move_explained": [FIFTH]}


def test_an_action_during_a_suspension_counts_at_the_next_bar(good_market: Market) -> None:
    drop_by_60_percent(good_market)
    good_market.execute("delete from raw.price_bar where symbol = 'AAA' and session = %s", FIFTH)
    act(good_market, "split", 2.5)
    assert "daily_move_explained" not in good_market.failing(SUITE)


def test_the_same_split_from_two_sources_counts_once_by_priority(good_market: Market) -> None:
    drop_by_60_percent(good_market)
    act(good_market, "split", 2.5)
    act(good_market, "split", 20.0, source="careless")
    places = [{"exchange": "XNYS", "source": "sample", "priority": 1}]
    places += [{"exchange": "XNYS", "source": "careless", "priority": 2}]
    places += [{"exchange": "XLON", "source": "careless", "priority": 1}]
    good_market.insert("raw.source_priority", places)
    assert "daily_move_explained" not in good_market.failing(SUITE)


def test_a_source_that_contradicts_the_others_is_found_in_its_sessions(good_market: Market) -> None:
    def row(session: date, source: str, compared: int, disagreed: int) -> dict[str, Any]:
        counts = {"compared": compared, "disagreed": disagreed, "rate": disagreed / compared}
        return {"session": session, "source": source, **counts}

    rows = [row(FIFTH, "careless", 100, 3), row(FIFTH, "sample", 100, 2), row(FIFTH, "tiny", 10, 10)]
    good_market.insert("quality.source_agreement", rows)
    assert good_market.failing(SUITE) == {"sources_agree": [FIFTH]}
    outcome = good_market.run(SUITE)["sources_agree"]
    assert [sample["source"] for sample in outcome.sessions[FIFTH].sample] == ["careless"]


def test_two_current_versions_of_a_bar_are_found(own_market: Market) -> None:
    own_market.execute("drop index raw.price_bar_version")
    own_market.execute(
        "insert into raw.price_bar (symbol, session, source, open, high, low, close, volume, currency, known_from, "
        "run_id) select symbol, session, source, open, high, low, close, volume, currency, now(), 'doubled' "
        "from raw.price_bar where symbol = 'AAA' and session = %s",
        FIFTH,
    )
    outcome = own_market.run(SUITE)["unique_key"]
    assert outcome.failing_sessions == [FIFTH]
    assert outcome.sessions[FIFTH].sample[0]["versions"] == 2


def test_a_lost_column_fails_the_schema_and_whatever_needs_it_says_so(own_market: Market) -> None:
    own_market.execute("alter table raw.price_bar drop column volume")
    outcomes = own_market.run(SUITE)
    schema = outcomes["schema"]
    assert not schema.passed
    assert schema.failing_sessions == list(SESSIONS)
    assert schema.sessions[WHOLE_TABLE].sample == (
        {"column_name": "volume", "expected_type": "double precision", "found_type": "missing"},
    )
    volume = outcomes["volume_not_negative"]
    assert not volume.passed
    assert volume.error is not None
    assert volume.error.startswith("UndefinedColumn: column")
    assert "volume" in volume.error
    assert outcomes["prices_positive"].passed


def test_a_column_of_another_type_fails_the_schema(own_market: Market) -> None:
    own_market.execute("alter table raw.price_bar alter column volume type numeric")
    assert own_market.failing(SUITE) == {"schema": list(SESSIONS)}


def test_a_run_without_partitions_looks_at_the_whole_table(good_market: Market) -> None:
    good_market.set_bar("AAA", FIFTH, low=-1.0)
    assert good_market.failing(SUITE, Scope()) == {"prices_positive": [FIFTH]}


def test_a_run_does_not_look_beyond_its_sessions(good_market: Market) -> None:
    good_market.set_bar("AAA", FIFTH, low=-1.0)
    assert good_market.failing(SUITE, Scope(SESSIONS[:4])) == {}
    assert good_market.failing(SUITE, Scope(SESSIONS[5:])) == {}


def test_sessions_the_calendar_does_not_know_leave_completeness_with_nothing_to_look_at(good_market: Market) -> None:
    later = weekdays(SESSIONS[-1] + timedelta(30), 3)
    outcome = good_market.run(SUITE, Scope(later))["completeness"]
    assert outcome.passed
    assert outcome.rows == 0


@pytest.mark.parametrize(
    "wrong",
    [{"completeness_critical": 0.0}, {"stale_share": 1.5}, {"max_daily_move": 0.0}, {"lookback_days": 0}],
    ids=str,
)
def test_thresholds_without_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SuiteError, match="price bars"):
        replace(PriceBarThresholds(), **wrong)
