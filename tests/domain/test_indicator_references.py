"""Values against published vectors and against TA-Lib on real history."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib
from indicator_market import plain

from market_assets.domain.indicators import ALL, compute, returns, trend
from market_assets.domain.indicators.bars import Bars


@pytest.fixture(scope="module")
def apple() -> pd.DataFrame:
    """AAPL, 3,270 sessions as traded; the unadjusted splits are part of the exercise."""
    from bokeh_sampledata.stocks import AAPL

    bars = pd.DataFrame(AAPL).rename(columns={"date": "session"})
    bars = bars.assign(symbol="AAPL", session=pd.to_datetime(bars["session"]), volume=bars["volume"].astype("float64"))
    bars["benchmark"] = 1000.0 + 10.0 * np.sin(np.arange(len(bars)) * 1.3) + np.arange(len(bars)) / 10.0
    return plain(bars[["symbol", "session", "open", "high", "low", "close", "volume", "benchmark"]])


@pytest.fixture(scope="module")
def values(apple: pd.DataFrame) -> pd.DataFrame:
    """Every indicator of AAPL."""
    return compute(apple, indicators=ALL)


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
    return compute(quotes, indicators=ALL)


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
TALIB: dict[str, tuple[str, tuple[str, ...], tuple[float, ...], int | None]] = {
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
    "psar": ("SAR", ("high", "low"), (0.02, 0.2), None),
    "supertrend": ("SUPERTREND", HLC, (10, 3.0), 0),
    "cci_20": ("CCI", HLC, (20,), None),
    "williams_r_14": ("WILLR", HLC, (14,), None),
    "ultimate_oscillator": ("ULTOSC", HLC, (7, 14, 28), None),
    "aroon_down_25": ("AROON", ("high", "low"), (25,), 0),
    "aroon_up_25": ("AROON", ("high", "low"), (25,), 1),
    "aroon_oscillator_25": ("AROONOSC", ("high", "low"), (25,), None),
    "trix_15": ("TRIX", ("close",), (15,), None),
    "cmf_20": ("CMF", (*HLC, "volume"), (20,), None),
    "ad_line": ("AD", (*HLC, "volume"), (), None),
    "force_index_13": ("EFI", ("close", "volume"), (13,), None),
    "donchian_upper": ("DONCHIAN", ("high", "low"), (20,), 0),
    "donchian_middle": ("DONCHIAN", ("high", "low"), (20,), 1),
    "donchian_lower": ("DONCHIAN", ("high", "low"), (20,), 2),
    "keltner_middle": ("EMA", ("close",), (20,), None),
    "atr_10": ("ATR", HLC, (10,), None),
    "ichimoku_conversion": ("MIDPRICE", ("high", "low"), (9,), None),
    "ichimoku_base": ("MIDPRICE", ("high", "low"), (26,), None),
}
# TA-Lib gives %K from the first bar of %D on, here it has a value two bars earlier.
EARLIER = {"stochastic_k": 2}


@pytest.mark.parametrize("column", TALIB)
def test_talib_agrees_on_real_history(apple: pd.DataFrame, values: pd.DataFrame, column: str) -> None:
    name, inputs, parameters, output = TALIB[column]
    arrays = apple.assign(typical=(apple["high"] + apple["low"] + apple["close"]) / 3.0)
    reference = getattr(talib, name)(*(arrays[name].to_numpy() for name in inputs), *parameters)
    reference = reference if output is None else reference[output]
    result = values[column].to_numpy()
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


def test_ichimoku_spans_are_drawn_26_sessions_later(apple: pd.DataFrame, values: pd.DataFrame) -> None:
    high, low = apple["high"].to_numpy(), apple["low"].to_numpy()
    middle = {length: pd.Series(talib.MIDPRICE(high, low, length)) for length in (9, 26, 52)}
    np.testing.assert_allclose(values["ichimoku_span_a"], ((middle[9] + middle[26]) / 2.0).shift(26), rtol=1e-12)
    np.testing.assert_allclose(values["ichimoku_span_b"], middle[52].shift(26), rtol=1e-12)


def test_keltner_is_two_average_true_ranges_wide(values: pd.DataFrame) -> None:
    for side, column in ((1.0, "keltner_upper"), (-1.0, "keltner_lower")):
        expected_band = values["keltner_middle"] + side * 2.0 * values["atr_10"]
        np.testing.assert_allclose(values[column], expected_band, rtol=1e-12)


def test_supertrend_is_the_band_of_its_side(apple: pd.DataFrame, values: pd.DataFrame) -> None:
    reference = talib.SUPERTREND(*(apple[name].to_numpy() for name in HLC), 10, 3.0)[1]
    np.testing.assert_array_equal(values["supertrend_side"][10:], reference[10:])
    band = values["supertrend_lower"].where(values["supertrend_side"] > 0.0, values["supertrend_upper"])
    np.testing.assert_array_equal(values["supertrend"], band)


def test_range_volatilities_equal_their_formulas(apple: pd.DataFrame, values: pd.DataFrame) -> None:
    """Written out with pandas: Parkinson 1980, Garman and Klass 1980, Yang and Zhang 2000."""
    log = np.log(apple[["open", "high", "low", "close"]])
    width, move = log["high"] - log["low"], log["close"] - log["open"]
    overnight = log["open"] - log["close"].shift(1)
    above, below = log["high"] - log["open"], log["low"] - log["open"]
    parkinson = (width**2).rolling(20).mean() / (4.0 * np.log(2.0))
    garman_klass = (0.5 * width**2 - (2.0 * np.log(2.0) - 1.0) * move**2).rolling(20).mean()
    rogers_satchell = (above * (above - move) + below * (below - move)).rolling(20).mean()
    weight = 0.34 / (1.34 + 21.0 / 19.0)
    yang_zhang = overnight.rolling(20).var() + weight * move.rolling(20).var() + (1.0 - weight) * rogers_satchell
    for column, variance in (
        ("parkinson_20", parkinson),
        ("garman_klass_20", garman_klass),
        ("yang_zhang_20", yang_zhang),
    ):
        np.testing.assert_allclose(values[column], np.sqrt(252.0 * variance), rtol=1e-8)


def test_return_statistics_equal_their_formulas(apple: pd.DataFrame, values: pd.DataFrame) -> None:
    log_return, simple = np.log(apple["close"]).diff(), apple["close"].pct_change()
    benchmark = apple["benchmark"].pct_change()
    sums = {power: (log_return**power).rolling(60).sum() for power in (2, 3, 4)}
    traded = apple["close"] * apple["volume"]
    expected_columns = {
        "realised_skewness_60": np.sqrt(60.0) * sums[3] / sums[2] ** 1.5,
        "realised_kurtosis_60": 60.0 * sums[4] / sums[2] ** 2,
        "beta_252": simple.rolling(252).cov(benchmark) / benchmark.rolling(252).var(),
        "correlation_252": simple.rolling(252).corr(benchmark),
        "amihud_21": 1e6 * (simple.abs() / traded).rolling(21).mean(),
        "momentum_12_1": apple["close"].shift(21) / apple["close"].shift(252) - 1.0,
        "proximity_252": apple["close"] / apple["high"].rolling(252).max(),
    }
    for column, reference in expected_columns.items():
        np.testing.assert_allclose(values[column], reference, rtol=1e-7, atol=1e-12, err_msg=column)


def test_drawdown_duration_counts_sessions_since_the_highest_close(apple: pd.DataFrame, values: pd.DataFrame) -> None:
    close = apple["close"].to_numpy()
    duration = [t - max(i for i in range(t + 1) if close[i] == close[: t + 1].max()) for t in range(0, len(close), 97)]
    np.testing.assert_array_equal(values["drawdown_duration"][::97], duration)
    np.testing.assert_array_equal(values["peak_close"], np.maximum.accumulate(close))


def test_beta_is_null_without_a_benchmark(apple: pd.DataFrame) -> None:
    result = compute(apple.drop(columns="benchmark"), indicators=["benchmark_252", "sma_20"])
    assert result["beta_252"].isna().all()
    assert result["sma_20"].notna().sum() == len(apple) - 19


def test_illiquidity_uses_the_value_as_traded(apple: pd.DataFrame) -> None:
    """A split and a dividend later the same bars have other adjusted prices and the same traded value."""
    later = apple.assign(
        **{name: apple[name] * 0.23 for name in ("open", "high", "low", "close")},
        volume=apple["volume"] * 4.0,
        price_factor=0.23,
        volume_factor=4.0,
    )
    both = [compute(frame, indicators=["amihud_21"])["amihud_21"] for frame in (apple, later)]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-10)


def test_a_window_without_volume_counts_only_sessions_that_traded(apple: pd.DataFrame) -> None:
    quiet = apple.iloc[:60].copy()
    quiet.loc[30:49, "volume"] = 0.0
    result = compute(quiet, indicators=["amihud_21"])["amihud_21"]
    ratio = quiet["close"].pct_change().abs() / (quiet["close"] * quiet["volume"])
    assert result[50] == pytest.approx(1e6 * ratio[50])
    assert result.iloc[21:].notna().all()


def test_symbols_side_by_side_have_the_path_they_have_alone(apple: pd.DataFrame) -> None:
    """Lanes of different lengths, one too short for a first position; every path to the bit."""
    lengths = (700, 3, 1200, 1, 12, 699)
    frames = [apple.iloc[:length].assign(symbol=f"S{i}") for i, length in enumerate(lengths)]
    names = ["psar", "supertrend"]
    together = compute(pd.concat(frames, ignore_index=True), indicators=names)
    alone = pd.concat([compute(frame, indicators=names) for frame in frames], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone, check_exact=True)
    assert together["psar"].notna().sum() == sum(lengths) - len(lengths)
