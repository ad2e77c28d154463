"""IBM, 3,270 sessions, against two other packages: `ta` and `pandas-ta-classic`.

Where a convention differs, docs/methodology.md says how; here is what remains equal.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pandas_ta_classic as pta
import pytest
from indicator_market import plain
from ta import momentum, trend, volatility, volume

from market_assets.domain.indicators import compute

Reference = Callable[[pd.DataFrame], pd.Series]


@pytest.fixture(scope="module")
def ibm() -> pd.DataFrame:
    from bokeh_sampledata.stocks import IBM

    bars = pd.DataFrame(IBM).rename(columns={"date": "session"})
    bars = bars.assign(symbol="IBM", session=pd.to_datetime(bars["session"]), volume=bars["volume"].astype("float64"))
    return plain(bars[["symbol", "session", "open", "high", "low", "close", "volume"]])


@pytest.fixture(scope="module")
def values(ibm: pd.DataFrame) -> pd.DataFrame:
    """Every indicator of IBM."""
    return compute(ibm)


def hlc(bars: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    return bars["high"], bars["low"], bars["close"]


def hlcv(bars: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series, pd.Series]:
    return (*hlc(bars), bars["volume"])


def column(frame: pd.DataFrame, position: int) -> pd.Series:
    return frame.iloc[:, position]


FROM_THE_FIRST_BAR: dict[str, dict[str, Reference]] = {
    "ta": {
        "sma_50": lambda b: trend.SMAIndicator(b["close"], 50).sma_indicator(),
        "return_21": lambda b: momentum.ROCIndicator(b["close"], 21).roc() / 100.0,
        "stochastic_k": lambda b: momentum.StochasticOscillator(*hlc(b), 14, 3).stoch_signal(),
        "williams_r_14": lambda b: momentum.WilliamsRIndicator(*hlc(b), 14).williams_r(),
        "ultimate_oscillator": lambda b: momentum.UltimateOscillator(*hlc(b)).ultimate_oscillator(),
        "cci_20": lambda b: trend.CCIIndicator(*hlc(b), 20).cci(),
        "ichimoku_conversion": lambda b: trend.IchimokuIndicator(b["high"], b["low"]).ichimoku_conversion_line(),
        "ichimoku_base": lambda b: trend.IchimokuIndicator(b["high"], b["low"]).ichimoku_base_line(),
        "ichimoku_span_a": lambda b: trend.IchimokuIndicator(b["high"], b["low"], visual=True).ichimoku_a(),
        "ichimoku_span_b": lambda b: trend.IchimokuIndicator(b["high"], b["low"], visual=True).ichimoku_b(),
        "bollinger_upper": lambda b: volatility.BollingerBands(b["close"], 20, 2).bollinger_hband(),
        "bollinger_percent_b": lambda b: volatility.BollingerBands(b["close"], 20, 2).bollinger_pband(),
        "donchian_upper": lambda b: volatility.DonchianChannel(*hlc(b), 20).donchian_channel_hband(),
        "donchian_middle": lambda b: volatility.DonchianChannel(*hlc(b), 20).donchian_channel_mband(),
        "mfi_14": lambda b: volume.MFIIndicator(*hlcv(b), 14).money_flow_index(),
        "cmf_20": lambda b: volume.ChaikinMoneyFlowIndicator(*hlcv(b), 20).chaikin_money_flow(),
        "ad_line": lambda b: volume.AccDistIndexIndicator(*hlcv(b)).acc_dist_index(),
        "vwap_20": lambda b: volume.VolumeWeightedAveragePrice(*hlcv(b), 20).volume_weighted_average_price(),
    },
    "pandas_ta_classic": {
        "ema_12": lambda b: pta.ema(b["close"], 12, talib=False),
        "rsi_14": lambda b: pta.rsi(b["close"], 14, talib=False),
        "macd": lambda b: column(pta.macd(b["close"], talib=False), 0),
        "trix_15": lambda b: column(pta.trix(b["close"], 15), 0),
        "stochastic_k": lambda b: column(pta.stoch(*hlc(b), 14, 3, 3, talib=False), 0),
        "stochastic_d": lambda b: column(pta.stoch(*hlc(b), 14, 3, 3, talib=False), 1),
        "williams_r_14": lambda b: pta.willr(*hlc(b), 14, talib=False),
        "ultimate_oscillator": lambda b: pta.uo(*hlc(b), talib=False),
        "cci_20": lambda b: pta.cci(*hlc(b), 20, talib=False),
        "aroon_down_25": lambda b: column(pta.aroon(b["high"], b["low"], 25, talib=False), 0),
        "bollinger_lower": lambda b: column(pta.bbands(b["close"], 20, 2, ddof=0, talib=False), 0),
        "atr_14": lambda b: pta.atr(*hlc(b), 14, talib=False),
        "natr_14": lambda b: pta.natr(*hlc(b), 14, talib=False),
        "donchian_lower": lambda b: column(pta.donchian(b["high"], b["low"], 20, 20), 0),
        "keltner_middle": lambda b: column(pta.kc(*hlc(b), 20, 2), 1),
        "obv": lambda b: pta.obv(b["close"], b["volume"], talib=False),
        "mfi_14": lambda b: pta.mfi(*hlcv(b), 14, talib=False),
        "cmf_20": lambda b: pta.cmf(*hlcv(b), length=20),
        "ad_line": lambda b: pta.ad(*hlcv(b), talib=False),
        "force_index_13": lambda b: pta.efi(b["close"], b["volume"], 13),
        "vwap_20": lambda b: pta.vwma((b["high"] + b["low"] + b["close"]) / 3.0, b["volume"], 20),
        "psar": lambda b: column(pta.psar(b["high"], b["low"]), 0).fillna(column(pta.psar(b["high"], b["low"]), 1)),
    },
}

# Recursions that `ta` starts from the first value instead of a mean: bars until the difference has decayed.
ONCE_THE_SEED_HAS_DECAYED: dict[str, tuple[int, Reference]] = {
    "ema_26": (400, lambda b: trend.EMAIndicator(b["close"], 26).ema_indicator()),
    "macd": (400, lambda b: trend.MACD(b["close"]).macd()),
    "macd_signal": (400, lambda b: trend.MACD(b["close"]).macd_signal()),
    "trix_15": (400, lambda b: trend.TRIXIndicator(b["close"], 15).trix()),
    "rsi_14": (400, lambda b: momentum.RSIIndicator(b["close"], 14).rsi()),
    "atr_14": (400, lambda b: volatility.AverageTrueRange(*hlc(b), 14).average_true_range()),
    "force_index_13": (400, lambda b: volume.ForceIndexIndicator(b["close"], b["volume"], 13).force_index()),
    "keltner_upper": (
        400,
        lambda b: volatility.KeltnerChannel(
            *hlc(b), 20, 10, original_version=False, multiplier=2
        ).keltner_channel_hband(),
    ),
}


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package, columns in FROM_THE_FIRST_BAR.items() for name in columns]
)
def test_values_agree_from_the_first_bar(ibm: pd.DataFrame, values: pd.DataFrame, package: str, name: str) -> None:
    reference, own = FROM_THE_FIRST_BAR[package][name](ibm).to_numpy(), values[name].to_numpy()
    known = ~np.isnan(own)
    assert known.sum() > len(ibm) - 260
    np.testing.assert_allclose(own[known], reference[known], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ONCE_THE_SEED_HAS_DECAYED)
def test_values_agree_once_another_seed_has_decayed(ibm: pd.DataFrame, values: pd.DataFrame, name: str) -> None:
    bar, reference = ONCE_THE_SEED_HAS_DECAYED[name]
    other = reference(ibm).to_numpy()
    np.testing.assert_allclose(values[name].to_numpy()[bar:], other[bar:], rtol=1e-8, atol=1e-8)
    early = values[name].first_valid_index()
    assert abs(values[name][early] - other[early]) > 1e-8 * abs(other[early]), (
        "seeded alike: compare from the first bar"
    )


def test_a_rise_of_the_high_equal_to_the_fall_of_the_low_counts_for_neither(
    ibm: pd.DataFrame, values: pd.DataFrame
) -> None:
    """Equal in cents; in floating point one is larger by chance, and the others take that one."""
    cents = (ibm[["high", "low"]] * 100).round()
    tied = (cents["high"].diff() == -cents["low"].diff()) & (cents["high"].diff() > 0)
    rounding = ibm["high"].diff() != -ibm["low"].diff()
    first = int(np.flatnonzero(tied & rounding)[-1])
    other = column(pta.adx(*hlc(ibm), 14, talib=False), 0).to_numpy()
    same = np.isclose(values["adx_14"], other, rtol=1e-8)
    assert same[first + 500 :].all(), "and it decays"
    assert not same[300 : first + 1].all()


def test_an_unchanged_close_adds_no_volume(ibm: pd.DataFrame, values: pd.DataFrame) -> None:
    """`ta` adds the volume of a session that closed unchanged."""
    other = volume.OnBalanceVolumeIndicator(ibm["close"], ibm["volume"]).on_balance_volume()
    unchanged = ibm["volume"].where(ibm["close"].diff() == 0.0, 0.0).cumsum()
    np.testing.assert_allclose(values["obv"], other - unchanged, rtol=1e-12)


def test_supertrend_follows_the_same_bands(ibm: pd.DataFrame, values: pd.DataFrame) -> None:
    """pandas-ta-classic carries the band behind the price by another rule when the side turns: a few bars differ."""
    other = column(pta.supertrend(*hlc(ibm), 10, 3.0), 0).to_numpy()
    own = values["supertrend"].to_numpy()
    assert np.isclose(own[10:], other[10:], rtol=1e-8).mean() > 0.99
