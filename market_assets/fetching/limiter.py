"""The pace of requests to one vendor, shared by all threads of a run.

Belongs here: the token bucket. Does not belong here: what to do when a request fails (`retry.py`, `breaker.py`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class TokenBucket:
    """Lets at most rate * t + burst requests begin in any stretch of t seconds. May be used from any number of threads.

    This is the bucket as a virtual schedule (ITU-T I.371, Generic Cell Rate Algorithm): one number, the moment at which
    the bucket would be full again, instead of a count that has to be topped up. Callers are served in order of arrival.

    Args:
        rate_per_second: tokens that come back each second; infinite for no limit.
        burst: tokens a rested bucket holds.
        clock: seconds that never go back.
        sleep: waits; replaced in tests together with `clock`.

    Raises:
        ValueError: a rate that is not above zero, or a burst below one.
    """

    def __init__(
        self,
        rate_per_second: float = math.inf,
        burst: int = 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not rate_per_second > 0 or burst < 1:
            raise ValueError(f"a bucket of rate {rate_per_second} and burst {burst} never gives a token")
        self._interval = 1.0 / rate_per_second
        self._slack = (burst - 1) * self._interval
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._full_at = clock()
        self._paused_until = -math.inf

    def take(self) -> float:
        """Wait until a request may begin; returns the seconds waited."""
        with self._lock:
            arrived = self._clock()
            due = max(arrived, self._full_at - self._slack)
            self._full_at = max(self._full_at, due) + self._interval
        while (now := self._clock()) < (until := max(due, self._paused_until)):
            self._sleep(until - now)
        return now - arrived

    def pause(self, seconds: float) -> None:
        """Let no request begin for `seconds`, those already waiting included; afterwards they come one by one."""
        with self._lock:
            until = self._clock() + seconds
            self._paused_until = max(self._paused_until, until)
            self._full_at = max(self._full_at, until + self._slack)
