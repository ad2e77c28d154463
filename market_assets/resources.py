"""The platform: configuration, universe, calendars, sources and warehouse as one Dagster resource.

Everything is made when it is first used, so that loading the code location opens no connection and reads no vendor.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.config import MarketConfig, Source, load_config
from market_assets.domain.calendars import ExchangeCalendar, known_exchanges
from market_assets.errors import ConfigError
from market_assets.settings import market_home
from market_assets.universe import Universe, load_universe

if TYPE_CHECKING:
    from dagster import DailyPartitionsDefinition

    from market_assets.domain.indices import IndexDefinition
    from market_assets.fetching.guard import Guard
    from market_assets.sources.base import PriceSource
    from market_assets.sources.options import SourceContext

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


CHUNK_YEARS = 5.0
"""Years of bars that `ingest.chunk_symbols` is meant for."""


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


class Platform:
    """What assets, sensors and the CLI work with.

    Args:
        config: None = load config/market.yaml.
        now: the clock, replaced in tests.
        progress: shown by the CLI, ignored in the daemon.
    """

    def __init__(
        self,
        config: MarketConfig | None = None,
        *,
        now: Callable[[], datetime] = utc_now,
        progress: Progress = no_progress,
    ) -> None:
        self.config = config or load_config()
        self.now = now
        self.progress = progress
        self._guards: dict[str, Guard] = {}

    @cached_property
    def universe(self) -> Universe:
        """The universe file, checked, as it was when it was first needed."""
        return self.read_universe()

    def read_universe(self) -> Universe:
        """The universe file, checked, as it is now."""
        return load_universe(self.config.beside(self.config.universe), known_exchanges())

    @cached_property
    def calendars(self) -> dict[str, ExchangeCalendar]:
        """Exchange -> calendar with overrides, from the year before the first partition to the end of next year."""
        from market_assets.partitions import load_calendars

        calendars = load_calendars(
            self.universe.exchanges,
            self.config.partitions.start,
            self.config.beside(self.config.calendars.overrides),
            self.now().date(),
        )
        return {calendar.exchange: calendar for calendar in calendars}

    @cached_property
    def partitions(self) -> DailyPartitionsDefinition:
        """Trading sessions as daily partitions."""
        from market_assets.partitions import session_partitions

        settings = self.config.partitions
        return session_partitions(tuple(self.calendars.values()), settings.start, settings.end, settings.timezone)

    @property
    def settle(self) -> timedelta:
        """Wait after a close before its bars are taken as final."""
        return timedelta(minutes=self.config.calendars.settle_minutes)

    def closed_through(self, exchange: str) -> date:
        """Last session of `exchange` that has closed; the day before the first partition when none has."""
        closed = self.calendars[exchange].last_closed_session(self.now())
        return closed.date() if closed is not None else self.config.partitions.start - timedelta(days=1)

    def opened_through(self, exchange: str) -> date:
        """Last session of `exchange` that has opened: the one in progress, or the last that has closed."""
        closed = self.closed_through(exchange)
        schedule = self.calendars[exchange].schedule
        opened = schedule.index[(schedule["opens_at"] <= self.now()) & (schedule.index > pd.Timestamp(closed))]
        return opened[-1].date() if len(opened) else closed

    def last_session(self, exchange: str) -> date:
        """Last session the platform holds data for: closed, and not after the last partition."""
        closed, end = self.closed_through(exchange), self.config.partitions.end
        return closed if end is None else min(closed, end)

    def sessions(self, exchange: str, start: date, end: date) -> pd.DatetimeIndex:
        """Sessions of `exchange` in [start, end], cut to the days its calendar knows."""
        calendar = self.calendars[exchange]
        first, last = max(pd.Timestamp(start), calendar.first_day), min(pd.Timestamp(end), calendar.last_day)
        return calendar.sessions(first, last) if first <= last else pd.DatetimeIndex([], dtype="datetime64[us]")

    def chunk_symbols(self, start: date, end: date) -> int:
        """Symbols to work on at once for [start, end]: `ingest.chunk_symbols` for up to CHUNK_YEARS, fewer for more.

        A chunk of a longer range would need as much more memory.
        """
        years = ((end - start).days + 1) / 365.25
        return max(1, round(self.config.ingest.chunk_symbols * min(1.0, CHUNK_YEARS / years)))

    def sources(
        self, only: str | None = None, fresh: bool = False, in_progress: bool = False
    ) -> tuple[PriceSource, ...]:
        """The configured sources in order of priority.

        Args:
            only: name of the one to use instead of the whole chain.
            fresh: ask for what the vendors say now; the HTTP cache is neither read nor written.
            in_progress: let them return bars of a session that has opened and not closed.

        Raises:
            ConfigError: no source has that name.
        """
        from market_assets.sources.registry import build_source

        labels = [source.label for source in self.config.sources]
        if only is not None and only not in labels:
            raise ConfigError("no such source", file=str(self.config.file), key="sources", value=only, allowed=labels)
        return tuple(
            build_source(
                source.kind,
                source.label,
                source.options,
                context=self._source_context(position, source, fresh, in_progress),
                file=str(self.config.file),
                key=f"sources.{position}.options",
            )
            for position, source in enumerate(self.config.sources)
            if only is None or source.label == only
        )

    def _source_context(self, position: int, source: Source, fresh: bool, in_progress: bool) -> SourceContext:
        from market_assets.fetching.cache import HttpCache
        from market_assets.sources.options import SourceContext

        settings = self.config.ingest.http_cache
        folder = market_home() / "cache"
        return SourceContext(
            base_dir=self.config.file.parent,
            cache_dir=folder,
            sessions=self.sessions,
            closed_through=self.opened_through if in_progress else self.closed_through,
            now=self.now,
            guard=self._guard(position, source),
            cache=HttpCache(folder / "http", settings.max_megabytes * 2**20, settings.enabled),
            fresh=fresh,
        )

    def _guard(self, position: int, source: Source) -> Guard:
        """One for each source for as long as this platform lives: its pace is shared by all that is asked meanwhile."""
        from market_assets.fetching.breaker_state import WarehouseStore
        from market_assets.fetching.guard import Guard
        from market_assets.sources.registry import source_class

        if source.label not in self._guards:
            kind = source_class(source.kind, file=str(self.config.file), key=f"sources.{position}")
            self._guards[source.label] = (
                Guard.free()
                if kind.limits is None
                else Guard.of(
                    source.label,
                    source.fetch.limits(kind.limits),
                    store=WarehouseStore(lambda: self.warehouse_url),
                    now=self.now,
                )
            )
        return self._guards[source.label]

    @cached_property
    def indices(self) -> tuple[IndexDefinition, ...]:
        """The configured index definitions, checked."""
        from market_assets.domain.indices import parse_definition

        return tuple(
            parse_definition(entry, file=str(self.config.file), key=f"indices.{position}")
            for position, entry in enumerate(self.config.indices)
        )

    @property
    def benchmark(self) -> str:
        """Id of the index that beta and correlation are measured against; "" when no index is configured."""
        first = self.indices[0].id if self.indices else ""
        return self.config.indicators.benchmark or first

    def index_sessions(self, definition: IndexDefinition) -> pd.DatetimeIndex:
        """Sessions an index is calculated for: days on which an exchange of its universe trades."""
        names = definition.universe.exchanges or tuple(self.calendars)
        sessions = pd.DatetimeIndex([], dtype="datetime64[us]")
        for name in names:
            sessions = sessions.union(self.calendars[name].sessions())
        return sessions

    @cached_property
    def warehouse_url(self) -> str:
        """libpq URL of the warehouse, which is at this code's revision afterwards, with dbt's views in place."""
        from market_assets.dbt.project import ensure_views
        from market_assets.warehouse.migrate import create_database, is_current, migrate
        from market_assets.warehouse.server import database_urls

        url = database_urls().market
        create_database(url)
        if not is_current(url):
            migrate(url)
        ensure_views(url)
        return url
