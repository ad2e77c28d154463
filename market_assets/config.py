"""The one configuration object: config/market.yaml, checked, with MARKET_* overrides. Secrets are not part of the file.

Belongs here: reading the file, overrides, and what has to agree between sections. Does not belong here: the keys of a
section (`market_assets.config_sections`).

A value in the file is overridden by an environment variable named after its path with two underscores between the
parts: MARKET_PARTITIONS__END=2024-12-31, MARKET_SOURCES__0__OPTIONS__FOLDER=/data. Values are read as YAML. An override
of a `kind` also removes what the file says beside it, but for the name: those keys belong to the kind in the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationError, model_validator

from market_assets.config_sections import (
    Backfill,
    Calendars,
    Fetch,
    FileTransport,
    HttpTransport,
    Indicators,
    Ingest,
    Lineage,
    Partitions,
    Quality,
    ReferenceFiles,
    Section,
    Source,
)
from market_assets.errors import ConfigError
from market_assets.settings import config_path, market_home, secret
from quality.errors import QualityError

__all__ = ["HttpTransport", "MarketConfig", "Source", "load_config"]

T = TypeVar("T")
OVERRIDE = "MARKET_"


class MarketConfig(Section):
    """config/market.yaml as one typed value."""

    partitions: Partitions
    universe: Path = Field(Path("universe.csv"), description="beside this file")
    reference: ReferenceFiles = ReferenceFiles()
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
    from market_assets.sources.registry import KINDS, parse_options, source_class
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
        if source.fetch != Fetch() and source_class(source.kind).limits is None:
            raise ConfigError(
                f"a source of kind {source.kind} is asked over no network and has no limits; remove the key",
                file=str(config.file),
                key=f"sources.{position}.fetch",
            )
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
