"""Time that passes only when someone sleeps."""

from __future__ import annotations

import datetime as dt


class FakeTime:
    """A clock in seconds and as a moment, and a sleep that moves both.

    Attributes:
        slept: each sleep, in seconds.
    """

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Seconds, as of time.monotonic."""
        return self.seconds

    def now(self) -> dt.datetime:
        """The same as a moment."""
        return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.slept.append(seconds)
        self.seconds += seconds
