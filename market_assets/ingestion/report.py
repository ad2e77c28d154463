"""What one ingestion did, and the proof that it lost no row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from market_assets.ingestion.restated import Restated
from market_assets.sources.base import SymbolFailure
from market_assets.warehouse.writes import WriteResult

ASSETS = ("raw_prices", "corporate_actions", "securities")
"""What one fetch can write."""


@dataclass
class IngestReport:
    """What one ingestion did.

    Attributes:
        received: bars the sources sent, those of a session in progress included.
        bars, actions, securities, shares: what the writes did.
        rows_received: table -> rows the sources sent for it, beside bars.
        reference: what the writes of universe, trading sessions, exchanges and source priorities did.
        agreement: what the write of quality.source_agreement did.
        provisional: what the writes of bars of a session in progress did; withdrawn = final bars took their place.
        quarantined: rule -> bars held back.
        quarantined_actions: rule -> corporate actions held back.
        warned: rule -> bars and actions stored in spite of it.
        failures: symbols no source could answer, with the last cause.
        cross_check_failures: source -> questions it could not answer; nothing is missing because of them.
        restated: by how much bars were restated.
        bars_by_session: session -> bars of it that passed the rules; of symbols that were answered before a resumed
            ingestion stopped, and in an ingestion of some symbols of those left out, bars in the warehouse.
        bars_by_source: the same by source.
        resumed: symbols that were answered before the ingestion that is resumed stopped.
        reread_from: first session that was read again for corrections, None when none was.
        requests: calls to vendors.
    """

    received: int = 0
    bars: WriteResult = field(default_factory=WriteResult)
    actions: WriteResult = field(default_factory=WriteResult)
    securities: WriteResult = field(default_factory=WriteResult)
    shares: WriteResult = field(default_factory=WriteResult)
    rows_received: Counter[str] = field(default_factory=Counter)
    reference: WriteResult = field(default_factory=WriteResult)
    agreement: WriteResult = field(default_factory=WriteResult)
    provisional: WriteResult = field(default_factory=WriteResult)
    quarantined: Counter[str] = field(default_factory=Counter)
    quarantined_actions: Counter[str] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)
    failures: list[SymbolFailure] = field(default_factory=list)
    cross_check_failures: Counter[str] = field(default_factory=Counter)
    restated: Restated = field(default_factory=Restated)
    bars_by_session: Counter[date] = field(default_factory=Counter)
    bars_by_source: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    reread_from: date | None = None
    requests: int = 0

    def check(self) -> None:
        """Raise unless rows received = stored + unchanged + quarantined, for every table that was written."""
        kept = self.bars.received + self.provisional.received + sum(self.quarantined.values())
        if self.received != kept:
            raise AssertionError(
                f"{self.received} bars received, {kept} stored, unchanged or quarantined: rows are lost"
            )
        for table, received in self.rows_received.items():
            stored = getattr(self, table).received
            kept = stored + (sum(self.quarantined_actions.values()) if table == "actions" else 0)
            if received != kept:
                raise AssertionError(
                    f"{table}: {received} rows received, {kept} stored, unchanged or quarantined: rows are lost"
                )
        for table in ("bars", "actions", "securities", "shares", "provisional"):
            result: WriteResult = getattr(self, table)
            if result.received != result.added + result.restated + result.unchanged:
                raise AssertionError(f"{table}: {result} does not add up: rows are lost")

    def add(self, part: IngestReport) -> None:
        """Count what a part of the ingestion did."""
        self.received += part.received
        self.requests += part.requests
        self.resumed += part.resumed
        for name in ("bars", "actions", "securities", "shares", "reference", "provisional"):
            setattr(self, name, getattr(self, name) + getattr(part, name))
        for name in (
            "rows_received",
            "quarantined",
            "quarantined_actions",
            "warned",
            "cross_check_failures",
            "bars_by_session",
            "bars_by_source",
        ):
            getattr(self, name).update(getattr(part, name))
        self.failures.extend(part.failures)
        self.restated.add(part.restated)
