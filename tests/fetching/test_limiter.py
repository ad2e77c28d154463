"""The pace of requests: never above rate * t + burst, in any stretch of time, by any number of threads."""

from __future__ import annotations

import threading
import time

import pytest
from fake_time import FakeTime
from hypothesis import given
from hypothesis import strategies as st

from market_assets.fetching.limiter import TokenBucket

ROUNDING = 1e-6


@given(
    rate=st.floats(0.1, 200),
    burst=st.integers(1, 20),
    steps=st.lists(st.one_of(st.floats(0, 5), st.just(0.0)), min_size=1, max_size=80),
)
def test_never_more_than_rate_times_t_plus_burst(rate: float, burst: int, steps: list[float]) -> None:
    time_ = FakeTime()
    bucket = TokenBucket(rate, burst, time_.clock, time_.sleep)
    granted = []
    for idle in steps:
        time_.seconds += idle
        bucket.take()
        granted.append(time_.seconds)
    for position, begin in enumerate(granted):
        for count, end in enumerate(granted[position:], start=1):
            assert count <= rate * (end - begin) + burst + ROUNDING * count * rate


@given(rate=st.floats(0.5, 100), burst=st.integers(1, 10), count=st.integers(1, 50))
def test_a_caller_that_asks_without_rest_gets_all_that_is_allowed(rate: float, burst: int, count: int) -> None:
    """The bound is met, not only kept: the bucket wastes nothing."""
    time_ = FakeTime()
    bucket = TokenBucket(rate, burst, time_.clock, time_.sleep)
    begin = time_.seconds
    for _ in range(count):
        bucket.take()
    assert time_.seconds - begin == pytest.approx(max(0, count - burst) / rate, abs=1e-6)


def test_a_pause_holds_everyone_and_ends_without_a_burst() -> None:
    time_ = FakeTime()
    bucket = TokenBucket(10.0, 5, time_.clock, time_.sleep)
    bucket.take()
    bucket.pause(30.0)
    granted = []
    for _ in range(3):
        bucket.take()
        granted.append(time_.seconds - 1000.0)
    assert granted == pytest.approx([30.0, 30.1, 30.2])


def test_a_pause_reaches_those_who_are_already_waiting() -> None:
    time_ = FakeTime()
    bucket = TokenBucket(1.0, 1, time_.clock, time_.sleep)
    bucket.take()
    plain = time_.sleep

    def sleep(seconds: float) -> None:
        if not time_.slept:
            bucket.pause(20.0)
        plain(seconds)

    bucket._sleep = sleep
    assert bucket.take() == pytest.approx(20.0)


def test_threads_share_one_pace() -> None:
    bucket = TokenBucket(rate_per_second=100.0, burst=2)
    begin = time.monotonic()
    threads = [threading.Thread(target=lambda: [bucket.take() for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begin >= 0.18 - ROUNDING


def test_without_a_rate_nobody_waits() -> None:
    time_ = FakeTime()
    bucket = TokenBucket(clock=time_.clock, sleep=time_.sleep)
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert time_.slept == []


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_a_bucket_that_would_never_give_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="never gives a token"):
        TokenBucket(rate, burst)
