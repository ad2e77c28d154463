"""Weights under concentration limits.

One cap: excess above the cap goes to the uncapped names in proportion to their weights until none is above
it (S&P DJI "Index Mathematics Methodology", Capped Market Capitalization Indices). Group limit: besides the
cap, the weights above a threshold may not sum to more than a limit; 10 %, 5 %, 40 % is the 5/10/40 rule of
the UCITS directive (2009/65/EC, article 52), which MSCI's 10/40 indices follow.
"""

from __future__ import annotations

import math

import numpy as np

from market_assets.domain.indices.arrays import FloatArray
from market_assets.errors import InputError


def capped_weights(free: FloatArray, *, cap: float, threshold: float = 0.0, limit: float = 1.0) -> FloatArray:
    """The weights closest in proportion to `free` that meet the limits.

    Args:
        free: weights without limits, positive, summing to 1.
        cap: largest weight.
        threshold: weights above it are large; 0 = no group limit.
        limit: largest sum of the large weights.

    Raises:
        InputError: so few names cannot meet the limits.
    """
    if threshold > 0:
        return _grouped(free, cap, threshold, limit)
    if free.max() <= cap:
        return free
    weights = _water_fill(free, cap, 1.0)
    if weights is None:
        raise InputError(
            f"{len(free)} constituents cannot each stay at or below {cap:.4g} of the index; at least "
            f"{math.ceil(1 / cap - 1e-9)} are needed. Raise weighting.cap or widen the universe."
        )
    return weights


def _water_fill(free: FloatArray, cap: float, total: float) -> FloatArray | None:
    """min(cap, m x free) with the one multiplier m that makes the sum `total`; None when even all caps fall short."""
    count = len(free)
    if count * cap < total * (1 - 1e-12):
        return None
    order = np.argsort(-free, kind="stable")
    ranked = free[order]
    # With the k largest at the cap, the rest share what is left in proportion.
    tail = np.cumsum(ranked[::-1])[::-1]
    for k in range(count):
        multiplier = (total - k * cap) / tail[k]
        if ranked[k] * multiplier <= cap:
            weights = np.empty(count)
            weights[order[:k]] = cap
            weights[order[k:]] = ranked[k:] * multiplier
            return weights
    return np.full(count, total / count)


def _grouped(free: FloatArray, cap: float, threshold: float, limit: float) -> FloatArray:
    """Of all numbers of large names, the allocation with the smallest active share against `free`."""
    order = np.argsort(-free, kind="stable")
    best, distance = None, np.inf
    for large in range(min(len(free), int(limit / threshold)) + 1):
        weights = _with_large(free[order], large, cap, threshold, limit)
        if weights is None:
            continue
        active = float(np.abs(weights - free[order]).sum())
        if active < distance:
            best, distance = weights, active
    if best is None:
        raise InputError(
            f"{len(free)} constituents cannot meet {threshold:.4g}/{cap:.4g}/{limit:.4g}; at least "
            f"{_fewest(cap, threshold, limit)} are needed. Relax weighting.group_limit or widen the universe."
        )
    out = np.empty(len(free))
    out[order] = best
    return out


def _with_large(ranked: FloatArray, large: int, cap: float, threshold: float, limit: float) -> FloatArray | None:
    """Weights when the `large` biggest names may exceed the threshold and the others may not; None if impossible."""
    head, tail = ranked[:large], ranked[large:]
    if not large:
        return _water_fill(tail, threshold, 1.0)
    share = min(float(head.sum()), limit, large * cap)
    # The names below may be too few or too capped to take the rest: the large ones then take more, up to
    # the limit.
    share = max(share, 1.0 - len(tail) * threshold)
    if share > min(limit, large * cap) + 1e-12:
        return None
    upper = _water_fill(head, cap, share)
    lower = _water_fill(tail, threshold, 1.0 - share) if len(tail) else tail
    return None if upper is None or lower is None else np.concatenate([upper, lower])


def _fewest(cap: float, threshold: float, limit: float) -> int:
    """Smallest number of names that can meet the limits."""
    large = int(limit / cap + 1e-9)
    rest = 1.0 - min(limit, large * cap)
    return large + math.ceil(rest / threshold - 1e-9)
