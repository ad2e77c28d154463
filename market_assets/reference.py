"""docs/reference.md: every key of the configuration with type, default and meaning, read from the code that checks it.

    python -m market_assets.reference        writes the page

Belongs here: turning models into tables. What a key means is written once, beside the key.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"
INTRODUCTION = """# Reference of the configuration

Made by `python -m market_assets.reference` from the code that checks the configuration; a test keeps it true.
What the keys are for, with examples: [configuration.md](configuration.md).
Index definitions: [methodology.md](methodology.md#indices).
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(f"{part}\n" for part in _parts())]).rstrip() + "\n"


def _parts() -> Iterator[str]:
    from market_assets.config import MarketConfig
    from market_assets.sources.registry import KINDS, _load
    from quality.suites.index_value import IndexThresholds
    from quality.suites.indicator import IndicatorThresholds
    from quality.suites.price_bar import PriceBarThresholds

    yield "## market.yaml"
    yield _table(_model_rows(MarketConfig))
    for kind in KINDS:
        options = _load(kind, 1, "", "")
        yield f"## Options of source `{kind}`"
        yield _table(_model_rows(options)) if options.model_fields else "None."
    for suite, thresholds in (
        ("price_bar", PriceBarThresholds),
        ("indicator", IndicatorThresholds),
        ("index", IndexThresholds),
    ):
        yield f"## Thresholds under `quality.{suite}`"
        yield _table(_dataclass_rows(thresholds))


def attributes(documented: type) -> dict[str, str]:
    """Attribute -> its text under `Attributes:` in the docstrings of a class and its bases; `a, b:` describes both."""
    found: dict[str, str] = {}
    for owner in reversed(documented.__mro__):
        section = inspect.cleandoc(owner.__doc__ or "").partition("Attributes:\n")[2]
        for names, text in re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n {8,}.*)*)", section, re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _model_rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    described = attributes(model)
    for name, field in model.model_fields.items():
        if field.exclude or (name == "kind" and get_origin(field.annotation) is Literal):
            continue
        path, sections = f"{prefix}{name}", _sections(field.annotation)
        yield path, _default(field), field.description or described.get(name) or _purpose(sections)
        for section in sections:
            kind = section.model_fields.get("kind") if len(sections) > 1 else None
            choice = f" (kind {get_args(kind.annotation)[0]})" if kind else ""
            yield from _model_rows(section, f"{path}{_repeated(field.annotation)}{choice}.")


def _dataclass_rows(documented: type) -> Iterator[tuple[str, str, str]]:
    assert is_dataclass(documented)  # noqa: S101 - our own thresholds; tells the type checker
    described = attributes(documented)
    for field in fields(documented):
        yield (
            field.name,
            "required" if field.default is MISSING else _code(field.default),
            described.get(field.name, ""),
        )


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """Models that a value of this type may hold, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def _repeated(annotation: Any) -> str:
    """What a path needs behind the name of a list or a mapping."""
    return {tuple: "[]", dict: ".*"}.get(get_origin(annotation), "")


def _purpose(sections: list[type[BaseModel]]) -> str:
    """First sentence of what a section's class says of itself; nothing where there is a choice of them."""
    return (inspect.getdoc(sections[0]) or "").split(". ")[0] if len(sections) == 1 else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if isinstance(value, BaseModel) or value in ("", (), {}, None) else _code(value)


def _code(value: object) -> str:
    listed = [_plain(item) for item in value] if isinstance(value, tuple) else [_plain(value)]
    return f"`{', '.join(listed)}`"


def _plain(value: object) -> str:
    return ", ".join(f"{k}: {v}" for k, v in value.model_dump().items()) if isinstance(value, BaseModel) else str(value)


def _table(rows: Iterator[tuple[str, str, str]]) -> str:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{key}` | {default} | {meaning.rstrip('.').replace('|', chr(92) + '|')} |" for key, default, meaning in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
