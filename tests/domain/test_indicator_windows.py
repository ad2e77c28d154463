"""Rolling windows: right, and dependent on nothing but the window."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from market_assets.domain.indicators.windows import (
    RollingComoment,
    RollingExtreme,
    RollingSum,
    bars_since_extreme,
    parts,
)

LENGTHS = (1, 2, 3, 14, 20, 60, 63, 64, 200, 252)


def series(length: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(50.0, 4.0, length)


def squares(values: np.ndarray) -> RollingComoment:
    return RollingComoment(RollingSum(values))


def highest(values: np.ndarray) -> RollingExtreme:
    return RollingExtreme(values, np.maximum)


def recency(values: np.ndarray) -> partial[np.ndarray]:
    return partial(bars_since_extreme, values, tie=0.0, highest=True)


@pytest.mark.parametrize("length", LENGTHS)
def test_sums_moments_and_extremes_equal_their_definitions(length: int) -> None:
    left, right = series(400), series(400, seed=4)
    windows, others = sliding_window_view(left, length), sliding_window_view(right, length)
    deviations = windows - windows.mean(axis=1, keepdims=True)
    other_deviations = others - others.mean(axis=1, keepdims=True)
    valid = slice(length - 1, None)
    np.testing.assert_allclose(RollingSum(left)(length)[valid], windows.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(squares(left)(length)[valid], (deviations**2).sum(axis=1), rtol=1e-11, atol=1e-25)
    np.testing.assert_allclose(
        RollingComoment(RollingSum(left), RollingSum(right))(length)[valid],
        (deviations * other_deviations).sum(axis=1),
        rtol=1e-9,
        atol=1e-9,
    )
    np.testing.assert_array_equal(RollingExtreme(left, np.maximum)(length)[valid], windows.max(axis=1))
    np.testing.assert_array_equal(RollingExtreme(left, np.minimum)(length)[valid], windows.min(axis=1))


@given(st.integers(1, 300), st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_a_window_is_the_same_bit_for_bit_wherever_the_series_starts(length: int, start: int, seed: int) -> None:
    values = np.exp(np.random.default_rng(seed).normal(0.0, 8.0, 600))
    late = values[start:]
    for rolling in (RollingSum, squares, highest):
        whole, part = rolling(values)(length)[start:], rolling(late)(length)
        np.testing.assert_array_equal(whole[length - 1 :], part[length - 1 :])


def test_what_left_the_window_leaves_no_rounding_behind() -> None:
    """A running sum, as in TA-Lib, keeps the error of the large values it once held."""
    from talib import SMA

    calm = np.full(100, 0.1)
    values = np.concatenate([np.full(100, 1e12), calm])
    assert RollingSum(values)(20)[-1] / 20 == pytest.approx(0.1, rel=1e-15)
    assert squares(values)(20)[-1] == pytest.approx(0.0, abs=1e-30)
    assert abs(SMA(values, 20)[-1] / 0.1 - 1.0) > 1e-6


def test_windows_split_at_the_largest_power_of_two() -> None:
    assert [parts(length) for length in (2, 16, 20, 60)] == [(1, 1), (8, 8), (4, 16), (28, 32)]
    with pytest.raises(ValueError, match="at least one bar, got 0"):
        RollingSum(series(5))(0)


@pytest.mark.parametrize("length", [1, 2, 7, 26])
def test_the_latest_of_equal_highs_counts(length: int) -> None:
    """Equal up to rounding: a value a little lower than an equal older one is not older."""
    values = np.round(series(400), 0) * (1.0 + np.tile([0.0, 2e-16, -2e-16, 1e-16], 100))
    windows = sliding_window_view(values, length)[:, ::-1]
    expected = np.argmax(windows >= windows.max(axis=1, keepdims=True) * (1.0 - 1e-12), axis=1)
    for sign in (1, -1):
        since = bars_since_extreme(values**sign, length, tie=1e-12, highest=sign > 0)
        np.testing.assert_array_equal(since[length - 1 :], expected)


@pytest.mark.parametrize("rolling", [RollingSum, squares, highest, recency])
def test_series_shorter_than_the_window_keep_their_shape(rolling) -> None:
    for length in (0, 1, 7):
        window = rolling(series(length))
        assert window(60).shape == (length,)
