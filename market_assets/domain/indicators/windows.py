"""Rolling sums, moments and extremes whose value depends on the window alone.

A running sum (add the newest, subtract the oldest) carries the rounding of everything it ever held: after a split by
1:1000 or a day of huge volume its error stays for good, and a computation that starts later gives another number.
Here a window of 2k elements is the sum of two windows of k, so that any window is built in log2(length) vectorised
additions, always in the same order: the result is the same bit for bit wherever the series starts, and its error is
that of pairwise summation. Variances merge the same way (Chan, Golub and LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances", 1979), which never subtracts large squares.

Every function here takes an array (n,) and returns an array (n,) aligned with the end of the window. The first
length - 1 elements are not windows and hold partial results: the caller blanks them.
"""

from __future__ import annotations

import numpy as np

from market_assets.domain.indicators.definition import Array


def _combine(newer: Array, older: Array, shift: int) -> Array:
    """newer[t] + older[t - shift]; the first `shift` elements stay as in `newer`."""
    out = np.empty_like(newer)
    out[:shift] = newer[:shift]
    if shift < len(out):
        np.add(newer[shift:], older[:-shift], out=out[shift:])
    return out


class RollingSum:
    """Sums over any number of window lengths of one array; the shorter windows are shared."""

    def __init__(self, values: Array) -> None:
        self._powers = [values]

    def __call__(self, length: int) -> Array:
        """Sum of the last `length` elements.

        Raises:
            ValueError: length below 1.
        """
        parts = binary_parts(length)
        self._extend(parts[-1][0])
        first, *rest = parts
        total, covered = self._powers[first[0]], first[1]
        for power, size in rest:
            total = _combine(total, self._powers[power], covered)
            covered += size
        return total

    def _extend(self, power: int) -> None:
        for exponent in range(len(self._powers), power + 1):
            half = self._powers[-1]
            self._powers.append(_combine(half, half, 1 << (exponent - 1)))


class RollingComoment:
    """Sums of products of deviations from the window means, for two arrays (the same one twice gives variances)."""

    def __init__(self, left: Array, right: Array | None = None) -> None:
        """Window of one element: the sums are the elements, the product of deviations is zero."""
        self._left = [left]
        self._right = self._left if right is None else [right]
        self._product = [np.zeros_like(left)]

    def __call__(self, length: int) -> Array:
        """Sum over the last `length` elements of (left - mean of left) x (right - mean of right).

        Raises:
            ValueError: length below 1.
        """
        parts = binary_parts(length)
        self._extend(parts[-1][0])
        (power, covered), *rest = parts
        left, right, product = self._left[power], self._right[power], self._product[power]
        for power, size in rest:
            older = (self._left[power], self._right[power], self._product[power])
            product = _merge((left, right, product), older, covered, size)
            left, right = _combine(left, older[0], covered), _combine(right, older[1], covered)
            covered += size
        return product

    def _extend(self, power: int) -> None:
        for exponent in range(len(self._product), power + 1):
            half = 1 << (exponent - 1)
            left, right, product = self._left[-1], self._right[-1], self._product[-1]
            merged = _merge((left, right, product), (left, right, product), half, half)
            self._product.append(merged)
            self._left.append(_combine(left, left, half))
            if self._right is not self._left:
                self._right.append(_combine(right, right, half))


def _merge(newer: tuple[Array, Array, Array], older: tuple[Array, Array, Array], new: int, old: int) -> Array:
    """Products of deviations of windows of new + old elements from those of their two parts."""
    left, right, product = newer
    older_left, older_right, older_product = older
    out = np.empty_like(product)
    out[:new] = product[:new]
    if new < len(out):
        gap = _scaled_gap(left[new:], older_left[:-new], old / new)
        gap *= gap if right is left else _scaled_gap(right[new:], older_right[:-new], old / new)
        gap *= new / (old * (new + old))
        gap += older_product[:-new]
        np.add(product[new:], gap, out=out[new:])
    return out


def _scaled_gap(newer: Array, older: Array, ratio: float) -> Array:
    """Difference of two sums after scaling the newer one to as many elements as the older one has."""
    return newer - older if ratio == 1.0 else newer * ratio - older


class RollingExtreme:
    """Largest (np.maximum) or smallest (np.minimum) element over any number of window lengths of one array."""

    def __init__(self, values: Array, ufunc: np.ufunc) -> None:
        self._powers = [values]
        self._ufunc = ufunc

    def __call__(self, length: int) -> Array:
        """Extreme of the last `length` elements: two overlapping windows of the largest power of two inside.

        Raises:
            ValueError: length below 1.
        """
        power = binary_parts(length)[-1][0]
        while len(self._powers) <= power:
            half = self._powers[-1]
            self._powers.append(self._overlap(half, 1 << (len(self._powers) - 1)))
        size = 1 << power
        return self._powers[power] if size == length else self._overlap(self._powers[power], length - size)

    def _overlap(self, part: Array, shift: int) -> Array:
        out = np.empty_like(part)
        out[:shift] = part[:shift]
        if shift < len(out):
            self._ufunc(part[shift:], part[:-shift], out=out[shift:])
        return out


def binary_parts(length: int) -> list[tuple[int, int]]:
    """The powers of two that add up to `length`, smallest first, as (exponent, size).

    Raises:
        ValueError: length below 1.
    """
    if length < 1:
        raise ValueError(f"a window needs at least one bar, got {length}")
    return [(power, 1 << power) for power in range(length.bit_length()) if length >> power & 1]
