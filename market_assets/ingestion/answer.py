"""One answer of one source, with what judging and storing it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from market_assets.sources.base import FetchResult, PriceSource

if TYPE_CHECKING:
    from market_assets.resources import Platform
    from market_assets.warehouse.versions import VersionedWriter


@dataclass(frozen=True)
class Answer:
    """One answer of one source, on its way into the warehouse.

    Attributes:
        platform: configuration, universe, calendars and warehouse.
        source: who answered.
        result: bars as sent, actions, security facts.
        writer: open transaction that will store the answer.
        run_id: of the run that asked.
        stores_bars: whether the bars are stored, or only other facts of the answer.
        provisional: the bars are those of a session in progress: they are screened, no further rule is for them.
    """

    platform: Platform
    source: PriceSource
    result: FetchResult
    writer: VersionedWriter
    run_id: str
    stores_bars: bool = True
    provisional: bool = False
