"""Which errors of ours Dagster tries again, after how long, and what it shows of those it does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from dagster import Failure, RetryRequested

from market_assets.errors import (
    ConfigError,
    InputError,
    OutOfOrderKnowledge,
    RateLimited,
    SchemaMismatch,
    SessionNotClosed,
    SourceRejected,
    SourceUnavailable,
    UnexpectedPayload,
    WarehouseUnavailable,
)
from market_assets.policy import FIRST_WAIT_SECONDS, MAX_RETRIES, classified_errors


@dataclass
class Log:
    warnings: list[str] = field(default_factory=list)

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@dataclass
class Context:
    """The part of an AssetExecutionContext that the policy reads."""

    retry_number: int = 0
    log: Log = field(default_factory=Log)


def raised_by(error: BaseException, retry_number: int = 0) -> BaseException:
    context: Any = Context(retry_number)
    with pytest.raises(BaseException) as caught, classified_errors(context):  # noqa: PT011 - any; looked at by the test
        raise error
    return caught.value


@pytest.mark.parametrize("error", [SourceUnavailable("down"), RateLimited("slow"), WarehouseUnavailable("restarting")])
def test_a_transient_error_is_tried_again(error):
    retry = raised_by(error)
    assert isinstance(retry, RetryRequested)
    assert retry.max_retries == MAX_RETRIES
    assert retry.seconds_to_wait == FIRST_WAIT_SECONDS
    assert retry.__cause__ is error


def test_waits_double(monkeypatch):
    waits = [raised_by(SourceUnavailable("down"), number).seconds_to_wait for number in range(3)]
    assert waits == [2.0, 4.0, 8.0]


@pytest.mark.parametrize(("asked", "waited"), [(30.0, 30.0), (0.5, 2.0), (None, 2.0)])
def test_the_vendor_may_ask_for_a_longer_wait(asked, waited):
    assert raised_by(RateLimited("slow", asked)).seconds_to_wait == waited


@pytest.mark.parametrize(
    "error",
    [
        InputError("bad row"),
        SourceRejected("bad key"),
        UnexpectedPayload("html"),
        SessionNotClosed("early"),
        SchemaMismatch("columns"),
        OutOfOrderKnowledge("older"),
        ConfigError("bad", file="market.yaml", key="sources"),
    ],
)
def test_a_terminal_error_fails_at_once_with_its_own_words(error):
    failure = raised_by(error)
    assert isinstance(failure, Failure)
    assert failure.description == str(error)
    assert failure.allow_retries is False
    assert failure.metadata["error"].value == type(error).__name__


def test_a_defect_keeps_its_traceback():
    defect = ZeroDivisionError("a defect")
    assert raised_by(defect) is defect


def test_a_retry_is_logged_with_its_cause():
    context: Any = Context()
    with pytest.raises(RetryRequested), classified_errors(context):
        raise SourceUnavailable("vendor is down")
    assert context.log.warnings == ["SourceUnavailable: vendor is down"]


def test_nothing_happens_without_an_error():
    context: Any = Context()
    with classified_errors(context):
        pass
    assert context.log.warnings == []
