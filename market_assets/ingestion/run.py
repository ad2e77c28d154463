"""One ingestion from beginning to end: what is wanted, of whom, what was answered already, and what came of it.

One request is one transaction, which bounds memory and lets a crash lose at most two answers: one is judged while the
one before it is copied. Every row received is stored, unchanged or in quarantine; `IngestReport.check` proves it for
each answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, NoReturn

from market_assets.chunks import overlapped
from market_assets.errors import SessionNotClosed, SourceUnavailable, TerminalError
from market_assets.ingestion import checkpoints
from market_assets.ingestion.agreement import note_agreement
from market_assets.ingestion.chain import Reply, apart, ask, open_questions
from market_assets.ingestion.listings import settle_listings
from market_assets.ingestion.lookback import first_stored_session, with_lookback
from market_assets.ingestion.provisional import wanted_in_progress
from market_assets.ingestion.reference import sync_reference
from market_assets.ingestion.renames import carry_on
from market_assets.ingestion.report import ASSETS, IngestReport
from market_assets.ingestion.requests import Wanted, wanted_in
from market_assets.ingestion.restarts import through_restarts
from market_assets.ingestion.store import store
from market_assets.warehouse.connection import read_frame

if TYPE_CHECKING:
    from market_assets.resources import Platform
    from market_assets.sources.base import PriceSource, SymbolFailure


def ingest(
    platform: Platform,
    start: date,
    end: date,
    *,
    run_id: str,
    only_source: str | None = None,
    symbols: Collection[str] | None = None,
    provisional: bool = False,
    write: Collection[str] = ASSETS,
) -> IngestReport:
    """Fetch and store bars, actions and security facts of the universe for [start, end].

    Args:
        platform: configuration, calendars, sources and warehouse.
        start: first date.
        end: last date.
        run_id: recorded in each row.
        only_source: name of the one source to ask; None = the chain of each exchange.
        symbols: only these members of the universe; None = all.
        provisional: ask for sessions in progress as well; their bars go to raw.provisional_bar and nowhere else.
        write: assets whose tables are written: raw_prices, corporate_actions, securities.

    Raises:
        SessionNotClosed: a session of the range that no exchange of the universe has closed yet (or, with
            `provisional`, opened). An exchange that closes later than another is asked in a run of its own.
        InputError: one of `symbols` is not in the universe.
        SourceUnavailable: no source answered for any symbol, and another try may help.
        TerminalError: no source answered for any symbol, and another try will not.
    """
    _require_closed(platform, start, end, provisional)
    return _Ingestion(platform, run_id, only_source, symbols, write).run(start, end, provisional)


class _Ingestion:
    """One call of `ingest`."""

    def __init__(
        self,
        platform: Platform,
        run_id: str,
        only_source: str | None,
        symbols: Collection[str] | None,
        write: Collection[str],
    ) -> None:
        self._platform, self._run_id, self._write = platform, run_id, write
        self._only_source, self._symbols = only_source, symbols
        self._report = IngestReport()
        self._sources: dict[tuple[bool, bool], tuple[PriceSource, ...]] = {}

    def run(self, start: date, end: date, provisional: bool) -> IngestReport:
        platform, report = self._platform, self._report
        if "securities" in self._write:
            report.reference = through_restarts(lambda: sync_reference(platform, self._run_id))
        wanted = wanted_in(platform, start, end, self._symbols)
        failed = self._history(wanted, start) if wanted else 0
        if "securities" in self._write:
            report.securities += through_restarts(lambda: settle_listings(platform, self._run_id))
        if {"raw_prices", "corporate_actions"} <= set(self._write):
            through_restarts(lambda: carry_on(platform, self._run_id))
        if provisional and "raw_prices" in self._write:
            self._in_progress()
        if "raw_prices" in self._write:
            first = min(start, report.reread_from or start)
            report.agreement = through_restarts(lambda: note_agreement(platform, first, end, run_id=self._run_id))
        if self._symbols is not None:
            report.bars_by_session = _stored_bars(platform, start, end)
        report.bars_by_session = Counter(
            {day: bars for day, bars in report.bars_by_session.items() if start <= day <= end}
        )
        if failed and failed == sum(len(part.refs) for part in wanted):
            self._raise_unanswered(start, end)
        return report

    def _history(self, wanted: Sequence[Wanted], start: date) -> int:
        """Ask for everything that is wanted and not answered yet; returns how many symbols have no answer."""
        platform, report = self._platform, self._report
        asked, weekly = with_lookback(
            platform,
            wanted,
            reread=checkpoints.reread_this_week(platform),
            first_stored=first_stored_session(platform),
        )
        reread = [part.first for part in asked if part.fresh and part.first < start]
        report.reread_from = min(reread, default=None)
        choices = {"source": self._only_source, "symbols": sorted(self._symbols or ()), "write": sorted(self._write)}
        mark = checkpoints.fingerprint(platform, wanted, **choices)
        progress = checkpoints.begin(platform, mark, asked, weekly=weekly, run_id=self._run_id)
        self._take_up(progress)
        total = sum(len(part.refs) for part in wanted)
        tried: set[str] = set(progress.resumed)
        for part in asked:
            chain, cross_check = self._chain(part)
            self._ask(chain, part, progress, tried, total)
            for source in cross_check:
                self._ask([source], part, progress, tried, total, cross_check=True)
        failed, owed = self._unanswered(asked, progress)
        checkpoints.end(platform, progress, complete=not owed)
        return failed

    def _in_progress(self) -> None:
        """Ask for the session that is open now; a failure is no failure of the run's own sessions."""
        for part in wanted_in_progress(self._platform, self._symbols):
            chain, _ = self._chain(part, in_progress=True)
            progress = checkpoints.Progress(0)
            for source in chain:
                for reply in self._stored(source, chain, part, progress, provisional=True):
                    progress.note(reply)

    def _chain(self, part: Wanted, in_progress: bool = False) -> tuple[list[PriceSource], list[PriceSource]]:
        """Sources to ask for an exchange, and those to compare with."""
        key = (part.fresh, in_progress)
        if key not in self._sources:
            self._sources[key] = self._platform.sources(self._only_source, fresh=part.fresh, in_progress=in_progress)
        sources = {source.name: source for source in self._sources[key]}
        if self._only_source is not None:
            return list(sources.values()), []
        chain = self._platform.config.ingest.chain(part.exchange, list(sources))
        return [sources[name] for name in chain.sources], [sources[name] for name in chain.cross_check]

    def _ask(
        self,
        sources: Sequence[PriceSource],
        part: Wanted,
        progress: checkpoints.Progress,
        tried: set[str],
        total: int,
        *,
        cross_check: bool = False,
    ) -> None:
        """Ask the sources for a part and store what they say, reply by reply."""
        for source in sources:
            for reply in self._stored(source, sources, part, progress):
                progress.note(reply, cross_check=cross_check)
                if cross_check:
                    self._report.cross_check_failures[reply.source.name] += len(reply.failures)
                elif reply.closing:
                    tried |= set(reply.request.names)
                    self._platform.progress("raw_prices: symbols", len(tried), total)

    def _stored(
        self,
        source: PriceSource,
        chain: Sequence[PriceSource],
        part: Wanted,
        progress: checkpoints.Progress,
        *,
        provisional: bool = False,
    ) -> Iterator[Reply]:
        """The replies of a source, each when it is stored; one is judged while the one before it is copied."""

        def write(reply: Reply) -> IngestReport:
            noted = None if provisional else progress
            return through_restarts(
                lambda: store(
                    self._platform, reply, noted, run_id=self._run_id, write=self._write, provisional=provisional
                )
            )

        replies = ask(source, chain, part, progress, self._platform.chunk_symbols(part.first, part.last))
        for reply, stored in overlapped(write, replies, beside=apart):
            self._report.add(stored)
            yield reply

    def _take_up(self, progress: checkpoints.Progress) -> None:
        """Count what was stored before the ingestion that is resumed stopped."""
        self._report.resumed = len(progress.resumed)
        for (source, session), bars in progress.rows.items():
            self._report.bars_by_session[session] += bars
            self._report.bars_by_source[source] += bars

    def _unanswered(self, asked: Sequence[Wanted], progress: checkpoints.Progress) -> tuple[int, bool]:
        """Note symbols without an answer; returns how many, and whether asking again may bring one."""
        failures: dict[str, SymbolFailure] = {}
        owed = False
        for part in asked:
            chain, _ = self._chain(part)
            labels = [source.name for source in chain]
            for ref in part.refs:
                failure = progress.failure(ref.symbol)
                if failure and not progress.answered(labels, ref.symbol, part.first, part.last):
                    failures[ref.symbol] = failure
            owed = owed or any(open_questions(source, chain, part, progress) for source in chain)
        self._report.failures.extend(failures.values())
        return len(failures), owed

    def _raise_unanswered(self, start: date, end: date) -> NoReturn:
        failures = self._report.failures
        kind = SourceUnavailable if all(failure.retryable for failure in failures) else TerminalError
        raise kind(
            f"no source answered for any of {len(failures)} symbols from {start} to {end}; "
            f"{failures[0].symbol}: {failures[0].cause}"
        )


def _require_closed(platform: Platform, start: date, end: date, provisional: bool) -> None:
    reached = platform.opened_through if provisional else platform.closed_through
    through = {exchange: reached(exchange) for exchange in platform.calendars}
    latest = max(through.values())
    for exchange, closed in through.items():
        late = platform.sessions(exchange, max(start, latest + timedelta(days=1)), end)
        if len(late):
            closes_at = platform.calendars[exchange].session_close(late[0])
            raise SessionNotClosed(
                f"session {late[0].date()} of {exchange} closes at {closes_at:%Y-%m-%d %H:%M} UTC and it is "
                f"{platform.now():%Y-%m-%d %H:%M} UTC; its bars are not final. Ask for sessions up to {closed}."
            )


def _stored_bars(platform: Platform, start: date, end: date) -> Counter[date]:
    """Session -> current bars in the warehouse, whoever wrote them."""
    rows = read_frame(
        platform.warehouse_url,
        "select session, count(*) as bars from raw.price_bar "
        "where known_to is null and session between $1 and $2 group by session",
        (start, end),
    )
    return Counter({row["session"].date(): int(row["bars"]) for row in rows.to_dict("records")})
