"""Indicators of 505 symbols x 5 years, beside TA-Lib alone on the same arrays.

Both sides compute the columns of the warehouse's table, per value (one row of one column). Ours include what TA-Lib
does not do: checking the frame, gaps, the basis of each session, states to continue from, a frame as the result.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks import talib_alone
from benchmarks.inputs import SESSIONS, SYMBOLS, bars
from benchmarks.measure import SHORT, Beside, Figure, Scale, Target, alternate, processor_seconds, seconds
from market_assets.domain.indicators import carry_columns, compute, lookback_bars, output_columns

YEARS_OF_HISTORY = (5, 20, 40)


def run(scale: Scale) -> list[Figure]:
    """The whole history, and one more session after 5, 20 and 40 years."""
    return [_bulk(scale), _increment(scale)]


def _bulk(scale: Scale) -> Figure:
    symbols = scale.of(SYMBOLS, least=2)
    frame = adjusted(symbols, SESSIONS)
    plain = [
        talib_alone.inputs({name: own[name].to_numpy() for name in ("high", "low", "close", "volume", "benchmark")})
        for _, own in frame.groupby("symbol")
    ]
    compute(frame.head(SESSIONS))  # the first call imports TA-Lib
    ours, floor, processor = alternate(
        scale.repeats * SHORT,
        lambda: seconds(lambda: compute(frame)),
        lambda: seconds(lambda: [talib_alone.indicators(own) for own in plain]),
        lambda: processor_seconds(lambda: compute(frame)),
    )
    ours_values = len(frame) * len(output_columns())
    floor_values = len(frame) * len(talib_alone.COLUMNS)
    return Figure(
        name="indicators.bulk",
        what=f"{len(output_columns())} indicator columns of {symbols} symbols x {SESSIONS} sessions",
        unit="ns per value",
        ours=ours.scaled(1e9 / ours_values),
        floor=Beside(
            f"TA-Lib alone: {len(talib_alone.COLUMNS)} columns on contiguous arrays, one call per symbol and indicator",
            floor.scaled(1e9 / floor_values),
        ),
        target=Target(floors=1 / 0.6),
        facts={
            "seconds": ours.median,
            "processor_seconds": processor.median,
            "values_per_second": round(ours_values / ours.median),
            "values_per_second_talib": round(floor_values / floor.median),
        },
    )


def _increment(scale: Scale) -> Figure:
    """One session of every symbol from the stored state; the bars read do not depend on the history."""
    symbols = scale.of(SYMBOLS, least=2)
    works = []
    for years in YEARS_OF_HISTORY:
        frame = adjusted(symbols, SESSIONS // 5 * years)
        whole = compute(frame)
        sessions = np.sort(frame["session"].unique())
        carried = whole.loc[whole["session"] == sessions[-2], ["symbol", "session", *carry_columns()]]
        window = frame[frame["session"] >= sessions[-min(len(sessions), lookback_bars() + 1)]]
        works.append((window.reset_index(drop=True), carried.reset_index(drop=True)))
    spreads = alternate(
        scale.repeats * SHORT,
        *(
            lambda window=window, carried=carried: seconds(lambda: compute(window, carry=carried))
            for window, carried in works
        ),
    )
    after = dict(zip(YEARS_OF_HISTORY, spreads, strict=True))
    return Figure(
        name="indicators.increment",
        what=f"one session of {symbols} symbols from the stored state after {YEARS_OF_HISTORY[-1]} years",
        unit="ms",
        ours=after[40].scaled(1e3),
        floor=Beside("the same after 5 years: history costs nothing", after[5].scaled(1e3)),
        target=Target(floors=1.25),
        facts={f"ms_after_{years}_years": spread.median * 1e3 for years, spread in after.items()},
    )


def adjusted(symbols: int, sessions: int) -> pd.DataFrame:
    """Bars as `compute` takes them, with a split and dividends in the factors and a benchmark for beta."""
    frame = bars(symbols, sessions)
    factor = np.tile(np.linspace(0.4, 1.0, sessions), symbols)
    level = np.tile(100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 0.01, sessions))), symbols)
    return frame.assign(price_factor=factor, volume_factor=1.0, benchmark=level)
