"""The circuit breaker: three states, one probe, and a state that processes share through the warehouse."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import psycopg
import pytest
from fake_time import FakeTime

from market_assets.errors import CircuitOpen, RateLimited, SourceUnavailable
from market_assets.fetching.breaker import CircuitBreaker, MemoryStore, StateStore
from market_assets.fetching.breaker_state import WarehouseStore, read_states

DOWN = SourceUnavailable("HTTP 500")
COOLDOWN = dt.timedelta(seconds=60)


@pytest.fixture
def time_() -> FakeTime:
    return FakeTime()


def breaker(time_: FakeTime, store: StateStore | None = None, threshold: int | None = 3) -> CircuitBreaker:
    return CircuitBreaker("yahoo", threshold, COOLDOWN, store, time_.now, refresh=dt.timedelta(0))


def opened(time_: FakeTime, store: StateStore | None = None) -> CircuitBreaker:
    circuit = breaker(time_, store)
    for _ in range(3):
        circuit.admit("IBM")
        circuit.failed(DOWN)
    return circuit


def test_failures_in_a_row_open_it(time_: FakeTime) -> None:
    circuit = breaker(time_)
    for _ in range(2):
        circuit.failed(DOWN)
    circuit.admit("IBM")
    circuit.failed(DOWN)
    assert (circuit.state.state, circuit.state.failures) == ("open", 3)
    with pytest.raises(CircuitOpen) as refused:
        circuit.admit("IBM 2020")
    for part in ("IBM 2020", "yahoo", "2026-01-01 00:17:40 UTC", "3 failed requests", "HTTP 500", "market status"):
        assert part in str(refused.value)


def test_an_answer_in_between_starts_the_count_again(time_: FakeTime) -> None:
    circuit = breaker(time_)
    for _ in range(4):
        circuit.failed(DOWN)
        circuit.failed(DOWN)
        circuit.succeeded()
    assert (circuit.state.state, circuit.state.failures, circuit.state.error) == ("closed", 0, "")


def test_after_the_cooldown_one_probe_goes_through(time_: FakeTime) -> None:
    circuit = opened(time_)
    time_.seconds += 59
    with pytest.raises(CircuitOpen):
        circuit.admit("IBM")
    time_.seconds += 1
    circuit.admit("IBM")
    assert circuit.state.state == "half_open"
    with pytest.raises(CircuitOpen, match="a probe is under way"):
        circuit.admit("MSFT")


def test_a_probe_that_is_answered_closes_it(time_: FakeTime) -> None:
    circuit = opened(time_)
    time_.seconds += 60
    circuit.admit("IBM")
    circuit.succeeded()
    circuit.admit("MSFT")
    assert (circuit.state.state, circuit.state.failures, circuit.state.since) == ("closed", 0, time_.now())


def test_a_probe_that_fails_opens_it_again(time_: FakeTime) -> None:
    circuit = opened(time_)
    time_.seconds += 60
    circuit.admit("IBM")
    circuit.failed(DOWN)
    assert circuit.state.next_try == time_.now() + COOLDOWN
    with pytest.raises(CircuitOpen):
        circuit.admit("IBM")


def test_a_probe_that_never_ends_is_given_up_after_a_cooldown(time_: FakeTime) -> None:
    """Its process was killed."""
    circuit = opened(time_)
    time_.seconds += 60
    circuit.admit("IBM")
    time_.seconds += 60
    circuit.admit("MSFT")
    assert circuit.state.state == "half_open"


def test_answers_that_were_on_their_way_when_it_opened_change_nothing(time_: FakeTime) -> None:
    circuit = opened(time_)
    until = circuit.state.next_try
    circuit.succeeded()
    circuit.failed(DOWN)
    assert (circuit.state.state, circuit.state.next_try) == ("open", until)


def test_a_rest_that_the_vendor_asked_for_opens_it_at_once(time_: FakeTime) -> None:
    circuit = breaker(time_)
    circuit.failed(RateLimited("tomorrow", 3600.0), rest=3600.0)
    assert (circuit.state.state, circuit.state.next_try) == ("open", time_.now() + dt.timedelta(hours=1))


def test_without_a_threshold_it_never_opens(time_: FakeTime) -> None:
    circuit = breaker(time_, threshold=None)
    for _ in range(100):
        circuit.failed(DOWN)
        circuit.admit("IBM")
    circuit.succeeded()


def test_of_many_threads_one_sends_the_probe(time_: FakeTime) -> None:
    store = MemoryStore()
    opened(time_, store)
    time_.seconds += 60
    assert probes(time_, [store] * 8) == 1


def probes(time_: FakeTime, stores: list[StateStore]) -> int:
    """How many of as many breakers as stores are let through at once."""
    admitted, barrier = [], threading.Barrier(len(stores))

    def attempt(store: StateStore) -> None:
        circuit = breaker(time_, store)
        barrier.wait()
        try:
            circuit.admit("IBM")
            admitted.append(circuit)
        except CircuitOpen:
            pass

    threads = [threading.Thread(target=attempt, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(admitted)


class TestInTheWarehouse:
    """Each store stands for a process: the daemon, a run, the command line."""

    @pytest.fixture
    def stores(self, warehouse_url: str) -> list[StateStore]:
        return [WarehouseStore(lambda: warehouse_url) for _ in range(4)]

    def test_failures_of_all_processes_count_together(self, time_: FakeTime, stores: list[StateStore]) -> None:
        circuits = [breaker(time_, store) for store in stores]
        for circuit in circuits[:3]:
            circuit.failed(DOWN)
        with pytest.raises(CircuitOpen):
            circuits[3].admit("IBM")

    def test_the_next_process_finds_it_open_and_its_answer_closes_it_for_all(
        self, time_: FakeTime, stores: list[StateStore]
    ) -> None:
        opened(time_, stores[0])
        later = breaker(time_, stores[1])
        with pytest.raises(CircuitOpen):
            later.admit("IBM")
        time_.seconds += 60
        later.admit("IBM")
        later.succeeded()
        breaker(time_, stores[2]).admit("IBM")

    def test_one_process_sends_the_probe(self, time_: FakeTime, stores: list[StateStore]) -> None:
        opened(time_, stores[0])
        time_.seconds += 60
        assert probes(time_, stores) == 1

    def test_states_are_listed(self, time_: FakeTime, stores: list[StateStore], connection: psycopg.Connection) -> None:
        opened(time_, stores[0])
        (state,) = read_states(connection)
        assert (state.source, state.state, state.failures, state.error) == ("yahoo", "open", 3, "HTTP 500")
        assert state.next_try == time_.now() + COOLDOWN

    def test_a_source_that_never_failed_writes_nothing(
        self, time_: FakeTime, stores: list[StateStore], connection: psycopg.Connection
    ) -> None:
        circuit = breaker(time_, stores[0])
        circuit.admit("IBM")
        circuit.succeeded()
        assert read_states(connection) == []


def test_without_the_warehouse_the_circuit_still_works(
    time_: FakeTime, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL restarts: a fetch neither fails nor forgets that the vendor is down."""
    circuit = opened(time_, WarehouseStore(lambda: f"postgresql:///market?host={tmp_path}"))
    with pytest.raises(CircuitOpen):
        circuit.admit("IBM")
    assert "kept in this process only" in caplog.text
