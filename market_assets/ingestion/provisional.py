"""Bars of a session that is still open: kept only when asked for, apart from final bars, until the final bar comes.

They go to raw.provisional_bar, versioned like every other bar, and nothing is computed from them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.ingestion.requests import Wanted, members_by_exchange
from market_assets.warehouse.tables import PROVISIONAL_BAR
from market_assets.warehouse.writes import Scope

if TYPE_CHECKING:
    from market_assets.resources import Platform
    from market_assets.warehouse.versions import VersionedWriter


def sessions_in_progress(platform: Platform) -> dict[str, date]:
    """Exchange -> its session that has opened and not closed, for exchanges that have one now."""
    found = {}
    for exchange in platform.calendars:
        opened = platform.opened_through(exchange)
        if opened > platform.closed_through(exchange):
            found[exchange] = opened
    return found


def wanted_in_progress(platform: Platform, symbols: Collection[str] | None = None) -> list[Wanted]:
    """Members of the universe today whose exchange is open, over today's session.

    Args:
        platform: universe, calendars and clock.
        symbols: only these; None = all.
    """
    found = []
    for exchange, day in sessions_in_progress(platform).items():
        refs = members_by_exchange(platform, day, day, symbols).get(exchange)
        if refs:
            found.append(Wanted(exchange, refs, day, day, fresh=True))
    return found


def withdraw_replaced(writer: VersionedWriter, final: pd.DataFrame) -> int:
    """Close the provisional bars of symbols and sessions that `final` holds bars of; returns how many.

    Args:
        writer: transaction that stores the final bars.
        final: columns symbol and session, of any source.
    """
    current = writer.read("select distinct symbol, session from raw.provisional_bar where known_to is null")
    if current.empty or final.empty:
        return 0
    nothing = pd.DataFrame(columns=list(PROVISIONAL_BAR.columns))
    replaced = current.merge(final[["symbol", "session"]].drop_duplicates(), on=["symbol", "session"])
    withdrawn = 0
    for session, rows in replaced.groupby("session"):
        day = pd.Timestamp(str(session)).date()
        scope = Scope({"session": (day, day)}, {"symbol": rows["symbol"].tolist()})
        withdrawn += writer.write(PROVISIONAL_BAR, nothing, scope=scope).withdrawn
    return withdrawn
