"""Indicators and index values of a range of sessions: read, call the pure function, write. Chunks bound the memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.domain.indicators import carry_columns, compute, lookback_bars
from market_assets.domain.indices import IndexDefinition, IndexResult, IndexState, Market, calculate
from market_assets.domain.sessions import rows_by_session
from market_assets.errors import InputError
from market_assets.warehouse import inputs
from market_assets.warehouse.tables import (
    DIVISOR_CHANGE,
    INDEX_CONSTITUENT,
    INDEX_VALUE,
    REBALANCE,
    REBALANCE_TARGET,
    indicator_table,
)
from market_assets.warehouse.versions import Scope, WriteResult, transaction, write_versions

if TYPE_CHECKING:
    from market_assets.resources import Platform


@dataclass
class CalculationReport:
    """What a calculation wrote.

    Attributes:
        result: versions written.
        rows_by_session: session -> rows that are current for it.
        symbols: symbols calculated.
        last: values of the last session, for the plot.
    """

    result: WriteResult = field(default_factory=WriteResult)
    rows_by_session: Counter[date] = field(default_factory=Counter)
    symbols: int = 0
    last: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass
class IndexReport:
    """What the calculation of all indices wrote.

    Attributes:
        values, constituents: versions written.
        value_rows, constituent_rows: session -> rows that are current for it.
        divisor_changes: versions written.
        rebalances: rebalances inside the range.
        levels: index_id, session and levels of the range, for the plot.
    """

    values: WriteResult = field(default_factory=WriteResult)
    constituents: WriteResult = field(default_factory=WriteResult)
    divisor_changes: WriteResult = field(default_factory=WriteResult)
    value_rows: Counter[date] = field(default_factory=Counter)
    constituent_rows: Counter[date] = field(default_factory=Counter)
    rebalances: int = 0
    levels: pd.DataFrame = field(default_factory=pd.DataFrame)


def calculate_indicators(platform: Platform, start: date, end: date, *, run_id: str) -> CalculationReport:
    """Compute and store every registered indicator for [start, end].

    A symbol continues from its last stored row before `start`; one without is computed from its first bar. Beta and
    correlation read the levels of the benchmark that are stored: indices are calculated first.
    """
    url = platform.warehouse_url
    table = indicator_table()
    symbols = inputs.symbols_between(url, start, end)
    report = CalculationReport(symbols=len(symbols))
    last = []
    for chunk in inputs.chunks(symbols, platform.config.ingest.chunk_symbols):
        carried = inputs.last_indicators(url, chunk, start, carry_columns())
        bars = inputs.indicator_bars(url, chunk, carried, lookback_bars(), end, platform.benchmark)
        values = compute(bars, carry=carried if len(carried) else None)
        values = values[values["session"] >= pd.Timestamp(start)]
        report.result += write_versions(
            url,
            table,
            values,
            run_id=run_id,
            scope=Scope({"session": (start, end)}, {"symbol": chunk}),
        )
        report.rows_by_session.update(rows_by_session(values))
        last.append(values[values["session"] == values["session"].max()])
        platform.progress("indicators: symbols", sum(map(len, last)), len(symbols))
    report.last = pd.concat(last, ignore_index=True) if last else report.last
    return report


def calculate_indices(platform: Platform, start: date, end: date, *, run_id: str) -> IndexReport:
    """Compute and store every configured index for [start, end]; each index is one transaction.

    An index continues from its last stored session before `start`; without one it is computed from its base date.
    """
    report = IndexReport()
    levels = []
    for position, definition in enumerate(platform.indices, start=1):
        result = _calculate(platform, definition, start, end)
        _store_index(platform.warehouse_url, definition.id, result, start, end, run_id, report)
        levels.append(result.values[result.values["session"] >= pd.Timestamp(start)])
        platform.progress("indices", position, len(platform.indices))
    report.levels = pd.concat(levels, ignore_index=True) if levels else report.levels
    return report


def _calculate(platform: Platform, definition: IndexDefinition, start: date, end: date) -> IndexResult:
    url = platform.warehouse_url
    state = None
    if start > definition.base_date:
        values, constituents = inputs.stored_index(url, definition.id, start)
        state = IndexState.from_rows(values, constituents) if len(values) else None
    sessions = platform.index_sessions(definition)
    last = int(sessions.searchsorted(pd.Timestamp(end), side="right")) - 1
    since = definition.base_date if state is None else state.session.astype(date)
    first = int(sessions.searchsorted(pd.Timestamp(since))) + 1 - definition.lookback_sessions
    window = sessions[max(0, min(first, last)) : last + 1]
    frames = inputs.index_market(url, window)
    if state is None and definition.base_date <= end:
        _require_history(definition, frames.bars, end)
    return calculate(definition, Market.from_frames(frames, definition.currency), state, end)


def _require_history(definition: IndexDefinition, bars: pd.DataFrame, end: date) -> None:
    if len(bars) and bars["session"].min() <= pd.Timestamp(definition.base_date):
        return
    held = f"begin at {bars['session'].min().date()}" if len(bars) else f"hold none up to {end}"
    raise InputError(
        f"index {definition.id} starts at {definition.base_date}, but the bars in the warehouse {held}; load them with "
        f"`market backfill --from {definition.base_date}`, or give the index a later base_date"
    )


def _store_index(
    url: str, index_id: str, result: IndexResult, start: date, end: date, run_id: str, report: IndexReport
) -> None:
    scope = Scope({"session": (start, end)}, {"index_id": [index_id]})

    def wanted(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["session"] >= pd.Timestamp(start)]

    rebalances = wanted(result.rebalances)
    named = {name: [", ".join(symbols) for symbols in rebalances[name]] for name in ("additions", "deletions")}
    values, constituents = wanted(result.values), wanted(result.constituents)
    with transaction(url, run_id) as writer:
        value_result = writer.write(INDEX_VALUE, values, scope=scope)
        constituent_result = writer.write(INDEX_CONSTITUENT, constituents, scope=scope)
        change_result = writer.write(DIVISOR_CHANGE, wanted(result.divisor_changes), scope=scope)
        writer.write(REBALANCE, rebalances.assign(**named), scope=scope)
        writer.write(REBALANCE_TARGET, wanted(result.targets), scope=scope)
    report.values += value_result
    report.constituents += constituent_result
    report.divisor_changes += change_result
    report.rebalances += len(rebalances)
    report.value_rows.update(rows_by_session(values))
    report.constituent_rows.update(rows_by_session(constituents))
