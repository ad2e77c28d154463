"""The rules on a bar's context, applied to an answer: what is stored around it is read, what was found is reported.

Belongs here: which stored bars are the context, and the findings in the shape that judging takes. Does not belong here:
the rules (market_assets.domain.plausibility).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pandas as pd

from market_assets.domain.plausibility import ACTION_RULES, HOLDING_RULES, examine, examine_dividends
from market_assets.sources.frames import ACTION_COLUMNS, BAR_COLUMNS

if TYPE_CHECKING:
    from market_assets.ingestion.answer import Answer

DECIMALS, SMALL_DECIMALS, SMALL_PRICE = 6, 12, 0.01
"""A proposed price is rounded as a stored one."""

_PRICES: Final = ["open", "high", "low", "close"]
_VALUES: Final = [*_PRICES, "volume"]

_WITHIN = """
    select bar.symbol, bar.session, bar.open, bar.high, bar.low, bar.close, bar.volume
    from jsonb_to_recordset($1::text::jsonb) as asked (symbol text, first date, last date)
    inner join raw.price_bar as bar
        on bar.symbol = asked.symbol and bar.source = $2::text and bar.session between asked.first and asked.last
        and bar.known_to is null
"""
"""The stored bars between those of an answer that has few of many: what is replayed."""

_AROUND = """
    select bar.symbol, bar.session, bar.open, bar.high, bar.low, bar.close, bar.volume
    from jsonb_to_recordset($1::text::jsonb) as asked (symbol text, first date, last date)
    cross join lateral (
        (
            select * from raw.price_bar
            where symbol = asked.symbol and source = $2::text and session < asked.first
                and known_from < $3 and (known_to is null or known_to >= $3)
            order by session desc
            limit 5
        )
        union all
        (
            select * from raw.price_bar
            where symbol = asked.symbol and source = $2::text and session > asked.last
                and known_from < $3 and (known_to is null or known_to >= $3)
            order by session
            limit 2
        )
    ) as bar
"""
"""The stored bars next to an answer, as they were known when it was given: a vintage that is loaded again meets what it
met the first time. Enough before it that one wrong bar among them is seen as wrong."""


def plausible(answer: Answer, bars: pd.DataFrame) -> pd.DataFrame:
    """Judge as-traded bars by the bars, actions and symbols around them.

    Returns:
        rule, reason and proposal (a mapping in the columns of raw.price_bar, or None) of the rows held back, on their
        index. Actions held back and warnings go to `answer.findings`.
    """
    if bars.empty:
        return pd.DataFrame({"rule": [], "reason": [], "proposal": []})
    if len(answer.result.actions):
        answer.findings.actions = _implausible_actions(answer, bars)
    actions = answer.result.actions.drop(index=answer.findings.actions.index)
    found = examine(bars, actions, stored_around(answer, bars), basis=answer.source.basis)
    answer.findings.warned.update(found.warning[found.warning != ""])
    rule = found.rule[found.rule != ""]
    repaired = bars.loc[found.proposals.index].assign(**_rounded(found.proposals))
    proposal = records(repaired, BAR_COLUMNS, "session").reindex(rule.index)
    return pd.DataFrame(
        {
            "rule": rule,
            "reason": rule.map(dict(HOLDING_RULES)),
            "proposal": proposal.astype(object).where(proposal.notna(), None),
        }
    )


def _implausible_actions(answer: Answer, bars: pd.DataFrame) -> pd.DataFrame:
    """Judge the dividends of the answer by its as-traded bars and the vendor's own adjusted closes.

    Returns:
        rule, reason, candidate and proposal (mappings in the columns of raw.corporate_action, or None) of the actions
        held back, on their index.
    """
    actions = answer.result.actions
    found = examine_dividends(bars, actions, answer.result.adjusted_closes)
    answer.findings.warned.update(found.warning[found.warning != ""])
    rule = found.rule[found.rule != ""]
    held = actions.loc[rule.index]
    repaired = held.loc[found.proposals.index].assign(value=found.proposals["value"].round(DECIMALS))
    proposal = records(repaired, ACTION_COLUMNS, "ex_date").reindex(rule.index)
    return pd.DataFrame(
        {
            "rule": rule,
            "reason": rule.map(dict(ACTION_RULES)),
            "candidate": records(held, ACTION_COLUMNS, "ex_date"),
            "proposal": proposal.astype(object).where(proposal.notna(), None),
        }
    )


def stored_around(answer: Answer, bars: pd.DataFrame) -> pd.DataFrame:
    """The bars of the same source before and after each symbol's bars: symbol, session and the five values."""
    span = bars.groupby("symbol", sort=False)["session"].agg(["min", "max"])
    asked = [
        {"symbol": symbol, "first": str(first.date()), "last": str(last.date())}
        for symbol, first, last in zip(span.index, span["min"], span["max"], strict=True)
    ]
    known_at = answer.result.known_at or datetime.now(UTC)
    around = answer.writer.read(_AROUND, (json.dumps(asked), answer.source.name, known_at))
    if not answer.replayed:
        return around
    return pd.concat([around, answer.writer.read(_WITHIN, (json.dumps(asked), answer.source.name))])


def records(rows: pd.DataFrame, columns: tuple[str, ...], day: str) -> pd.Series:
    """Each row as a mapping of `columns`, its day as text and what is missing as None, on the index of `rows`."""
    table = rows[list(columns)].astype(object).where(rows[list(columns)].notna(), None)
    table[day] = rows[day].dt.strftime("%Y-%m-%d").astype(object)
    return pd.Series(table.to_dict("records"), index=rows.index, dtype="object")


def _rounded(proposals: pd.DataFrame) -> dict[str, pd.Series]:
    small = proposals[_PRICES] < SMALL_PRICE
    prices = proposals[_PRICES].round(DECIMALS).mask(small, proposals[_PRICES].round(SMALL_DECIMALS))
    return {**{name: prices[name] for name in _PRICES}, "volume": proposals["volume"].round()}
