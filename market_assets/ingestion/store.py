"""One answer into the warehouse, in one transaction: bars that pass the rules, the others into quarantine, facts.

The checkpoint of the answer is written in the same transaction: an answer that is noted is stored, and the reverse.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.domain.sessions import rows_by_session
from market_assets.ingestion.answer import Answer
from market_assets.ingestion.holding import held_actions, settle_superseded, withdraw_stored
from market_assets.ingestion.judging import judge
from market_assets.ingestion.listings import facts_to_store, note_findings
from market_assets.ingestion.provisional import withdraw_replaced
from market_assets.ingestion.report import IngestReport
from market_assets.ingestion.restated import restated_now
from market_assets.sources.frames import BARS
from market_assets.warehouse.tables import (
    CORPORATE_ACTION,
    PRICE_BAR,
    PROVISIONAL_BAR,
    SECURITY,
    SHARES_OUTSTANDING,
    VersionedTable,
)
from market_assets.warehouse.versions import transaction
from market_assets.warehouse.writes import WriteResult
from quality.quarantine import as_json

if TYPE_CHECKING:
    from market_assets.ingestion.chain import Reply
    from market_assets.ingestion.checkpoints import Progress
    from market_assets.resources import Platform


def store(
    platform: Platform,
    reply: Reply,
    progress: Progress | None,
    *,
    run_id: str,
    write: Collection[str],
    provisional: bool = False,
) -> IngestReport:
    """Write one reply in one transaction.

    Args:
        platform: configuration, calendars and warehouse.
        reply: of a source.
        progress: whose checkpoints are written; None = none are.
        run_id: recorded in each row.
        write: assets whose tables are written.
        provisional: the answer is about sessions in progress; only raw.provisional_bar is written.
    """
    part = IngestReport()
    with transaction(platform.warehouse_url, run_id) as writer:
        if reply.result is not None:
            part.requests = reply.result.requests_made
            answer = Answer(platform, reply.source, reply.result, writer, run_id, "raw_prices" in write, provisional)
            good, held = judge(answer)
            if "raw_prices" in write:
                _store_bars(answer, good, held, part)
            if not provisional:
                _store_facts(answer, reply, write, part)
                part.bars_by_session = Counter(rows_by_session(good))
                part.bars_by_source[reply.source.name] = len(good)
            part.check()
        if progress is not None:
            progress.write(writer, reply)
    return part


def _store_bars(answer: Answer, good: pd.DataFrame, held: pd.DataFrame, part: IngestReport) -> None:
    table = PROVISIONAL_BAR if answer.provisional else PRICE_BAR
    part.received = len(answer.result.bars)
    result = answer.writer.write(table, good[list(BARS.columns)], known_at=answer.result.known_at)
    if answer.provisional:
        part.provisional = result
    else:
        part.bars = result
        part.provisional = WriteResult(withdrawn=withdraw_replaced(answer.writer, good))
        if part.bars.restated:
            part.restated = restated_now(answer.writer)
        part.bars += WriteResult(withdrawn=withdraw_stored(answer, held))
        if result.versions_written:
            settle_superseded(answer)
        part.warned.update(answer.findings.warned)
    part.quarantined.update(held["rule"])
    _quarantine(answer, table, answer.result.bars, held)


def _store_facts(answer: Answer, reply: Reply, write: Collection[str], part: IngestReport) -> None:
    """Corporate actions, security facts and share counts, as far as their assets are written."""
    result = answer.result
    held = held_actions(answer)
    if "corporate_actions" in write:
        part.quarantined_actions.update(held["rule"])
        _quarantine(answer, CORPORATE_ACTION, result.actions, held)
    securities, shares = result.securities, result.shares
    if "securities" in write:
        securities, shares = facts_to_store(answer, reply.source)
        if reply.closing:
            note_findings(answer, reply)
    for name, asset, table, frame in (
        ("actions", "corporate_actions", CORPORATE_ACTION, result.actions.drop(index=held.index)),
        ("securities", "securities", SECURITY, securities),
        ("shares", "securities", SHARES_OUTSTANDING, shares),
    ):
        if asset in write:
            part.rows_received[name] = len(getattr(result, name))
            setattr(part, name, answer.writer.write(table, frame, known_at=result.known_at))


def _quarantine(answer: Answer, table: VersionedTable, received: pd.DataFrame, held: pd.DataFrame) -> None:
    """Keep rows that cannot be stored, with the rule they break and the row as it came."""
    if held.empty:
        return
    sent = received.loc[held.index]
    raw = sent.astype(object).where(sent.notna(), None).to_dict("records")
    rows = pd.DataFrame(
        {
            "table_name": table.qualified,
            "rule": held["rule"].to_numpy(),
            "symbol": sent["symbol"].to_numpy(),
            "session": sent["session" if "session" in sent else "ex_date"].to_numpy(),
            "source": sent["source"].to_numpy(),
            "raw_row": [json.dumps({name: _as_sent(value) for name, value in row.items()}) for row in raw],
            "reason": held["reason"].to_numpy(),
            **{name: pd.Series(list(map(_as_json, held[name])), dtype="str") for name in ("candidate", "proposal")},
            "run_id": answer.run_id,
        }
    )
    casts = {"session": "date", "raw_row": "jsonb", "candidate": "jsonb", "proposal": "jsonb"}
    answer.writer.append("quality.quarantine", rows, casts)


def _as_json(row: object) -> str | None:
    """A mapping as text; what is missing in a frame may be None or NaN."""
    return as_json(row) if isinstance(row, Mapping) else None


def _as_sent(value: object) -> object:
    """`value` as JSON can hold it: a date and an infinity are text."""
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return str(value) if isinstance(value, float) and math.isinf(value) else value
