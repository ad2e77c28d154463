"""The parts of config/market.yaml as typed values: one class for each section, with its keys, defaults and limits.

Belongs here: what a section holds and what it refuses by itself. Does not belong here: reading the file, overrides, and
what has to agree between sections (`market_assets.config`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from market_assets.fetching.limits import Limits

DEFAULT_TICK = 0.01
"""Price step of an exchange that ingest.tick_size does not name."""


class Section(BaseModel):
    """Base of every part of the file: unknown keys are refused, values never change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Partitions(Section):
    """Which trading sessions exist as partitions."""

    start: date = Field(description="first session")
    end: date | None = Field(None, description="last session; null = open, today's session appears after its close")
    timezone: str = Field("Europe/Athens", description="midnight here ends a session day: 17:00 in New York")

    @model_validator(mode="after")
    def _ordered(self) -> Partitions:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        return self


class Calendars(Section):
    """Trading calendars: exchange_calendars plus the override file."""

    overrides: Path = Field(
        Path("calendar_overrides.csv"), description="special sessions and closures, beside this file"
    )
    settle_minutes: int = Field(45, ge=0, le=720, description="wait after a close before the vendor is asked")


class ReferenceFiles(Section):
    """CSV files beside this one with what indices need beyond bars. Empty = none."""

    fx_rates: Path | None = Field(None, description="exchange rates: base, quote, session, rate")
    free_float: Path | None = Field(None, description="free-float factors: symbol, effective_date, factor")
    factor_scores: Path | None = Field(
        None, description="scores of factor weighting: score, symbol, effective_date, value"
    )


class Fetch(Section):
    """How a vendor is asked. A key that is left out takes the default of the kind of source."""

    requests_per_second: float | None = Field(None, gt=0, le=1000, description="pace shared by all threads of a run")
    burst: int | None = Field(None, ge=1, le=1000, description="requests that may be made at once after a rest")
    attempts: int | None = Field(None, ge=1, le=20, description="times one question is asked before it fails")
    first_wait_seconds: float | None = Field(None, ge=0, le=600, description="longest wait before the second attempt")
    longest_wait_seconds: float | None = Field(None, ge=0, le=3600, description="waits double up to this")
    longest_pause_seconds: float | None = Field(
        None, ge=0, le=86400, description="a longer Retry-After is not waited for: the circuit opens"
    )
    failures_to_open: int | None = Field(None, ge=1, le=1000, description="failures in a row that open the circuit")
    cooldown_seconds: float | None = Field(None, gt=0, le=86400, description="rest of an open circuit before a probe")

    def limits(self, default: Limits) -> Limits:
        """`default` with the keys that are given."""
        return replace(default, **self.model_dump(exclude_none=True))


class Source(Section):
    """One price vendor. The order in the file is the order of priority."""

    kind: str = Field(description="one of the kinds below")
    name: str = Field("", pattern=r"^[a-z0-9_]*$", description="label of its rows; the kind when empty")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the kind")
    fetch: Fetch = Fetch()

    @property
    def label(self) -> str:
        """Name of the source in every row it wrote."""
        return self.name or self.kind


class HttpCacheSettings(Section):
    """Answers about closed history, kept on disk so that they are asked for once."""

    enabled: bool = Field(True, description="false = every question is asked")
    max_megabytes: int = Field(512, ge=1, description="size the folder is kept within; longest unused go first")


class Chain(Section):
    """Which sources are asked for the securities of an exchange."""

    sources: tuple[str, ...] = Field(min_length=1, description="first source, then the fallbacks in order")
    cross_check: tuple[str, ...] = Field((), description="asked for everything as well, to compare")


class Delisting(Section):
    """How much agreement it takes until a security counts as delisted."""

    sources: int = Field(2, ge=1, description="sources that have to find it gone")
    sessions: int = Field(3, ge=1, description="sessions on which each of them has to")


class Ingest(Section):
    """How bars are fetched and written."""

    chunk_symbols: int = Field(250, ge=1, description="symbols per fetch and transaction; bounds memory")
    http_cache: HttpCacheSettings = HttpCacheSettings()
    chains: dict[str, Chain] = Field(default_factory=dict, description="exchange, or default, -> sources to ask")
    resume_hours: float = Field(24, ge=0, description="an unfinished ingestion this old is begun again; 0 = always")
    lookback_sessions: int = Field(5, ge=0, description="last sessions that a run up to the newest one reads again")
    weekly_lookback_sessions: int = Field(250, ge=0, description="the same, once a week")
    tick_size: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="exchange -> price step by which sources may differ; 0.01 elsewhere"
    )
    delisting: Delisting = Delisting()

    def chain(self, exchange: str, labels: Sequence[str]) -> Chain:
        """The chain of an exchange; without one, all sources (`labels`) in order and no cross-check."""
        return self.chains.get(exchange) or self.chains.get("default") or Chain(sources=tuple(labels))

    def tick(self, exchange: str) -> float:
        """Price step of an exchange."""
        return self.tick_size.get(exchange, DEFAULT_TICK)


class Indicators(Section):
    """What indicators are computed with."""

    benchmark: str = Field("", description="index that beta and correlation are measured against; empty = the first")


class Backfill(Section):
    """How a backfill launched in the UI is cut. `market backfill` is always one run."""

    sessions_per_run: int | None = Field(
        None, ge=1, description="sessions of raw_prices that one run loads; null = all of them"
    )


class Quality(Section):
    """Thresholds of the checks by suite, where they differ from the defaults."""

    price_bar: dict[str, Any] = Field(default_factory=dict, description="thresholds of bars; see below")
    indicator: dict[str, Any] = Field(default_factory=dict, description="thresholds of indicators; see below")
    index: dict[str, Any] = Field(default_factory=dict, description="thresholds of index levels; see below")


class FileTransport(Section):
    """OpenLineage events appended to a JSON-lines file."""

    kind: Literal["file"] = "file"
    path: Path = Field(Path("lineage/events.jsonl"), description="relative to MARKET_HOME")


class HttpTransport(Section):
    """OpenLineage events posted to a backend such as Marquez. The key comes from MARKET_LINEAGE_API_KEY[_FILE]."""

    kind: Literal["http"]
    url: str = Field(pattern=r"^https?://", description="base address, such as http://marquez:5000")
    endpoint: str = Field("api/v1/lineage", description="path below it")
    timeout_seconds: float = Field(10, gt=0, description="for connecting, and for each wait on the answer")


class NoTransport(Section):
    """Events stay in the warehouse."""

    kind: Literal["none"]


class Lineage(Section):
    """Where OpenLineage events go."""

    namespace: str = Field("market_assets", min_length=1, description="job namespace")
    transport: Annotated[FileTransport | HttpTransport | NoTransport, Field(discriminator="kind")] = Field(
        FileTransport(), description="`kind` is file, http, or none: events stay in the warehouse"
    )
