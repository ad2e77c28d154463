"""How far an ingestion has come, in the warehouse, so that one that was killed or failed goes on where it stopped.

A plan is one ingestion: exchanges, days, symbols, assets and sources, summed up in a fingerprint. A checkpoint is one
source's answer about one symbol and range, written in the transaction that stores the rows: both are there or neither.

An ingestion takes up the newest plan of its fingerprint that still owes an answer and is not older than
`ingest.resume_hours`: what was answered or refused is not asked again, what failed for the moment is. A plan that owes
nothing is complete, and the same ingestion afterwards is a new one that asks for everything, unless its run was killed
in a later step.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from market_assets.sources.base import SymbolFailure
from market_assets.warehouse.connection import arrow_cursor, connect, read_frame

if TYPE_CHECKING:
    from market_assets.ingestion.chain import Reply
    from market_assets.ingestion.requests import Wanted
    from market_assets.resources import Platform
    from market_assets.warehouse.versions import VersionedWriter

KEPT = timedelta(days=30)
"""Plans older than this are deleted when the next one begins."""

WEEK = timedelta(days=6, hours=12)
"""A weekly re-read is due after this long: a run that comes an hour earlier than last week's still does it."""

ANSWERED, REFUSED, FAILED = "answered", "refused", "failed"

Days = tuple[date, date]


@dataclass
class Progress:
    """What has been answered and refused of one plan, by this ingestion and by those it goes on with.

    Attributes:
        plan_id: key of ingest.plan.
        resumed: symbols with an answer from an earlier ingestion.
        rows: bars of those answers that are current now, by source and session.
    """

    plan_id: int
    resumed: frozenset[str] = frozenset()
    rows: Mapping[tuple[str, date], int] = field(default_factory=dict)
    _answers: dict[tuple[str, str], list[Days]] = field(default_factory=lambda: defaultdict(list))
    _refusals: set[tuple[str, str, Days]] = field(default_factory=set)
    _failures: dict[str, SymbolFailure] = field(default_factory=dict)

    def answered(self, sources: Sequence[str], symbol: str, first: date, last: date) -> bool:
        """Whether the sources together have answered for every day of [first, last]."""
        reached = first
        for start, end in sorted(days for source in sources for days in self._answers.get((source, symbol), ())):
            if start > reached:
                break
            reached = max(reached, end + timedelta(days=1))
        return reached > last

    def refused(self, source: str, symbol: str, first: date, last: date) -> bool:
        """Whether the source will never answer this question."""
        return (source, symbol, (first, last)) in self._refusals

    def failure(self, symbol: str) -> SymbolFailure | None:
        """The last failure of a symbol."""
        return self._failures.get(symbol)

    def note(self, reply: Reply, *, cross_check: bool = False) -> None:
        """Take in a reply whose rows have been committed; nothing is missing for what a cross-check cannot answer."""
        if not reply.closing:
            return
        days = (reply.request.start, reply.request.end)
        failures = {failure.symbol: failure for failure in reply.failures}
        for name in reply.request.names:
            if name not in failures:
                self._answers[reply.source.name, name].append(days)
            else:
                self._take_failure(
                    reply.source.name, failures[name], days, _outcome(reply, failures[name]), cross_check
                )

    def write(self, writer: VersionedWriter, reply: Reply) -> None:
        """Write the checkpoints of a reply, in the transaction that stores its rows."""
        if not reply.closing:
            return
        failures = {failure.symbol: failure for failure in reply.failures}
        found = [failures.get(name) for name in reply.request.names]
        rows = pd.DataFrame(
            {
                "plan_id": self.plan_id,
                "source": reply.source.name,
                "symbol": list(reply.request.names),
                "first_day": reply.request.start.isoformat(),
                "last_day": reply.request.end.isoformat(),
                "outcome": [_outcome(reply, failure) for failure in found],
                "error": [failure.error if failure else None for failure in found],
                "cause": [failure.cause if failure else None for failure in found],
            }
        )
        writer.append("ingest.checkpoint", rows, {"first_day": "date", "last_day": "date"})

    def _take_failure(
        self, source: str, failure: SymbolFailure, days: Days, outcome: str, cross_check: bool = False
    ) -> None:
        if not cross_check:
            self._failures[failure.symbol] = failure
        if outcome == REFUSED:
            self._refusals.add((source, failure.symbol, days))


def fingerprint(platform: Platform, wanted: Sequence[Wanted], **choices: object) -> str:
    """What makes two ingestions the same: days by exchange, the choices of the run, sources and chains as configured.

    The securities are not part of it: a universe that has grown meanwhile is resumed, and the new ones are asked for.
    """
    config = platform.config
    content = {
        "days": [(part.exchange, part.first, part.last) for part in wanted],
        "sources": [source.model_dump(mode="json") for source in config.sources],
        "chains": {name: chain.model_dump(mode="json") for name, chain in sorted(config.ingest.chains.items())},
        "choices": choices,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


def begin(platform: Platform, mark: str, wanted: Sequence[Wanted], *, weekly: Collection[str], run_id: str) -> Progress:
    """Go on with the plan of this fingerprint that still owes an answer, or begin a new one.

    Args:
        platform: clock, warehouse and `ingest.resume_hours`.
        mark: the fingerprint.
        wanted: what is asked for, at least one entry.
        weekly: exchanges whose weekly re-read this is.
        run_id: of the run.
    """
    now = platform.now()
    oldest = now - timedelta(hours=platform.config.ingest.resume_hours)
    with arrow_cursor(platform.warehouse_url) as cursor:
        cursor.execute("delete from ingest.plan where started_at < $1", (now - KEPT,))
        plan = _one(
            cursor,
            "select plan_id from ingest.plan where fingerprint = $1 and not complete and started_at > $2 "
            "order by plan_id desc limit 1",
            (mark, oldest),
        )
        if plan is None:
            plan = _one(
                cursor,
                "insert into ingest.plan (fingerprint, first_day, last_day, weekly, run_id, started_at) "
                "values ($1, $2, $3, $4::text[], $5, $6) returning plan_id",
                (
                    mark,
                    min(part.first for part in wanted),
                    max(part.last for part in wanted),
                    "{" + ",".join(sorted(weekly)) + "}",
                    run_id,
                    now,
                ),
            )
            return Progress(int(plan))
        cursor.execute("update ingest.plan set run_id = $1 where plan_id = $2", (run_id, plan))
    return _load(platform.warehouse_url, int(plan))


def end(platform: Platform, progress: Progress, *, complete: bool) -> None:
    """Note that an ingestion came to its end.

    Args:
        platform: clock and warehouse.
        progress: of its plan.
        complete: every question was answered or refused for good; otherwise the next ingestion asks what is left.
    """
    with arrow_cursor(platform.warehouse_url) as cursor:
        cursor.execute(
            "update ingest.plan set ended_at = $1, complete = $2 where plan_id = $3",
            (platform.now(), complete, progress.plan_id),
        )


def reopen(url: str, run_ids: Sequence[str]) -> None:
    """Let the ingestions of runs that were killed in a later step be gone on with: their answers are in the warehouse.

    Args:
        url: libpq URL of the warehouse.
        run_ids: runs that were killed.
    """
    with connect(url) as connection:
        connection.execute("update ingest.plan set complete = false where run_id = any(%s)", (list(run_ids),))


def reread_this_week(platform: Platform) -> frozenset[str]:
    """Exchanges whose weekly re-read came to its end less than a week ago."""
    found = read_frame(
        platform.warehouse_url,
        "select distinct unnest(weekly) as exchange from ingest.plan where ended_at is not null and started_at > $1",
        (platform.now() - WEEK,),
    )
    return frozenset(found["exchange"])


def _load(url: str, plan_id: int) -> Progress:
    log = read_frame(
        url,
        "select source, symbol, first_day, last_day, outcome, error, cause from ingest.checkpoint "
        "where plan_id = $1 order by checkpoint_id",
        (plan_id,),
    )
    # The bars of a symbol that is not asked again are counted where they are.
    rows = read_frame(
        url,
        "select bar.source, bar.session, count(*) as bars from (select distinct source, symbol, first_day, last_day "
        "from ingest.checkpoint where plan_id = $1 and outcome = 'answered') as done "
        "inner join raw.price_bar as bar on bar.symbol = done.symbol and bar.source = done.source "
        "and bar.session between done.first_day and done.last_day and bar.known_to is null group by 1, 2",
        (plan_id,),
    )
    bars = {(row["source"], row["session"].date()): int(row["bars"]) for row in rows.to_dict("records")}
    progress = Progress(plan_id, frozenset(log.loc[log["outcome"] == ANSWERED, "symbol"]), bars)
    for entry in log.to_dict("records"):
        source, symbol, outcome = entry["source"], entry["symbol"], entry["outcome"]
        days = (entry["first_day"].date(), entry["last_day"].date())
        if outcome == ANSWERED:
            progress._answers[source, symbol].append(days)  # noqa: SLF001 - its own class
        else:
            failure = SymbolFailure(symbol, entry["error"], entry["cause"], outcome == FAILED)
            progress._take_failure(source, failure, days, outcome)  # noqa: SLF001 - as above
    return progress


def _outcome(reply: Reply, failure: SymbolFailure | None) -> str:
    """An error that a request met as a whole says nothing about one symbol: a wrong key can be corrected."""
    if failure is None:
        return ANSWERED
    return FAILED if failure.retryable or reply.error is not None else REFUSED


def _one(cursor: Any, statement: str, parameters: tuple[object, ...]) -> Any:
    cursor.execute(statement, parameters)
    row = cursor.fetchone()
    return None if row is None else row[0]
