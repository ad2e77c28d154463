"""The rules that the bars of one answer pass before they are stored, in order.

    screen        is the row a bar at all? On the rows as the vendor sent them (domain/screening.py)
    as traded     conversion with the vendor's own actions
    JUDGES        further rules on as-traded bars, each for the rows that passed those before it

A judge is one function in JUDGES, with the meaning of its rules in REASONS. It names, for each row it holds back, the
rule that is broken; the row is then written to quarantine instead of raw.price_bar. It may read and write through
`answer.writer`, in the transaction that stores the answer. Does not belong here: the rules themselves, which are pure
functions in `market_assets.domain`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.domain.adjustments import to_as_traded
from market_assets.domain.screening import RULES, screen
from market_assets.sources.base import FetchResult, PriceSource

if TYPE_CHECKING:
    from market_assets.resources import Platform
    from market_assets.warehouse.versions import VersionedWriter

DECIMALS = 6
"""Prices converted back to as traded are rounded to this many decimals: a vendor's adjusted floats change in their last
digits with every split, which is no restatement."""


@dataclass(frozen=True)
class Answer:
    """One answer of one source, on its way into the warehouse.

    Attributes:
        platform: configuration, universe, calendars and warehouse.
        source: who answered.
        result: bars as sent, actions, security facts.
        writer: open transaction that will store the answer.
        run_id: of the run that asked.
        provisional: the bars are those of a session in progress: they are screened, no further rule is for them.
    """

    platform: Platform
    source: PriceSource
    result: FetchResult
    writer: VersionedWriter
    run_id: str
    provisional: bool = False


Judge = Callable[[Answer, pd.DataFrame], pd.Series]
"""(answer, as-traded bars that passed so far) -> rule each row breaks, "" for a row that may be stored; same index."""

JUDGES: tuple[Judge, ...] = ()
"""Plausibility, then reconciliation with other sources."""

REASONS: Mapping[str, str] = {**RULES}
"""Rule -> what it means, for every rule a row can be held under."""


def judge(answer: Answer) -> tuple[pd.DataFrame, pd.Series]:
    """Let the bars of an answer pass all rules.

    Returns:
        Bars that may be stored, as traded (BAR_COLUMNS); and the rule each row of `result.bars` breaks ("" = none), on
        its index.
    """
    bars, basis = answer.result.bars, answer.source.basis
    verdict = screened(answer)
    good = bars[verdict == ""]
    good = to_as_traded(good, answer.result.actions, basis, decimals=None if basis == "as_traded" else DECIMALS)
    for rule_of in () if answer.provisional else JUDGES:
        found = rule_of(answer, good)
        verdict.loc[found.index] = found
        good = good[found == ""]
    return good, verdict


def screened(answer: Answer) -> pd.Series:
    """Rule of `domain.screening` that each row of the answer breaks, "" for none."""
    platform, bars = answer.platform, answer.result.bars
    universe, days = platform.universe, bars["session"]
    through = platform.opened_through if answer.provisional else platform.closed_through
    sessions_of = {
        exchange: platform.sessions(exchange, days.min(), days.max()) if len(days) else pd.DatetimeIndex([])
        for exchange in universe.exchanges
    }
    return screen(
        bars,
        exchange_of={member.symbol: member.exchange for member in universe.members},
        currency_of={member.symbol: member.currency for member in universe.members},
        sessions_of=sessions_of,
        closed_through={exchange: pd.Timestamp(through(exchange)) for exchange in universe.exchanges},
    )
