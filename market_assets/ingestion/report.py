"""What one ingestion did, and the proof that it lost no row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from market_assets.sources.base import SymbolFailure
from market_assets.warehouse.versions import WriteResult

ASSETS = ("raw_prices", "corporate_actions", "securities")
"""What one fetch can write."""


@dataclass
class IngestReport:
    """What one ingestion did.

    Attributes:
        received: bars the sources sent.
        bars, actions, securities, shares: what the writes did.
        reference: the same for universe, trading sessions and source priorities together.
        quarantined: rule -> rows held back.
        failures: symbols no source could answer, with the last cause.
        bars_by_session: session -> bars of it that passed the rules.
        bars_by_source: source -> bars that passed the rules.
        requests: calls to vendors.
    """

    received: int = 0
    bars: WriteResult = field(default_factory=WriteResult)
    actions: WriteResult = field(default_factory=WriteResult)
    securities: WriteResult = field(default_factory=WriteResult)
    shares: WriteResult = field(default_factory=WriteResult)
    reference: WriteResult = field(default_factory=WriteResult)
    quarantined: Counter[str] = field(default_factory=Counter)
    failures: list[SymbolFailure] = field(default_factory=list)
    bars_by_session: Counter[date] = field(default_factory=Counter)
    bars_by_source: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def check(self) -> None:
        """Raise unless rows received = stored + unchanged + quarantined."""
        kept = self.bars.received + sum(self.quarantined.values())
        if self.received != kept:
            raise AssertionError(
                f"{self.received} bars received, {kept} stored, unchanged or quarantined: rows are lost"
            )

    def add(self, part: IngestReport) -> None:
        """Count what a part of the ingestion did."""
        self.received += part.received
        self.requests += part.requests
        for name in ("bars", "actions", "securities", "shares", "reference"):
            setattr(self, name, getattr(self, name) + getattr(part, name))
        self.quarantined.update(part.quarantined)
        self.failures.extend(part.failures)
        self.bars_by_session.update(part.bars_by_session)
        self.bars_by_source.update(part.bars_by_source)
