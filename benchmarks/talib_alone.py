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
    ("momentum_12_1",): ("ROCP", ("close",), (231,)),
    ("cci_20",): ("CCI", HLC, (20,)),
    ("williams_r_14",): ("WILLR", HLC, (14,)),
    ("ultimate_oscillator",): ("ULTOSC", HLC, (7, 14, 28)),
    ("aroon_down_25", "aroon_up_25"): ("AROON", ("high", "low"), (25,)),
    ("aroon_oscillator_25",): ("AROONOSC", ("high", "low"), (25,)),
    ("trix_15",): ("TRIX", ("close",), (15,)),
    ("cmf_20",): ("CMF", (*HLC, "volume"), (20,)),
    ("ad_line",): ("AD", (*HLC, "volume"), ()),
    ("force_index_13",): ("EFI", ("close", "volume"), (13,)),
    ("keltner_upper", "keltner_middle", "keltner_lower"): ("KC", HLC, (20, 10, 2.0)),
    ("donchian_upper", "donchian_middle", "donchian_lower"): ("DONCHIAN", ("high", "low"), (20,)),
    ("atr_10",): ("ATR", HLC, (10,)),
    ("ichimoku_conversion",): ("MIDPRICE", ("high", "low"), (9,)),
    ("ichimoku_base",): ("MIDPRICE", ("high", "low"), (26,)),
    ("ichimoku_span_b",): ("MIDPRICE", ("high", "low"), (52,)),
    ("psar",): ("SAR", ("high", "low"), (0.02, 0.2)),
    ("supertrend", "supertrend_side"): ("SUPERTREND", HLC, (10, 3.0)),
    ("beta_252",): ("BETA", ("close", "benchmark"), (252,)),
    ("correlation_252",): ("CORREL", ("close", "benchmark"), (252,)),
}
"""Columns -> (TA-Lib function, its inputs, its parameters)."""

COLUMNS: Final = tuple(name for produced in CALLS for name in produced)


def inputs(bars: Mapping[str, Array]) -> dict[str, Array]:
    """high, low, close, volume and benchmark of one symbol, with the two series that the calls read beside them."""
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
