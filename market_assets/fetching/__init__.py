"""How a vendor may be asked: pace, retries, circuit breaker, ranges that adapt, and a cache of closed history.

Belongs here: policy that is the same for every vendor. Does not belong here: a vendor's protocol
(`market_assets.sources`) or what is done with its rows. Nothing here knows a source by name; a source is given a
`Guard` and asks through it.
"""

from market_assets.fetching.breaker import BreakerState, CircuitBreaker
from market_assets.fetching.cache import HttpCache
from market_assets.fetching.guard import Guard
from market_assets.fetching.limiter import TokenBucket
from market_assets.fetching.limits import Limits
from market_assets.fetching.ranges import Window, walk
from market_assets.fetching.retry import RetryPolicy

__all__ = [
    "BreakerState",
    "CircuitBreaker",
    "Guard",
    "HttpCache",
    "Limits",
    "RetryPolicy",
    "TokenBucket",
    "Window",
    "walk",
]
