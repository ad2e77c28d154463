"""Which symbols are new in the universe file: the plan behind the universe sensor.

Belongs here: comparing the file with the symbols seen before. Does not belong here: reading the file (universe.py) and
launching runs (sensors.py).

The cursor holds the symbols seen. The first evaluation, or one whose cursor was lost, compares with the symbols that
the warehouse was loaded for; where nothing was loaded, nothing is new: history is then loaded on purpose, with
`market backfill`. A symbol that was taken out and comes back is new again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from market_assets.universe import Universe


@dataclass(frozen=True)
class Additions:
    """What the file holds that was not there before.

    Attributes:
        symbols: new symbols that can be loaded, sorted.
        seen: symbols to remember.
        problems: new symbols that have to wait, with the remedy.
    """

    symbols: tuple[str, ...]
    seen: frozenset[str]
    problems: tuple[str, ...]

    def run_key(self, first: date, last: date) -> str:
        """Identical for identical work."""
        return f"universe:{first}:{last}:{hashlib.sha256(','.join(self.symbols).encode()).hexdigest()[:16]}"


def find_additions(
    universe: Universe, seen: Collection[str], exchanges: Collection[str], first: date, last: date
) -> Additions:
    """Compare the universe with the symbols seen before.

    Args:
        universe: the file as it is now.
        seen: symbols seen before.
        exchanges: exchanges that the code location has calendars for.
        first: first partition.
        last: last partition. A symbol that is no member in [first, last] has no history to load.
    """
    symbols, problems = [], []
    exchange_of = {member.symbol: member.exchange for member in universe.active(first, last).members}
    for symbol, exchange in sorted(exchange_of.items()):
        if symbol in seen:
            continue
        if exchange in exchanges:
            symbols.append(symbol)
        else:
            problems.append(f"{symbol}: {exchange} is new in the universe; reload the code location for its calendar")
    waiting = {problem.split(":")[0] for problem in problems}
    return Additions(tuple(symbols), frozenset(universe.symbols) - waiting, tuple(problems))


def read_cursor(text: str | None) -> frozenset[str] | None:
    """Symbols seen, from their stored form; None = none was stored."""
    return None if text is None else frozenset(json.loads(text)["symbols"])


def write_cursor(seen: Collection[str]) -> str:
    """Stored form of the symbols seen."""
    return json.dumps({"symbols": sorted(seen)})
