"""One answer into the warehouse, in one transaction: bars that pass the rules, the others into quarantine, facts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.domain.sessions import rows_by_session
from market_assets.ingestion.judging import REASONS, Answer, judge
from market_assets.ingestion.report import IngestReport
from market_assets.sources.base import FetchResult, PriceSource
from market_assets.sources.frames import BARS
from market_assets.warehouse.tables import CORPORATE_ACTION, PRICE_BAR, SECURITY, SHARES_OUTSTANDING
from market_assets.warehouse.versions import VersionedWriter, transaction

if TYPE_CHECKING:
    from market_assets.resources import Platform


def store(
    platform: Platform, source: PriceSource, result: FetchResult, *, run_id: str, write: Collection[str]
) -> IngestReport:
    """Write one answer in one transaction.

    Args:
        platform: configuration, calendars and warehouse.
        source: who answered.
        result: the answer.
        run_id: recorded in each row.
        write: assets whose tables are written.
    """
    part = IngestReport()
    with transaction(platform.warehouse_url, run_id) as writer:
        good, verdict = judge(Answer(platform, source, result, writer, run_id))
        if "raw_prices" in write:
            broken = verdict[verdict != ""]
            part.received = len(result.bars)
            part.bars = writer.write(PRICE_BAR, good[list(BARS.columns)], known_at=result.known_at)
            part.quarantined.update(broken)
            _quarantine(writer, result.bars.loc[broken.index], broken, run_id)
            part.check()
        if "corporate_actions" in write:
            part.actions = writer.write(CORPORATE_ACTION, result.actions, known_at=result.known_at)
        if "securities" in write:
            part.securities = writer.write(SECURITY, result.securities, known_at=result.known_at)
            part.shares = writer.write(SHARES_OUTSTANDING, result.shares, known_at=result.known_at)
    part.bars_by_session = Counter(rows_by_session(good))
    part.bars_by_source[source.name] = len(good)
    return part


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
            "reason": [REASONS[rule] for rule in rules],
            "run_id": run_id,
        }
    )
    writer.append("quality.quarantine", rows, {"session": "date", "raw_row": "jsonb"})


def _as_sent(value: object) -> object:
    """`value` as JSON can hold it: a date and an infinity are text."""
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return str(value) if isinstance(value, float) and math.isinf(value) else value
