"""The relay: from the outbox to the transport, patiently.

Belongs here: order, waiting, the circuit breaker and the dead-letter rule. How an event is handed over is in
`lineage.transports`, the statements are in `lineage.outbox`.

- Events go out in the order in which they happened, and within an OpenLineage run strictly so: its end waits for its
  start. A start that is dead does not hold up its end.
- A transient failure is tried again for ever, each event after a wait that doubles up to a cap, with jitter, or after
  the time the receiver asked for.
- A refusal of the event itself is tried a few times, then the event is dead: kept with its error, out of the way.
- After several transient failures in a row the circuit breaker opens: nothing is sent until it has cooled down, then
  one event as a probe. Its state is in the database, because a pass lasts seconds and an outage hours.
- One relay at a time: a second one sees the lock and leaves at once.

Delivery is at least once: a crash between the receiver's answer and the commit sends that event again, with the same id
and the same bytes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from lineage import outbox
from lineage.errors import TerminalDeliveryError, TransientDeliveryError
from lineage.outbox import Breaker, PendingEvent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    import psycopg

    from lineage.config import DeliveryPolicy
    from lineage.transports import Transport

_LOCK: Final = 0x6C696E65616765  # "lineage": key of the advisory lock that makes the relay single
_ERROR_SHOWN: Final = 2_000
_RANDOM: Final = random.SystemRandom()


@dataclass(frozen=True)
class Delivery:
    """What a pass did.

    Attributes:
        delivered: events handed over.
        failed: attempts that will be repeated.
        dead: events given up.
        pending: events that still wait.
        waiting_until: when the circuit breaker lets the next one through, None when it is closed.
        busy: another relay was at work, so this one did nothing.
    """

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    pending: int = 0
    waiting_until: datetime | None = None
    busy: bool = False


class Relay:
    """Delivers what is due.

    Args:
        transport: where to.
        policy: how patiently.
        clock: current time, UTC.
        jitter: a number in [0, 1) for each wait.
    """

    def __init__(
        self,
        transport: Transport,
        policy: DeliveryPolicy,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = _RANDOM.random,
    ) -> None:
        self._transport = transport
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._delivered = self._failed = self._dead = 0

    def deliver(self, connection: psycopg.Connection) -> Delivery:
        """One pass: until nothing is due, the breaker is open, or the pass has taken its time.

        Args:
            connection: to the database with the outbox; committed after every batch.

        Raises:
            psycopg.Error: the database went away; what was delivered since the last commit will be sent again.
        """
        with _single_relay(connection) as alone:
            if not alone:
                return Delivery(busy=True)
            self._delivered = self._failed = self._dead = 0
            breaker = self._drain(connection)
            pending = outbox.outbox_status(connection).pending
            connection.commit()
        return Delivery(self._delivered, self._failed, self._dead, pending, breaker.open_until)

    def _drain(self, connection: psycopg.Connection) -> Breaker:
        deadline = time.monotonic() + self._policy.pass_seconds
        breaker = outbox.read_breaker(connection, self._transport.name)
        while time.monotonic() < deadline:
            if breaker.open_until is not None and self._clock() < breaker.open_until:
                break
            probing = breaker.open_until is not None
            due = outbox.due_events(connection, self._clock(), 1 if probing else max(self._transport.batch, 100))
            connection.commit()
            if not due:
                break
            breaker = self._send_all(connection, due, breaker, deadline)
        return breaker

    def _send_all(
        self, connection: psycopg.Connection, due: list[PendingEvent], breaker: Breaker, deadline: float
    ) -> Breaker:
        """Send events in order until one fails so that the breaker opens, skipping runs whose start just failed."""
        held: set[UUID] = set()
        for start in range(0, len(due), self._transport.batch):
            batch = [event for event in due[start : start + self._transport.batch] if event.run_id not in held]
            if not batch:
                continue
            breaker, delivered = self._send(connection, batch, breaker)
            connection.commit()
            if not delivered:
                held |= {event.run_id for event in batch}
            if breaker.open_until is not None or time.monotonic() >= deadline:
                break
        return breaker

    def _send(
        self, connection: psycopg.Connection, batch: list[PendingEvent], breaker: Breaker
    ) -> tuple[Breaker, bool]:
        """One call of the transport and its record; whether the events were delivered."""
        ids = [event.event_id for event in batch]
        try:
            self._transport.send([event.payload for event in batch])
        except TransientDeliveryError as error:
            wait = max(self._wait(batch[0].attempts), error.retry_after or 0.0)
            self._record_failure(connection, ids, error, wait)
            breaker = self._tripped(breaker.failures + 1, error.retry_after)
        except TerminalDeliveryError as error:
            last = batch[0].attempts + 1 >= self._policy.terminal_attempts
            self._record_failure(connection, ids, error, None if last else self._wait(batch[0].attempts))
            breaker = Breaker()  # the receiver answered: it is there
        else:
            outbox.mark_delivered(connection, ids, self._clock())
            self._delivered += len(ids)
            if breaker != Breaker():
                outbox.write_breaker(connection, self._transport.name, Breaker())
            return Breaker(), True
        outbox.write_breaker(connection, self._transport.name, breaker)
        return breaker, False

    def _record_failure(
        self, connection: psycopg.Connection, ids: Iterable[UUID], error: Exception, wait: float | None
    ) -> None:
        ids = list(ids)
        next_attempt = None if wait is None else self._clock() + timedelta(seconds=wait)
        outbox.mark_failed(connection, ids, str(error)[:_ERROR_SHOWN], next_attempt_at=next_attempt)
        if wait is None:
            self._dead += len(ids)
        else:
            self._failed += len(ids)

    def _tripped(self, failures: int, retry_after: float | None) -> Breaker:
        """The breaker after this many transient failures in a row."""
        excess = failures - self._policy.breaker_failures
        if excess < 0:
            return Breaker(failures)
        seconds = max(self._capped(self._policy.breaker_seconds, excess), retry_after or 0.0)
        return Breaker(failures, self._clock() + timedelta(seconds=seconds))

    def _wait(self, attempts: int) -> float:
        """Seconds before the next attempt: exponential with equal jitter, half of it fixed and half random."""
        full = self._capped(self._policy.first_delay_seconds, attempts)
        return full / 2 + full / 2 * self._jitter()

    def _capped(self, first: float, doublings: int) -> float:
        return min(first * 2.0 ** min(doublings, 62), self._policy.longest_delay_seconds)


@contextmanager
def _single_relay(connection: psycopg.Connection) -> Iterator[bool]:
    """Hold the relay's advisory lock of the database session; False when another session holds it."""
    row = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    connection.commit()
    alone = bool(row and row[0])
    try:
        yield alone
    finally:
        if alone and not connection.closed:
            connection.rollback()
            connection.execute("select pg_advisory_unlock(%s)", [_LOCK])
            connection.commit()
