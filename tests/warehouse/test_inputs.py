"""What the calculations read: adjusted bars with their lookback in bars, stored states, markets, and coverage."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from warehouse_with_views import new_warehouse

from market_assets.warehouse import inputs
from market_assets.warehouse.connection import connect
from market_assets.warehouse.tables import (
    CORPORATE_ACTION,
    INDEX_CONSTITUENT,
    INDEX_VALUE,
    PRICE_BAR,
    SOURCE_PRIORITY,
    TRADING_SESSION,
    UNIVERSE_MEMBER,
    VersionedTable,
    indicator_table,
)
from market_assets.warehouse.versions import write_versions
from market_assets.warehouse.writes import Scope

if TYPE_CHECKING:
    from conftest import TestServer

SESSIONS = pd.bdate_range("2024-01-02", "2024-01-31")
SUSPENDED = SESSIONS[8:14]
END = date(2024, 1, 31)
CLOSE = {"A": 100.0, "B": 50.0, 'O"K\\': 7.0}
"""B is suspended for six sessions; the third symbol needs every kind of quoting."""


def bars(symbol: str, sessions: pd.DatetimeIndex, source: str = "desk") -> pd.DataFrame:
    close = CLOSE[symbol] + np.arange(len(sessions), dtype=float)
    values = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 10.0, "currency": "USD"}
    return pd.DataFrame({"symbol": symbol, "session": sessions, "source": source, **values})


def write(url: str, table: VersionedTable, rows: list[tuple]) -> None:
    write_versions(url, table, pd.DataFrame(rows, columns=list(table.columns)), run_id="test")


@pytest.fixture(scope="module")
def url(pg_server: TestServer, _warehouse_template: str) -> str:
    """Three symbols; A splits 2:1 on 2024-01-16 and pays a dividend on 2024-01-23."""
    made = new_warehouse(pg_server, _warehouse_template)
    for symbol in CLOSE:
        days = SESSIONS.difference(SUSPENDED) if symbol == "B" else SESSIONS
        write_versions(made, PRICE_BAR, bars(symbol, days), run_id="test")
    day = pd.Timestamp
    write(made, SOURCE_PRIORITY, [("XNYS", "desk", 1), ("XNYS", "second", 2)])
    write(
        made,
        CORPORATE_ACTION,
        [
            ("A", day("2024-01-16"), "split", "desk", 2.0, "USD", None),
            ("A", day("2024-01-23"), "cash_dividend", "desk", 0.5, "USD", None),
        ],
    )
    members = [(name, day("2024-01-02"), "XNYS", name, "USD", pd.NaT) for name in CLOSE]
    write(made, UNIVERSE_MEMBER, [*members[:1], (*members[1][:5], day("2024-01-19")), members[2]])
    opened = [("XNYS", session, session.tz_localize("UTC"), session.tz_localize("UTC")) for session in SESSIONS]
    write(made, TRADING_SESSION, opened)
    return made


# Indicators ---------------------------------------------------------------------------------------------------------


def test_symbols_with_a_bar_in_the_range(url):
    assert inputs.symbols_between(url, SESSIONS[0].date(), END) == sorted(CLOSE)
    assert inputs.symbols_between(url, SUSPENDED[0].date(), SUSPENDED[-1].date()) == ["A", 'O"K\\']
    assert inputs.symbols_between(url, date(2023, 1, 3), date(2023, 1, 31)) == []


def nothing_carried() -> pd.DataFrame:
    return pd.DataFrame({"symbol": pd.Series(dtype="str"), "session": pd.Series(dtype="datetime64[s]")})


def test_a_symbol_without_stored_state_is_read_from_its_first_bar(url):
    found = inputs.indicator_bars(url, ["A", "B"], nothing_carried(), lookback=3, end=date(2024, 1, 25))
    assert list(found.columns) == [
        *("symbol", "session", "open", "high", "low", "close", "volume", "price_factor", "volume_factor", "benchmark"),
    ]
    assert found.groupby("symbol")["session"].min().to_dict() == {"A": SESSIONS[0], "B": SESSIONS[0]}
    assert found["session"].max() == pd.Timestamp("2024-01-25")
    assert found.equals(found.sort_values(["symbol", "session"], ignore_index=True))


def test_prices_are_adjusted_for_splits_and_dividends_and_volumes_for_splits(url):
    found = inputs.indicator_bars(url, ["A"], nothing_carried(), lookback=3, end=END).set_index("session")
    last, before_dividend, before_split = (found.loc[day] for day in ("2024-01-31", "2024-01-22", "2024-01-15"))
    dividend = 1 - 0.5 / 114.0  # by the close before the ex-date, as traded
    # Factors are those of one basis for the whole series; only their ratios mean something.
    assert before_dividend["price_factor"] / last["price_factor"] == pytest.approx(dividend)
    assert before_split["price_factor"] / last["price_factor"] == pytest.approx(dividend / 2)
    assert before_split["volume_factor"] / last["volume_factor"] == pytest.approx(2)
    assert before_split["close"] == pytest.approx(109.0 * before_split["price_factor"])
    assert before_split["volume"] == pytest.approx(10.0 * before_split["volume_factor"])


def test_the_lookback_counts_bars_so_a_suspended_symbol_reaches_further_back(url):
    carried = pd.DataFrame({"symbol": ["A", "B"], "session": [SUSPENDED[-1] + pd.offsets.BDay()] * 2})
    found = inputs.indicator_bars(url, ["A", "B"], carried, lookback=4, end=END)
    first = found.groupby("symbol")["session"].min()
    assert first["A"] == SUSPENDED[-3], "four bars up to the carried session"
    assert first["B"] == SUSPENDED[0] - 3 * pd.offsets.BDay(), "the suspension does not count"


def test_levels_of_the_benchmark_stand_beside_the_bars_and_reach_back_as_many_bars(url):
    """The benchmark of two bars in three: four common bars reach further back than four bars."""
    known = SESSIONS[::3].union(SESSIONS[1::3])
    write(url, INDEX_VALUE, [("BENCH", day, 1.0, 100.0 + i, 1.0, 1.0, 1.0, 1) for i, day in enumerate(known)])
    carried = pd.DataFrame({"symbol": ["A"], "session": [SESSIONS[-1]]})
    found = inputs.indicator_bars(url, ["A"], carried, 4, END, "BENCH").set_index("session")["benchmark"]
    assert found.index[0] == known[-4]
    assert found.dropna().to_dict() == {day: 100.0 + known.get_loc(day) for day in known[-4:]}
    assert inputs.indicator_bars(url, ["A"], carried, 4, END)["benchmark"].isna().all()


def test_symbols_with_and_without_state_are_read_together(url):
    carried = pd.DataFrame({"symbol": ["A"], "session": [SESSIONS[-3]]})
    found = inputs.indicator_bars(url, ["A", 'O"K\\'], carried, lookback=2, end=END)
    assert found.groupby("symbol").size().to_dict() == {"A": 4, 'O"K\\': len(SESSIONS)}


def test_the_last_stored_row_before_a_date_is_the_state(url):
    columns = list(indicator_table().columns)
    rows = pd.DataFrame({"symbol": ["A", "A", "B"], "session": [SESSIONS[2], SESSIONS[3], SESSIONS[3]]})
    rows = rows.reindex(columns=columns).assign(sma_20=[1.0, 2.0, 3.0])
    rows[columns[2:]] = rows[columns[2:]].astype(float)
    write_versions(url, indicator_table(), rows, run_id="test")
    state = inputs.last_indicators(url, sorted(CLOSE), SESSIONS[4].date(), ["sma_20"])
    assert state.values.tolist() == [["A", SESSIONS[3], 2.0], ["B", SESSIONS[3], 3.0]]
    assert inputs.last_indicators(url, ["A"], SESSIONS[3].date(), ["sma_20"])["sma_20"].tolist() == [1.0]
    assert inputs.last_indicators(url, ["A"], SESSIONS[2].date(), ["sma_20"]).empty
    day = SUSPENDED[0]
    row = rows.iloc[:1].assign(symbol="B", session=day)
    write_versions(url, indicator_table(), row, run_id="test")
    assert "B" in inputs.symbols_between(url, day.date(), day.date()), "an indicator whose bar has gone is looked at"
    scope = Scope({"session": (SESSIONS[0].date(), END)})
    write_versions(url, indicator_table(), rows.iloc[:0], run_id="test", scope=scope)
    assert inputs.last_indicators(url, ["A"], END, ["sma_20"]).empty, "a withdrawn row is no state"


# Indices ------------------------------------------------------------------------------------------------------------


def test_the_stored_index_is_its_last_session_with_its_constituents(url):
    days = SESSIONS[:2]
    write(url, INDEX_VALUE, [("X", day, 100.0, 100.0, 100.0, 1.0, 100.0, 1) for day in days])
    write(url, INDEX_CONSTITUENT, [("X", day, "A", 1.0, 1.0, 100.0, 0.0, 1.0, 0) for day in days])
    values, constituents = inputs.stored_index(url, "X", SESSIONS[5].date())
    assert values["session"].tolist() == constituents["session"].tolist() == [days[1]]
    assert inputs.stored_index(url, "X", days[1].date())[0]["session"].tolist() == [days[0]]
    values, constituents = inputs.stored_index(url, "X", days[0].date())
    assert values.empty
    assert constituents.empty


def test_a_market_holds_bars_of_the_sessions_and_facts_as_a_whole(url):
    write_versions(url, PRICE_BAR, bars("B", SESSIONS[:1], source="second").assign(close=999.0), run_id="test")
    market = inputs.index_market(url, SESSIONS[:11])
    assert market.bars["session"].between(SESSIONS[0], SESSIONS[10]).all()
    assert market.bars[market.bars["symbol"] == "B"]["close"].iloc[0] == 50.0, "the first source goes before"
    assert market.actions["kind"].tolist() == ["split"], "an event after the last session is not known"
    assert sorted(market.members["symbol"]) == sorted(CLOSE)
    assert market.shares.empty


# Coverage -----------------------------------------------------------------------------------------------------------


def test_coverage_is_bars_present_of_bars_expected_by_calendar_and_membership(url):
    table = inputs.coverage_by_month(url, SESSIONS[0].date(), END)
    expected = (SESSIONS <= "2024-01-19").sum()
    present = ((SESSIONS <= "2024-01-19") & ~SESSIONS.isin(SUSPENDED)).sum()
    assert table.loc["A", "2024-01"] == 1.0
    assert table.loc["B", "2024-01"] == pytest.approx(present / expected)


def test_coverage_of_many_symbols_shows_the_least_covered(url):
    with connect(url) as connection:
        connection.execute(
            "insert into raw.universe_member (symbol, member_from, exchange, name, currency, known_from, run_id) "
            "select 'M' || n, '2024-01-02', 'XNYS', 'M', 'USD', now(), 'test' from generate_series(1, 80) n"
        )
    try:
        table = inputs.coverage_by_month(url, SESSIONS[0].date(), END)
        assert len(table) == 60
        assert "A" not in table.index
        assert (table["2024-01"] == 0).all()
    finally:
        with connect(url) as connection:
            connection.execute("delete from raw.universe_member where symbol like 'M%'")
