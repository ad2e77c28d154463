"""Index values of a range of sessions: read, call the engine, keep what is frozen, write.

Belongs here: where a calculation continues from, and which of its rows become current. An index whose definition
freezes levels (`restatement.open_days`) is calculated as if nothing were frozen. Where that departs from a frozen
level, the published one stays, the open sessions continue from it, and the recalculated ones go to
index_recalculation with the reason. The rules themselves are domain/indices.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import pandas as pd

from market_assets.domain.indices import IndexDefinition, IndexResult, IndexState, Market, calculate
from market_assets.domain.indices.restatement import departures
from market_assets.errors import InputError
from market_assets.warehouse import inputs
from market_assets.warehouse.tables import (
    DIVISOR_CHANGE,
    INDEX_CONSTITUENT,
    INDEX_RECALCULATION,
    INDEX_VALUE,
    REBALANCE,
    REBALANCE_TARGET,
)
from market_assets.warehouse.versions import transaction
from market_assets.warehouse.writes import Scope, WriteResult

if TYPE_CHECKING:
    from market_assets.resources import Platform

NAMED: Final = 3
"""Corrections that a reason names; it counts the others."""


@dataclass
class IndexReport:
    """What the calculation of all indices wrote.

    Attributes:
        values, constituents: versions written.
        value_rows, constituent_rows: session -> rows that are current for it.
        divisor_changes: versions written.
        recalculations: versions written beside frozen levels.
        frozen: index -> why its frozen levels are no longer those that its inputs give, and from which session on.
        rebalances: rebalances inside the range.
        levels: index_id, session and current levels of the range, for the plot.
    """

    values: WriteResult = field(default_factory=WriteResult)
    constituents: WriteResult = field(default_factory=WriteResult)
    divisor_changes: WriteResult = field(default_factory=WriteResult)
    recalculations: WriteResult = field(default_factory=WriteResult)
    value_rows: Counter[date] = field(default_factory=Counter)
    constituent_rows: Counter[date] = field(default_factory=Counter)
    frozen: dict[str, str] = field(default_factory=dict)
    rebalances: int = 0
    levels: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class _Outcome:
    """One index, calculated.

    Attributes:
        result: what was calculated; rows from `first` on are to become current.
        first: first session of the range that is not frozen.
        unfrozen: what was calculated as if nothing were frozen; its rows of the sessions `gaps` are to become current.
        gaps: sessions of the range before `first` that have no level yet.
        published: rows of index_value of the frozen sessions of the range, which stay.
        departed: rows of index_recalculation.
        since: first session that was calculated again; departures from here on are `departed`.
    """

    result: IndexResult
    first: date
    unfrozen: IndexResult
    gaps: pd.Series
    published: pd.DataFrame
    departed: pd.DataFrame
    since: date

    def rows(self, table: str) -> pd.DataFrame:
        """Rows of one frame of IndexResult that are to become current."""
        later: pd.DataFrame = getattr(self.result, table)
        later = later[later["session"] >= pd.Timestamp(self.first)]
        if not len(self.gaps):
            return later
        earlier: pd.DataFrame = getattr(self.unfrozen, table)
        return pd.concat([earlier[earlier["session"].isin(self.gaps)], later], ignore_index=True)


def calculate_indices(platform: Platform, start: date, end: date, *, run_id: str) -> IndexReport:
    """Compute and store every configured index for [start, end]; each index is one transaction.

    An index continues from its last stored session before `start`; without one it is computed from its base date.
    """
    report = IndexReport()
    levels = []
    for position, definition in enumerate(platform.indices, start=1):
        frozen = inputs.frozen_through(platform.warehouse_url, definition.id, definition.restatement.open_days)
        if frozen is None or frozen < start:
            result = _Calculation.since(platform, definition, start, end).run(start, end)
            nothing = result.values.iloc[:0]
            outcome = _Outcome(result, start, result, nothing["session"], nothing, nothing, start)
        else:
            outcome = _beside_frozen(platform, definition, start, end, frozen)
        _store(platform.warehouse_url, definition.id, outcome, end, run_id, report)
        levels += [outcome.published, outcome.rows("values")]
        platform.progress("indices", position, len(platform.indices))
    report.levels = pd.concat(levels, ignore_index=True) if levels else report.levels
    return report


def _beside_frozen(platform: Platform, definition: IndexDefinition, start: date, end: date, frozen: date) -> _Outcome:
    """Calculate a range that begins at or before the last frozen session."""
    url, index_id = platform.warehouse_url, definition.id
    # Levels stored before an earlier departure do not know of it: everything since is calculated again.
    since = min(start, inputs.first_departure(url, index_id) or start)
    calculation = _Calculation.since(platform, definition, since, max(end, frozen))
    again = calculation.run(since, max(end, frozen))
    published = inputs.published_levels(url, index_id, since, frozen)
    departed = departures(published, again.values)
    first = max(start, frozen + timedelta(days=1))
    result = again
    if len(departed):
        at = departed["session"].iloc[0]
        after = int(published.loc[published["session"] == at, "changed_xid"].iloc[0])
        departed = departed.assign(reason=_reason(inputs.corrections(url, after, at.date())))
        result = calculation.run(first, end)
    kept = published[published["session"].between(pd.Timestamp(start), pd.Timestamp(end))]
    missing = again.values["session"][
        again.values["session"].between(pd.Timestamp(start), pd.Timestamp(min(end, frozen)))
    ]
    gaps = missing[~missing.isin(published["session"])]
    return _Outcome(result, first, again, gaps, kept.drop(columns="changed_xid"), departed, since)


def _reason(corrections: list[str]) -> str:
    if not corrections:
        return "definition, calendar or code changed: no price, action, membership, share count or reference file did"
    more = len(corrections) - NAMED
    return "corrected: " + ", ".join(corrections[:NAMED]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class _Calculation:
    """An index and a market that reaches far enough back for it to start at a session."""

    platform: Platform
    definition: IndexDefinition
    market: Market

    @classmethod
    def since(cls, platform: Platform, definition: IndexDefinition, start: date, end: date) -> _Calculation:
        """Read the market for calculations that begin at `start` or later and end at `end`."""
        state = _state_before(platform.warehouse_url, definition, start)
        sessions = platform.index_sessions(definition)
        last = int(sessions.searchsorted(pd.Timestamp(end), side="right")) - 1
        since = definition.base_date if state is None else state.session.astype(date)
        first = int(sessions.searchsorted(pd.Timestamp(since))) + 1 - definition.lookback_sessions
        window = sessions[max(0, min(first, last)) : last + 1]
        frames = inputs.index_market(platform.warehouse_url, window)
        if state is None and definition.base_date <= end:
            _require_history(definition, frames.bars, end)
        market = Market.from_frames(frames, definition.currency, definition.missing_price.limit)
        return cls(platform, definition, market)

    def run(self, start: date, end: date) -> IndexResult:
        """Calculate through `end`, from what is stored of the session before `start`."""
        return calculate(
            self.definition, self.market, _state_before(self.platform.warehouse_url, self.definition, start), end
        )


def _state_before(url: str, definition: IndexDefinition, start: date) -> IndexState | None:
    if start <= definition.base_date:
        return None
    values, constituents = inputs.stored_index(url, definition.id, start)
    return IndexState.from_rows(values, constituents) if len(values) else None


def _require_history(definition: IndexDefinition, bars: pd.DataFrame, end: date) -> None:
    if len(bars) and bars["session"].min() <= pd.Timestamp(definition.base_date):
        return
    held = f"begin at {bars['session'].min().date()}" if len(bars) else f"hold none up to {end}"
    raise InputError(
        f"index {definition.id} starts at {definition.base_date}, but the bars in the warehouse {held}; load them with "
        f"`market backfill --from {definition.base_date}`, or give the index a later base_date"
    )


def _store(url: str, index_id: str, outcome: _Outcome, end: date, run_id: str, report: IndexReport) -> None:
    own = {"index_id": [index_id]}
    scope = Scope({"session": (outcome.first, end)}, own)
    rebalances, values = outcome.rows("rebalances"), outcome.rows("values")
    named = {name: [", ".join(symbols) for symbols in rebalances[name]] for name in ("additions", "deletions")}
    with transaction(url, run_id) as writer:
        value_result = writer.write(INDEX_VALUE, values, scope=scope)
        constituent_result = writer.write(INDEX_CONSTITUENT, outcome.rows("constituents"), scope=scope)
        change_result = writer.write(DIVISOR_CHANGE, outcome.rows("divisor_changes"), scope=scope)
        writer.write(REBALANCE, rebalances.assign(**named), scope=scope)
        writer.write(REBALANCE_TARGET, outcome.rows("targets"), scope=scope)
        if len(outcome.published):
            departed = outcome.departed if len(outcome.departed) else values.iloc[:0].assign(reason="")
            beside = Scope({"session": (outcome.since, None)}, own)
            report.recalculations += writer.write(INDEX_RECALCULATION, departed, scope=beside)
    report.values += value_result
    report.constituents += constituent_result
    report.divisor_changes += change_result
    if len(outcome.departed):
        report.frozen[index_id] = (
            f"{len(outcome.departed)} levels from {outcome.departed['session'].iloc[0]:%Y-%m-%d} on; "
            + str(outcome.departed["reason"].iloc[0])
        )
    report.rebalances += len(rebalances)
    for frame in (outcome.published, values):
        counts = zip(frame["session"].dt.date, frame["constituents"].astype(int), strict=True)
        for session, count in counts:
            report.value_rows[session] += 1
            report.constituent_rows[session] += count
