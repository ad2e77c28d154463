"""A security that changes its symbol keeps its history: bars and actions of the old symbol stand under the new one too.

A change is a corporate action (kind symbol_change, detail = the new symbol), from a source or from the universe file
(new_symbol). What was stored under the old symbol before it is written under the new one, with its sources, as
knowledge of the run that learned of the change: adjustment, indicators and returns then carry on without knowing of
symbols. A row that a source has given under the new symbol stays, unless the old one was corrected later. See
docs/decisions/0010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from market_assets.warehouse.tables import CORPORATE_ACTION, PRICE_BAR, VersionedTable
from market_assets.warehouse.versions import VersionedWriter, transaction
from market_assets.warehouse.writes import Scope, WriteResult

if TYPE_CHECKING:
    from market_assets.resources import Platform

UNIVERSE: Final = "universe"
"""Source of changes that the universe file names."""

_CHANGES: Final = """
    select symbol, detail as new_symbol, min(ex_date) as ex_date
    from raw.corporate_action
    where known_to is null and kind = 'symbol_change' and detail <> symbol
    group by symbol, detail
    order by ex_date, symbol
"""


def write_named_changes(platform: Platform, writer: VersionedWriter) -> WriteResult:
    """Make the changes of symbol that the universe file names the current ones of source `UNIVERSE`."""
    rows = [
        (
            m.symbol,
            pd.Timestamp(m.member_to) + pd.Timedelta("1D"),
            "symbol_change",
            UNIVERSE,
            None,
            m.currency,
            m.new_symbol,
        )
        for m in platform.universe.members
        if m.new_symbol and m.member_to
    ]
    frame = pd.DataFrame(rows, columns=list(CORPORATE_ACTION.columns)).astype({"value": "float64"})
    frame["ex_date"] = pd.to_datetime(frame["ex_date"])
    return writer.write(CORPORATE_ACTION, frame, scope=Scope(members={"source": [UNIVERSE]}))


def carry_on(platform: Platform, run_id: str) -> tuple[WriteResult, WriteResult]:
    """Write what is stored under symbols that were given up under those that followed; what it did to bars and actions.

    Changes are taken in order, so that a security that changed twice arrives with its whole history. A symbol that
    another security took over later is carried on from after the change before.
    """
    bars, actions = WriteResult(), WriteResult()
    with transaction(platform.warehouse_url, run_id) as writer:
        changes = writer.read(_CHANGES)
        since = changes.groupby("symbol")["ex_date"].shift().fillna(pd.Timestamp("1900-01-01"))
        for old, new, ex_date, first in zip(
            changes["symbol"], changes["new_symbol"], changes["ex_date"], since, strict=True
        ):
            bounds = (old, new, first.date(), ex_date.date())
            bars += writer.write(PRICE_BAR, writer.read(_missing(PRICE_BAR, "session"), bounds))
            actions += writer.write(CORPORATE_ACTION, writer.read(_missing(CORPORATE_ACTION, "ex_date"), bounds))
    return bars, actions


def _missing(table: VersionedTable, day: str) -> str:
    """Rows of the old symbol that the new one lacks, or has in an older version."""
    others = [name for name in table.columns if name != "symbol"]
    same = " and ".join(f"own.{name} = old.{name}" for name in table.key if name != "symbol")
    kinds = "and old.kind <> 'symbol_change'" if "kind" in table.key else ""
    return (
        f"select $2::text as symbol, {', '.join(f'old.{name}' for name in others)} from {table.qualified} as old "  # noqa: S608
        f"left join {table.qualified} as own on own.symbol = $2::text and own.known_to is null and {same} "
        f"where old.symbol = $1::text and old.known_to is null and old.{day} >= $3 and old.{day} < $4 {kinds} "
        "and (own.symbol is null or own.known_from < old.known_from)"
    )
