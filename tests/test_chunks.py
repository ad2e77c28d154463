"""Even chunks, and one item made ahead: in order, no further, errors where they belong, nobody waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.chunks import chunks, overlapped, read_ahead

SECONDS = 10.0
"""How long a test waits for a thread before it fails."""


@given(st.lists(st.integers(), max_size=60), st.integers(1, 20))
def test_chunks_are_all_items_in_even_parts_of_at_most_the_size(items: list[int], size: int) -> None:
    parts = [list(part) for part in chunks(items, size)]
    assert [item for part in parts for item in part] == items
    lengths = [len(part) for part in parts]
    assert len(parts) == -(-len(items) // size)
    assert not lengths or (max(lengths) <= size and max(lengths) - min(lengths) <= 1)


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 4))
def test_chunks_for_lanes_are_as_many_for_each(items: int, size: int, lanes: int) -> None:
    parts = list(chunks(range(items), size, lanes=lanes))
    assert [item for part in parts for item in part] == list(range(items))
    assert all(0 < len(part) <= size for part in parts)
    assert len(parts) % lanes == 0 or len(parts) in {0, 1, items}
    assert len(parts) < -(-items // size) + lanes


def test_a_short_last_chunk_is_spread_over_the_others() -> None:
    assert [len(part) for part in chunks(range(505), 250)] == [168, 168, 169]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_items_come_in_order_and_once(count: int) -> None:
    assert list(read_ahead(iter(range(count)))) == list(range(count))


def test_the_next_item_is_made_while_one_is_worked_on_and_none_beyond_it() -> None:
    made = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    ahead = read_ahead(items())
    assert next(ahead) == 0
    assert made[1].wait(SECONDS)
    assert not made[2].wait(0.2)
    assert next(ahead) == 1
    assert made[2].wait(SECONDS)


def test_every_item_is_made_in_the_same_thread_and_not_the_callers() -> None:
    threads = set(read_ahead(threading.get_ident() for _ in range(5)))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("the vendor is gone")

    ahead = read_ahead(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(LookupError, match="the vendor is gone"):
        next(ahead)


def test_a_caller_that_stops_early_does_not_wait_for_what_is_being_made() -> None:
    begun, let_go, finished = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        begun.set()
        let_go.wait(SECONDS)
        finished.set()
        yield 2
        raise AssertionError("made beyond the item that was being made")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    assert begun.wait(SECONDS)
    ahead.close()  # type: ignore[attr-defined]  # a generator
    assert not finished.is_set()
    let_go.set()
    assert finished.wait(SECONDS)


def test_two_items_are_worked_on_at_a_time_and_handed_over_in_order():
    both = threading.Barrier(2, timeout=SECONDS)
    running, most = 0, 0
    lock = threading.Lock()

    def work(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1
        return item * item

    assert list(overlapped(work, range(6), beside=lambda *_: True)) == [(item, item * item) for item in range(6)]
    assert most == 2


@given(st.lists(st.sampled_from("ab"), max_size=12))
def test_items_that_may_not_stand_beside_one_another_do_not(letters):
    under_way: list[str] = []
    clashes: list[str] = []

    def work(item: tuple[int, str]) -> str:
        clashes.extend(other for other in under_way if other == item[1])
        under_way.append(item[1])
        under_way.remove(item[1])
        return item[1]

    items = list(enumerate(letters))
    done = list(overlapped(work, items, beside=lambda before, after: before[1] != after[1]))
    assert done == [(item, item[1]) for item in items]
    assert not clashes


def test_an_error_comes_in_its_place_after_what_was_begun_is_finished():
    begun, finished = threading.Event(), threading.Event()
    handed: list[int] = []

    def work(item: int) -> int:
        if item == 1:
            assert begun.wait(SECONDS)
            raise LookupError(item)
        if item == 2:
            begun.set()
            time.sleep(0.05)
            finished.set()
        return item

    results = (handed.append(item) for item, _ in overlapped(work, range(9), beside=lambda *_: True))
    with pytest.raises(LookupError):
        list(results)
    assert handed == [0]
    assert finished.is_set()
