"""One answer of one source, with what judging and storing it needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from market_assets.domain.adjustments import PriceBasis
from market_assets.sources.base import FetchResult

if TYPE_CHECKING:
    from market_assets.resources import Platform
    from market_assets.warehouse.versions import VersionedWriter


class Origin(Protocol):
    """Who answered, and in which price basis: a source, or the quarantine in its place."""

    @property
    def name(self) -> str:
        """Label in the `source` column."""

    @property
    def basis(self) -> PriceBasis:
        """Of the bars in the answer."""


@dataclass
class Findings:
    """What judging the bars of an answer finds beside the bars it holds back; filled while they are judged.

    Attributes:
        warned: rule -> rows that are stored in spite of it.
        actions: corporate actions held back, on their index: rule, reason, candidate, proposal.
    """

    warned: Counter[str] = field(default_factory=Counter)
    actions: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["rule", "reason", "candidate", "proposal"])
    )


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
        replayed: the bars come out of the quarantine; an earlier acceptance does not count for them.
        findings: what judging finds beside the bars it holds back.
    """

    platform: Platform
    source: Origin
    result: FetchResult
    writer: VersionedWriter
    run_id: str
    stores_bars: bool = True
    provisional: bool = False
    replayed: bool = False
    findings: Findings = field(default_factory=Findings)
