"""Vendors that say what a test tells them, and a platform on a fresh warehouse that asks them. Nothing is mocked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from market_assets.config import load_config
from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import MarketError
from market_assets.resources import Platform
from market_assets.sources.base import Coverage, FetchRequest, FetchResult, PriceSource, SymbolFailure
from market_assets.sources.options import SourceContext, SourceOptions

NOW = datetime(2024, 1, 9, 12, tzinfo=UTC)
"""Tuesday noon in London, before New York opens: XNYS has closed through Monday 2024-01-08."""


def bar(symbol: str, session: str, close: float = 10.0, **other: Any) -> dict[str, Any]:
    """One bar as the vendor sends it; whatever is not given is plausible."""
    row = {"symbol": symbol, "session": pd.Timestamp(session), "open": close, "high": close, "low": close}
    return {**row, "close": close, "volume": 1000.0, "currency": "USD", **other}


class ScriptedVendor(PriceSource):
    """A source whose answers a test wrote down.

    Attributes:
        rows: bars it has, as `bar` makes them.
        actions: (symbol, ex_date, kind, value) it has.
        failing: symbol -> error it cannot answer for.
        dead: what it raises instead of answering at all.
        asked: symbols of each request.
    """

    def __init__(self, name: str, rows: Sequence[dict[str, Any]] = (), basis: PriceBasis = "as_traded") -> None:
        self.name, self.basis, self.provides = name, basis, Coverage()
        self.rows = list(rows)
        self.actions: list[tuple[str, str, str, float]] = []
        self.failing: dict[str, MarketError] = {}
        self.dead: MarketError | None = None
        self.asked: list[tuple[str, ...]] = []

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> ScriptedVendor:
        """Tests build it themselves."""
        raise NotImplementedError

    def _fetch(self, request: FetchRequest) -> FetchResult:
        self.asked.append(request.names)
        if self.dead is not None:
            raise self.dead
        start, end = pd.Timestamp(request.start), pd.Timestamp(request.end)
        rows = [
            {**row, "source": self.name}
            for row in self.rows
            if row["symbol"] in request.names and row["symbol"] not in self.failing and start <= row["session"] <= end
        ]
        actions = [
            (symbol, pd.Timestamp(ex_date), kind, self.name, value, "USD", None)
            for symbol, ex_date, kind, value in self.actions
            if symbol in request.names
        ]
        columns = ["symbol", "ex_date", "kind", "source", "value", "currency", "detail"]
        return FetchResult(
            **({"bars": pd.DataFrame(rows)} if rows else {}),
            **({"actions": pd.DataFrame(actions, columns=columns)} if actions else {}),
            failures=tuple(
                SymbolFailure.from_error(symbol, error)
                for symbol, error in self.failing.items()
                if symbol in request.names
            ),
            requests_made=1,
            origin=self.name,
        )


class ScriptedPlatform(Platform):
    """A platform of scripted vendors on a given warehouse.

    Args:
        folder: for market.yaml and the universe.
        url: libpq URL of a migrated warehouse.
        vendors: in order of priority.
        members: symbol -> exchange; members since 2024-01-02.
        settings: sections of market.yaml that differ from the defaults.
        now: the clock.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        vendors: Sequence[PriceSource],
        members: Mapping[str, str],
        settings: Mapping[str, Any] | None = None,
        now: datetime = NOW,
    ) -> None:
        defaults = {
            "partitions": {"start": date(2024, 1, 2)},
            "sources": [{"kind": "sample", "name": vendor.name} for vendor in vendors],
        }
        (folder / "market.yaml").write_text(yaml.safe_dump({**defaults, **(settings or {})}))
        currencies = {"XLON": "GBP", "XTKS": "JPY"}
        rows = [
            (symbol, exchange, symbol, currencies.get(exchange, "USD"), "2024-01-02", "")
            for symbol, exchange in members.items()
        ]
        columns = ["symbol", "exchange", "name", "currency", "member_from", "member_to"]
        pd.DataFrame(rows, columns=columns).to_csv(folder / "universe.csv", index=False)
        (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
        super().__init__(load_config(folder / "market.yaml", {}), now=lambda: now)
        self.warehouse_url = url  # a template of the tests is already migrated
        self._vendors = tuple(vendors)

    def sources(
        self,
        only: str | None = None,
        fresh: bool = False,  # noqa: ARG002 - as Platform.sources
        in_progress: bool = False,  # noqa: ARG002
    ) -> tuple[PriceSource, ...]:
        """The scripted vendors, or the one of that name."""
        return tuple(vendor for vendor in self._vendors if only in (None, vendor.name))
