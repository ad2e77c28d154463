"""The kinds of source that exist, and how one is built from its entry in the configuration.

Belongs here: the table of kinds and the refusal of a bad entry. Does not belong here: anything a kind does. The module
of a kind is imported only when a source of that kind is configured.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from market_assets.errors import ConfigError
from market_assets.sources.base import PriceSource
from market_assets.sources.options import SourceContext, SourceOptions

KINDS: Final[dict[str, tuple[str, str]]] = {
    "sample": ("sample:SampleSource", "sample:SampleOptions"),
    "files": ("files:FilesSource", "files_options:FilesOptions"),
    "synthetic": ("synthetic:SyntheticSource", "synthetic_options:SyntheticOptions"),
    "yahoo": ("yahoo:YahooSource", "yahoo:YahooOptions"),
    "tiingo": ("tiingo:TiingoSource", "tiingo:TiingoOptions"),
    "alpha_vantage": ("alpha_vantage:AlphaVantageSource", "alpha_vantage:AlphaVantageOptions"),
    "eodhd": ("eodhd:EodhdSource", "eodhd:EodhdOptions"),
    "stooq": ("stooq:StooqSource", "stooq:StooqOptions"),
    "nse_bhavcopy": ("nse_bhavcopy:NseBhavcopySource", "nse_bhavcopy:NseBhavcopyOptions"),
}
"""Kind in the configuration -> source class and options class, as module:class inside this package."""


def parse_options(
    kind: str, options: Mapping[str, Any], *, file: str = "configuration", key: str = "sources"
) -> SourceOptions:
    """Validated options of a source of `kind`.

    Args:
        kind: a key of KINDS.
        options: the entry's options, without `kind` and `name`.
        file: where the entry stands, for messages.
        key: dotted path of the entry in that file, for messages (`sources.0`).

    Raises:
        ConfigError: unknown kind, unknown key, or a value that the kind does not allow.
    """
    model: type[SourceOptions] = _load(kind, 1, file, key)
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        # An unknown key first: with a misspelt one, "missing" is only its consequence.
        first = min(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
        where = ".".join((key, *(str(part) for part in first["loc"])))
        unknown = first["type"] == "extra_forbidden"
        raise ConfigError(
            "unknown key" if unknown else first["msg"],
            file=file,
            key=where,
            value=None if first["type"] == "missing" else first["input"],
            allowed=model.model_fields if unknown and len(first["loc"]) == 1 else (),
        ) from error


def source_class(kind: str, *, file: str = "configuration", key: str = "sources") -> type[PriceSource]:
    """The class of a kind, for what it declares of itself.

    Raises:
        ConfigError: unknown kind.
    """
    loaded: type[PriceSource] = _load(kind, 0, file, key)
    return loaded


def build_source(
    kind: str,
    name: str | None = None,
    options: Mapping[str, Any] | SourceOptions | None = None,
    *,
    context: SourceContext | None = None,
    file: str = "configuration",
    key: str = "sources",
) -> PriceSource:
    """The source that a configuration entry describes.

    Args:
        kind: a key of KINDS.
        name: label of its rows; the kind when not given.
        options: options of the kind, raw or parsed.
        context: what the platform lends it.
        file: where the entry stands, for messages.
        key: dotted path of the entry in that file, for messages.

    Raises:
        ConfigError: as `parse_options`; also a folder that does not exist, or a name the kind refuses.
    """
    parsed = options if isinstance(options, SourceOptions) else parse_options(kind, options or {}, file=file, key=key)
    return source_class(kind, file=file, key=key).from_options(name or kind, parsed, context or SourceContext())


def _load(kind: str, which: int, file: str, key: str) -> Any:
    if kind not in KINDS:
        raise ConfigError("unknown kind of source", file=file, key=f"{key}.kind", value=kind, allowed=KINDS)
    module, name = KINDS[kind][which].split(":")
    return getattr(importlib.import_module(f"market_assets.sources.{module}"), name)
