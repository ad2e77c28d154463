"""The bars of an answer against what other sources have stored, in the transaction that stores the answer.

With one configured source nothing is asked and nothing is held back. Otherwise the rule of `domain.reconciliation`
decides; rows it releases from quarantine are stored and settled here, with a note of who supports them, so that the
trail of a row says why it was held and why it was let in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from market_assets.domain.reconciliation import RULE, reconcile
from market_assets.sources.frames import BARS
from market_assets.warehouse.tables import PRICE_BAR
from quality.quarantine import settle

if TYPE_CHECKING:
    from market_assets.ingestion.answer import Answer

BY: Final = "reconciliation"
"""Who decides, in the audit trail of the quarantine."""

_STORED = """
    select symbol, session, source, close from raw.price_bar
    where known_to is null and session between $1 and $2
        and symbol in (select jsonb_array_elements_text($3::text::jsonb))
"""
_DISPUTED = f"""
    select quarantine_id, symbol, session, source, (candidate ->> 'close')::float8 as close
    from quality.quarantine
    where status = 'open' and table_name = '{PRICE_BAR.qualified}' and rule = '{RULE}' and candidate is not null
        and session between $1 and $2 and symbol in (select jsonb_array_elements_text($3::text::jsonb))
"""  # noqa: S608 - constants
_CANDIDATES = """
    select quarantine_id, candidate::text as candidate from quality.quarantine
    where quarantine_id in (select jsonb_array_elements_text($1::text::jsonb)::bigint)
    order by quarantine_id
"""


def reconciled(answer: Answer, bars: pd.DataFrame) -> pd.DataFrame:
    """The judge of `judging.JUDGES` that compares sources; stores the rows that this answer gives a majority to."""
    held = pd.DataFrame(columns=["rule", "reason", "proposal"])
    config = answer.platform.config
    if len(config.sources) < 2 or bars.empty or not answer.stores_bars:
        return held
    answer.writer.lock(PRICE_BAR)  # another source's answer that is being stored now has to be seen
    first, last = bars["session"].min().date(), bars["session"].max().date()
    bounds = (first, last, json.dumps(bars["symbol"].unique().tolist()))
    decision = reconcile(
        bars[["symbol", "session", "source", "close"]],
        answer.writer.read(_STORED, bounds),
        answer.writer.read(_DISPUTED, bounds),
        {member.symbol: config.ingest.tick(member.exchange) for member in answer.platform.universe.members},
    )
    _release(answer, decision.released)
    for note, rows in decision.superseded.groupby("note"):
        _settle(answer, rows, "rejected", str(note))
    disputed = decision.reasons[decision.reasons != ""]
    return pd.DataFrame({"rule": RULE, "reason": disputed, "proposal": None}) if len(disputed) else held


def _release(answer: Answer, released: pd.DataFrame) -> None:
    """Store the rows that have a majority now, and say so in the quarantine."""
    if released.empty:
        return
    numbers = json.dumps(released["quarantine_id"].astype(int).tolist())
    found = answer.writer.read(_CANDIDATES, (numbers,))
    candidates = {
        int(number): json.loads(candidate)
        for number, candidate in zip(found["quarantine_id"], found["candidate"], strict=True)
    }
    bars = BARS.conform(pd.DataFrame(list(candidates.values())), "quality.quarantine")
    answer.writer.write(PRICE_BAR, bars, known_at=answer.result.known_at)
    for note, rows in released.groupby("note"):
        _settle(answer, rows, "replayed", str(note), candidates)


def _settle(
    answer: Answer, rows: pd.DataFrame, status: Any, note: str, candidates: dict[int, Any] | None = None
) -> None:
    def run(statement: str, parameters: Sequence[Any]) -> list[dict[Any, Any]]:
        return answer.writer.read(statement, parameters).to_dict("records")

    numbers = rows["quarantine_id"].astype(int).tolist()
    stored = {number: candidates[number] for number in numbers} if candidates else None
    settle(run, numbers, status=status, by=BY, note=note, run_id=answer.run_id, stored=stored)
