"""Universe, trading sessions and source priorities: what the configuration says, as tables that SQL can join."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from market_assets.warehouse.tables import SOURCE_PRIORITY, TRADING_SESSION, UNIVERSE_MEMBER
from market_assets.warehouse.versions import Scope, WriteResult, transaction

if TYPE_CHECKING:
    from market_assets.resources import Platform


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
