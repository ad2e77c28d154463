"""Lineage trees as text for a terminal, and as JSON for a program. Nothing here computes lineage."""

from __future__ import annotations

import json
from collections.abc import Iterator

from lineage.graph import INPUT, Impact, Node


def tree_text(node: Node) -> str:
    """A tree with one place a line: its name, how it is used, and the table where the name does not say it.

    A place that stands elsewhere in the tree with its branches is marked, and not repeated.
    """
    return "\n".join(_lines(node, "", ""))


def impact_text(impact: Impact) -> str:
    """The tree of an impact, followed by the affected datasets with their columns and the checks that guard them."""
    if not impact.affected:
        return f"{tree_text(impact.tree)}\n\nNothing is made of it."
    lines = [tree_text(impact.tree), "", f"Affected: {len(impact.affected)}"]
    for item in impact.affected:
        what = ", ".join(item.columns) if item.columns else "all columns"
        guards = ", ".join(item.checks) if item.checks else "none"
        lines.append(f"  {item.name}: {what}; checks: {guards}")
    return "\n".join(lines)


def as_json(result: Node | Impact) -> str:
    """The result as indented JSON."""
    return json.dumps(result.to_dict(), indent=2)


def _lines(node: Node, first: str, rest: str) -> Iterator[str]:
    yield first + _line(node)
    for child in node.children:
        last = child is node.children[-1]
        yield from _lines(child, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "))


def _line(node: Node) -> str:
    shown = [use for use in node.uses if use != INPUT]
    parts = [
        node.name,
        *([f"({node.table})"] if not node.name.startswith(node.table) else []),
        *([f"[{', '.join(shown)}]"] if shown else []),
        *(["(see above)"] if node.repeated else []),
    ]
    return "  ".join(parts)
