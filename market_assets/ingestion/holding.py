"""Rows that a rule holds back: how each could be stored after all, and which of them a person has let pass before.

An accepted row passes when it comes again with the same content. A rejected one is held again and only counted: the
quarantine keeps each case once. Does not belong here: the rules (`judging.py`), decisions (`deciding.py`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from market_assets.domain.adjustments import to_as_traded
from market_assets.domain.plausibility import HOLDING_RULES
from market_assets.ingestion.plausible import records
from market_assets.sources.frames import BAR_COLUMNS, BARS
from market_assets.warehouse.tables import CORPORATE_ACTION, PRICE_BAR, VersionedTable
from quality.quarantine import as_json

if TYPE_CHECKING:
    from market_assets.ingestion.answer import Answer

NEVER_STORED: Final = frozenset({"session_not_closed"})
"""Rules whose rows no acceptance may store: the row will be another one when the session has closed."""

_SUPERSEDE = """
    update quality.quarantine as held
    set status = 'rejected', resolved_at = clock_timestamp(), resolved_by = 'ingestion', resolved_run_id = $3::text,
        note = 'a later answer brought a row that passes the rules'
    where held.status = 'open' and held.table_name = $1::text and held.source = $2::text
        and held.rule not in ('duplicate_row', 'disputed')
        and (
            select stored.changed_xid from raw.price_bar as stored
            where stored.symbol = held.symbol and stored.session = held.session and stored.source = held.source
                and stored.known_to is null
        ) = pg_current_xact_id()
    returning held.quarantine_id
"""
"""Of a repeated row one is stored as a rule; what becomes of disputed rows is for reconciliation to say. Each open case
looks its bar up by key: joined, the planner would compare them with all bars of a load it has no statistics of."""

_ACCEPTED = """
    select raw_row::text as raw_row, candidate::text as candidate
    from quality.quarantine
    where status = 'accepted' and table_name = $1::text and source = $2::text and stored_row = candidate
        and symbol in (select jsonb_array_elements_text($3::text::jsonb))
"""


def candidates(answer: Answer, verdict: pd.Series, decimals: int | None) -> pd.Series:
    """How rows that broke a rule on sight would be stored: mappings in the columns of raw.price_bar, None where no bar.

    Args:
        answer: the answer they are in.
        verdict: rule of each row, on the index of its bars.
        decimals: see `to_as_traded`.
    """
    sent = answer.result.bars.loc[verdict.index]
    numbers = sent[["open", "high", "low", "close", "volume"]].to_numpy(dtype=float)
    bar = np.isfinite(numbers).all(axis=1) & (numbers[:, :4] > 0).all(axis=1) & (numbers[:, 4] >= 0)
    sent = sent[bar & ~verdict.isin(NEVER_STORED).to_numpy()]
    out = pd.Series(None, index=verdict.index, dtype="object")
    # What dividends took off an adjusted price is known only beside the rows that passed.
    if answer.source.basis == "adjusted":
        return out
    for _, rows in sent.groupby(sent.groupby(["symbol", "session"]).cumcount()):
        traded = to_as_traded(rows, answer.result.actions, answer.source.basis, decimals=decimals)
        out.loc[traded.index] = records(traded, BAR_COLUMNS, "session")
    return out


def let_accepted_pass(answer: Answer, good: pd.DataFrame, held: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Move bars that were accepted before, as they came, from those held back to those that are stored.

    Args:
        answer: the answer.
        good: bars to store, as traded.
        held: rows held back, on the index of the answer's bars: rule, reason, candidate, proposal.
    """
    passing = _accepted(answer, PRICE_BAR, answer.result.bars, held)
    if not passing:
        return good, held
    rows = pd.DataFrame(list(held.loc[passing, "candidate"]), index=passing, columns=list(BAR_COLUMNS))
    rows = rows.astype(good.dtypes.to_dict())
    key = ["symbol", "session"]
    free = ~rows.duplicated(key) & ~pd.MultiIndex.from_frame(rows[key]).isin(pd.MultiIndex.from_frame(good[key]))
    stored = pd.concat([good, rows[free]]).sort_values(key, kind="stable") if len(good) else rows[free].sort_values(key)
    return stored, held.drop(index=rows.index[free])


def held_actions(answer: Answer) -> pd.DataFrame:
    """Actions of the answer that are held back and were not accepted before, on their index."""
    held = answer.findings.actions
    return held.drop(index=_accepted(answer, CORPORATE_ACTION, answer.result.actions, held))


def _accepted(answer: Answer, table: VersionedTable, sent: pd.DataFrame, held: pd.DataFrame) -> list[int]:
    """Index of the rows held back that were accepted before: equal as they were sent, or as they would be stored."""
    possible = held[held["candidate"].notna()]
    if possible.empty or answer.replayed:
        return []
    sent = sent.loc[possible.index]
    asked = json.dumps(sorted(sent["symbol"].unique()))
    known = answer.writer.read(_ACCEPTED, (table.qualified, answer.source.name, asked))
    if known.empty:
        return []
    accepted = {as_json(json.loads(text)) for text in (*known["raw_row"], *known["candidate"])}
    day = "session" if "session" in sent else "ex_date"
    raw = records(sent, tuple(sent.columns), day)
    return [
        int(position)
        for position, row, same in zip(possible.index, possible["candidate"], raw, strict=True)
        if as_json(row) in accepted or as_json(same) in accepted
    ]


def settle_superseded(answer: Answer) -> None:
    """Close the open cases of bars that this transaction has just stored: the vendor has sent a row that passes.

    Rows that a later answer of the vendor replaces are no work for anybody. Their trail says what became of them.
    """
    answer.writer.read(_SUPERSEDE, (PRICE_BAR.qualified, answer.source.name, answer.run_id))


def withdraw_stored(answer: Answer, held: pd.DataFrame) -> int:
    """Close the stored versions of rows that are now known to be faulty; returns how many.

    A row at the end of an answer may look like the market's own move until the next session shows that it was none. By
    then it is stored, and comes again with the look-back: the version that equals it is closed, and the row waits in
    quarantine instead.
    """
    faulty = held[held["rule"].isin(list(HOLDING_RULES)) & held["candidate"].notna()]
    if faulty.empty:
        return 0
    rows = BARS.conform(pd.DataFrame(list(faulty["candidate"])), "quarantine")
    return answer.writer.withdraw(PRICE_BAR, rows, known_at=answer.result.known_at)
