"""Indicators of a range of sessions: read, call the pure function, write. Chunks bound the memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from market_assets.chunks import chunks, read_ahead
from market_assets.domain.indicators import carry_columns, compute, lookback_bars
from market_assets.domain.sessions import rows_by_session
from market_assets.warehouse import inputs
from market_assets.warehouse.tables import indicator_table
from market_assets.warehouse.versions import side_by_side, write_versions
from market_assets.warehouse.writes import Scope, WriteResult

if TYPE_CHECKING:
    from market_assets.resources import Platform

WRITERS = 2
"""Chunks stored at the same time."""


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
    done = 0

    def read(chunk: Sequence[str]) -> _Chunk:
        carried = inputs.last_indicators(url, chunk, start, carry_columns())
        bars = inputs.indicator_bars(url, chunk, carried, lookback_bars(), end, platform.benchmark)
        return _Chunk(chunk, carried, bars)

    # One chunk is read and two are stored while one is computed; so a chunk has half the symbols of those of ingestion.
    size = max(1, platform.chunk_symbols(start, end) // 2)
    writing: deque[Future[WriteResult]] = deque()
    with side_by_side(url, table), ThreadPoolExecutor(WRITERS, thread_name_prefix="indicators") as writers:
        for chunk in read_ahead(map(read, chunks(symbols, size, lanes=WRITERS))):
            values = compute(chunk.bars, carry=chunk.carried if len(chunk.carried) else None)
            values = values[values["session"] >= pd.Timestamp(start)]
            if len(writing) == WRITERS:
                report.result += writing.popleft().result()
            scope = Scope({"session": (start, end)}, {"symbol": chunk.symbols})
            written = writers.submit(write_versions, url, table, values, run_id=run_id, scope=scope, beside=True)
            writing.append(written)
            report.rows_by_session.update(rows_by_session(values))
            last.append(values[values["session"] == values["session"].max()])
            done += len(chunk.symbols)
            platform.progress("indicators: symbols", done, len(symbols))
        for written in writing:
            report.result += written.result()
    report.last = pd.concat(last, ignore_index=True) if last else report.last
    return report


class _Chunk(NamedTuple):
    """Symbols and what their indicators are computed from."""

    symbols: Sequence[str]
    carried: pd.DataFrame
    bars: pd.DataFrame
