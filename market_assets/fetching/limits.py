"""The numbers of a vendor's fetch policy. Each kind of source declares its own; the configuration overrides them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a vendor is asked at most, and when it is left alone.

    Attributes:
        requests_per_second: pace all threads of a run share, in the long run.
        burst: requests that may be made at once after a rest.
        attempts: times one question is asked before it fails.
        first_wait_seconds: longest wait before the second attempt; it doubles for each further one.
        longest_wait_seconds: no wait of our own choice is longer.
        longest_pause_seconds: a vendor's Retry-After up to this is waited for; a longer one opens the circuit for it.
        failures_to_open: consecutive failed requests after which the circuit opens.
        cooldown_seconds: rest of an open circuit before one request may try again.
    """

    requests_per_second: float = 5.0
    burst: int = 10
    attempts: int = 4
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 60.0
    longest_pause_seconds: float = 120.0
    failures_to_open: int = 12
    cooldown_seconds: float = 120.0
