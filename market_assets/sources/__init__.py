"""Price vendors behind one contract.

Belongs here: `PriceSource`, one module per kind of source, and the registry that builds them from configuration.
Does not belong here: writing to the warehouse, converting bases, or judging values. Sources import `domain`, never the
reverse.
"""

from market_assets.sources.base import (
    Coverage,
    FetchRequest,
    FetchResult,
    PriceSource,
    SecurityRef,
    SymbolFailure,
)
from market_assets.sources.frames import ACTION_COLUMNS, BAR_COLUMNS, SECURITY_COLUMNS, SHARES_COLUMNS
from market_assets.sources.options import SourceContext, SourceOptions
from market_assets.sources.registry import KINDS, build_source, parse_options

__all__ = [
    "ACTION_COLUMNS",
    "BAR_COLUMNS",
    "KINDS",
    "SECURITY_COLUMNS",
    "SHARES_COLUMNS",
    "Coverage",
    "FetchRequest",
    "FetchResult",
    "PriceSource",
    "SecurityRef",
    "SourceContext",
    "SourceOptions",
    "SymbolFailure",
    "build_source",
    "parse_options",
]
