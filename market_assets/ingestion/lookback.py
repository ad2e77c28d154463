"""How far back a run looks for corrections: vendors rewrite the last sessions often, and older ones now and then.

A run whose range ends at an exchange's newest closed session reads the last `ingest.lookback_sessions` again, and once
a week `ingest.weekly_lookback_sessions`. Sessions from before the first stored bar are no part of it: nobody asked for
them yet. What is read again comes from the vendor, never from the HTTP cache.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.ingestion.requests import Wanted
from market_assets.sources.options import UNSETTLED_SESSIONS
from market_assets.warehouse.connection import read_frame

if TYPE_CHECKING:
    from market_assets.resources import Platform


def with_lookback(
    platform: Platform, wanted: Sequence[Wanted], *, reread: Collection[str], first_stored: date | None
) -> tuple[list[Wanted], list[str]]:
    """`wanted`, reaching back where its end is the newest session.

    Args:
        platform: calendars and settings.
        wanted: what the run asks for.
        reread: exchanges whose weekly re-read is not due.
        first_stored: session of the oldest stored bar, None = nothing is stored.

    Returns:
        What to ask for, and the exchanges whose weekly re-read it contains.
    """
    settings = platform.config.ingest
    asked: list[Wanted] = []
    weekly: list[str] = []
    for part in wanted:
        newest = platform.last_session(part.exchange)
        if part.last < newest:
            asked.append(part)
            continue
        count = settings.lookback_sessions
        if settings.weekly_lookback_sessions and part.exchange not in reread:
            weekly.append(part.exchange)
            count = max(count, settings.weekly_lookback_sessions)
        asked.extend(_reaching_back(platform, part, count, first_stored))
    return asked, weekly


def first_stored_session(platform: Platform) -> date | None:
    """Session of the oldest current bar in the warehouse."""
    found = read_frame(
        platform.warehouse_url, "select min(session) as session from raw.price_bar where known_to is null"
    )
    days: list[date] = [day.date() for day in pd.to_datetime(found["session"].dropna())]
    return days[0] if days else None


def _reaching_back(platform: Platform, part: Wanted, count: int, first_stored: date | None) -> list[Wanted]:
    """The last `count` sessions of the exchange asked for afresh, and what the part asks for before them."""
    sessions = platform.sessions(part.exchange, platform.config.partitions.start, part.last)
    if first_stored is None or count == 0 or len(sessions) == 0:
        return [part]
    first = max(sessions[-min(count, len(sessions))].date(), first_stored)
    if first <= part.first:
        return [replace(part, first=first, fresh=True)]
    if count <= UNSETTLED_SESSIONS or not _may_be_cached(platform):
        return [part]  # which holds these sessions, and no cache answers for them
    return [replace(part, last=first - timedelta(days=1)), replace(part, first=first, fresh=True)]


def _may_be_cached(platform: Platform) -> bool:
    """Whether a configured source is asked over the network, with the HTTP cache on."""
    from market_assets.sources.registry import source_class

    config = platform.config
    return config.ingest.http_cache.enabled and any(
        source_class(source.kind, file=str(config.file), key=f"sources.{position}").limits is not None
        for position, source in enumerate(config.sources)
    )
