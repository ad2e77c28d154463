"""Even chunks, and one item made ahead: in order, no further, errors where they belong, nobody waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.chunks import chunks, read_ahead

SECONDS = 10.0
"""How long a test waits for a thread before it fails."""


@given(st.lists(st.integers(), max_size=60), st.integers(1, 20))
def test_chunks_are_all_items_in_even_parts_of_at_most_the_size(items: list[int], size: int) -> None:
    parts = [list(part) for part in chunks(items, size)]
    assert [item for part in parts for item in part] == items
    lengths = [len(part) for part in parts]
    assert len(parts) == -(-len(items) // size)
    assert not lengths or (max(lengths) <= size and max(lengths) - min(lengths) <= 1)


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
