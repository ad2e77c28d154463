"""Which changes of raw data reach something already computed: written by the platform's own writer, read back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from market_assets.restatements import Restatement, current_watermark, find_restatement
from market_assets.warehouse.connection import connect
from market_assets.warehouse.tables import CORPORATE_ACTION, FX_RATE, PRICE_BAR
from market_assets.warehouse.versions import write_versions
from market_assets.warehouse.writes import Scope

if TYPE_CHECKING:
    from conftest import TestServer

SESSIONS = [f"2024-01-{day:02}" for day in (2, 3, 4, 5, 8, 9, 10)]


class Market:
    """A small warehouse that is written as the assets write it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def bars(self, symbol: str, closes: dict[str, float], source: str = "yahoo") -> None:
        frame = pd.DataFrame(
            {
                "symbol": symbol,
                "session": pd.to_datetime(list(closes)),
                "source": source,
                "open": list(closes.values()),
                "high": list(closes.values()),
                "low": list(closes.values()),
                "close": list(closes.values()),
                "volume": 100.0,
                "currency": "USD",
            }
        )
        write_versions(self.url, PRICE_BAR, frame, run_id="ingest")

    def withdraw(self, symbol: str, session: str) -> None:
        day = date.fromisoformat(session)
        empty = pd.DataFrame({name: pd.Series(dtype="object") for name in PRICE_BAR.columns})
        empty = empty.astype(
            {"session": "datetime64[us]", **dict.fromkeys(["open", "high", "low", "close", "volume"], float)}
        )
        write_versions(
            self.url,
            PRICE_BAR,
            empty,
            run_id="ingest",
            scope=Scope({"session": (day, day)}, {"symbol": [symbol], "source": ["yahoo"]}),
        )

    def action(self, symbol: str, ex_date: str, value: float) -> None:
        frame = pd.DataFrame(
            {
                "symbol": [symbol],
                "ex_date": pd.to_datetime([ex_date]),
                "kind": "split",
                "source": "yahoo",
                "value": value,
                "currency": "USD",
                "detail": None,
            }
        ).astype({"detail": "str"})
        write_versions(self.url, CORPORATE_ACTION, frame, run_id="ingest")

    def compute(self, symbol: str, sessions: list[str]) -> None:
        """Results of a run over `sessions`; those that exist already are equal and not written again."""
        with connect(self.url) as connection:
            connection.cursor().executemany(
                "insert into analytics.indicator (symbol, session, known_from, run_id) values (%s, %s, %s, 'compute') "
                "on conflict do nothing",
                [(symbol, session, datetime(2024, 2, 1, tzinfo=UTC)) for session in sessions],
            )

    def found(self, since: int) -> Restatement | None:
        with connect(self.url) as connection:
            return find_restatement(connection, since)[1]

    def watermark(self) -> int:
        with connect(self.url) as connection:
            return current_watermark(connection)


@pytest.fixture(scope="module")
def shared_warehouse(pg_server: TestServer, _warehouse_template: str) -> str:
    """One database for this module: emptying five tables is faster than cloning a database for each test."""
    return pg_server.create_database("restatements", template=_warehouse_template)


@pytest.fixture
def market(shared_warehouse: str) -> Market:
    with connect(shared_warehouse) as connection:
        connection.execute(
            "truncate raw.price_bar, raw.corporate_action, raw.fx_rate, analytics.indicator, "
            "indices.index_value, indices.index_constituent"
        )
    return Market(shared_warehouse)


@pytest.fixture
def loaded(market: Market) -> tuple[Market, int]:
    """AAPL and IBM, loaded and computed, and the watermark after that."""
    for symbol in ("AAPL", "IBM"):
        market.bars(symbol, dict.fromkeys(SESSIONS, 100.0))
        market.compute(symbol, SESSIONS)
    return market, market.watermark()


def span(found: Restatement | None) -> tuple[str, str] | None:
    return None if found is None else (found.first.isoformat(), found.last.isoformat())


def test_a_restated_bar_affects_everything_from_its_session_on(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    market.bars("AAPL", {"2024-01-04": 101.0, "2024-01-05": 100.0})
    found = market.found(since)
    assert found == Restatement(
        date(2024, 1, 4), date(2024, 1, 10), bars_restated=1, bars_written=1, actions_changed=0, symbols=1
    )


def test_the_last_session_counts_too(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    market.bars("AAPL", {"2024-01-10": 101.0})
    assert span(market.found(since)) == ("2024-01-10", "2024-01-10")


def test_the_earliest_change_of_any_symbol_decides(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    market.bars("IBM", {"2024-01-08": 99.0})
    market.bars("AAPL", {"2024-01-03": 99.0})
    found = market.found(since)
    assert span(found) == ("2024-01-03", "2024-01-10")
    assert found is not None
    assert found.symbols == 2


def test_a_withdrawn_bar_counts(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    market.withdraw("AAPL", "2024-01-05")
    assert span(market.found(since)) == ("2024-01-05", "2024-01-10")


def test_a_late_bar_counts(market: Market) -> None:
    market.bars("AAPL", {day: 100.0 for day in SESSIONS if day != "2024-01-04"})
    market.compute("AAPL", SESSIONS)
    since = market.watermark()
    market.bars("AAPL", {"2024-01-04": 100.0})
    assert span(market.found(since)) == ("2024-01-04", "2024-01-10")


def test_unchanged_rows_count_for_nothing(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    market.bars("AAPL", dict.fromkeys(SESSIONS, 100.0))
    assert market.found(since) is None


@pytest.mark.parametrize("computed_before_the_read", [False, True], ids=["before its results", "after its results"])
def test_a_first_load_affects_nothing(market: Market, computed_before_the_read: bool) -> None:
    since = market.watermark()
    market.bars("AAPL", dict.fromkeys(SESSIONS, 100.0))
    market.action("AAPL", "2024-01-05", 2.0)
    if computed_before_the_read:
        market.compute("AAPL", SESSIONS)
    assert market.found(since) is None


def test_the_first_load_of_another_symbol_affects_nothing(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    market.bars("MSFT", dict.fromkeys(SESSIONS, 100.0))
    market.compute("MSFT", SESSIONS)
    assert market.found(since) is None


def test_history_that_is_loaded_before_what_was_computed_counts(market: Market) -> None:
    # indicators of the later sessions were warming up; now they have a past
    market.bars("AAPL", dict.fromkeys(SESSIONS[4:], 100.0))
    market.compute("AAPL", SESSIONS[4:])
    since = market.watermark()
    market.bars("AAPL", dict.fromkeys(SESSIONS[:4], 100.0))
    market.compute("AAPL", SESSIONS[:4])
    assert span(market.found(since)) == ("2024-01-02", "2024-01-10")


@pytest.mark.parametrize("computed", [False, True])
def test_a_new_session_affects_nothing(loaded: tuple[Market, int], computed: bool) -> None:
    market, since = loaded
    market.bars("AAPL", {"2024-01-11": 100.0})
    if computed:
        market.compute("AAPL", ["2024-01-11"])
    assert market.found(since) is None


@pytest.mark.parametrize(
    ("ex_date", "expected"),
    [
        ("2024-01-05", ("2024-01-05", "2024-01-10")),
        ("2024-01-06", ("2024-01-06", "2024-01-10")),  # a Saturday: no session, the sensor takes the next one
        ("2024-01-11", None),  # announced in time
    ],
)
def test_a_late_action_affects_sessions_from_its_ex_date_on(
    loaded: tuple[Market, int], ex_date: str, expected: tuple[str, str] | None
) -> None:
    market, since = loaded
    market.action("AAPL", ex_date, 2.0)
    assert span(market.found(since)) == expected


def test_a_corrected_action_counts(loaded: tuple[Market, int]) -> None:
    market, _ = loaded
    market.action("AAPL", "2024-01-05", 2.0)
    since = market.watermark()
    market.action("AAPL", "2024-01-05", 4.0)
    found = market.found(since)
    assert span(found) == ("2024-01-05", "2024-01-10")
    assert found is not None
    assert found.actions_changed == 2  # one version replaced, one written


def test_a_change_is_found_once(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    market.bars("AAPL", {"2024-01-04": 101.0})
    with connect(market.url) as connection:
        watermark, found = find_restatement(connection, since)
        assert found is not None
        assert find_restatement(connection, watermark) == (watermark, None)


def test_a_transaction_that_commits_late_is_found_by_the_next_read(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    with connect(market.url) as slow, connect(market.url) as reader:
        slow.execute(
            "update raw.price_bar set known_to = clock_timestamp(), changed_xid = pg_current_xact_id() "
            "where symbol = 'AAPL' and session = '2024-01-03'"
        )
        market.bars("IBM", {"2024-01-08": 99.0})  # a later transaction that commits first
        reader.autocommit = True
        watermark, found = find_restatement(reader, since)
        assert found is None  # neither is read while an older transaction may still commit
        slow.commit()
        _, found = find_restatement(reader, watermark)
        assert span(found) == ("2024-01-03", "2024-01-10")
        assert found is not None
        assert found.symbols == 2


def test_index_constituents_count_as_computed(market: Market) -> None:
    market.bars("AAPL", dict.fromkeys(SESSIONS, 100.0))
    with connect(market.url) as connection:
        for session in SESSIONS:
            connection.execute(
                "insert into indices.index_constituent (index_id, session, symbol, known_from, run_id) "
                "values ('EW', %s, 'AAPL', now(), 'compute')",
                [session],
            )
    since = market.watermark()
    market.bars("AAPL", {"2024-01-04": 101.0})
    assert span(market.found(since)) == ("2024-01-04", "2024-01-10")


def test_the_range_reaches_the_last_index_level(loaded: tuple[Market, int]) -> None:
    market, since = loaded
    with connect(market.url) as connection:
        connection.execute(
            "insert into indices.index_value (index_id, session, known_from, run_id) "
            "values ('EW', '2024-01-12', now(), 'compute')"
        )
    market.bars("AAPL", {"2024-01-04": 101.0})
    assert span(market.found(since)) == ("2024-01-04", "2024-01-12")


def test_a_corrected_or_late_rate_reopens_index_levels_from_its_day_on(market: Market) -> None:
    def rates(values: dict[str, float]) -> None:
        frame = pd.DataFrame({"base": "GBP", "quote": "USD", "session": pd.to_datetime(list(values))})
        write_versions(market.url, FX_RATE, frame.assign(rate=list(values.values())), run_id="ingest")

    rates(dict.fromkeys(SESSIONS[:4], 1.25))
    first_load = market.watermark() - 1
    with connect(market.url) as connection:
        connection.cursor().executemany(
            "insert into indices.index_value (index_id, session, known_from, run_id) values ('X', %s, now(), 'run')",
            [(session,) for session in SESSIONS[:5]],
        )
    since = market.watermark()
    assert market.found(first_load) is None, "the levels came after the rates"
    rates({SESSIONS[5]: 1.25})
    assert market.found(since) is None, "no level is that new"
    rates({SESSIONS[4]: 1.26})
    found = market.found(since)
    assert span(found) == (SESSIONS[4], SESSIONS[4])
    assert found is not None
    assert found.reference_rows == 1
    rates({SESSIONS[2]: 1.3})
    assert span(market.found(since)) == (SESSIONS[2], SESSIONS[4])


@pytest.mark.parametrize("by_session", [False, True], ids=["a symbol at a time", "a session at a time"])
def test_a_large_first_load_is_read_quickly(market: Market, by_session: bool) -> None:
    """60 symbols x 500 sessions, a transaction each: the read never compares every bar with every result."""
    since = market.watermark()
    symbols, days = "generate_series(1, 60)", "generate_series(0, 499)"
    with connect(market.url, autocommit=True) as connection:
        for number in range(500 if by_session else 60):
            symbol, day = ("n", "%s") if by_session else ("%s", "n")
            connection.execute(
                "insert into raw.price_bar (symbol, session, source, known_from, run_id) "  # noqa: S608 - own text
                f"select ({symbol})::text, date '2020-01-01' + {day}, 'yahoo', now(), 'ingest' "
                f"from {symbols if by_session else days} as n",
                [number],
            )
        connection.execute(
            "insert into analytics.indicator (symbol, session, known_from, run_id) "
            "select symbol, session, now(), 'compute' from raw.price_bar"
        )
        began = datetime.now(UTC)
        assert find_restatement(connection, since)[1] is None
        assert (datetime.now(UTC) - began).total_seconds() < 5
