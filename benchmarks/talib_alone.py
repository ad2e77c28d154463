"""The indicators of the platform's table as TA-Lib calls on plain arrays: what computing them costs at the least.

The columns that TA-Lib has. `return_drawdown` and the like are arithmetic on them, and the states the platform stores
to continue from are no indicators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import talib

Array = npt.NDArray[np.float64]

HLC: Final = ("high", "low", "close")
CALLS: Final[dict[tuple[str, ...], tuple[str, tuple[str, ...], tuple[float, ...]]]] = {
    **{(f"return_{length}",): ("ROCP", ("close",), (length,)) for length in (1, 5, 21, 252)},
    ("high_252",): ("MAX", ("high",), (252,)),
    ("low_252",): ("MIN", ("low",), (252,)),
    **{(f"sma_{length}",): ("SMA", ("close",), (length,)) for length in (20, 50, 200)},
    **{(f"ema_{length}",): ("EMA", ("close",), (length,)) for length in (12, 26)},
    ("macd", "macd_signal", "macd_histogram"): ("MACD", ("close",), (12, 26, 9)),
    ("adx_14",): ("ADX", HLC, (14,)),
    ("plus_di_14",): ("PLUS_DI", HLC, (14,)),
    ("minus_di_14",): ("MINUS_DI", HLC, (14,)),
    ("rsi_14",): ("RSI", ("close",), (14,)),
    ("stochastic_k", "stochastic_d"): ("STOCH", HLC, (14, 3, 0, 3, 0)),
    ("bollinger_upper", "bollinger_middle", "bollinger_lower"): ("BBANDS", ("close",), (20, 2, 2)),
    ("atr_14",): ("ATR", HLC, (14,)),
    ("natr_14",): ("NATR", HLC, (14,)),
    **{(f"volatility_{length}",): ("STDDEV", ("log_return",), (length,)) for length in (20, 60)},
    ("obv",): ("OBV", ("close", "volume"), ()),
    ("mfi_14",): ("MFI", (*HLC, "volume"), (14,)),
    ("vwap_20",): ("VWMA", ("typical", "volume"), (20,)),
    ("volume_ratio_20",): ("RVOL", ("volume",), (20,)),
}
"""Columns -> (TA-Lib function, its inputs, its parameters)."""

COLUMNS: Final = tuple(name for produced in CALLS for name in produced)


def inputs(bars: Mapping[str, Array]) -> dict[str, Array]:
    """high, low, close and volume of one symbol, with the two series that the calls read beside them."""
    close = bars["close"]
    log_return = np.zeros_like(close)
    log_return[1:] = np.diff(np.log(close))
    return {**bars, "log_return": log_return, "typical": (bars["high"] + bars["low"] + close) / 3.0}


def indicators(bars: Mapping[str, Array]) -> list[Array]:
    """Every column of one symbol, in the order of COLUMNS.

    Args:
        bars: as `inputs` returns them.
    """
    found: list[Array] = []
    for function, names, parameters in CALLS.values():
        result = getattr(talib, function)(*(bars[name] for name in names), *parameters)
        if isinstance(result, np.ndarray):
            found.append(result)
        else:
            found.extend(result)
    return found
