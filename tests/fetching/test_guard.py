"""The door to a vendor: what is asked again, what is waited for, and what is held against the vendor."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from fake_time import FakeTime

from market_assets.errors import (
    AnswerCutOff,
    CircuitOpen,
    MarketError,
    RateLimited,
    SourceRejected,
    SourceUnavailable,
    TimedOut,
    UnexpectedPayload,
)
from market_assets.fetching.breaker import CircuitBreaker
from market_assets.fetching.guard import Guard
from market_assets.fetching.limiter import TokenBucket
from market_assets.fetching.limits import Limits
from market_assets.fetching.retry import RetryPolicy

DOWN = SourceUnavailable("HTTP 500")


@pytest.fixture
def time_() -> FakeTime:
    return FakeTime()


@pytest.fixture
def guard(time_: FakeTime) -> Guard:
    return Guard(
        TokenBucket(10.0, 2, time_.clock, time_.sleep),
        RetryPolicy(attempts=3, first_wait=1.0),
        CircuitBreaker("vendor", 5, dt.timedelta(seconds=60), now=time_.now, refresh=dt.timedelta(0)),
        longest_pause=120.0,
        sleep=time_.sleep,
    )


class Vendor:
    """Fails with the given errors in turn, then answers."""

    def __init__(self, *errors: MarketError) -> None:
        self.errors, self.asked = list(errors), 0

    def __call__(self) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "bars"


def test_a_question_is_asked_again_until_it_is_answered(guard: Guard, time_: FakeTime) -> None:
    vendor = Vendor(DOWN, TimedOut("late"))
    assert guard.call("IBM", vendor) == "bars"
    assert vendor.asked == 3
    assert guard.breaker.state.failures == 0
    assert time_.seconds > 1000.0


def test_after_all_attempts_the_last_error_is_told(guard: Guard) -> None:
    vendor = Vendor(DOWN, DOWN, RateLimited("slow down"), DOWN)
    with pytest.raises(RateLimited):
        guard.call("IBM", vendor)
    assert vendor.asked == 3


@pytest.mark.parametrize("error", [SourceRejected("unknown"), UnexpectedPayload("<html>")])
def test_a_refusal_is_final_and_shows_that_the_vendor_is_there(guard: Guard, error: MarketError) -> None:
    vendor = Vendor(DOWN, error)
    with pytest.raises(type(error)):
        guard.call("IBM", vendor)
    assert vendor.asked == 2
    assert guard.breaker.state.failures == 0


def test_retry_after_is_waited_for_by_every_thread_of_the_run(guard: Guard, time_: FakeTime) -> None:
    """Another thread's next request is held back too, not only that of the one that was told."""
    began = time_.seconds
    asked_at: list[float] = []

    def told() -> str:
        asked_at.append(time_.seconds)
        if len(asked_at) == 1:
            raise RateLimited("slow down", 30.0)
        return "bars"

    guard.call("IBM", told)
    assert asked_at[1] - began >= 30.0
    guard.limiter.pause(10.0)
    before = time_.seconds
    guard.call("MSFT", Vendor())
    assert time_.seconds - before >= 10.0


def test_a_retry_after_that_no_run_waits_for_opens_the_circuit_for_so_long(guard: Guard, time_: FakeTime) -> None:
    vendor = Vendor(RateLimited("come back tomorrow", 7200.0))
    with pytest.raises(RateLimited):
        guard.call("IBM", vendor)
    assert (vendor.asked, time_.slept) == (1, [])
    assert guard.breaker.state.next_try == time_.now() + dt.timedelta(hours=2)
    with pytest.raises(CircuitOpen):
        guard.call("IBM", vendor)


@pytest.mark.parametrize("error", [TimedOut("late"), AnswerCutOff("half of it")])
def test_what_can_be_split_is_told_at_once_and_not_held_against_the_vendor(
    guard: Guard, time_: FakeTime, error: MarketError
) -> None:
    vendor = Vendor(error)
    with pytest.raises(type(error)):
        guard.call("IBM", vendor, splittable=True)
    assert (vendor.asked, time_.slept, guard.breaker.state.failures) == (1, [], 0)


def test_a_probe_that_could_be_split_still_ends(guard: Guard, time_: FakeTime) -> None:
    dead(guard)
    time_.seconds += 60
    with pytest.raises(TimedOut):
        guard.call("IBM", Vendor(TimedOut("late")), splittable=True)
    assert guard.breaker.state.state == "open"


def test_a_dead_vendor_is_asked_no_more_often_than_the_threshold(guard: Guard, time_: FakeTime) -> None:
    assert dead(guard, symbols=100) == 5
    time_.seconds += 60
    assert dead(guard, symbols=100) == 1
    time_.seconds += 60
    assert guard.call("IBM", Vendor()) == "bars"
    assert guard.breaker.state.state == "closed"


def dead(guard: Guard, symbols: int = 10) -> int:
    """Requests that reach a vendor that always fails."""
    requests = 0

    def ask() -> str:
        nonlocal requests
        requests += 1
        raise DOWN

    for _ in range(symbols):
        with pytest.raises(SourceUnavailable):
            guard.call("IBM", ask)
    return requests


def test_attempts_take_tokens_too(guard: Guard, time_: FakeTime) -> None:
    """A burst of 2, then 10 a second."""
    guard.retry = RetryPolicy(attempts=3, first_wait=0.0)
    for _ in range(4):
        guard.call("IBM", Vendor(DOWN))
    assert time_.seconds - 1000.0 == pytest.approx(0.6)


def test_free_has_no_limits() -> None:
    guard, vendor = Guard.free(), Vendor(*[DOWN] * 50)
    for _ in range(50):
        with pytest.raises(SourceUnavailable):
            guard.call("file", vendor)
    assert guard.call("file", vendor) == "bars"


@pytest.mark.parametrize("change", [lambda guard: guard.retry.attempts, lambda guard: guard.retry.longest_wait])
def test_limits_make_a_guard(change: Callable[[Guard], float]) -> None:
    guard = Guard.of("vendor", Limits(attempts=7, longest_wait_seconds=7.0))
    assert change(guard) == 7
