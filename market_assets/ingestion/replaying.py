"""Quarantined bars through the rules again, with the configuration, universe and calendars of now.

A row that passes is stored and becomes `replayed`. One that does not keeps its status, and its trail says which rule it
broke this time. An acceptance does not count here: whether the rules let the row pass is the question. Does not belong
here: the rules (`judging.py`), decisions of a person (`deciding.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import InputError
from market_assets.ingestion.answer import Answer
from market_assets.ingestion.deciding import Done, Row, decide, locked, named, new_run_id, run_in
from market_assets.ingestion.judging import judge
from market_assets.ingestion.plausible import records
from market_assets.sources.base import FetchResult
from market_assets.sources.frames import ACTIONS, BAR_COLUMNS, BARS
from market_assets.warehouse.tables import PRICE_BAR
from market_assets.warehouse.versions import VersionedWriter, transaction
from quality.quarantine import record_attempt

if TYPE_CHECKING:
    from market_assets.resources import Platform

_CONFLICTING = """
    select other.quarantine_id
    from quality.quarantine as asked
    inner join quality.quarantine as other
        on other.table_name = asked.table_name and other.rule = asked.rule and other.status = 'open'
        and other.symbol = asked.symbol and other.session = asked.session and other.source = asked.source
    where asked.rule = 'conflicting_duplicate'
        and asked.quarantine_id in (select jsonb_array_elements_text($1::text::jsonb)::bigint)
"""

_ACTIONS = """
    select symbol, ex_date, kind, source, value, currency, detail from raw.corporate_action
    where known_to is null and source = $1::text
        and symbol in (select jsonb_array_elements_text($2::text::jsonb))
"""


@dataclass(frozen=True)
class _Origin:
    """Who sent the rows once, and in which basis they are now."""

    name: str
    basis: PriceBasis


def replay(platform: Platform, numbers: Sequence[int], *, by: str, note: str | None) -> Done:
    """Let quarantined bars pass the rules again.

    Args:
        platform: configuration, universe, calendars and warehouse.
        numbers: of the rows. Of rows that contradict each other all are judged, also those not named.
        by: who asks for it.
        note: why.

    Raises:
        InputError: a row does not exist, is settled, or is no bar; or its source is not configured any more.
    """
    asked = set(numbers)
    done = Done(new_run_id("replay"), len(asked))
    stored: dict[int, Row] = {}
    with transaction(platform.warehouse_url, done.run_id) as writer:
        conflicting = writer.read(_CONFLICTING, (json.dumps(sorted(asked)),))["quarantine_id"]
        rows = locked(writer, sorted({*asked, *(int(number) for number in conflicting)}))
        _require_replayable(rows, asked)
        for origin, part in _by_origin(platform, rows).items():
            _judge_again(platform, writer, origin, part, asked, done, stored)
        if stored:
            decide(writer, sorted(stored), status="replayed", by=by, note=note, run_id=done.run_id, stored=stored)
        if done.still_held:
            notes = {number: f"replayed and held again: {why}" for number, why in done.still_held.items()}
            record_attempt(run_in(writer), notes, by=by, run_id=done.run_id)
    return done


def _require_replayable(rows: Sequence[Mapping[str, Any]], asked: set[int]) -> None:
    missing = sorted(asked - {int(row["quarantine_id"]) for row in rows})
    if missing:
        raise InputError(f"no quarantined row has number {', '.join(map(str, missing))}; nothing was replayed")
    for row in rows:
        if row["table_name"] != PRICE_BAR.qualified:
            raise InputError(f"{named(row)} is no final bar ({row['table_name']}); accept or reject it")
        if row["status"] not in ("open", "accepted"):
            raise InputError(f"{named(row)} is {row['status']}; only open and accepted rows can be replayed")


def _by_origin(platform: Platform, rows: Sequence[Mapping[str, Any]]) -> dict[_Origin, list[Mapping[str, Any]]]:
    """Rows by source and basis: as traded where that is known, else as sent, in the basis of the source."""
    parts: dict[_Origin, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["symbol"], row["session"])):
        basis: PriceBasis = "as_traded"
        if not row["candidate"]:
            basis = platform.sources(row["source"])[0].basis
        parts.setdefault(_Origin(row["source"], basis), []).append(row)
    return parts


def _judge_again(
    platform: Platform,
    writer: VersionedWriter,
    origin: _Origin,
    rows: Sequence[Mapping[str, Any]],
    asked: set[int],
    done: Done,
    stored: dict[int, Row],
) -> None:
    """Judge rows of one source and basis; write those asked for that pass, note the others."""
    numbers = [int(row["quarantine_id"]) for row in rows]
    bars = BARS.conform(pd.DataFrame([json.loads(row["candidate"] or row["raw_row"]) for row in rows]), "quarantine")
    symbols = json.dumps(sorted(bars["symbol"].unique()))
    actions = ACTIONS.conform(writer.read(_ACTIONS, (origin.name, symbols)), "raw.corporate_action")
    result = FetchResult(bars=bars, actions=actions, origin="quality.quarantine")
    answer = Answer(platform, origin, result, writer, done.run_id, replayed=True)
    good, held = judge(answer)
    good = good.loc[[position for position in good.index if numbers[position] in asked]]
    done.written += writer.write(PRICE_BAR, good[list(BAR_COLUMNS)])
    for position, form in records(good, BAR_COLUMNS, "session").items():
        stored[numbers[int(str(position))]] = form
    for position, rule, reason in zip(held.index, held["rule"], held["reason"], strict=True):
        if numbers[position] in asked:
            done.still_held[numbers[position]] = f"{rule}: {reason}"
