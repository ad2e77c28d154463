"""A database that restarts in the middle of a write: the same write again, from what is still in memory.

A transaction that was cut off left nothing, or, when only its confirmation was lost, everything: written again it finds
its rows unchanged. So nothing is doubled, and the vendor is not asked again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from market_assets.errors import WarehouseUnavailable

T = TypeVar("T")

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt; a PostgreSQL that recovers from a crash is back within them."""

_log = logging.getLogger(__name__)


def through_restarts(write: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """What `write` returns, tried again while the warehouse is away.

    Raises:
        WarehouseUnavailable: it is away for longer than all waits together.
    """
    for wait in WAITS:
        try:
            return write()
        except WarehouseUnavailable as error:
            _log.warning("%s; trying again in %g s", error, wait)
            sleep(wait)
    return write()
