"""Work in chunks: of even size, the next one made while one is worked on, two of them worked on at a time."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from queue import SimpleQueue
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_END: Final = object()


class _Failure:
    """What stopped the making of items."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def chunks(items: Sequence[Item], size: int, *, lanes: int = 1) -> Iterator[Sequence[Item]]:
    """`items` in as few parts as possible of at most `size` each; no part is shorter than another by more than one.

    Parts that are worked on in `lanes` at a time are as many for each lane: a last part would keep the others waiting.
    """
    parts = math.ceil(len(items) / size)
    if parts > 1:
        parts = min(len(items), math.ceil(parts / lanes) * lanes)
    edges = [len(items) * part // parts for part in range(parts + 1)] if parts else []
    for start, stop in pairwise(edges):
        yield items[start:stop]


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """`items` in order; while the caller works on one, a thread makes the next, and none beyond it.

    All are made in that one thread. An error in making one is raised where it would have been handed over, after the
    items before it. When the caller stops early, what is being made is finished and thrown away; nobody waits for it,
    not even the end of the process.
    """
    made: SimpleQueue[object] = SimpleQueue()
    wanted = threading.Semaphore(1)
    stopped = threading.Event()

    def make() -> None:
        try:
            source = iter(items)
            while wanted.acquire() and not stopped.is_set():
                item = next(source, _END)
                made.put(item)
                if item is _END:
                    return
        except BaseException as error:  # raised where the item would have been handed over
            made.put(_Failure(error))

    threading.Thread(target=make, name="read-ahead", daemon=True).start()
    try:
        while (item := made.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            wanted.release()
            yield item  # type: ignore[misc]  # whatever else stands in the queue came from `items`
    finally:
        stopped.set()
        wanted.release()


def overlapped(
    work: Callable[[Item], Result], items: Iterable[Item], *, beside: Callable[[Item, Item], bool]
) -> Iterator[tuple[Item, Result]]:
    """(item, work(item)) in order, at most two of them worked on at a time, each in a thread.

    An item is begun while the one before it is worked on if `beside(before, item)`. An error of `work` is raised in its
    place, when the item after it, if that was begun, has been finished too; what came of that is not handed over.
    """
    under_way: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(2, thread_name_prefix="overlapped") as threads:
        for item in items:
            while len(under_way) == 2 or (under_way and not beside(under_way[-1][0], item)):
                before, future = under_way.popleft()
                yield before, future.result()
            under_way.append((item, threads.submit(work, item)))
        for before, future in under_way:
            yield before, future.result()
