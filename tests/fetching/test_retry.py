"""Waits between attempts: full jitter under a doubling ceiling, and never less than a vendor asked for."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.errors import RateLimited, SourceUnavailable
from market_assets.fetching.retry import RetryPolicy


def drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable, not secret


@given(attempt=st.integers(1, 5000), seed=st.integers(0, 1000))
def test_a_wait_is_between_zero_and_the_ceiling_of_its_attempt(attempt: int, seed: int) -> None:
    policy = RetryPolicy(first_wait=0.5, longest_wait=20.0, rng=drawn(seed))
    assert 0.0 <= policy.wait(attempt, SourceUnavailable("down")) <= min(20.0, 0.5 * 2.0 ** min(attempt - 1, 50))


def test_the_ceiling_doubles() -> None:
    policy = RetryPolicy(first_wait=1.0, longest_wait=6.0, rng=drawn(1))
    highest = [max(policy.wait(attempt, SourceUnavailable("down")) for _ in range(2000)) for attempt in (1, 2, 3, 4)]
    assert highest == pytest.approx([1.0, 2.0, 4.0, 6.0], rel=0.02)


@pytest.mark.parametrize("asked", [0.0, 3.0, 100.0])
def test_retry_after_is_a_minimum(asked: float) -> None:
    policy = RetryPolicy(first_wait=1.0, rng=drawn(3))
    waits = [policy.wait(1, RateLimited("slow down", asked)) for _ in range(50)]
    assert min(waits) >= asked
    assert max(waits) <= asked + 1.0
    assert len(set(waits)) > 1  # those who were told together do not return together


def test_a_rate_limit_without_a_time_is_waited_for_like_any_failure() -> None:
    assert RetryPolicy(first_wait=2.0).wait(1, RateLimited("slow down")) <= 2.0
