"""What the stand-ins of vendors know of a security: as-traded bars and actions, under the vendor's symbol."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from vendor_stand_in import StandIn

from market_assets.domain.adjustments import adjust
from market_assets.sources.base import FetchRequest, FetchResult
from market_assets.sources.frames import ACTIONS
from market_assets.sources.sample import SampleSource

NAMES = ("open", "high", "low", "close", "volume")


@dataclass
class Listing:
    """One security: the vendor's symbol, as-traded bars (session, open, ..., volume) and actions, name, unit, and ISO
    ex-dates of what the vendor's adjusted closes miss."""

    symbol: str
    bars: pd.DataFrame
    actions: pd.DataFrame = field(default_factory=ACTIONS.empty)
    name: str = "Example Inc."
    currency: str = "USD"
    unit: float = 1.0
    unadjusted: frozenset[str] = frozenset()

    def adjusted_closes(self) -> dict[str, float]:
        """ISO date -> close adjusted for splits and dividends, but for those of `unadjusted`."""
        taken = self.actions[~self.actions["ex_date"].dt.strftime("%Y-%m-%d").isin(self.unadjusted)]
        adjusted = adjust(self.bars.assign(symbol=self.symbol), taken.assign(symbol=self.symbol))
        return dict(zip(adjusted["session"].dt.strftime("%Y-%m-%d"), adjusted["close"], strict=True))

    def between(self, first: str, last: str) -> pd.DataFrame:
        """Bars of a range of ISO dates."""
        return self.bars[self.bars["session"].between(pd.Timestamp(first), pd.Timestamp(last))]

    def events(self, kind: str) -> list[tuple[str, float]]:
        """ISO ex-date and value of each action of a kind."""
        chosen = self.actions[self.actions["kind"] == kind]
        return [
            (f"{day:%Y-%m-%d}", float(value)) for day, value in zip(chosen["ex_date"], chosen["value"], strict=True)
        ]


class ListingServer(StandIn):
    """A stand-in that answers by symbol."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        super().__init__()
        self.listings = {listing.symbol: listing for listing in listings}


def json_number(value: Any) -> Any:
    """A number, null for NaN."""
    return None if pd.isna(value) else value if isinstance(value, int) else float(value)


@functools.lru_cache(maxsize=1)
def _sample() -> FetchResult:
    sample = SampleSource()
    return sample.fetch(FetchRequest(sample.known_securities(), dt.date(2003, 1, 2), dt.date(2006, 12, 29)))


def sample_listings(names: Mapping[str, str], **facts: Any) -> dict[str, Listing]:
    """Real history of 2003 to 2006 from the sample source: its symbol -> Listing under the vendor's name.

    Args:
        names: the sample's symbol -> the vendor's.
        facts: further attributes of each listing.
    """
    answer = _sample()
    return {
        symbol: Listing(
            theirs,
            answer.bars[answer.bars["symbol"] == symbol].reset_index(drop=True),
            answer.actions[answer.actions["symbol"] == symbol].reset_index(drop=True),
            **facts,
        )
        for symbol, theirs in names.items()
    }
