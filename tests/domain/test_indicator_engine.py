"""compute(): gaps, short series, warm-up, bounds, bases, and the frames it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indicator_market import Market, assert_same, markets, plain, random_bars

from market_assets.domain.indicators import ALL, REGISTRY, ascending_columns, compute, engine, outputs
from market_assets.errors import InputError, SchemaMismatch

OUTPUTS = {output.name: output for output in outputs(ALL)}
PRICES = ["open", "high", "low", "close"]
quick = settings(max_examples=20, deadline=None)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return random_bars(300, 700, 5, 1)


@pytest.fixture(scope="module")
def values(bars: pd.DataFrame) -> pd.DataFrame:
    return compute(bars, indicators=ALL)


def test_the_result_has_the_rows_of_the_bars_and_the_columns_of_the_registry(
    bars: pd.DataFrame, values: pd.DataFrame
) -> None:
    pd.testing.assert_frame_equal(values[["symbol", "session"]], bars[["symbol", "session"]])
    assert list(values.columns) == ["symbol", "session", *OUTPUTS]
    assert (values.dtypes[2:] == np.float64).all()


@pytest.mark.parametrize("column", OUTPUTS)
def test_nulls_are_the_warm_up_and_nothing_else(values: pd.DataFrame, column: str) -> None:
    for _, series in values.groupby("symbol")[column]:
        expected = np.arange(len(series)) < OUTPUTS[column].warm_up
        np.testing.assert_array_equal(series.isna(), expected)


@pytest.mark.parametrize("column", OUTPUTS)
def test_values_respect_their_bounds(values: pd.DataFrame, column: str) -> None:
    low, high = OUTPUTS[column].bounds
    present = values[column].dropna()
    assert len(present) > 0
    assert low is None or present.min() >= low
    assert high is None or present.max() <= high


@given(markets())
@quick
def test_bounds_and_band_order_hold_in_any_market(market: Market) -> None:
    values = compute(market.adjusted(), indicators=ALL)
    for name, output in OUTPUTS.items():
        low, high = output.bounds
        assert low is None or not (values[name] < low).any(), name
        assert high is None or not (values[name] > high).any(), name
        assert np.isfinite(values[name].dropna()).all(), name
    for group in ascending_columns(ALL):
        ordered = values[list(group)].dropna().to_numpy()
        assert (np.diff(ordered, axis=1) >= 0.0).all(), group


@given(markets())
@quick
def test_incomplete_bars_are_null_and_leave_the_others_as_if_they_were_not_there(market: Market) -> None:
    bars = market.adjusted()
    complete = bars[[*PRICES, "volume"]].notna().all(axis=1)
    # Rows that lack something are made to lack everything: then one set of rows is skipped by all indicators.
    bars.loc[~complete, [*PRICES, "volume"]] = np.nan
    values = compute(bars, indicators=ALL)
    compacted = compute(bars[complete].reset_index(drop=True), indicators=ALL)
    assert values.loc[~complete, list(OUTPUTS)].isna().all(axis=None)
    pd.testing.assert_frame_equal(values[complete].reset_index(drop=True), compacted)


def test_a_bar_is_skipped_only_by_the_indicators_that_read_what_it_lacks(bars: pd.DataFrame) -> None:
    row = 400
    without_volume = bars.copy()
    without_volume.loc[row, "volume"] = np.nan
    values, original = compute(without_volume), compute(bars)
    assert np.isnan(values["obv"][row])
    assert values["sma_20"].equals(original["sma_20"])
    assert values["adx_14"].equals(original["adx_14"])
    without_open = bars.copy()
    without_open.loc[row, "open"] = np.nan
    values = compute(without_open)
    opened = {output.name for entry in REGISTRY.values() if "open" in entry.inputs for output in entry.outputs}
    assert values.loc[row, sorted(opened)].isna().all()
    others = [name for name in original if name not in opened]
    pd.testing.assert_frame_equal(values[others], original[others])


@pytest.mark.parametrize("price", [np.nan, np.inf, 0.0, -3.0])
def test_a_price_that_cannot_be_is_missing(bars: pd.DataFrame, price: float) -> None:
    broken = bars.copy()
    broken.loc[400, "close"] = price
    values = compute(broken)
    assert values.loc[400, ["sma_20", "rsi_14", "atr_14"]].isna().all()
    assert values.loc[401, ["sma_20", "rsi_14", "atr_14"]].notna().all()


@given(markets())
@quick
def test_a_symbol_has_the_same_values_alone_and_among_others(market: Market) -> None:
    bars = market.adjusted()
    together = compute(bars, indicators=ALL)
    for symbol, own in bars.groupby("symbol"):
        alone = compute(own.reset_index(drop=True), indicators=ALL)
        among = together[together["symbol"] == symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, among)


def test_batches_do_not_show_in_the_result(
    bars: pd.DataFrame, values: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BATCH_ROWS", 1)
    pd.testing.assert_frame_equal(compute(bars, indicators=ALL), values)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
@quick
def test_values_scale_with_price_and_volume_by_their_degrees(price: float, volume: float, seed: int) -> None:
    """Scaling the series alone is scaling by degree; scaling the factors too changes nothing."""
    bars = random_bars(320, seed=seed, flat=0.2)
    values = compute(bars, indicators=ALL)
    scaled = bars.assign(**{name: bars[name] * price for name in PRICES}, volume=bars["volume"] * volume)
    raised = compute(scaled, indicators=ALL)
    for name, output in OUTPUTS.items():
        raised[name] /= price**output.price_degree * volume**output.volume_degree
    assert_same(raised, values, bars)
    rebased = compute(scaled.assign(price_factor=price, volume_factor=volume), indicators=ALL)
    assert_same(rebased, values, bars)


def test_a_stock_that_never_moved_has_no_oscillator_and_no_width() -> None:
    still = random_bars(300).assign(open=10.0, high=10.0, low=10.0, close=10.0, volume=0.0)
    last = compute(still).iloc[-1]
    undefined = ["rsi_14", "stochastic_k", "bollinger_percent_b", "mfi_14", "vwap_20", "volume_ratio_20"]
    assert last[undefined].isna().all()
    assert all(OUTPUTS[name].null_when for name in undefined)
    assert (
        last[["macd", "atr_14", "adx_14", "plus_di_14", "bollinger_bandwidth", "volatility_20", "obv"]] == 0.0
    ).all()
    assert (last[["sma_200", "ema_26", "bollinger_upper", "high_252"]] == 10.0).all()


def test_one_indicator_brings_the_columns_it_continues_from(bars: pd.DataFrame, values: pd.DataFrame) -> None:
    macd = compute(bars, indicators=["macd"])
    assert list(macd.columns[2:]) == ["ema_12", "ema_26", "macd", "macd_signal", "macd_histogram"]
    pd.testing.assert_frame_equal(macd, values[macd.columns])


def test_no_bars_give_no_values() -> None:
    empty = random_bars(3).iloc[:0]
    values = compute(empty, indicators=ALL)
    assert values.shape == (0, 2 + len(OUTPUTS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bars: bars.drop(columns="volume_factor"), "lack the column volume_factor"),
        (lambda bars: bars.drop(columns="symbol"), "lack the column symbol"),
        (lambda bars: bars.astype({"volume": "int64"}), "volume is int64, must be float64"),
        (lambda bars: bars.assign(session=bars["session"].astype(str)), "session must be a datetime64"),
        (lambda bars: bars.assign(session=bars["session"].where(bars.index > 0)), "session holds a missing value"),
        (lambda bars: bars.iloc[[0, 2, 1]], "S000: session 2010-01-05 follows 2010-01-06"),
        (lambda bars: bars.iloc[[0, 0]], "S000: session 2010-01-04 follows 2010-01-04"),
        (lambda bars: pd.concat([bars, bars.iloc[:1]]), "bars of S000 are not contiguous"),
    ],
)
def test_frames_that_break_the_contract_are_refused(bars: pd.DataFrame, change, message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        compute(change(bars))


@pytest.mark.parametrize("factor", ["price_factor", "volume_factor"])
def test_a_bar_without_a_factor_is_refused_by_symbol_and_session(bars: pd.DataFrame, factor: str) -> None:
    broken = bars.copy()
    broken.loc[2, factor] = np.nan
    with pytest.raises(InputError, match=f"{factor} of S000 at 2010-01-06 is nan"):
        compute(broken)


def test_unknown_indicators_are_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"unknown indicators \['sma_21'\]; choose from return_1"):
        compute(bars, indicators=["sma_21"])


def test_the_bars_are_not_written_to(bars: pd.DataFrame) -> None:
    before = bars.copy(deep=True)
    compute(bars, indicators=ALL)
    pd.testing.assert_frame_equal(bars, before)


def test_factors_of_any_common_base_give_the_same_values(bars: pd.DataFrame) -> None:
    """Forward factors (1 at the first session) serve as well as backward ones (1 at the last)."""
    other = bars.assign(**{name: bars[name] * 0.25 for name in PRICES}, price_factor=0.25)
    pd.testing.assert_frame_equal(compute(other), compute(plain(bars)), rtol=1e-12)
