"""One ingestion from beginning to end: reference data, then chunk after chunk of the universe.

One chunk of symbols is one fetch and one transaction, which bounds memory and lets a crash lose at most a chunk. Every
row received is stored, unchanged or in quarantine; `IngestReport.check` proves it for each chunk.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING

from market_assets.errors import SessionNotClosed, SourceUnavailable, TerminalError
from market_assets.ingestion.chain import ask
from market_assets.ingestion.reference import sync_reference
from market_assets.ingestion.report import ASSETS, IngestReport
from market_assets.ingestion.requests import pieces, securities_of
from market_assets.ingestion.store import store
from market_assets.sources.base import FetchRequest

if TYPE_CHECKING:
    from market_assets.resources import Platform


def ingest(
    platform: Platform,
    start: date,
    end: date,
    *,
    run_id: str,
    only_source: str | None = None,
    write: Collection[str] = ASSETS,
) -> IngestReport:
    """Fetch and store bars, actions and security facts of the universe for [start, end].

    Args:
        platform: configuration, calendars, sources and warehouse.
        start: first date.
        end: last date.
        run_id: recorded in each row.
        only_source: name of the one source to ask; None = the chain, each next source for what the one before failed.
        write: assets whose tables are written: raw_prices, corporate_actions, securities.

    Raises:
        SessionNotClosed: a session of the range that no exchange of the universe has closed yet. Bars of an exchange
            that closes later than another are held back by the screen and asked for again by its own run.
        SourceUnavailable: no source answered for any symbol, and another try may help.
        TerminalError: no source answered for any symbol, and another try will not.
    """
    _require_closed(platform, start, end)
    refs = securities_of(platform, start, end)
    sources = platform.sources(only_source)
    report = IngestReport()
    if "securities" in write:
        report.reference = sync_reference(platform, run_id)
    done = 0
    for chunk in pieces(refs, platform.config.ingest.chunk_symbols):
        for source, result in ask(sources, FetchRequest(chunk, start, end), report):
            report.add(store(platform, source, result, run_id=run_id, write=write))
        done += len(chunk)
        platform.progress("raw_prices: symbols", done, len(refs))
    if refs and len(report.failures) == len(refs):
        kind = SourceUnavailable if all(failure.retryable for failure in report.failures) else TerminalError
        raise kind(
            f"no source answered for any of {len(refs)} symbols from {start} to {end}; "
            f"{report.failures[0].symbol}: {report.failures[0].cause}"
        )
    return report


def _require_closed(platform: Platform, start: date, end: date) -> None:
    through = {exchange: platform.closed_through(exchange) for exchange in platform.calendars}
    latest = max(through.values())
    for exchange, closed in through.items():
        late = platform.sessions(exchange, max(start, latest + timedelta(days=1)), end)
        if len(late):
            closes_at = platform.calendars[exchange].session_close(late[0])
            raise SessionNotClosed(
                f"session {late[0].date()} of {exchange} closes at {closes_at:%Y-%m-%d %H:%M} UTC and it is "
                f"{platform.now():%Y-%m-%d %H:%M} UTC; its bars are not final. Ask for sessions up to {closed}."
            )
