"""Vendor rows into the warehouse: ask the sources, convert to as traded, hold back what is no bar, write versions.

One chunk of symbols is one fetch and one transaction, which bounds memory and lets a crash lose at most a chunk. Every
row received is stored, unchanged or in quarantine; `IngestReport.check` proves it for each chunk.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.domain.adjustments import to_as_traded
from market_assets.domain.screening import RULES, screen
from market_assets.domain.sessions import rows_by_session
from market_assets.errors import MarketError, SessionNotClosed, SourceUnavailable, TerminalError
from market_assets.sources.base import FetchRequest, FetchResult, PriceSource, SecurityRef, SymbolFailure
from market_assets.sources.frames import BARS
from market_assets.warehouse.tables import (
    CORPORATE_ACTION,
    PRICE_BAR,
    SECURITY,
    SHARES_OUTSTANDING,
    SOURCE_PRIORITY,
    TRADING_SESSION,
    UNIVERSE_MEMBER,
)
from market_assets.warehouse.versions import Scope, VersionedWriter, WriteResult, transaction

if TYPE_CHECKING:
    from market_assets.resources import Platform

ASSETS = ("raw_prices", "corporate_actions", "securities")

DECIMALS = 6
"""Prices converted back to as traded are rounded to this many decimals: a vendor's adjusted floats change in their last
digits with every split, which is no restatement."""


@dataclass
class IngestReport:
    """What one ingestion did.

    Attributes:
        received: bars the sources sent.
        bars, actions, securities, shares: what the writes did.
        reference: the same for universe, trading sessions and source priorities together.
        quarantined: rule -> rows held back.
        failures: symbols no source could answer, with the last cause.
        bars_by_session: session -> bars of it that passed the screen.
        bars_by_source: source -> bars that passed the screen.
        requests: calls to vendors.
    """

    received: int = 0
    bars: WriteResult = field(default_factory=WriteResult)
    actions: WriteResult = field(default_factory=WriteResult)
    securities: WriteResult = field(default_factory=WriteResult)
    shares: WriteResult = field(default_factory=WriteResult)
    reference: WriteResult = field(default_factory=WriteResult)
    quarantined: Counter[str] = field(default_factory=Counter)
    failures: list[SymbolFailure] = field(default_factory=list)
    bars_by_session: Counter[date] = field(default_factory=Counter)
    bars_by_source: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def check(self) -> None:
        """Raise unless rows received = stored + unchanged + quarantined."""
        kept = self.bars.received + sum(self.quarantined.values())
        if self.received != kept:
            raise AssertionError(
                f"{self.received} bars received, {kept} stored, unchanged or quarantined: rows are lost"
            )


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
    universe = platform.universe.active(start, end)
    refs = [
        SecurityRef(member.symbol, member.exchange, member.currency)
        for member in {member.symbol: member for member in universe.members}.values()
    ]
    sources = platform.sources(only_source)
    report = IngestReport()
    if "securities" in write:
        report.reference = sync_reference(platform, run_id)
    size = platform.config.ingest.chunk_symbols
    for position in range(0, len(refs), size):
        chunk = tuple(refs[position : position + size])
        for source, result in _chain(sources, FetchRequest(chunk, start, end), report):
            _store(platform, source, result, report, run_id, write)
        platform.progress("raw_prices: symbols", min(position + size, len(refs)), len(refs))
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


def _chain(
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


def sync_reference(platform: Platform, run_id: str) -> WriteResult:
    """Make universe, closed trading sessions and source priorities of the configuration the current ones."""
    sessions = []
    for exchange, calendar in platform.calendars.items():
        days = calendar.schedule.index
        held = (days >= pd.Timestamp(platform.config.partitions.start)) & (
            days <= pd.Timestamp(platform.last_session(exchange))
        )
        sessions.append(calendar.schedule[held].reset_index().assign(exchange=exchange))
    priorities = pd.DataFrame(
        [(source.label, position) for position, source in enumerate(platform.config.sources, start=1)],
        columns=["source", "priority"],
    )
    with transaction(platform.warehouse_url, run_id) as writer:
        everything = Scope()
        return (
            writer.write(UNIVERSE_MEMBER, platform.universe.frame(), scope=everything)
            + writer.write(TRADING_SESSION, pd.concat(sessions, ignore_index=True), scope=everything)
            + writer.write(SOURCE_PRIORITY, priorities, scope=everything)
        )


def _store(
    platform: Platform,
    source: PriceSource,
    result: FetchResult,
    report: IngestReport,
    run_id: str,
    write: Collection[str],
) -> None:
    """Write one answer in one transaction."""
    universe = platform.universe
    exchange_of = {member.symbol: member.exchange for member in universe.members}
    currency_of = {member.symbol: member.currency for member in universe.members}
    days = result.bars["session"]
    sessions_of = {
        exchange: platform.sessions(exchange, days.min(), days.max()) if len(days) else pd.DatetimeIndex([])
        for exchange in universe.exchanges
    }
    verdict = screen(
        result.bars,
        exchange_of=exchange_of,
        currency_of=currency_of,
        sessions_of=sessions_of,
        closed_through={exchange: pd.Timestamp(platform.closed_through(exchange)) for exchange in universe.exchanges},
    )
    good, held = result.bars[verdict == ""], result.bars[verdict != ""]
    good = to_as_traded(good, result.actions, source.basis, decimals=None if source.basis == "as_traded" else DECIMALS)
    part = IngestReport()
    with transaction(platform.warehouse_url, run_id) as writer:
        if "raw_prices" in write:
            part.received = len(result.bars)
            part.bars = writer.write(PRICE_BAR, good[list(BARS.columns)], known_at=result.known_at)
            part.quarantined.update(verdict[verdict != ""])
            _quarantine(writer, held, verdict[verdict != ""], run_id)
            part.check()
        if "corporate_actions" in write:
            part.actions = writer.write(CORPORATE_ACTION, result.actions, known_at=result.known_at)
        if "securities" in write:
            part.securities = writer.write(SECURITY, result.securities, known_at=result.known_at)
            part.shares = writer.write(SHARES_OUTSTANDING, result.shares, known_at=result.known_at)
    report.received += part.received
    report.quarantined += part.quarantined
    for name in ("bars", "actions", "securities", "shares"):
        setattr(report, name, getattr(report, name) + getattr(part, name))
    report.bars_by_session.update(rows_by_session(good))
    report.bars_by_source[source.name] += len(good)


def _quarantine(writer: VersionedWriter, held: pd.DataFrame, rules: pd.Series, run_id: str) -> None:
    """Keep rows that cannot be stored, with the rule they break and the row as it came."""
    if held.empty:
        return
    raw = [
        json.dumps({name: _as_sent(value) for name, value in row.items()})
        for row in held.astype(object).where(held.notna(), None).to_dict("records")
    ]
    rows = pd.DataFrame(
        {
            "table_name": PRICE_BAR.qualified,
            "rule": rules.to_numpy(),
            "symbol": held["symbol"].to_numpy(),
            "session": held["session"].to_numpy(),
            "source": held["source"].to_numpy(),
            "raw_row": raw,
            "reason": [RULES[rule] for rule in rules],
            "run_id": run_id,
        }
    )
    writer.append("quality.quarantine", rows, {"session": "date", "raw_row": "jsonb"})


def _as_sent(value: object) -> object:
    """`value` as JSON can hold it: a date and an infinity are text."""
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return str(value) if isinstance(value, float) and math.isinf(value) else value
