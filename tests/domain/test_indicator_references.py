"""Values against published vectors and against TA-Lib on real history."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib
from indicator_market import plain

from market_assets.domain.indicators import REGISTRY, compute, returns, trend
from market_assets.domain.indicators.bars import Bars


@pytest.fixture(scope="module")
def apple() -> pd.DataFrame:
    """AAPL, 3,270 sessions as traded; the unadjusted splits are part of the exercise."""
    from bokeh_sampledata.stocks import AAPL

    bars = pd.DataFrame(AAPL).rename(columns={"date": "session"})
    bars = bars.assign(symbol="AAPL", session=pd.to_datetime(bars["session"]), volume=bars["volume"].astype("float64"))
    return plain(bars[["symbol", "session", "open", "high", "low", "close", "volume"]])


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> Path:
    return shared_data / "indicator_vectors"


@pytest.fixture(scope="module")
def quotes(vectors: Path) -> pd.DataFrame:
    """SPY, the 502 quotes of the vectors."""
    frame = pd.read_csv(vectors / "quotes.csv", parse_dates=["date"]).rename(columns={"date": "session"})
    return plain(frame.assign(symbol="SPY", volume=frame["volume"].astype("float64")))


@pytest.fixture(scope="module")
def spy(quotes: pd.DataFrame) -> pd.DataFrame:
    """Every indicator over the quotes."""
    return compute(quotes, indicators=REGISTRY)


@pytest.fixture(scope="module")
def spy_bars(quotes: pd.DataFrame) -> Bars:
    """The quotes as an indicator function receives them."""
    ones = np.ones(len(quotes))
    columns = {name: quotes[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    return Bars(columns, [0, len(quotes)], [-1], {}, price_factor=ones, volume_factor=ones)


def expected(vectors: Path, name: str, field: str) -> np.ndarray:
    rows = json.loads((vectors / f"{name}.standard.json").read_text())
    return np.array([np.nan if row[field] is None else row[field] for row in rows], dtype=np.float64)


@pytest.mark.parametrize(
    ("column", "name", "field"),
    [
        ("sma_20", "sma", "sma"),
        ("rsi_14", "rsi", "rsi"),
        ("macd", "macd", "macd"),
        ("macd_signal", "macd", "signal"),
        ("macd_histogram", "macd", "histogram"),
        ("ema_12", "macd", "fastEma"),
        ("ema_26", "macd", "slowEma"),
        ("bollinger_upper", "bb", "upperBand"),
        ("bollinger_middle", "bb", "sma"),
        ("bollinger_lower", "bb", "lowerBand"),
        ("bollinger_percent_b", "bb", "percentB"),
        ("bollinger_bandwidth", "bb", "width"),
        ("atr_14", "atr", "atr"),
        ("natr_14", "atr", "atrp"),
    ],
)
def test_vectors_agree_from_the_first_bar(spy: pd.DataFrame, vectors: Path, column: str, name: str, field: str) -> None:
    np.testing.assert_allclose(spy[column], expected(vectors, name, field), rtol=1e-6, atol=1e-9)


def test_ema_and_rate_of_change_agree_at_the_lengths_of_the_vectors(spy_bars: Bars, vectors: Path) -> None:
    """The vectors use 20 and 14 bars, lengths that no column of ours has."""
    (ema,) = trend.ema(spy_bars, length=20)
    np.testing.assert_allclose(ema, expected(vectors, "ema", "ema"), rtol=1e-6)
    (change,) = returns.simple_return(spy_bars, length=14)
    np.testing.assert_allclose(100.0 * change, expected(vectors, "roc", "roc"), rtol=1e-6)


def test_obv_differs_from_the_vector_by_the_volume_of_the_first_bar(spy: pd.DataFrame, vectors: Path) -> None:
    """The vectors start at zero, TA-Lib and this package with the first volume."""
    np.testing.assert_allclose(spy["obv"] - 96_708_880.0, expected(vectors, "obv", "obv"), rtol=1e-12)


HLC = ("high", "low", "close")
# column: (TA-Lib function, its inputs, its parameters, which of its outputs)
TALIB: dict[str, tuple[str, tuple[str, ...], tuple[int, ...], int | None]] = {
    "return_1": ("ROCP", ("close",), (1,), None),
    "return_252": ("ROCP", ("close",), (252,), None),
    "sma_20": ("SMA", ("close",), (20,), None),
    "sma_200": ("SMA", ("close",), (200,), None),
    "ema_12": ("EMA", ("close",), (12,), None),
    "rsi_14": ("RSI", ("close",), (14,), None),
    "bollinger_upper": ("BBANDS", ("close",), (20, 2, 2), 0),
    "bollinger_middle": ("BBANDS", ("close",), (20, 2, 2), 1),
    "bollinger_lower": ("BBANDS", ("close",), (20, 2, 2), 2),
    "atr_14": ("ATR", HLC, (14,), None),
    "natr_14": ("NATR", HLC, (14,), None),
    "adx_14": ("ADX", HLC, (14,), None),
    "plus_di_14": ("PLUS_DI", HLC, (14,), None),
    "minus_di_14": ("MINUS_DI", HLC, (14,), None),
    "stochastic_k": ("STOCH", HLC, (14, 3, 0, 3, 0), 0),
    "stochastic_d": ("STOCH", HLC, (14, 3, 0, 3, 0), 1),
    "obv": ("OBV", ("close", "volume"), (), None),
    "mfi_14": ("MFI", (*HLC, "volume"), (14,), None),
    "vwap_20": ("VWMA", ("typical", "volume"), (20,), None),
    "volume_ratio_20": ("RVOL", ("volume",), (20,), None),
    "high_252": ("MAX", ("high",), (252,), None),
    "low_252": ("MIN", ("low",), (252,), None),
}
# TA-Lib gives %K from the first bar of %D on, here it has a value two bars earlier.
EARLIER = {"stochastic_k": 2}


@pytest.mark.parametrize("column", TALIB)
def test_talib_agrees_on_real_history(apple: pd.DataFrame, column: str) -> None:
    name, inputs, parameters, output = TALIB[column]
    arrays = apple.assign(typical=(apple["high"] + apple["low"] + apple["close"]) / 3.0)
    reference = getattr(talib, name)(*(arrays[name].to_numpy() for name in inputs), *parameters)
    reference = reference if output is None else reference[output]
    result = compute(apple, indicators=REGISTRY)[column].to_numpy()
    common = ~np.isnan(reference)
    assert np.isnan(result[~common]).sum() == (~common).sum() - EARLIER.get(column, 0)
    np.testing.assert_allclose(result[common], reference[common], rtol=1e-8, atol=1e-8)


def test_macd_of_talib_is_reached_once_its_late_seed_has_decayed(apple: pd.DataFrame) -> None:
    line, signal, histogram = talib.MACD(apple["close"].to_numpy(), 12, 26, 9)
    result = compute(apple, indicators=["macd"])
    assert abs(result["macd"][33] - line[33]) > 1e-3
    for column, reference in (("macd", line), ("macd_signal", signal), ("macd_histogram", histogram)):
        np.testing.assert_allclose(result[column][300:], reference[300:], rtol=1e-8, atol=1e-8)


def test_drawdown_is_measured_from_the_highest_close(apple: pd.DataFrame) -> None:
    close = apple["close"].to_numpy()
    result = compute(apple, indicators=["drawdown_252"])["drawdown_252"]
    np.testing.assert_allclose(result, close / talib.MAX(close, 252) - 1.0, rtol=1e-12)


@pytest.mark.parametrize("length", [20, 60])
def test_volatility_is_the_sample_deviation_of_log_returns(apple: pd.DataFrame, length: int) -> None:
    returns = np.log(apple["close"]).diff()
    reference = returns.rolling(length).apply(lambda window: np.std(window, ddof=1), raw=True) * np.sqrt(252)
    result = compute(apple, indicators=[f"volatility_{length}"])[f"volatility_{length}"]
    np.testing.assert_allclose(result, reference, rtol=1e-12)
