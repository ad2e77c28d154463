"""What every source over HTTP must do with a vendor that misbehaves, and with its key.

Subclasses define `kind`, `prices` (endpoint of the stand-in that bars come from), `variable` (of the key, "" for none),
`few` (a range of a week), the fixture `server` (of the module), and what `SourceContract` asks for.
"""

from __future__ import annotations

import datetime as dt
import functools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from contract import SourceContract, assert_same_answer
from urllib3_log import everything_logged
from vendor_stand_in import KEY, StandIn

from market_assets.errors import ConfigError, MarketError, TransientError
from market_assets.fetching import CircuitBreaker, Guard, HttpCache, RetryPolicy, TokenBucket
from market_assets.sources.base import FetchRequest, PriceSource
from market_assets.sources.options import SourceContext, calendar_sessions
from market_assets.sources.registry import build_source

FAULTS = [
    ("429", "RateLimited", "no time was given"),
    ("500", "SourceUnavailable", "HTTP 500"),
    ("502", "SourceUnavailable", "HTTP 502"),
    ("504", "TimedOut", "did not answer in time"),
    ("reset", "SourceUnavailable", "no answer"),
    ("slow", "TimedOut", "no answer in"),
    ("drip", "TimedOut", "no answer in"),
    ("truncated", "AnswerCutOff", "cut off"),
    ("cut_body", "AnswerCutOff", "cut off"),
    ("empty_body", "SourceUnavailable", "without a body"),
    ("html", "UnexpectedPayload", "it begins '<!DOCTYPE html>"),
    ("wrong_shape", "UnexpectedPayload", "has an unknown shape"),
    ("400", "SourceRejected", "HTTP 400"),
    ("401", "SourceRejected", "HTTP 401"),
    ("403", "SourceRejected", "HTTP 403"),
]
"""Fault, class of the error, and part of its message."""

TRANSIENT = {"RateLimited", "SourceUnavailable", "TimedOut", "AnswerCutOff"}


TODAY = dt.datetime(2009, 6, 30, 22, 0, tzinfo=dt.UTC)
"""When the tests ask."""

_decade = functools.lru_cache(calendar_sessions)


def sessions(exchange: str, start: dt.date, end: dt.date) -> pd.DatetimeIndex:
    """Sessions as the platform gives them: from a calendar that is built once."""
    first, last = start.year // 10 * 10, end.year // 10 * 10 + 9
    known = _decade(exchange, dt.date(first, 1, 1), dt.date(last, 12, 31))
    return known[(known >= pd.Timestamp(start)) & (known <= pd.Timestamp(end))]


@dataclass(frozen=True)
class Outcome:
    """How a request failed, whether it was told per symbol or for all."""

    error: str
    retryable: bool
    cause: str


def outcome_of(source: PriceSource, request: FetchRequest) -> Outcome:
    """The one failure of a request."""
    try:
        answer = source.fetch(request)
    except MarketError as error:
        # What a traceback would show beside the message counts as well.
        shown = f"{error} {error.__cause__ or ''} {error.__context__ or ''}"
        return Outcome(type(error).__name__, isinstance(error, TransientError), shown)
    assert answer.bars.empty
    (failure,) = answer.failures
    assert failure.symbol == request.symbols[0].symbol
    return Outcome(failure.error, failure.retryable, failure.cause)


class Clock:
    """Seconds that pass only while someone waits; what was waited for is noted."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def patient_guard(clock: Clock, attempts: int = 4) -> Guard:
    """Asks again, and waits by `clock`."""
    retry = RetryPolicy(attempts, rng=random.Random(3))  # noqa: S311 - repeatable, and no secret
    breaker = CircuitBreaker("test", 100, dt.timedelta(seconds=1))
    return Guard(TokenBucket(clock=clock, sleep=clock.sleep), retry, breaker, sleep=clock.sleep)


class VendorContract(SourceContract):
    kind: str
    prices: str
    variable: str
    few: tuple[dt.date, dt.date]

    @pytest.fixture
    def server(self) -> StandIn:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if self.variable:
            monkeypatch.setenv(self.variable, KEY)

    @pytest.fixture(autouse=True)
    def healthy(self, server: StandIn) -> None:
        server.heal()
        server.delay = 0.4

    def build(self, server: StandIn, context: SourceContext | None = None, **options: Any) -> PriceSource:
        given = {"endpoint": server.url, "timeout_seconds": 5.0, "threads": 2}
        return build_source(self.kind, options=given | options, context=context or self.context())

    def context(self, **lent: Any) -> SourceContext:
        """The calendar is built once, as by the platform; without it each question would build one."""
        if "now" not in lent:
            lent = {"now": lambda: TODAY, "closed_through": lambda _exchange: TODAY.date()} | lent
        return SourceContext(sessions=sessions, **lent)

    @pytest.fixture
    def source(self, server: StandIn) -> PriceSource:
        return self.build(server)

    @pytest.fixture
    def one(self) -> FetchRequest:
        return FetchRequest(self.refs[:1], *self.few)

    @pytest.mark.parametrize(("fault", "error", "told"), FAULTS)
    def test_each_fault_is_told_for_what_it_is(
        self, server: StandIn, one: FetchRequest, fault: str, error: str, told: str
    ) -> None:
        server.inject(fault, path=self.prices)
        late = fault in {"slow", "drip"}
        # One session, which is not cut into smaller questions; and time enough for all that is not late.
        asked = FetchRequest(one.symbols, one.start, one.start) if late else one
        outcome = outcome_of(self.build(server, timeout_seconds=0.2 if late else 5.0), asked)
        assert (outcome.error, outcome.retryable) == (error, error in TRANSIENT)
        assert told in outcome.cause
        assert KEY not in outcome.cause
        assert server.injected[fault] >= 1

    @pytest.mark.parametrize("fault", ["500", "reset", "slow", "truncated"])
    def test_after_a_fault_the_answer_is_that_of_an_undisturbed_vendor(
        self, server: StandIn, request_all: FetchRequest, fault: str
    ) -> None:
        undisturbed = self.build(server).fetch(request_all)
        server.heal()
        server.inject(fault, times=2, path=self.prices)
        context = self.context(guard=patient_guard(Clock()))
        recovered = self.build(server, context, timeout_seconds=0.3 if fault == "slow" else 5.0).fetch(request_all)
        assert_same_answer(recovered, undisturbed)
        assert server.injected[fault] == 2
        assert recovered.requests_made == len(server.asked)

    def test_retry_after_is_waited_for(self, server: StandIn, one: FetchRequest) -> None:
        clock = Clock()
        server.inject("429", times=1, path=self.prices, retry_after="7")
        assert self.build(server, self.context(guard=patient_guard(clock))).fetch(one).failures == ()
        assert 7 <= clock.waits[0] <= 8

    def test_a_dead_vendor_is_no_answer_for_any_symbol(self, server: StandIn, request_all: FetchRequest) -> None:
        server.inject("reset")
        source = self.build(server)
        try:
            failed = {failure.error for failure in source.fetch(request_all).failures}
        except MarketError as error:
            failed = {type(error).__name__}
        assert failed == {"SourceUnavailable"}

    def test_closed_history_is_asked_for_once(self, server: StandIn, one: FetchRequest, tmp_path: Path) -> None:
        cache = HttpCache(tmp_path)
        first = self.build(server, self.context(cache=cache)).fetch(one)
        asked = server.requests[self.prices]
        again = self.build(server, self.context(cache=cache)).fetch(one)
        assert server.requests[self.prices] == asked + (0 if self.kept else asked)
        assert_same_answer(first, again)
        fresh = self.build(server, self.context(cache=cache, fresh=True)).fetch(one)
        assert server.requests[self.prices] > asked
        assert_same_answer(first, fresh)
        assert not [path for path in tmp_path.rglob("*") if KEY in str(path)]

    kept = True

    def test_the_key_is_in_no_log_and_no_repr(
        self, server: StandIn, one: FetchRequest, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = self.build(server)
        with everything_logged(caplog):
            source.fetch(one)
        assert "urllib3.connectionpool" in {record.name for record in caplog.records}
        client = getattr(source, "client", None) or source._client  # type: ignore[attr-defined] - its repr is looked at
        for shown in (caplog.text, repr(source), repr(client), repr(client.key), str(vars(client))):
            assert KEY not in shown
            assert "k3y%2FWith" not in shown

    def test_a_missing_key_is_named(self, server: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        if not self.variable:
            assert self.build(server).name == self.kind
            return
        monkeypatch.delenv(self.variable)
        with pytest.raises(ConfigError, match=f"{self.variable}: the key of a configured source is not set"):
            self.build(server)
        (tmp_path / "key").write_text(f"{KEY}\n")
        monkeypatch.setenv(f"{self.variable}_FILE", str(tmp_path / "key"))
        assert self.build(server).fetch(FetchRequest(self.refs[:1], *self.few)).failures == ()

    def test_a_wrong_key_is_refused_without_showing_it(
        self, server: StandIn, one: FetchRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not self.variable:
            return
        monkeypatch.setenv(self.variable, "some/other+key")
        outcome = outcome_of(self.build(server), one)
        assert outcome.error == "SourceRejected"
        assert "other" not in outcome.cause

    def test_bad_options_are_refused(self, server: StandIn) -> None:
        for options in ({"threads": 0}, {"endpoint": "vendor.example"}, {"timeout_seconds": 0}, {"retries": 3}):
            with pytest.raises(ConfigError):
                self.build(server, **options)
