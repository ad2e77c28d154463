"""Work in chunks: of even size, and the next one made while one is worked on."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from queue import SimpleQueue
from typing import Final, TypeVar

Item = TypeVar("Item")

_END: Final = object()


class _Failure:
    """What stopped the making of items."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """`items` in as few parts as possible of at most `size` each; no part is shorter than another by more than one."""
    parts = math.ceil(len(items) / size)
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
