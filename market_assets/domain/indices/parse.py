"""An index definition from a configuration mapping, refused with file, key and allowed values.

Belongs here: names and types. What a value may be is checked by definition.py. Two shorthands are accepted:
`weighting: equal` for `weighting: {kind: equal}` (`selection` likewise), and `withholding_tax: 0.3` for
`withholding_tax: {default: 0.3}`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from market_assets.domain.indices.definition import IndexDefinition
from market_assets.domain.indices.rules import DefinitionError
from market_assets.errors import ConfigError

_SHORTHAND: Final = {"weighting": "kind", "selection": "kind", "withholding_tax": "default"}


def parse_definition(raw: Mapping[str, Any], *, file: str, key: str) -> IndexDefinition:
    """Build one definition.

    Args:
        raw: as read from YAML or JSON; see `IndexDefinition` for the keys.
        file: path named in errors.
        key: dotted path of the definition inside the file, such as indices.0.

    Raises:
        ConfigError: an unknown or missing key, a value of the wrong type, or one that no index can have.
    """
    try:
        definition: IndexDefinition = _build(IndexDefinition, raw, "")
    except _Unusable as problem:
        raise ConfigError(
            problem.reason, file=file, key=_join(key, problem.key), value=problem.value, allowed=problem.allowed
        ) from problem
    except DefinitionError as problem:
        raise ConfigError(problem.reason, file=file, key=_join(key, problem.key), value=problem.value) from problem
    return definition


class _Unusable(Exception):
    """A name or type that does not fit the definition's fields."""

    def __init__(self, key: str, value: object, reason: str, allowed: str = "") -> None:
        super().__init__(reason)
        self.key = key
        self.value = value
        self.reason = reason
        self.allowed = allowed


def _build(kind: type, raw: object, key: str) -> Any:
    """One dataclass from a mapping, field by field."""
    if not isinstance(raw, Mapping):
        raise _Unusable(key, raw, "must be a mapping", ", ".join(field.name for field in fields(kind)))
    hints = typing.get_type_hints(kind)
    unknown = [name for name in raw if name not in hints]
    if unknown:
        raise _Unusable(_join(key, str(unknown[0])), None, "unknown key", ", ".join(hints))
    required = [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]
    missing = [name for name in required if name not in raw]
    if missing:
        raise _Unusable(_join(key, missing[0]), None, "is required")
    values = {name: _value(hints[name], value, _join(key, name)) for name, value in raw.items()}
    return kind(**values)


def _value(hint: Any, raw: object, key: str) -> Any:
    """One value as its annotation wants it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:  # Literal[...] | None is the latter
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if raw is None else _value(inner, raw, key)
    if is_dataclass(hint) and isinstance(hint, type):
        short = _SHORTHAND.get(key)
        return _build(hint, {short: raw} if short and not isinstance(raw, Mapping) else raw, key)
    if origin is Literal:
        if raw not in arguments:
            raise _Unusable(key, raw, "unknown value", ", ".join(map(str, arguments)))
        return raw
    if origin is tuple:
        if not isinstance(raw, (list, tuple)):
            raise _Unusable(key, raw, "must be a list")
        return tuple(_value(arguments[0], item, f"{key}.{position}") for position, item in enumerate(raw))
    if origin is Mapping:
        if not isinstance(raw, Mapping):
            raise _Unusable(key, raw, "must be a mapping")
        return {str(name): _value(arguments[1], item, f"{key}.{name}") for name, item in raw.items()}
    return _scalar(hint, raw, key)


def _scalar(hint: type, raw: object, key: str) -> object:
    if hint is date:
        return _date(raw, key)
    if hint is bool or isinstance(raw, bool):
        if hint is bool and isinstance(raw, bool):
            return raw
        raise _Unusable(key, raw, f"must be {_NAMES[hint]}")
    if hint is float and isinstance(raw, (int, float)):
        return float(raw)
    if isinstance(raw, hint):
        return raw
    raise _Unusable(key, raw, f"must be {_NAMES[hint]}")


def _date(raw: object, key: str) -> date:
    if isinstance(raw, datetime):
        return raw.date()
    if isinstance(raw, date):
        return raw
    try:
        return date.fromisoformat(str(raw))
    except ValueError:
        raise _Unusable(key, raw, "must be a date such as 2000-03-01") from None


_NAMES: Final = {bool: "true or false", float: "a number", int: "a whole number", str: "text"}


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)
