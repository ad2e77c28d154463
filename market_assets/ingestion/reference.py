"""Universe, sessions, sources, exchanges and reference files: what the configuration says, as tables for SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from market_assets.ingestion.renames import write_named_changes
from market_assets.reference_files import load_reference_files
from market_assets.warehouse.tables import (
    EXCHANGE,
    FACTOR_SCORE,
    FREE_FLOAT,
    FX_RATE,
    SOURCE_PRIORITY,
    TRADING_SESSION,
    UNIVERSE_MEMBER,
)
from market_assets.warehouse.versions import transaction
from market_assets.warehouse.writes import Scope, WriteResult

if TYPE_CHECKING:
    from market_assets.resources import Platform


def sync_reference(platform: Platform, run_id: str) -> WriteResult:
    """Make universe, closed sessions, price steps, source priorities and reference files the current ones.

    Raises:
        ConfigError, InputError: a reference file cannot be read or used; nothing is written.
    """
    files = load_reference_files(platform.config, platform.universe)
    sessions = []
    for exchange, calendar in platform.calendars.items():
        days = calendar.schedule.index
        held = (days >= pd.Timestamp(platform.config.partitions.start)) & (
            days <= pd.Timestamp(platform.last_session(exchange))
        )
        sessions.append(calendar.schedule[held].reset_index().assign(exchange=exchange))
    with transaction(platform.warehouse_url, run_id) as writer:
        everything = Scope()
        return (
            writer.write(UNIVERSE_MEMBER, platform.universe.frame(), scope=everything)
            + writer.write(TRADING_SESSION, pd.concat(sessions, ignore_index=True), scope=everything)
            + writer.write(EXCHANGE, _exchanges(platform), scope=everything)
            + writer.write(SOURCE_PRIORITY, _priorities(platform), scope=everything)
            + writer.write(FX_RATE, files.fx_rates, scope=everything)
            + writer.write(FREE_FLOAT, files.free_float, scope=everything)
            + writer.write(FACTOR_SCORE, files.factor_scores, scope=everything)
            + write_named_changes(platform, writer)
        )


def _exchanges(platform: Platform) -> pd.DataFrame:
    rows = [(exchange, platform.config.ingest.tick(exchange)) for exchange in platform.universe.exchanges]
    return pd.DataFrame(rows, columns=list(EXCHANGE.columns))


def order_of_sources(platform: Platform, exchange: str) -> list[str]:
    """Sources in the order in which they are believed on an exchange: its chain, what it is compared to, the rest."""
    labels = [source.label for source in platform.config.sources]
    chain = platform.config.ingest.chain(exchange, labels)
    return list(dict.fromkeys([*chain.sources, *chain.cross_check, *labels]))


def _priorities(platform: Platform) -> pd.DataFrame:
    rows = [
        (exchange, label, place)
        for exchange in platform.universe.exchanges
        for place, label in enumerate(order_of_sources(platform, exchange), start=1)
    ]
    return pd.DataFrame(rows, columns=list(SOURCE_PRIORITY.columns))
