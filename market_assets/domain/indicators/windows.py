"""Rolling sums, moments and extremes whose value depends on the window alone.

A running sum (add the newest, subtract the oldest) carries the rounding of everything it ever held: after a split by
1:1000 or a day of huge volume its error stays for good, and a computation that starts later gives another number.
Here a window of 2k elements is the sum of two windows of k, so that any window is built in log2(length) vectorised
additions, always in the same order: the result is the same bit for bit wherever the series starts, and its error is
that of pairwise summation. Variances merge the same way (Chan, Golub and LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances", 1979), which never subtracts large squares.

Every class here takes an array (n,) and returns, for a window length, an array (n,) aligned with the end of the window.
The first length - 1 elements are not windows and hold partial results: the caller blanks them. Results are kept, so
that windows share their parts; callers never write into them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from market_assets.domain.indicators.definition import Array


class RollingSum:
    """Sums over windows of one array."""

    def __init__(self, values: Array) -> None:
        self._windows = {1: values}

    def __call__(self, length: int) -> Array:
        """Sum of the last `length` elements.

        Raises:
            ValueError: length below 1.
        """
        if length not in self._windows:
            newer, older = parts(length)
            self._windows[length] = _combined(np.add, self(newer), self(older), newer)
        return self._windows[length]


class RollingComoment:
    """Sums of products of deviations from the window means of two arrays; one array alone gives squared deviations."""

    def __init__(self, left: RollingSum, right: RollingSum | None = None) -> None:
        """Window of one element: a deviation from itself is zero."""
        self._left = left
        self._right = left if right is None else right
        self._windows = {1: np.zeros_like(left(1))}

    def __call__(self, length: int) -> Array:
        """Sum over the last `length` elements of (left - mean of left) x (right - mean of right).

        Raises:
            ValueError: length below 1.
        """
        if length not in self._windows:
            newer, older = parts(length)
            product, older_product = self(newer), self(older)
            out = np.empty_like(product)
            out[:newer] = product[:newer]
            if newer < len(out):
                gap = self._gap(self._left, newer, older)
                gap *= gap if self._right is self._left else self._gap(self._right, newer, older)
                gap *= newer / (older * length)
                gap += older_product[:-newer]
                np.add(product[newer:], gap, out=out[newer:])
            self._windows[length] = out
        return self._windows[length]

    @staticmethod
    def _gap(total: RollingSum, newer: int, older: int) -> Array:
        """Sum of the newer part, scaled to as many elements as the older part has, minus the sum of the older."""
        sums = total(newer)[newer:]
        return (sums if newer == older else sums * (older / newer)) - total(older)[:-newer]


class RollingExtreme:
    """Largest (np.maximum) or smallest (np.minimum) element over windows of one array."""

    def __init__(self, values: Array, ufunc: np.ufunc) -> None:
        self._windows = {1: values}
        self._ufunc = ufunc

    def __call__(self, length: int) -> Array:
        """Extreme of the last `length` elements: that of two overlapping windows.

        Raises:
            ValueError: length below 1.
        """
        if length not in self._windows:
            half = overlapping_part(length)
            part = self(half)
            self._windows[length] = _combined(self._ufunc, part, part, length - half)
        return self._windows[length]


def bars_since_extreme(values: Array, length: int, *, tie: float, highest: bool) -> NDArray[np.int16]:
    """How many elements ago the extreme of the last `length` elements was; of equal ones the latest counts.

    Args:
        values: (n,) series, positive.
        length: elements in the window.
        tie: values that differ by at most this, relative to their size, are equal.
        highest: whether the extreme is the largest or the smallest element.
    """
    reach, at_least, nearer = (
        (1.0 - tie, np.greater_equal, np.maximum) if highest else (1.0 + tie, np.less_equal, np.minimum)
    )
    size, extreme, since = 1, values, np.zeros(len(values), np.int16)
    while size < length:
        shift = min(size, length - size)
        later = at_least(extreme[shift:], extreme[:-shift] * reach)
        ago = since.copy()
        ago[shift:] = since[:-shift] + np.int16(shift)
        ago[shift:] += (since[shift:] - ago[shift:]) * later
        extreme, since, size = _combined(nearer, extreme, extreme, shift), ago, size + shift
    return since


def _combined(ufunc: np.ufunc, newer: Array, older: Array, shift: int) -> Array:
    """ufunc(newer[t], older[t - shift]); the first `shift` elements stay as in `newer`."""
    out = np.empty_like(newer)
    out[:shift] = newer[:shift]
    if shift < len(out):
        ufunc(newer[shift:], older[:-shift], out=out[shift:])
    return out


def parts(length: int) -> tuple[int, int]:
    """Lengths of the newer and the older part of a window: the older is the largest power of two below `length`.

    Raises:
        ValueError: length below 1.
    """
    older = overlapping_part(length)
    return length - older, older


def overlapping_part(length: int) -> int:
    """The largest power of two below `length`.

    Raises:
        ValueError: length below 1.
    """
    if length < 1:
        raise ValueError(f"a window needs at least one bar, got {length}")
    return 1 << ((length - 1).bit_length() - 1)
