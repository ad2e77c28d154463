"""When a failed question is asked again.

Belongs here: how often and after which wait. Does not belong here: what counts as a failure worth another try; that is
in the type of the error (`market_assets.errors.TransientError`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from market_assets.errors import RateLimited, TransientError


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Attributes:
        attempts: times a question is asked in all; 1 = never again.
        first_wait: upper end of the first wait, in seconds; it doubles with each further attempt.
        longest_wait: the upper end grows no further.
        rng: draws the waits; seeded in tests.
    """

    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0
    rng: random.Random = field(default_factory=random.Random, compare=False, repr=False)

    def wait(self, attempt: int, error: TransientError) -> float:
        """Seconds between attempt number `attempt` (from 1), which failed with `error`, and the next one.

        Uniform in [0, min(longest_wait, first_wait * 2^(attempt - 1))]; when the vendor said how long to wait, that
        much and the drawn time on top of it, so that the threads it told do not return together.
        """
        # Capped before it is used as an exponent: 2.0**1024 overflows.
        ceiling = min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 60))
        drawn = self.rng.uniform(0.0, ceiling)
        asked = error.retry_after if isinstance(error, RateLimited) else None
        return drawn if asked is None else asked + drawn
