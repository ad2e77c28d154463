"""Numbers that depend on what they are for, and on nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from market_assets.sources.counter_random import keys_of, normal, normal_once, uniform, uniform_once

DAYS = np.arange(10_000, 14_000, dtype=np.int64)
KEYS = keys_of(7, [f"S{number}" for number in range(50)])


@given(st.integers(0, 3_900), st.integers(1, 100), st.sets(st.integers(0, 49), min_size=1, max_size=5))
def test_a_number_does_not_depend_on_what_else_is_drawn(first: int, length: int, columns: set[int]) -> None:
    chosen = sorted(columns)
    part = uniform(KEYS[chosen], "x", DAYS[first : first + length])
    np.testing.assert_array_equal(part, uniform(KEYS, "x", DAYS)[first : first + length][:, chosen])


def test_uniform_numbers_are_uniform_and_uncorrelated() -> None:
    values = uniform(KEYS, "x", DAYS)
    assert values.shape == (4_000, 50)
    assert 0 < values.min() < values.max() < 1
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    # Chi-square with 19 degrees of freedom: 43.8 is its 99.9 % point.
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 43.8
    for other in (uniform(KEYS, "y", DAYS), np.roll(values, 1, axis=0), np.roll(values, 1, axis=1)):
        assert abs(np.corrcoef(values.ravel(), other.ravel())[0, 1]) < 0.01


def test_normal_numbers_have_the_moments_of_a_normal() -> None:
    values = normal(KEYS, "x", DAYS).ravel()
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert abs((values**3).mean()) < 0.05
    assert abs((values**4).mean() - 3) < 0.1


def test_keys_differ_by_seed_and_name() -> None:
    names = [f"S{number}" for number in range(1_000)]
    assert len({*keys_of(1, names), *keys_of(2, names)}) == 2_000
    np.testing.assert_array_equal(keys_of(1, names), keys_of(1, names))


def test_numbers_drawn_once_have_one_value_for_each_key() -> None:
    assert uniform_once(KEYS, "x").shape == (50,)
    assert normal_once(KEYS[:3], "x").tolist() == normal_once(KEYS, "x")[:3].tolist()


def test_the_mixing_function_is_splitmix64() -> None:
    # First outputs of SplitMix64 seeded with 1234567 (reference implementation by S. Vigna, splitmix64.c).
    from market_assets.sources.counter_random import _GOLDEN, _mix

    states = np.uint64(1234567) + np.arange(5, dtype=np.uint64) * _GOLDEN
    assert _mix(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
