"""The rules that the bars of one answer pass before they are stored, in order.

    screen        is the row a bar at all? On the rows as the vendor sent them (domain/screening.py)
    as traded     conversion with the vendor's own actions
    JUDGES        further rules on as-traded bars, each for the rows that passed those before it
    accepted      a row that a person has accepted before passes whatever rule it breaks

A judge is one function in JUDGES. It names, for each row it holds back, the rule that is broken, why, and the repaired
row where it knows one; the row is then written to quarantine instead of raw.price_bar. It may read and write through
`answer.writer`, in the transaction that stores the answer. Does not belong here: the rules themselves, which are pure
functions in `market_assets.domain`.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from market_assets.domain.adjustments import to_as_traded
from market_assets.domain.screening import RULES, screen
from market_assets.ingestion.answer import Answer
from market_assets.ingestion.holding import candidates, let_accepted_pass
from market_assets.ingestion.plausible import plausible, records
from market_assets.ingestion.reconciling import reconciled
from market_assets.sources.frames import BAR_COLUMNS

DECIMALS = 6
"""Prices converted back to as traded are rounded to this many decimals: a vendor's adjusted floats change in their last
digits with every split, which is no restatement."""


HELD = ["rule", "reason", "candidate", "proposal"]
"""Columns of rows held back: the rule, the reason for a person, the row as it would be stored and its repair (a mapping
in the columns of raw.price_bar, or None)."""

Judge = Callable[[Answer, pd.DataFrame], pd.DataFrame]
"""(answer, as-traded bars that passed so far) -> rule, reason, proposal of the rows it holds back, on their index."""

JUDGES: tuple[Judge, ...] = (plausible, reconciled)
"""Plausibility, then reconciliation with other sources."""


def judge(answer: Answer) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let the bars of an answer pass all rules.

    Returns:
        Bars that may be stored, as traded (BAR_COLUMNS); and the columns HELD for every other row of `result.bars`, on
        its index.
    """
    bars, basis = answer.result.bars, answer.source.basis
    verdict = screened(answer)
    broken = verdict[verdict != ""]
    decimals = None if basis == "as_traded" else DECIMALS
    candidate = candidates(answer, broken, decimals)
    held = [pd.DataFrame({"rule": broken, "reason": broken.map(dict(RULES)), "candidate": candidate, "proposal": None})]
    good = bars[verdict == ""]
    good = to_as_traded(good, answer.result.actions, basis, decimals=decimals)
    for judges in () if answer.provisional else JUDGES:
        found = judges(answer, good)
        if len(found):
            held.append(found.assign(candidate=records(good.loc[found.index], BAR_COLUMNS, "session"))[HELD])
            good = good.drop(index=found.index)
    every = pd.concat([part for part in held if len(part)]) if any(map(len, held)) else held[0]
    return (good, every) if answer.provisional else let_accepted_pass(answer, good, every)


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
