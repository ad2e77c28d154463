"""What an ingestion asks for: which securities over which days, and how that is cut into requests.

Belongs here: planning from the universe, calendars and the configuration. Does not belong here: which source is asked
(chain.py), what was already answered (checkpoints.py) and how far back corrections are looked for (lookback.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from market_assets.chunks import chunks
from market_assets.errors import InputError
from market_assets.sources.base import FetchRequest, SecurityRef

if TYPE_CHECKING:
    from market_assets.resources import Platform


@dataclass(frozen=True)
class Wanted:
    """Securities of one exchange over one range of days.

    Attributes:
        exchange: exchange_calendars name.
        refs: its securities, in order of the universe.
        first: first date.
        last: last date.
        fresh: what the vendors say now is wanted, not what the HTTP cache holds.
    """

    exchange: str
    refs: tuple[SecurityRef, ...]
    first: date
    last: date
    fresh: bool = False


def wanted_in(platform: Platform, start: date, end: date, symbols: Collection[str] | None = None) -> list[Wanted]:
    """Members of the universe in [start, end] by exchange, over the part of the range that their exchange has closed.

    An exchange without a session in that part is left out.

    Args:
        platform: universe and calendars.
        start: first date.
        end: last date.
        symbols: only these; None = all.

    Raises:
        InputError: one of `symbols` is not in the universe.
    """
    found = []
    for exchange, refs in members_by_exchange(platform, start, end, symbols).items():
        last = min(end, platform.closed_through(exchange))
        if start <= last and len(platform.sessions(exchange, start, last)):
            found.append(Wanted(exchange, refs, start, last))
    return found


def members_by_exchange(
    platform: Platform, start: date, end: date, symbols: Collection[str] | None = None
) -> dict[str, tuple[SecurityRef, ...]]:
    """Exchange -> members of the universe in [start, end], each once; exchanges in order. Raises as `wanted_in`."""
    unknown = sorted(set(symbols or ()) - set(platform.universe.symbols))
    if unknown:
        file = platform.config.beside(platform.config.universe)
        raise InputError(f"not in the universe: {', '.join(unknown)}; add them to {file}, or correct the symbols")
    refs: dict[str, dict[str, SecurityRef]] = {}
    for member in platform.universe.active(start, end).members:
        if symbols is None or member.symbol in symbols:
            ref = SecurityRef(member.symbol, member.exchange, member.currency)
            refs.setdefault(member.exchange, {})[member.symbol] = ref
    return {exchange: tuple(refs[exchange].values()) for exchange in sorted(refs)}


def pieces(questions: Iterable[tuple[SecurityRef, date, date]], size: int) -> Iterator[FetchRequest]:
    """Requests of at most `size` securities, for securities and the days each is asked for.

    Args:
        questions: (security, first date, last date); securities with the same days share requests.
        size: securities in one request.
    """
    by_days = sorted(questions, key=lambda question: question[1:])
    for (first, last), group in groupby(by_days, key=lambda question: question[1:]):
        for refs in chunks([ref for ref, _, _ in group], size):
            yield FetchRequest(tuple(refs), first, last)


def windows(first: date, last: date, days: int | None) -> list[tuple[date, date]]:
    """[first, last] in consecutive parts of at most `days` calendar days, oldest first; None = in one part."""
    if days is None:
        return [(first, last)]
    starts = [first + timedelta(days=offset) for offset in range(0, (last - first).days + 1, days)]
    return [(start, min(last, start + timedelta(days=days - 1))) for start in starts]
