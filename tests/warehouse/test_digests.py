"""Long writes that come again: not compared, and never believed to be stored when they are not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market_assets.warehouse import digests
from market_assets.warehouse.connection import connect
from market_assets.warehouse.rows import to_arrow
from market_assets.warehouse.tables import INDEX_CONSTITUENT, PRICE_BAR, SECURITY
from market_assets.warehouse.versions import transaction, write_versions
from market_assets.warehouse.writes import Scope, WriteResult

DAYS = [str(day.date()) for day in pd.bdate_range("2024-01-02", periods=8)]
MONDAY = datetime(2024, 2, 5, 22, tzinfo=UTC)

Closes = dict[tuple[str, str], float]


def bars(closes: Closes) -> pd.DataFrame:
    rows = [(symbol, pd.Timestamp(day), "sample", c, c, c, c, 100.0, "USD") for (symbol, day), c in closes.items()]
    return pd.DataFrame(rows, columns=list(PRICE_BAR.columns)).sort_values(["symbol", "session"], ignore_index=True)


def series(symbol: str, close: float = 1.0, days: list[str] = DAYS) -> Closes:
    return {(symbol, day): close + position for position, day in enumerate(days)}


def current(url: str) -> Closes:
    with connect(url) as connection:
        rows = connection.execute("select symbol, session::text, close from raw.price_bar where known_to is null")
        return {(symbol, day): close for symbol, day, close in rows.fetchall()}


def remembered(url: str) -> list[tuple[str, str, str]]:
    with connect(url) as connection:
        return connection.execute(
            "select block, first_day::text, last_day::text from public.write_digest order by 1, 2, 3"
        ).fetchall()


@pytest.fixture(autouse=True)
def _remember_short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "REMEMBERED_ROWS", 2)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each write that were compared or copied."""
    from market_assets.warehouse.versions import VersionedWriter

    found: list[int] = []
    real = VersionedWriter._store

    def store(self, table, arrow, *rest, **named):
        found.append(arrow.num_rows)
        return real(self, table, arrow, *rest, **named)

    monkeypatch.setattr(VersionedWriter, "_store", store)
    return found


def write(url: str, closes: Closes, scope: Scope | None = None, known_at: datetime | None = None) -> WriteResult:
    return write_versions(url, PRICE_BAR, bars(closes), run_id="r", scope=scope, known_at=known_at)


def test_the_same_rows_again_are_not_compared(warehouse_url, compared):
    both = series("A") | series("B")
    write(warehouse_url, both)
    assert write(warehouse_url, both) == WriteResult(received=16, unchanged=16)
    assert compared == [16]


def test_of_symbols_of_which_one_has_changed_only_that_one_is_compared(warehouse_url, compared):
    write(warehouse_url, series("A") | series("B"))
    changed = series("B") | {("B", DAYS[3]): 99.0}
    assert write(warehouse_url, series("A") | changed) == WriteResult(received=16, restated=1, unchanged=15)
    assert compared == [16, 8]
    assert write(warehouse_url, series("A") | changed) == WriteResult(received=16, unchanged=16)
    assert current(warehouse_url) == series("A") | changed


def test_a_later_session_leaves_what_is_remembered_of_the_earlier_ones(warehouse_url, compared):
    earlier, later = DAYS[:6], DAYS[6:7]
    write(warehouse_url, series("A", days=earlier))
    write(warehouse_url, series("A", 50.0, later))
    assert write(warehouse_url, series("A", days=earlier)).unchanged == 6
    assert compared == [6, 1]


def test_a_correction_within_the_days_is_not_overlooked(warehouse_url):
    write(warehouse_url, series("A"))
    write(warehouse_url, {("A", DAYS[2]): 77.0})
    assert write(warehouse_url, series("A")) == WriteResult(received=8, restated=1, unchanged=7)
    assert current(warehouse_url) == series("A")


def test_rows_compared_and_found_equal_are_remembered_from_then_on(warehouse_url, compared):
    write(warehouse_url, series("A"))
    write(warehouse_url, series("A", days=DAYS[:4]))
    assert write(warehouse_url, series("A", days=DAYS[:4])).unchanged == 4
    assert write(warehouse_url, series("A")).unchanged == 8
    assert compared == [8, 4]


def test_a_withdrawal_is_not_overlooked(warehouse_url):
    write(warehouse_url, series("A"))
    with transaction(warehouse_url, "r") as writer:
        assert writer.withdraw(PRICE_BAR, bars({("A", DAYS[1]): 2.0})) == 1
    assert write(warehouse_url, series("A")) == WriteResult(received=8, added=1, unchanged=7)


def test_a_row_that_others_added_inside_the_scope_is_withdrawn_again(warehouse_url):
    scope = Scope({"session": (date(2024, 1, 1), date(2024, 1, 31))}, {"symbol": ["A"]})
    write(warehouse_url, series("A", days=DAYS[:5]), scope)
    assert write(warehouse_url, series("A", days=DAYS[:5]), scope) == WriteResult(received=5, unchanged=5)
    write(warehouse_url, {("A", DAYS[6]): 8.0})
    again = write(warehouse_url, series("A", days=DAYS[:5]), scope)
    assert again == WriteResult(received=5, unchanged=5, withdrawn=1)


def test_another_scope_is_another_write(warehouse_url):
    write(warehouse_url, series("A"))
    narrow = Scope({"session": (date(2024, 1, 1), date(2024, 1, 31))}, {"symbol": ["A"]})
    write(warehouse_url, series("A", days=DAYS[:5]))
    assert write(warehouse_url, series("A", days=DAYS[:5]), narrow).withdrawn == 3


def test_a_symbol_that_the_scope_names_and_no_row_has_is_withdrawn_beside_one_that_is_known(warehouse_url, compared):
    scope = Scope({"session": (date(2024, 1, 1), date(2024, 1, 31))}, {"symbol": ["A", "B"]})
    write(warehouse_url, series("A") | series("B"), scope)
    assert write(warehouse_url, series("A"), scope) == WriteResult(received=8, unchanged=8, withdrawn=8)
    assert compared == [16, 0]
    assert current(warehouse_url) == series("A")
    assert write(warehouse_url, series("A") | series("B"), scope).added == 8


def test_a_scope_without_symbols_speaks_for_all_and_forgets_all(warehouse_url):
    write(warehouse_url, series("A") | series("B"))
    day = date.fromisoformat(DAYS[0])
    assert write(warehouse_url, {("A", DAYS[0]): 1.0}, Scope({"session": (day, day)})).withdrawn == 1
    assert remembered(warehouse_url) == []
    assert write(warehouse_url, series("A") | series("B")) == WriteResult(received=16, added=1, unchanged=15)


@pytest.mark.parametrize(
    "statement",
    [
        "update raw.price_bar set close = 9 where symbol = 'A' and session = '2024-01-03'",
        "delete from raw.price_bar where symbol = 'A' and session = '2024-01-03'",
        "truncate raw.price_bar",
    ],
)
def test_what_others_do_to_the_table_is_not_overlooked(warehouse_url, statement):
    write(warehouse_url, series("A"))
    with connect(warehouse_url) as connection:
        connection.execute(statement)
    assert remembered(warehouse_url) == []
    assert write(warehouse_url, series("A")).versions_written > 0
    assert current(warehouse_url) == series("A")


def test_a_vintage_that_was_replaced_since_is_not_taken_for_current(warehouse_url):
    write(warehouse_url, series("A"), known_at=MONDAY)
    write(warehouse_url, series("A", 5.0), known_at=MONDAY + timedelta(1))
    assert write(warehouse_url, series("A"), known_at=MONDAY) == WriteResult(received=8, unchanged=8)
    assert write(warehouse_url, series("A")).restated == 8


def test_a_write_that_is_rolled_back_is_not_remembered(warehouse_url):
    def write_and_fail() -> None:
        with transaction(warehouse_url, "r") as writer:
            writer.write(PRICE_BAR, bars(series("A")))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert remembered(warehouse_url) == []
    assert write(warehouse_url, series("A")).added == 8


def test_rows_of_a_symbol_that_do_not_stand_together_are_compared(warehouse_url, compared):
    mixed = bars(series("A") | series("B")).sort_values(["session", "symbol"], ignore_index=True)
    for _ in range(2):
        write_versions(warehouse_url, PRICE_BAR, mixed, run_id="r")
    assert compared == [16, 16]


def test_short_blocks_are_compared_and_not_remembered(warehouse_url, monkeypatch):
    monkeypatch.setattr(digests, "REMEMBERED_ROWS", 9)
    write(warehouse_url, series("A"))
    assert remembered(warehouse_url) == []


def test_a_table_without_days_speaks_for_all_of_them():
    rows = pd.DataFrame([("A", "XNYS", "A Inc.", "USD", None, None, "s")], columns=list(SECURITY.columns))
    (block,) = digests.blocks_of(SECURITY, to_arrow(SECURITY, rows), None)
    assert (block.value, block.first_day, block.last_day) == ("A", digests.EARLIEST, digests.LATEST)


def test_the_day_of_a_block_is_that_of_the_key_wherever_it_stands():
    rows = pd.DataFrame(
        [("EW", pd.Timestamp(day), symbol, 1.0, 0.5, 2.0, 0.0, 1.0, 0) for day in DAYS for symbol in "AB"],
        columns=list(INDEX_CONSTITUENT.columns),
    )
    (block,) = digests.blocks_of(INDEX_CONSTITUENT, to_arrow(INDEX_CONSTITUENT, rows), None)
    assert (block.rows, str(block.first_day), str(block.last_day)) == (16, DAYS[0], DAYS[-1])


# Any sequence of writes ----------------------------------------------------------------------------------------------

SOME = st.dictionaries(
    st.tuples(st.sampled_from("AB"), st.sampled_from(DAYS[:4])), st.sampled_from([1.0, 2.0]), max_size=8
)
WITHIN = st.tuples(st.sampled_from(["A", "AB"]), st.integers(0, 3), st.integers(0, 3))
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), SOME, st.none() | WITHIN),
        st.tuples(st.just("withdraw"), SOME, st.none()),
        st.tuples(st.just("by hand"), SOME, st.none()),
        st.tuples(st.just("again"), st.just({}), st.none()),
    ),
    min_size=2,
    max_size=7,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_whatever_was_written_before_a_write_leaves_what_it_says(warehouse_url, operations):
    with connect(warehouse_url) as connection:
        connection.execute("truncate raw.price_bar")
    stored: Closes = {}
    last: tuple[Closes, Scope | None] = ({}, None)
    for kind, closes, within in operations:
        if kind == "by hand":
            with connect(warehouse_url) as connection:
                for (symbol, day), close in closes.items():
                    connection.execute(
                        "update raw.price_bar set open = %(c)s, high = %(c)s, low = %(c)s, close = %(c)s "
                        "where symbol = %(s)s and session = %(d)s and known_to is null",
                        {"c": close, "s": symbol, "d": day},
                    )
            stored |= {key: close for key, close in closes.items() if key in stored}
        elif kind == "withdraw":
            with transaction(warehouse_url, "r") as writer:
                closed = writer.withdraw(PRICE_BAR, bars(closes))
            equal = {key for key, close in closes.items() if stored.get(key) == close}
            assert closed == len(equal)
            stored = {key: close for key, close in stored.items() if key not in equal}
        else:
            if kind == "write":
                last = (_inside(closes, within), _scope(within))
            rows, scope = last
            gone = {key for key in stored if _covers(scope, key)} - rows.keys()
            result = write(warehouse_url, rows, scope)
            assert result.received == len(rows) == result.added + result.restated + result.unchanged
            assert result.withdrawn == len(gone)
            assert result.added == len(rows.keys() - stored.keys())
            stored = {key: close for key, close in stored.items() if key not in gone} | rows
        assert current(warehouse_url) == stored


def _scope(within: tuple[str, int, int] | None) -> Scope | None:
    if within is None:
        return None
    symbols, *days = within
    first, last = (date.fromisoformat(DAYS[day]) for day in sorted(days))
    return Scope({"session": (first, last)}, {"symbol": list(symbols)})


def _covers(scope: Scope | None, key: tuple[str, str]) -> bool:
    if scope is None:
        return False
    first, last = scope.ranges["session"]
    return key[0] in scope.members["symbol"] and first <= date.fromisoformat(key[1]) <= (last or date.max)


def _inside(closes: Closes, within: tuple[str, int, int] | None) -> Closes:
    scope = _scope(within)
    return closes if scope is None else {key: close for key, close in closes.items() if _covers(scope, key)}
