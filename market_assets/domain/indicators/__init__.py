"""Technical indicators on adjusted bars, each value in the price basis of its own session.

    definition.py   what an indicator is: inputs, outputs, warm-up, bounds, degree
    registry.py     all of them, and what derives from the list
    engine.py       compute(): frame of bars -> frame of values
    table.py        the input frame, checked
    carry.py        continuing from stored values
    bars.py         arrays of several symbols, smoothing, running totals
    windows.py      rolling sums, moments, extremes
    lanes.py        symbols side by side, for what is followed bar by bar
    returns.py trend.py oscillators.py volatility.py range_volatility.py volume.py channels.py stops.py risk.py
                    the formulas, by family

`compute` on a slice of history with the stored state equals `compute` on all of it (1e-10 relative to the value or to
the natural size of its unit), and no value changes because of a later split or dividend.
"""

from market_assets.domain.indicators.definition import Indicator, Output
from market_assets.domain.indicators.engine import compute
from market_assets.domain.indicators.registry import (
    ALL,
    REGISTRY,
    OutputColumn,
    ascending_columns,
    carry_columns,
    lookback_bars,
    markdown_table,
    output_columns,
    outputs,
)

__all__ = [
    "ALL",
    "REGISTRY",
    "Indicator",
    "Output",
    "OutputColumn",
    "ascending_columns",
    "carry_columns",
    "compute",
    "lookback_bars",
    "markdown_table",
    "output_columns",
    "outputs",
]
