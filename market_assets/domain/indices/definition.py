"""What an index is: base, universe, eligibility, selection, weighting, rebalance schedule and policies.

Belongs here: `IndexDefinition` and what its rules (rules.py) may not be together. Reading one from a configuration
mapping is parse.py; carrying it out is the work of the other modules of this package. A definition is a value: frozen,
comparable, and enough, with a market, to calculate every level again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np

from market_assets.domain.indices.rules import (
    Eligibility,
    FastEntry,
    MissingPrice,
    RebalanceSchedule,
    Restatement,
    Selection,
    UniverseFilter,
    Weighting,
    WithholdingTax,
    check,
)


@dataclass(frozen=True, kw_only=True)
class IndexDefinition:
    """One index. Rules that are not given have the defaults shown.

    Attributes:
        id: key of the index in every table.
        base_date: session at whose close the level is `base_value`; the first composition is made there.
        membership_end: a constituent that leaves the universe goes at once (the last close with it is the one
            before) or at the next rebalance. One that joins the universe enters at the next rebalance whose
            reference session it is a member of, unless `fast_entry` is given.
        spin_offs: `hold` adds the new company at a price of zero, without touching the divisor, and then
            applies the rules (it stays until the next rebalance if it is a universe member, and leaves
            after its first session if not); `reinvest`, or an event that does not name the new company,
            treats its value like a special dividend.
        notional: market value after a rebalance, at reference prices and in index currency, of an index
            whose shares exist only on paper (every weighting except price and market_cap).
    """

    id: str
    base_date: date
    name: str = ""
    base_value: float = 100.0
    currency: str = "USD"
    universe: UniverseFilter = field(default_factory=UniverseFilter)
    eligibility: Eligibility = field(default_factory=Eligibility)
    selection: Selection = field(default_factory=Selection)
    weighting: Weighting = field(default_factory=Weighting)
    rebalance: RebalanceSchedule = field(default_factory=RebalanceSchedule)
    withholding_tax: WithholdingTax = field(default_factory=WithholdingTax)
    missing_price: MissingPrice = field(default_factory=MissingPrice)
    membership_end: Literal["immediate", "next_rebalance"] = "immediate"
    fast_entry: FastEntry | None = None
    spin_offs: Literal["hold", "reinvest"] = "hold"
    notional: float = 1_000_000.0
    restatement: Restatement = field(default_factory=Restatement)

    def __post_init__(self) -> None:
        """Refuse impossible values; the name defaults to the id."""
        check(bool(re.fullmatch(r"[A-Z][A-Z0-9_]{0,31}", self.id)), "id", self.id, "capitals, digits and _, up to 32")
        object.__setattr__(self, "name", self.name or self.id)
        check(bool(np.isfinite(self.base_value)) and self.base_value > 0, "base_value", self.base_value, "above zero")
        check(bool(re.fullmatch(r"[A-Z]{3}", self.currency)), "currency", self.currency, "ISO 4217, such as USD")
        check(bool(np.isfinite(self.notional)) and self.notional > 0, "notional", self.notional, "above zero")
        if self.fast_entry is not None:
            kind, rank = self.weighting.kind, self.fast_entry.rank
            simple = kind in {"equal", "price", "market_cap"}
            check(simple, "fast_entry", kind, "for equal, price or market_cap weighting")
            check(rank == 0 or kind == "market_cap", "fast_entry.rank", rank, "needs weighting market_cap")

    @property
    def needs_shares_outstanding(self) -> bool:
        """Whether any rule reads market capitalisation."""
        return self.weighting.kind == "market_cap" or self.selection.kind == "market_cap"

    @property
    def lookback_sessions(self) -> int:
        """Sessions before the first calculated one that a market must hold for a run from a stored state."""
        window = [self.missing_price.limit + self.eligibility.minimum_history]
        if self.eligibility.median_traded_value > 0:
            window.append(self.eligibility.traded_value_sessions + self.missing_price.limit)
        if self.selection.kind in {"momentum", "low_volatility"}:
            window.append(self.selection.lookback + 1)
        if self.weighting.kind == "inverse_volatility":
            window.append(self.weighting.lookback + 1)
        if self.fast_entry is not None:
            window.append(self.fast_entry.after + 1)
        return max(window) + self.rebalance.reference_offset
