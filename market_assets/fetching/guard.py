"""One door to a vendor: circuit breaker, then a token, then the question, then what its failure means.

Belongs here: the order of these steps. Does not belong here: each of them (the modules beside this one), and questions.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TypeVar

from market_assets.errors import AnswerCutOff, RateLimited, TerminalError, TimedOut, TransientError
from market_assets.fetching.breaker import CircuitBreaker, StateStore, never_opens
from market_assets.fetching.limiter import TokenBucket
from market_assets.fetching.limits import Limits
from market_assets.fetching.ranges import Window
from market_assets.fetching.retry import RetryPolicy

T = TypeVar("T")


class Guard:
    """Asks a vendor on behalf of a source. May be used from several threads, which then share pace and circuit.

    Args:
        limiter: pace of requests.
        retry: how often, and after which waits, a question is asked again.
        breaker: circuit of the source.
        longest_pause: a Retry-After above this many seconds is not waited for: the circuit opens for it.
        sleep: waits; replaced in tests.

    Attributes:
        window: how much the vendor answers in one request, as far as this process has learned.
    """

    def __init__(
        self,
        limiter: TokenBucket,
        retry: RetryPolicy,
        breaker: CircuitBreaker,
        *,
        longest_pause: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limiter, self.retry, self.breaker = limiter, retry, breaker
        self.window = Window()
        self._longest_pause, self._sleep = longest_pause, sleep

    @classmethod
    def free(cls) -> Guard:
        """No limits at all: a failure is final, the pace is that of the caller. For local sources and tests."""
        return cls(TokenBucket(), RetryPolicy(attempts=1), never_opens())

    @classmethod
    def of(
        cls,
        source: str,
        limits: Limits,
        *,
        store: StateStore | None = None,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> Guard:
        """The guard that `limits` describe.

        Args:
            source: name of the source.
            limits: the numbers.
            store: where the circuit's state is kept; None = in this process.
            now: clock of the circuit.
        """
        cooldown = dt.timedelta(seconds=limits.cooldown_seconds)
        return cls(
            TokenBucket(limits.requests_per_second, limits.burst),
            RetryPolicy(limits.attempts, limits.first_wait_seconds, limits.longest_wait_seconds),
            CircuitBreaker(source, limits.failures_to_open, cooldown, store, now),
            longest_pause=limits.longest_pause_seconds,
        )

    def call(self, what: str, ask: Callable[[], T], *, splittable: bool = False) -> T:
        """The answer of `ask`, which makes one request and raises what it means when it fails.

        Args:
            what: the question in words, for messages (`IBM 2020-01-02 to 2024-12-31`).
            ask: makes one request.
            splittable: the caller can ask for less. TimedOut and AnswerCutOff are then raised at once, and not held
                against the vendor: it may well answer the smaller question.

        Raises:
            CircuitOpen: the vendor is being left alone.
            TransientError: it failed `attempts` times; or asked for a longer pause than a run waits for.
            TerminalError: it answered, and asking again is no use.
        """
        attempt = 1
        while True:
            self.breaker.admit(what)
            self.limiter.take()
            try:
                answer = ask()
            except TransientError as error:
                too_large = splittable and isinstance(error, TimedOut | AnswerCutOff)
                # A probe is held against it in any case: someone has to say how the probe ended.
                if too_large and self.breaker.state.state != "half_open":
                    raise
                asked = error.retry_after if isinstance(error, RateLimited) else None
                rest = asked if asked is not None and asked > self._longest_pause else 0.0
                self.breaker.failed(error, rest=rest)
                if rest or too_large or attempt >= self.retry.attempts:
                    raise
                if asked:
                    self.limiter.pause(asked)  # every thread of the run, not only this one
                self._sleep(self.retry.wait(attempt, error))
                attempt += 1
            except TerminalError:
                self.breaker.succeeded()
                raise
            else:
                self.breaker.succeeded()
                return answer
