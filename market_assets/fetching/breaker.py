"""A circuit breaker for each source: after too many failures in a row a vendor is left alone for a while.

Belongs here: the three states and how one leads to the next. Does not belong here: where the state is kept between
processes (`breaker_state.py`), retries and waits.

    closed      requests go through; `failures_to_open` failures in a row open the circuit
    open        nothing is asked until `next_try`
    half_open   one request is let through as a probe: an answer closes the circuit, a failure opens it again

Only a TransientError is a failure. Any other answer, a refusal too, shows that the vendor is there.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from market_assets.errors import CircuitOpen, TransientError

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BreakerState:
    """What is known of a source's circuit.

    Attributes:
        source: name of the source.
        state: closed, open or half_open.
        since: when it came into this state.
        failures: failed requests in a row.
        next_try: when an open circuit lets a probe through; in half_open, when the probe is given up. None if closed.
        error: the last failure, "" when there was none since the circuit closed.
    """

    source: str
    state: State
    since: dt.datetime
    failures: int = 0
    next_try: dt.datetime | None = None
    error: str = ""


Change = Callable[[BreakerState], BreakerState]


class StateStore(Protocol):
    """Where states are kept. Changes of one source's state are made one after the other."""

    def read(self, source: str) -> BreakerState | None:
        """The state as last changed, None when the source never failed."""

    def change(self, initial: BreakerState, change: Change) -> BreakerState:
        """Replace the state of `initial.source` by `change(state)`, with `initial` where none is kept; returns it."""


class MemoryStore:
    """States of this process only."""

    def __init__(self) -> None:
        self._states: dict[str, BreakerState] = {}
        self._lock = threading.Lock()

    def read(self, source: str) -> BreakerState | None:
        """See `StateStore.read`."""
        return self._states.get(source)

    def change(self, initial: BreakerState, change: Change) -> BreakerState:
        """See `StateStore.change`."""
        with self._lock:
            state = change(self._states.get(initial.source, initial))
            self._states[initial.source] = state
            return state


class CircuitBreaker:
    """The circuit of one source. May be used from several threads; processes share it through the store.

    Args:
        source: name of the source.
        threshold: failures in a row that open it; None = never.
        cooldown: rest before a probe.
        store: where the state is kept; None = in this object.
        now: clock.
        refresh: how long a state that was read is relied on before the store is asked again.
    """

    def __init__(
        self,
        source: str = "source",
        threshold: int | None = 12,
        cooldown: dt.timedelta = dt.timedelta(seconds=300),
        store: StateStore | None = None,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        refresh: dt.timedelta = dt.timedelta(seconds=2),
    ) -> None:
        self._source, self._threshold, self._cooldown = source, threshold, cooldown
        self._store: StateStore = store or MemoryStore()
        self._now, self._refresh = now, refresh
        self._known: BreakerState | None = None
        self._read_at: dt.datetime | None = None

    @property
    def state(self) -> BreakerState:
        """The state as this process knows it, at most `refresh` old."""
        now = self._now()
        if self._known is None or self._read_at is None or now - self._read_at >= self._refresh:
            self._keep(self._store.read(self._source) or self._closed(now))
        assert self._known is not None  # noqa: S101 - kept by the line above
        return self._known

    def admit(self, what: str) -> None:
        """Return when a request may be made.

        Args:
            what: the question, for the message.

        Raises:
            CircuitOpen: the circuit is open, or another request is the probe; says until when.
        """
        state = self.state
        if self._threshold is None or state.state == "closed":
            return
        now, admitted = self._now(), False

        def probe(state: BreakerState) -> BreakerState:
            nonlocal admitted
            admitted = state.state == "closed"
            if admitted or (state.next_try is not None and now < state.next_try):
                return state
            admitted = True
            return replace(state, state="half_open", since=now, next_try=now + self._cooldown)

        if state.next_try is None or now >= state.next_try:
            state = self._keep(self._store.change(self._closed(now), probe))
        if not admitted:
            raise CircuitOpen(self._refusal(what, state))

    def succeeded(self) -> None:
        """A request was answered, be it with a refusal."""
        state = self.state
        if self._threshold is None or (state.state == "closed" and state.failures == 0):
            return
        self._keep(self._store.change(self._closed(self._now()), self._mended))

    def failed(self, error: TransientError, *, rest: float = 0.0) -> None:
        """A request failed.

        Args:
            error: how.
            rest: seconds for which the vendor asked to be left alone; above zero they open the circuit at once.
        """
        if self._threshold is None:
            return
        threshold, now = self._threshold, self._now()
        cooldown = max(self._cooldown, dt.timedelta(seconds=rest))

        def count(state: BreakerState) -> BreakerState:
            failures = state.failures + 1
            told = replace(state, failures=failures, error=str(error))
            if state.state == "open":
                return told  # a request that was on its way when the circuit opened
            if state.state == "closed" and failures < threshold and rest <= 0:
                return told
            return replace(told, state="open", since=now, next_try=now + cooldown)

        self._keep(self._store.change(self._closed(now), count))

    def _mended(self, state: BreakerState) -> BreakerState:
        if state.state == "open":
            return state  # answered before the circuit opened; the probe decides
        since = state.since if state.state == "closed" else self._now()
        return replace(self._closed(since), source=state.source)

    def _closed(self, since: dt.datetime) -> BreakerState:
        return BreakerState(self._source, "closed", since)

    def _keep(self, state: BreakerState) -> BreakerState:
        self._known, self._read_at = state, self._now()
        return state

    def _refusal(self, what: str, state: BreakerState) -> str:
        until = f"{state.next_try:%Y-%m-%d %H:%M:%S} UTC" if state.next_try else "its probe is answered"
        why = "a probe is under way" if state.state == "half_open" else f"{state.failures} failed requests in a row"
        return (
            f"{what}: not asked, source {self._source} has its circuit open until {until} ({why}; the last: "
            f"{state.error or 'unknown'}). It is tried again by itself; see `market status`."
        )


def never_opens() -> CircuitBreaker:
    """A breaker that admits everything and counts nothing."""
    return CircuitBreaker(threshold=None)
