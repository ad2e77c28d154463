"""Checks an event against the OpenLineage specification, as far as the client package carries it.

The package ships no JSON schema, but its classes are generated from the specification: field names, which are required,
their types and the validators of ids and times. Every object of an event is matched with its class (facets by their
`_schemaURL`) and checked field by field.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import typing
from typing import Any
from uuid import UUID

import attr
from openlineage.client import generated
from openlineage.client.generated import base

MODULES = [
    importlib.import_module(f"{generated.__name__}.{module.name}")
    for module in pkgutil.iter_modules(generated.__path__)
]
FACETS = {
    kind._get_schema(): kind
    for module in MODULES
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, base.BaseFacet)
}
# Properties beyond the standard, which every facet may have.
ADDITIONAL = {"restated", "withdrawn"}


def check_event(document: dict[str, Any]) -> None:
    """Raises AssertionError with the path of what does not conform."""
    assert document["schemaURL"] == base.RunEvent._get_schema()
    _check_fields(base.RunEvent, {key: value for key, value in document.items() if key != "schemaURL"}, "event")
    UUID(document["run"]["runId"])
    assert document["eventTime"].endswith("Z")


def _check_fields(kind: type, document: dict[str, Any], path: str) -> None:
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in attr.fields(kind)}
    unknown = set(document) - set(known) - (ADDITIONAL if issubclass(kind, base.BaseFacet) else set())
    assert not unknown, f"{path}: {unknown} is no field of {kind.__name__}"
    for name, field in known.items():
        required = field.default is attr.NOTHING
        assert not required or name in document, f"{path}: {kind.__name__} requires {name}"
        if name in document and name != "_schemaURL":
            _check(hints[name], document[name], f"{path}.{name}")


def _check(hint: Any, value: Any, path: str) -> None:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        _check_union(typing.get_args(hint), value, path)
    elif origin is list:
        assert isinstance(value, list), f"{path}: not a list"
        for place, item in enumerate(value):
            _check(typing.get_args(hint)[0], item, f"{path}[{place}]")
    elif origin is dict:
        for key, item in value.items():
            _check(typing.get_args(hint)[1], item, f"{path}.{key}")
    elif inspect.isclass(hint) and issubclass(hint, base.BaseFacet):
        assert value["_schemaURL"] in FACETS, f"{path}: unknown facet {value['_schemaURL']}"
        facet = FACETS[value["_schemaURL"]]
        assert issubclass(facet, hint), f"{path}: {facet.__name__} is no {hint.__name__}"
        _check_fields(facet, value, path)
    elif attr.has(hint):
        _check_fields(hint, value, path)
    elif hint is float:
        assert isinstance(value, (int, float)), f"{path}: {value!r} is no number"
    elif hint is not Any and not issubclass(hint, base.EventType):
        assert isinstance(value, hint), f"{path}: {value!r} is no {hint.__name__}"


def _check_union(hints: tuple[Any, ...], value: Any, path: str) -> None:
    faults = []
    for hint in hints:
        try:
            if hint is type(None):
                assert value is None, "not null"
            else:
                _check(hint, value, path)
        except (AssertionError, KeyError, TypeError) as fault:
            faults.append(str(fault))
        else:
            return
    raise AssertionError(" | ".join(faults))
