"""Rolling windows: right, and dependent on nothing but the window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from market_assets.domain.indicators.windows import RollingComoment, RollingExtreme, RollingSum, binary_parts

LENGTHS = (1, 2, 3, 14, 20, 60, 63, 64, 200, 252)


def series(length: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(50.0, 4.0, length)


@pytest.mark.parametrize("length", LENGTHS)
def test_sums_moments_and_extremes_equal_their_definitions(length: int) -> None:
    left, right = series(400), series(400, seed=4)
    windows, others = sliding_window_view(left, length), sliding_window_view(right, length)
    deviations = windows - windows.mean(axis=1, keepdims=True)
    other_deviations = others - others.mean(axis=1, keepdims=True)
    valid = slice(length - 1, None)
    np.testing.assert_allclose(RollingSum(left)(length)[valid], windows.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(
        RollingComoment(left)(length)[valid], (deviations**2).sum(axis=1), rtol=1e-11, atol=1e-25
    )
    np.testing.assert_allclose(
        RollingComoment(left, right)(length)[valid], (deviations * other_deviations).sum(axis=1), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_array_equal(RollingExtreme(left, np.maximum)(length)[valid], windows.max(axis=1))
    np.testing.assert_array_equal(RollingExtreme(left, np.minimum)(length)[valid], windows.min(axis=1))


@given(st.integers(1, 300), st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_a_window_is_the_same_bit_for_bit_wherever_the_series_starts(length: int, start: int, seed: int) -> None:
    values = np.exp(np.random.default_rng(seed).normal(0.0, 8.0, 600))
    late = values[start:]
    for rolling in (RollingSum, RollingComoment, lambda part: RollingExtreme(part, np.maximum)):
        whole, part = rolling(values)(length)[start:], rolling(late)(length)
        np.testing.assert_array_equal(whole[length - 1 :], part[length - 1 :])


def test_what_left_the_window_leaves_no_rounding_behind() -> None:
    """A running sum, as in TA-Lib, keeps the error of the large values it once held."""
    from talib import SMA

    calm = np.full(100, 0.1)
    values = np.concatenate([np.full(100, 1e12), calm])
    assert RollingSum(values)(20)[-1] / 20 == pytest.approx(0.1, rel=1e-15)
    assert RollingComoment(values)(20)[-1] == pytest.approx(0.0, abs=1e-30)
    assert abs(SMA(values, 20)[-1] / 0.1 - 1.0) > 1e-6


def test_lengths_decompose_into_powers_of_two() -> None:
    assert binary_parts(20) == [(2, 4), (4, 16)]
    with pytest.raises(ValueError, match="at least one bar, got 0"):
        RollingSum(series(5))(0)


@pytest.mark.parametrize("rolling", [RollingSum, RollingComoment, lambda values: RollingExtreme(values, np.minimum)])
def test_series_shorter_than_the_window_keep_their_shape(rolling) -> None:
    for length in (0, 1, 7):
        assert rolling(series(length))(60).shape == (length,)
