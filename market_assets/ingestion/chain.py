"""Which source is asked for which symbols: the first, then each next one for what the one before could not answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from market_assets.errors import MarketError
from market_assets.ingestion.report import IngestReport
from market_assets.sources.base import FetchRequest, FetchResult, PriceSource, SymbolFailure


def ask(
    sources: Sequence[PriceSource], request: FetchRequest, report: IngestReport
) -> Iterator[tuple[PriceSource, FetchResult]]:
    """Answers of the first source, then of each next one for the symbols that still fail; notes what remains."""
    failures: dict[str, SymbolFailure] = {}
    for source in sources:
        failures, answered = {}, set()
        try:
            for result in source.fetch_vintages(request):
                failures |= {failure.symbol: failure for failure in result.failures}
                answered |= set(result.bars["symbol"].unique())
                report.requests += result.requests_made
                yield source, result
        except MarketError as error:
            failures = {name: SymbolFailure.from_error(name, error) for name in request.names}
        failures = {name: failure for name, failure in failures.items() if name not in answered}
        request = replace(request, symbols=tuple(ref for ref in request.symbols if ref.symbol in failures))
        if not request.symbols:
            break
    report.failures.extend(failures.values())
