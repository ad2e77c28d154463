"""The one configuration object: config/market.yaml, checked, with MARKET_* overrides. Secrets are not part of the file.

A value in the file is overridden by an environment variable named after its path with two underscores between the
parts: MARKET_PARTITIONS__END=2024-12-31, MARKET_SOURCES__0__OPTIONS__FOLDER=/data. Values are read as YAML. An override
of a `kind` also removes what the file says beside it, but for the name: those keys belong to the kind in the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, model_validator

from market_assets.errors import ConfigError
from market_assets.fetching.limits import Limits
from market_assets.settings import config_path, market_home, secret
from quality.errors import QualityError

T = TypeVar("T")
DEFAULT_TICK = 0.01
"""Price step of an exchange that ingest.tick_size does not name."""
OVERRIDE = "MARKET_"


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


class MarketConfig(Section):
    """config/market.yaml as one typed value."""

    partitions: Partitions
    universe: Path = Field(Path("universe.csv"), description="beside this file")
    calendars: Calendars = Calendars()
    sources: tuple[Source, ...] = Field(min_length=1)
    ingest: Ingest = Ingest()
    backfill: Backfill = Backfill()
    indices: tuple[dict[str, Any], ...] = Field((), description="index definitions; every key in methodology.md")
    indicators: Indicators = Indicators()
    quality: Quality = Quality()
    lineage: Lineage = Lineage()

    file: Path = Field(exclude=True, description="set by load_config")

    @model_validator(mode="after")
    def _names_are_unique(self) -> MarketConfig:
        labels = [source.label for source in self.sources]
        doubled = sorted({label for label in labels if labels.count(label) > 1})
        if doubled:
            raise ValueError(f"sources share the name {', '.join(doubled)}; give each its own `name`")
        for exchange, chain in self.ingest.chains.items():
            _require_chain(exchange, [*chain.sources, *chain.cross_check], labels)
        return self

    def beside(self, path: Path) -> Path:
        """`path` as written in the file, relative to the file's folder."""
        return path if path.is_absolute() else (self.file.parent / path).resolve()

    def thresholds(self, suite: Literal["price_bar", "indicator", "index"], kind: type[T]) -> T:
        """Thresholds of a suite as the dataclass that the suite takes.

        Raises:
            ConfigError: an unknown key, a wrong type, or a value the suite refuses.
        """
        values: dict[str, Any] = getattr(self.quality, suite)
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass, by contract
        for name in values:
            if name not in names:
                raise ConfigError("unknown key", file=str(self.file), key=f"quality.{suite}.{name}", allowed=names)
        try:
            return TypeAdapter(kind).validate_python(values)
        except ValidationError as error:
            raise _named(error, self.file, {}, f"quality.{suite}") from error
        except QualityError as error:
            raise ConfigError(str(error), file=str(self.file), key=f"quality.{suite}") from error

    @cached_property
    def alert_webhook(self) -> SecretStr | None:
        """Slack-compatible webhook from MARKET_ALERT_WEBHOOK[_FILE]."""
        return secret("MARKET_ALERT_WEBHOOK")

    @property
    def lineage_file(self) -> Path | None:
        """Absolute path of the file transport, None for the others."""
        transport = self.lineage.transport
        return market_home() / transport.path if isinstance(transport, FileTransport) else None


def _require_chain(exchange: str, names: Sequence[str], labels: Sequence[str]) -> None:
    where = f"ingest.chains.{exchange}"
    for name in names:
        if name not in labels:
            raise ValueError(f"{where}: no source is named {name!r}; the sources are {', '.join(labels)}")
        if names.count(name) > 1:
            raise ValueError(f"{where}: {name!r} stands twice; a source is asked once, in one role")


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> MarketConfig:
    """Read and check market.yaml.

    Args:
        path: the file; None = MARKET_CONFIG or config/market.yaml.
        environ: environment for overrides; None = the process's.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds a value that is not allowed; it names file and key.
    """
    import yaml

    file = path or config_path()
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration: {error.strerror}", file=str(file), allowed="a path in MARKET_CONFIG"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"not UTF-8 at byte {error.start}", file=str(file), allowed="a file saved as UTF-8"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {' '.join(str(error).split())}", file=str(file)) from error
    if not isinstance(loaded, dict):
        raise ConfigError("must be a mapping", file=str(file), allowed=MarketConfig.model_fields)
    origins = _override(loaded, os.environ if environ is None else environ)
    if "file" in loaded:
        raise ConfigError("unknown key", file=str(file), key="file", value=loaded["file"])
    try:
        config = MarketConfig.model_validate({**loaded, "file": file.resolve()})
    except ValidationError as error:
        raise _named(error, file, origins) from error
    _check_parts(config)
    return config


def _override(loaded: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Write overrides into `loaded`; returns dotted path -> variable."""
    import yaml

    origins = {}
    for variable, text in sorted(environ.items(), key=lambda item: not item[0].endswith("__KIND")):
        if not variable.startswith(OVERRIDE) or "__" not in variable:
            continue
        path = variable.removeprefix(OVERRIDE).lower().split("__")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError("not valid YAML", file="environment", key=variable, value=text) from error
        _put(loaded, path, value, variable)
        origins[".".join(path)] = variable
    return origins


def _put(node: Any, path: list[str], value: object, variable: str) -> None:
    """Set the value at `path` below a mapping or list; entries of a list are numbered from 0."""
    part, *rest = path
    key: Any = int(part) if isinstance(node, list) and part.isdigit() else part
    if isinstance(node, list) and (isinstance(key, str) or key >= len(node)):
        raise ConfigError(
            "no such entry of the list", file="environment", key=variable, value=part, allowed=f"0 to {len(node) - 1}"
        )
    if not isinstance(node, dict | list):
        raise ConfigError("overrides a value that is not a section", file="environment", key=variable)
    if not rest:
        if isinstance(node, dict) and key == "kind" and node.get(key) != value:
            for other in node.keys() - {"name"}:
                del node[other]
        node[key] = value
        return
    if isinstance(node, dict) and node.get(key) is None:
        node[key] = {}
    _put(node[key], rest, value, variable)


def _named(error: ValidationError, file: Path, origins: Mapping[str, str], section: str = "") -> ConfigError:
    first = error.errors(include_url=False)[0]
    path = [*filter(None, section.split(".")), *map(str, first["loc"])]
    path = [part for part in path if part not in {"file", "http", "none"}]
    key = ".".join(path)
    unknown = first["type"] == "extra_forbidden"
    return ConfigError(
        "unknown key" if unknown else str(first["msg"]).removeprefix("Value error, "),
        file=f"environment {origins[key]}" if key in origins else str(file),
        key=key,
        value=None if first["type"] in {"missing", "value_error"} else first["input"],
        allowed=_siblings(path[:-1]) if unknown else "",
    )


def _siblings(path: list[str]) -> list[str]:
    """Keys allowed beside an unknown one."""
    model: Any = MarketConfig
    for part in path:
        field = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is None:
            return []
        model = field.annotation
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [name for name in model.model_fields if name != "file"]


def _check_parts(config: MarketConfig) -> None:
    """Options of sources and definitions of indices are checked by the modules that own them."""
    from market_assets.domain.indices.parse import parse_definition
    from market_assets.sources.registry import KINDS, parse_options
    from quality.suites.index_value import IndexThresholds
    from quality.suites.indicator import IndicatorThresholds
    from quality.suites.price_bar import PriceBarThresholds

    for position, source in enumerate(config.sources):
        if source.kind not in KINDS:
            raise ConfigError(
                "unknown kind of source",
                file=str(config.file),
                key=f"sources.{position}.kind",
                value=source.kind,
                allowed=KINDS,
            )
        parse_options(source.kind, source.options, file=str(config.file), key=f"sources.{position}.options")
    ids: list[str] = []
    for position, raw in enumerate(config.indices):
        key = f"indices.{position}"
        definition = parse_definition(raw, file=str(config.file), key=key)
        if definition.id in ids:
            raise ConfigError("two indices have this id", file=str(config.file), key=f"{key}.id", value=definition.id)
        ids.append(definition.id)
    benchmark = config.indicators.benchmark
    if benchmark and benchmark not in ids:
        raise ConfigError(
            "no such index", file=str(config.file), key="indicators.benchmark", value=benchmark, allowed=ids
        )
    _check_chains(config)
    config.thresholds("price_bar", PriceBarThresholds)
    config.thresholds("indicator", IndicatorThresholds)
    config.thresholds("index", IndexThresholds)


def _check_chains(config: MarketConfig) -> None:
    exchanges = set(config.ingest.chains) - {"default"}
    if exchanges:
        from market_assets.domain.calendars import known_exchanges

        for exchange in sorted(exchanges - set(known_exchanges())):
            raise ConfigError(
                "unknown exchange",
                file=str(config.file),
                key=f"ingest.chains.{exchange}",
                allowed="default, or an exchange_calendars name such as XNYS",
            )
