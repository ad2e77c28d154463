"""All indicators, and what derives from them: columns, lookback, carried state, documentation.

Adding an indicator is one entry in the `ENTRIES` of the module of its family. Table columns, quality bounds, the
documentation table and the tests read this registry and need no change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from market_assets.domain.indicators import (
    channels,
    oscillators,
    range_volatility,
    returns,
    risk,
    stops,
    trend,
    volatility,
    volume,
)
from market_assets.domain.indicators.definition import Bounds, Indicator, Output
from market_assets.errors import InputError


class OutputColumn(NamedTuple):
    """One column of the indicator table."""

    name: str
    unit: str
    bounds: Bounds
    description: str


def catalogue(*families: Iterable[Indicator]) -> Mapping[str, Indicator]:
    """Entries by name, in the order given.

    Raises:
        ValueError: a name used twice, or a carried column that no entry produces or that may be null.
    """
    entries: dict[str, Indicator] = {}
    producers: dict[str, str] = {}
    optional: set[str] = set()
    for entry in (entry for family in families for entry in family):
        for output in entry.outputs:
            if output.name in producers:
                raise ValueError(f"indicators {producers[output.name]} and {entry.name} both produce {output.name}")
            producers[output.name] = entry.name
            if output.null_when:
                optional.add(output.name)
        if entry.name in entries:
            raise ValueError(f"two indicators are named {entry.name}")
        entries[entry.name] = entry
    for entry in entries.values():
        unknown = set(entry.carry) - set(producers)
        if unknown:
            raise ValueError(f"indicator {entry.name} carries {sorted(unknown)}, which no indicator produces")
        if optional.intersection(entry.carry):
            lost = sorted(optional.intersection(entry.carry))
            raise ValueError(f"indicator {entry.name} carries {lost}, which may be null: a state must always be known")
    return MappingProxyType(entries)


REGISTRY = catalogue(
    returns.ENTRIES,
    trend.ENTRIES,
    oscillators.ENTRIES,
    volatility.ENTRIES,
    range_volatility.ENTRIES,
    volume.ENTRIES,
    channels.ENTRIES,
    stops.ENTRIES,
    risk.ENTRIES,
)
ALL = tuple(REGISTRY)

_PRODUCER = {output.name: entry for entry in REGISTRY.values() for output in entry.outputs}


def select(indicators: Iterable[str] = ALL) -> tuple[Indicator, ...]:
    """Entries by name, in registry order, with those whose columns they continue from.

    Raises:
        InputError: a name that is not in the registry.
    """
    wanted = set(indicators)
    unknown = wanted - set(REGISTRY)
    if unknown:
        raise InputError(f"unknown indicators {sorted(unknown)}; choose from {', '.join(REGISTRY)}")
    wanted |= {_PRODUCER[column].name for name in wanted for column in REGISTRY[name].carry}
    return tuple(entry for name, entry in REGISTRY.items() if name in wanted)


def outputs(indicators: Iterable[str] = ALL) -> tuple[Output, ...]:
    """Outputs of the selected indicators in column order."""
    return tuple(output for entry in select(indicators) for output in entry.outputs)


def output_named(column: str) -> Output:
    """The output that fills a column of the registry."""
    return next(output for output in _PRODUCER[column].outputs if output.name == column)


def output_columns(indicators: Iterable[str] = ALL) -> list[OutputColumn]:
    """(name, unit, bounds, description) of every column, in the order `compute` returns them."""
    return [OutputColumn(output.name, output.unit, output.bounds, output.description) for output in outputs(indicators)]


def carry_columns(indicators: Iterable[str] = ALL) -> tuple[str, ...]:
    """Columns that `compute(..., carry=)` needs to continue the selected indicators."""
    return tuple(dict.fromkeys(column for entry in select(indicators) for column in entry.carry))


def lookback_bars(indicators: Iterable[str] = ALL) -> int:
    """Complete bars of each symbol before the first wanted session that `compute` needs together with `carry`.

    The longest warm-up: windows then have all their bars, and a recursive indicator whose state is still null at the
    carried session has its whole history in the slice. At least one, the bar of the carried session itself.
    """
    return max((1, *(entry.warm_up for entry in select(indicators))))


def ascending_columns(indicators: Iterable[str] = ALL) -> tuple[tuple[str, ...], ...]:
    """Groups of columns whose values never decrease from left to right, such as lower, middle, upper band."""
    return tuple(entry.ascending for entry in select(indicators) if entry.ascending)


def markdown_table(indicators: Iterable[str] = ALL) -> str:
    """The documentation: one table row for each output, then the formula and source of each indicator."""
    lines = [
        "| column | unit | bounds | first bar | degree (price, volume) | null after that | description |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {output.name} | {output.unit} | {_interval(output.bounds)} | {output.warm_up + 1} "
        f"| {output.price_degree}, {output.volume_degree} | {output.null_when or 'never'} | {output.description} |"
        for output in outputs(indicators)
    ]
    lines += ["", "| indicator | kind | formula | source |", "|---|---|---|---|"]
    lines += [
        f"| {entry.name} | {entry.kind} | {_cell(entry.formula)} | {_cell(entry.source)} |"
        for entry in select(indicators)
    ]
    return "\n".join(lines) + "\n"


def _interval(bounds: Bounds) -> str:
    low, high = bounds
    if low is None and high is None:
        return "any"
    if high is None:
        return f">= {low:g}"
    return f"<= {high:g}" if low is None else f"{low:g} to {high:g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
