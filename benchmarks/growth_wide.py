"""The widest market: 8,000 symbols. Apart from growth.py, for it takes as long as the others together."""

from __future__ import annotations

from benchmarks import growth
from benchmarks.measure import Figure, Scale

WIDEST = (8000, 5)
"""Symbols and years."""


def run(scale: Scale) -> list[Figure]:
    """Load it beside the smallest market, whose own two figures growth.py has."""
    return growth.measured(scale, (growth.SMALLEST, WIDEST))[2:]
