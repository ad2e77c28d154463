"""The relay over a real outbox: order, waiting, the circuit breaker, dead letters, crashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import psycopg
import pytest
from lineage_receiver import Fault, Receiver

from lineage import outbox
from lineage.config import DeliveryPolicy, TransportConfig
from lineage.events import NAMESPACE, OutboxEvent
from lineage.outbox import insert_events, outbox_status, requeue_dead
from lineage.relay import Delivery, Relay
from lineage.transports import FileTransport, open_transport

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
POLICY = DeliveryPolicy(
    first_delay_seconds=2, longest_delay_seconds=60, terminal_attempts=3, breaker_failures=3, breaker_seconds=10
)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def event(run: str, sequence: int, position: int) -> OutboxEvent:
    run_id = uuid5(NAMESPACE, run)
    kind = "COMPLETE" if sequence else "START"
    return OutboxEvent(
        event_id=uuid5(run_id, str(sequence)),
        run_id=run_id,
        sequence=sequence,
        dagster_run_id="r",
        position=position,
        job_namespace="market",
        job_name=run,
        event_type=kind,
        event_time=NOON + timedelta(seconds=position),
        payload=json.dumps({"eventType": kind, "job": run}, sort_keys=True),
    )


EVENTS = [event("a", 0, 1), event("b", 0, 2), event("a", 1, 3), event("b", 1, 4)]
ORDER = [item.payload for item in EVENTS]


@pytest.fixture
def filled(connection: psycopg.Connection) -> psycopg.Connection:
    """An outbox with two runs whose events alternate."""
    insert_events(connection, EVENTS)
    connection.commit()
    return connection


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def relay(receiver: Receiver, clock: Clock) -> Relay:
    """A relay to the stand-in receiver, without randomness."""
    transport = open_transport(TransportConfig(kind="http", url=receiver.url, timeout_seconds=0.5))
    assert transport is not None
    return Relay(transport, POLICY, clock=clock, jitter=lambda: 1.0)


def states(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("select status from lineage.outbox order by position").fetchall()
    return [row[0] for row in rows]


def test_events_arrive_once_in_order_and_byte_for_byte(
    filled: psycopg.Connection, relay: Relay, receiver: Receiver
) -> None:
    assert relay.deliver(filled) == Delivery(delivered=4)
    assert receiver.accepted == ORDER
    assert relay.deliver(filled) == Delivery()
    assert len(receiver.requests) == 4


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(status=408),
        Fault(status=429),
        Fault(reset=True),
        Fault(delay=1.0),
        Fault(status=401),
        Fault(status=404),
        Fault(status=302, headers={"Location": "/elsewhere"}),
    ],
    ids=lambda fault: "reset" if fault.reset else "slow" if fault.delay else str(fault.status),
)
def test_a_transient_fault_delays_its_run_and_no_other(
    filled: psycopg.Connection, relay: Relay, receiver: Receiver, clock: Clock, fault: Fault
) -> None:
    receiver.faults.append(fault)
    first = relay.deliver(filled)
    assert (first.delivered, first.failed, first.dead, first.pending) == (2, 1, 0, 2)
    assert receiver.accepted[-2:] == [ORDER[1], ORDER[3]], "the other run should not wait"
    clock.forward(2)
    assert relay.deliver(filled) == Delivery(delivered=2)
    assert receiver.accepted[-2:] == [ORDER[0], ORDER[2]], "the end overtook its start"
    assert all(not path.startswith("GET") for path, _, _ in receiver.requests)


def test_the_wait_doubles_up_to_its_cap(
    connection: psycopg.Connection, relay: Relay, receiver: Receiver, clock: Clock
) -> None:
    insert_events(connection, EVENTS[:1])
    receiver.down = Fault(status=500)
    waits = []
    for _ in range(8):
        relay.deliver(connection)
        row = connection.execute("select next_attempt_at from lineage.outbox").fetchone()
        assert row is not None
        waits.append((row[0] - clock.now).total_seconds())
        clock.forward(60)
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]


def test_half_of_the_wait_is_random(filled: psycopg.Connection, receiver: Receiver, clock: Clock) -> None:
    receiver.down = Fault(status=500)
    transport = open_transport(TransportConfig(kind="http", url=receiver.url))
    assert transport is not None
    draws = iter([0.0, 0.5, 1.0])
    Relay(transport, POLICY, clock=clock, jitter=lambda: next(draws)).deliver(filled)
    rows = filled.execute("select next_attempt_at from lineage.outbox where attempts > 0 order by position").fetchall()
    assert [(row[0] - NOON).total_seconds() for row in rows] == [1.0, 1.5]


@pytest.mark.parametrize("header", ["40", "date", "soon"])
def test_retry_after_is_honoured(filled: psycopg.Connection, relay: Relay, receiver: Receiver, header: str) -> None:
    if header == "date":
        moment = datetime.now(UTC) + timedelta(seconds=41)
        header = moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
    receiver.faults.append(Fault(status=429, headers={"Retry-After": header}))
    relay.deliver(filled)
    row = filled.execute(
        "select next_attempt_at from lineage.outbox where attempts = 1 and status = 'pending'"
    ).fetchone()
    assert row is not None
    wait = (row[0] - NOON).total_seconds()
    assert wait == 2 if header == "soon" else 38 < wait <= 41


def test_a_refused_event_is_put_aside_and_its_run_goes_on(
    filled: psycopg.Connection, relay: Relay, receiver: Receiver, clock: Clock
) -> None:
    for _ in range(3):
        receiver.faults.append(Fault(status=400, body="no such field"))
        relay.deliver(filled)
        clock.forward(60)
    assert states(filled) == ["dead", "delivered", "delivered", "delivered"]
    status = outbox_status(filled)
    assert (status.pending, status.delivered, status.dead) == (0, 3, 1)
    assert status.last_error is not None
    assert "answered 400: no such field" in status.last_error
    assert requeue_dead(filled) == 1
    assert relay.deliver(filled).delivered == 1


def test_the_circuit_breaker_opens_probes_and_closes(
    filled: psycopg.Connection, relay: Relay, receiver: Receiver, clock: Clock
) -> None:
    insert_events(filled, [event(name, 0, 10) for name in "cdefg"])
    receiver.down = Fault(status=503)
    opened = relay.deliver(filled)
    assert len(receiver.requests) == 3, "nothing is sent once the breaker is open"
    assert opened.waiting_until == NOON + timedelta(seconds=10)
    clock.forward(9)
    assert relay.deliver(filled).waiting_until == opened.waiting_until
    assert len(receiver.requests) == 3
    clock.forward(1)
    again = relay.deliver(filled)
    assert len(receiver.requests) == 4, "one probe"
    assert again.waiting_until == clock.now + timedelta(seconds=20)
    receiver.down = None
    clock.forward(20)
    recovered = relay.deliver(filled)
    assert recovered.waiting_until is None
    assert (recovered.delivered, recovered.pending) == (9, 0)


def test_the_breaker_is_remembered_by_the_database(
    filled: psycopg.Connection, relay: Relay, receiver: Receiver, clock: Clock
) -> None:
    insert_events(filled, [event(name, 0, 10) for name in "cdefg"])
    receiver.down = Fault(reset=True)
    relay.deliver(filled)
    sent = len(receiver.requests)
    transport = open_transport(TransportConfig(kind="http", url=receiver.url))
    assert transport is not None
    another = Relay(transport, POLICY, clock=clock)
    assert another.deliver(filled).waiting_until is not None
    assert len(receiver.requests) == sent


def test_a_pass_ends_when_its_time_is_up(filled: psycopg.Connection, receiver: Receiver, clock: Clock) -> None:
    receiver.down = Fault(status=201, delay=0.2)
    transport = open_transport(TransportConfig(kind="http", url=receiver.url))
    assert transport is not None
    assert Relay(transport, DeliveryPolicy(pass_seconds=0.1), clock=clock).deliver(filled).delivered == 1


def test_a_receiver_that_is_not_there(filled: psycopg.Connection, clock: Clock) -> None:
    transport = open_transport(TransportConfig(kind="http", url="http://127.0.0.1:9"))
    assert transport is not None
    result = Relay(transport, POLICY, clock=clock).deliver(filled)
    assert (result.delivered, result.pending) == (0, 4)
    status = outbox_status(filled)
    assert status.last_error is not None
    assert "refused" in status.last_error
    assert status.oldest_pending == NOON + timedelta(seconds=1)


def test_only_one_relay_works_at_a_time(filled: psycopg.Connection, relay: Relay, warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as other:
        other.execute("select pg_advisory_lock(%s)", [0x6C696E65616765])
        other.commit()
        assert relay.deliver(filled) == Delivery(busy=True)
        other.execute("select pg_advisory_unlock_all()")
        other.commit()
    assert relay.deliver(filled).delivered == 4


class Dying(FileTransport):
    """A file transport whose process is killed after the write, before the database hears of it."""

    def send(self, payloads: Sequence[str]) -> None:
        super().send(payloads)
        raise SystemExit("killed")


def test_a_crash_between_file_and_commit_doubles_nothing_in_the_file(
    filled: psycopg.Connection, warehouse_url: str, tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "lineage" / "events.jsonl"
    with psycopg.connect(warehouse_url) as dying, pytest.raises(SystemExit):
        Relay(Dying(path), POLICY, clock=clock).deliver(dying)
    assert path.read_text().splitlines() == ORDER
    assert states(filled) == ["pending"] * 4
    filled.rollback()
    insert_events(filled, [event("c", 0, 5)])
    assert Relay(FileTransport(path), POLICY, clock=clock).deliver(filled).delivered == 5
    assert path.read_text().splitlines() == [*ORDER, event("c", 0, 5).payload]


def test_a_crash_between_answer_and_commit_sends_the_same_bytes_again(
    filled: psycopg.Connection, relay: Relay, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, warehouse_url: str
) -> None:
    def killed(connection: psycopg.Connection, event_ids: Sequence[UUID], now: datetime) -> None:
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "mark_delivered", killed)
        with psycopg.connect(warehouse_url) as dying, pytest.raises(SystemExit):
            relay.deliver(dying)
    assert receiver.accepted == ORDER[:1]
    assert relay.deliver(filled).delivered == 4
    assert receiver.accepted == [ORDER[0], *ORDER]


def test_the_lock_is_free_again_after_a_failed_pass(
    filled: psycopg.Connection, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: psycopg.Connection, transport: str) -> outbox.Breaker:
        raise ValueError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "read_breaker", broken)
        with pytest.raises(ValueError, match="boom"):
            relay.deliver(filled)
    assert relay.deliver(filled).delivered == 4


def test_the_connection_may_die_during_a_pass(
    filled: psycopg.Connection, warehouse_url: str, tmp_path: Path, clock: Clock
) -> None:
    class Cut(FileTransport):
        def send(self, payloads: Sequence[str]) -> None:
            super().send(payloads)
            filled.execute("select pg_terminate_backend(%s)", [dying.info.backend_pid])

    path = tmp_path / "events.jsonl"
    with psycopg.connect(warehouse_url) as dying, pytest.raises(psycopg.OperationalError):
        Relay(Cut(path), POLICY, clock=clock).deliver(dying)
    filled.rollback()
    assert Relay(FileTransport(path), POLICY, clock=clock).deliver(filled).delivered == 4
    assert path.read_text().splitlines() == ORDER
