"""Which source is asked for what: the first, then each next one for what those before it could not answer.

A question is one symbol over one window of days. It is asked of a source unless a source of the chain has answered it
already, in this run or in the one it resumes, or this source has refused it for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from market_assets.chunks import read_ahead
from market_assets.errors import MarketError
from market_assets.ingestion.requests import Wanted, pieces, windows
from market_assets.sources.base import FetchRequest, FetchResult, PriceSource, SecurityRef, SymbolFailure

if TYPE_CHECKING:
    from market_assets.ingestion.checkpoints import Progress


@dataclass(frozen=True)
class Reply:
    """What a source made of one request, or the next part of it.

    Attributes:
        source: who was asked.
        request: for what.
        result: rows; None when the request failed as a whole.
        failures: symbols without an answer, known with the last part.
        closing: whether this is the last part: what is not in `failures` has then been answered.
        error: why the request failed as a whole.
    """

    source: PriceSource
    request: FetchRequest
    result: FetchResult | None
    failures: tuple[SymbolFailure, ...] = ()
    closing: bool = False
    error: MarketError | None = None


def ask(
    source: PriceSource, chain: Sequence[PriceSource], wanted: Wanted, progress: Progress, chunk_symbols: int
) -> Iterator[Reply]:
    """Replies of one source to the questions that no source of its chain has answered.

    It is read one reply ahead: its requests do not depend on what becomes of its replies. Those of the next source do:
    the caller tells `progress` of every reply before it asks that one.

    Args:
        source: who is asked.
        chain: the sources whose answers count, this one among them; a source alone is asked for everything.
        wanted: securities and days.
        progress: what has been answered and refused.
        chunk_symbols: securities per request where the source does not say.
    """
    questions = open_questions(source, chain, wanted, progress)
    requests = pieces(questions, source.batch.securities(chunk_symbols))
    yield from read_ahead(reply for request in requests for reply in _replies(source, request))


def apart(before: Reply, after: Reply) -> bool:
    """Whether two replies of one source are about different symbols: neither is judged by what the other holds."""
    return set(before.request.names).isdisjoint(after.request.names)


def open_questions(
    source: PriceSource, sources: Sequence[PriceSource], wanted: Wanted, progress: Progress
) -> list[tuple[SecurityRef, date, date]]:
    """What `source` has to be asked now: neither answered by any of `sources` nor refused by this one."""
    labels = [other.name for other in sources]
    return [
        (ref, first, last)
        for ref in wanted.refs
        for first, last in windows(wanted.first, wanted.last, source.batch.days)
        if not progress.answered(labels, ref.symbol, first, last)
        and not progress.refused(source.name, ref.symbol, first, last)
    ]


def _replies(source: PriceSource, request: FetchRequest) -> Iterator[Reply]:
    """One reply per moment of knowledge; the last one says which symbols failed in all of them."""
    failures: dict[str, SymbolFailure] = {}
    with_bars: set[str] = set()
    held: FetchResult | None = None
    error: MarketError | None = None
    try:
        for result in source.fetch_vintages(request):
            if held is not None:
                yield Reply(source, request, held)
            failures |= {failure.symbol: failure for failure in result.failures}
            with_bars |= set(result.bars["symbol"].unique())
            held = result
    except MarketError as caught:
        error = caught
        failures = {name: SymbolFailure.from_error(name, caught) for name in request.names}
        with_bars = set()
    remaining = tuple(failure for name, failure in failures.items() if name not in with_bars)
    yield Reply(source, request, held, remaining, closing=True, error=error)
