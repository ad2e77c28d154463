"""Writes beside one another: those of a block do not wait, all others do, and what is stored is what each wrote."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any

import pandas as pd
import pytest

from market_assets.warehouse.connection import connect
from market_assets.warehouse.tables import PRICE_BAR
from market_assets.warehouse.versions import side_by_side, transaction, write_versions
from market_assets.warehouse.writes import Scope, WriteResult

SECONDS = 20.0
"""How long a test waits for what has to happen."""

SHORT = 0.5
"""How long it waits for what must not happen."""


def bars(*symbols: str, close: float = 1.0, sessions: int = 250) -> pd.DataFrame:
    """Enough rows of each symbol to be remembered by digest."""
    days = pd.bdate_range("2023-01-02", periods=sessions)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "session": days,
                    "source": "sample",
                    **dict.fromkeys(("open", "high", "low", "close"), close),
                    "volume": 100.0,
                    "currency": "USD",
                }
            )
            for symbol in symbols
        ],
        ignore_index=True,
    )


def scope(*symbols: str) -> Scope:
    return Scope(members={"symbol": symbols})


def current(url: str) -> dict[str, tuple[int, float]]:
    with connect(url) as connection:
        rows = connection.execute(
            "select symbol, count(*), max(close) from raw.price_bar where known_to is null group by 1 order by 1"
        ).fetchall()
    return {symbol: (count, close) for symbol, count, close in rows}


def test_two_writes_of_a_block_are_open_at_once(warehouse_url):
    with side_by_side(warehouse_url, PRICE_BAR), transaction(warehouse_url, "r1", beside=True) as first:
        first.write(PRICE_BAR, bars("A"), scope=scope("A"))
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(
                write_versions, warehouse_url, PRICE_BAR, bars("B"), run_id="r2", scope=scope("B"), beside=True
            )
            assert second.result(SECONDS) == WriteResult(received=250, added=250)
        assert current(warehouse_url) == {"B": (250, 1.0)}, "the first is not committed yet"
    assert current(warehouse_url) == {"A": (250, 1.0), "B": (250, 1.0)}


@pytest.mark.parametrize("beside", [True, False], ids=["beside", "alone"])
def test_a_write_of_any_other_kind_waits(warehouse_url, beside):
    """Whichever comes first: a write beside others, or one that wants the table for itself."""
    with ThreadPoolExecutor(1) as pool:
        with transaction(warehouse_url, "r1", beside=beside) as first:
            first.write(PRICE_BAR, bars("A"), scope=scope("A"))
            waiting = pool.submit(
                write_versions, warehouse_url, PRICE_BAR, bars("A", close=2.0), run_id="r2", beside=not beside
            )
            _must_wait(waiting)
        assert waiting.result(SECONDS) == WriteResult(received=250, restated=250)
    assert current(warehouse_url) == {"A": (250, 2.0)}


def test_another_block_waits_for_the_end_of_this_one(warehouse_url):
    entered = threading.Event()

    def enter() -> None:
        with side_by_side(warehouse_url, PRICE_BAR):
            entered.set()

    with ThreadPoolExecutor(1) as pool:
        with side_by_side(warehouse_url, PRICE_BAR):
            other = pool.submit(enter)
            assert not entered.wait(SHORT)
        other.result(SECONDS)
    assert entered.is_set()


def test_a_block_that_fails_lets_the_next_one_in(warehouse_url):
    with pytest.raises(LookupError), side_by_side(warehouse_url, PRICE_BAR):
        raise LookupError
    with side_by_side(warehouse_url, PRICE_BAR):
        write_versions(warehouse_url, PRICE_BAR, bars("A"), run_id="r1", scope=scope("A"), beside=True)
    assert current(warehouse_url) == {"A": (250, 1.0)}


def test_a_block_sees_to_statistics_also_those_a_failed_one_left(warehouse_url):
    names = [f"S{number}" for number in range(8)]

    def known_pages() -> int:
        with connect(warehouse_url) as connection:
            (pages,) = connection.execute(
                "select relpages from pg_class where oid = 'raw.price_bar'::regclass"
            ).fetchone()
        return pages

    def write_and_fail() -> None:
        with side_by_side(warehouse_url, PRICE_BAR):
            write_versions(warehouse_url, PRICE_BAR, bars(*names), run_id="r1", scope=scope(*names), beside=True)
            raise LookupError

    with pytest.raises(LookupError):
        write_and_fail()
    assert known_pages() == 0
    with side_by_side(warehouse_url, PRICE_BAR):
        pass
    assert known_pages() > 0


@pytest.mark.parametrize("open_scope", [Scope(), Scope(members={"source": ["sample"]})])
def test_a_write_beside_others_has_to_name_its_symbols(warehouse_url, open_scope):
    with pytest.raises(ValueError, match="beside others has to say for which symbols"):
        write_versions(warehouse_url, PRICE_BAR, bars("A"), run_id="r1", scope=open_scope, beside=True)


def test_many_writes_at_once_store_and_remember_what_each_wrote(warehouse_url):
    names = [f"S{number:02}" for number in range(12)]

    def write(name: str, close: float) -> WriteResult:
        return write_versions(
            warehouse_url, PRICE_BAR, bars(name, close=close), run_id="r", scope=scope(name), beside=True
        )

    for close, wanted in (
        (1.0, WriteResult(received=250, added=250)),
        (1.0, WriteResult(received=250, unchanged=250)),
        (2.0, WriteResult(received=250, restated=250)),
        (2.0, WriteResult(received=250, unchanged=250)),
    ):
        with side_by_side(warehouse_url, PRICE_BAR), ThreadPoolExecutor(3) as pool:
            assert set(pool.map(write, names, [close] * len(names))) == {wanted}
    assert current(warehouse_url) == dict.fromkeys(names, (250, 2.0))
    assert write_versions(warehouse_url, PRICE_BAR, bars(*names, close=2.0), run_id="r").unchanged == 250 * len(names)


def _must_wait(future: Future[Any]) -> None:
    with pytest.raises(NotYet):
        future.result(SHORT)
