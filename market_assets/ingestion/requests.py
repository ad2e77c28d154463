"""Which securities are asked for, and in which pieces. Which source is asked is decided in chain.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from market_assets.sources.base import SecurityRef

if TYPE_CHECKING:
    from market_assets.resources import Platform


def securities_of(platform: Platform, start: date, end: date) -> list[SecurityRef]:
    """Members of the universe in [start, end], each once."""
    universe = platform.universe.active(start, end)
    return [
        SecurityRef(member.symbol, member.exchange, member.currency)
        for member in {member.symbol: member for member in universe.members}.values()
    ]


def pieces(refs: Sequence[SecurityRef], size: int) -> Iterator[tuple[SecurityRef, ...]]:
    """`refs` in order, at most `size` at a time."""
    for position in range(0, len(refs), size):
        yield tuple(refs[position : position + size])
