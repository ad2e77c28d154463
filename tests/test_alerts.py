"""Failure alerts against an HTTP server on this machine: the message, its delivery, and that no secret leaks."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from webhook_server import TOKEN, Webhook, serve_webhook

from market_assets.alerts import AlertNotDelivered, CheckFailure, RunFailure, StepFailure, failure_payload, send


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with serve_webhook() as hook:
        yield hook


FAILURE = RunFailure(
    run_id="0a1b2c3d",
    job="ingest_session",
    partitions=("2024-11-27", "2024-11-29"),
    steps=[StepFailure("raw_prices", "SourceUnavailable: yahoo did not answer\ncaused by: timed out")],
    checks=[CheckFailure("raw_prices", "completeness", "2024-11-29", "212 of 505 bars")],
    link="https://dagster.example/runs/0a1b2c3d",
)


def shown(payload: dict[str, Any]) -> str:
    return "\n".join(block["text"]["text"] for block in payload["blocks"])


# The message --------------------------------------------------------------------------------------------------------


def test_the_message_says_what_failed_where_and_why() -> None:
    payload = failure_payload(FAILURE)
    assert payload["text"] == "ingest_session failed for 2024-11-27 to 2024-11-29"
    assert [block["type"] for block in payload["blocks"]] == ["header", "section", "section", "section"]
    assert shown(payload) == (
        "ingest_session failed for 2024-11-27 to 2024-11-29\n"
        "*Run:* <https://dagster.example/runs/0a1b2c3d|0a1b2c3d>\n"
        "*Job:* ingest_session\n"
        "*Partitions:* 2024-11-27 to 2024-11-29\n"
        "*Failing step:* raw_prices\n"
        "*Blocking checks that failed*\n"
        "• raw_prices.completeness [2024-11-29]: 212 of 505 bars\n"
        "*Error*\n"
        "```SourceUnavailable: yahoo did not answer\ncaused by: timed out```"
    )


def test_a_run_without_partitions_steps_or_link_has_a_message_too() -> None:
    payload = failure_payload(RunFailure("0a1b", "backfill", None, message="Run was killed."))
    assert payload["text"] == "backfill failed"
    assert shown(payload) == (
        "backfill failed\n*Run:* 0a1b\n*Job:* backfill\n*Partitions:* none\n*Error*\n```Run was killed.```"
    )


def test_one_partition_is_named_once() -> None:
    assert failure_payload(RunFailure("a", "j", ("2024-11-29", "2024-11-29")))["text"] == "j failed for 2024-11-29"


def test_long_and_hostile_text_stays_within_the_limits_of_slack() -> None:
    failure = RunFailure(
        "a",
        "j" * 200,
        None,
        steps=[StepFailure(f"step_{number}", "<!channel> & " * 2_000) for number in range(30)],
        checks=[CheckFailure("asset", f"check_{number}", None, "<x>" * 500) for number in range(30)],
    )
    payload = failure_payload(failure)
    header, *sections = (block["text"]["text"] for block in payload["blocks"])
    assert len(header) == 150
    assert all(len(section) <= 3_000 for section in sections)
    assert "<!channel>" not in shown(payload)
    assert "&lt;!channel&gt; &amp; " in shown(payload)
    assert shown(payload).count("and 20 more") == 2
    assert sections[-1].endswith("…```")
    for cut in (section for section in sections if "…" in section):
        assert "&" not in cut.split("…")[0][-5:].replace("&lt;", "").replace("&gt;", "").replace("&amp;", "")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("cannot connect to postgresql://market:s3cr3t@db:5432/market", "postgresql://***@db:5432/market"),
        ("postgresql://:s3cr3t@db/market", "postgresql://***@db/market"),
        ("host=db password=s3cr3t dbname=market", "host=db password=*** dbname=market"),
        ("GET https://vendor/eod?symbol=AAPL&api_key=s3cr3t&fmt=json", "api_key=***&amp;fmt=json"),
        ("GET https://vendor/eod?apikey=s3cr3t: 403", "apikey=***"),
    ],
)
def test_passwords_and_keys_in_an_error_are_masked(error: str, expected: str) -> None:
    text = json.dumps(failure_payload(RunFailure("a", "j", None, steps=[StepFailure("s", error)])))
    assert expected in text
    assert "s3cr3t" not in text


# Delivery -----------------------------------------------------------------------------------------------------------


def test_the_payload_arrives_as_it_is(webhook: Webhook) -> None:
    payload = failure_payload(FAILURE)
    send(webhook.address, payload)
    assert webhook.received == [payload]


def test_a_webhook_that_fails_for_a_moment_is_asked_again(webhook: Webhook) -> None:
    webhook.answers = [(503, {}), (429, {"Retry-After": "7"})]
    waits: list[float] = []
    send(webhook.address, {"text": "x"}, sleep=waits.append)
    assert len(webhook.received) == 3
    assert waits == [1.0, 7.0]


def test_a_webhook_cannot_make_the_sensor_wait_for_long(webhook: Webhook) -> None:
    webhook.answers = [(429, {"Retry-After": "3600"}), (429, {"Retry-After": "soon"})]
    waits: list[float] = []
    send(webhook.address, {"text": "x"}, sleep=waits.append)
    assert waits == [10.0, 2.0]


@pytest.mark.parametrize("code", [400, 403, 404, 302])
def test_a_refusal_is_final(webhook: Webhook, code: int) -> None:
    webhook.answers = [(code, {"Location": "http://127.0.0.1:1/"})]
    with pytest.raises(AlertNotDelivered, match=f"answered {code}; check MARKET_ALERT_WEBHOOK"):
        send(webhook.address, {"text": "x"})
    assert len(webhook.received) == 1


def test_after_the_last_attempt_it_says_so(webhook: Webhook) -> None:
    webhook.answers = [(500, {})] * 3
    with pytest.raises(AlertNotDelivered, match="answered 500, 3 times"):
        send(webhook.address, {"text": "x"}, sleep=lambda _: None)


def test_the_address_is_in_no_error_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with caplog.at_level(logging.WARNING), pytest.raises(AlertNotDelivered) as caught:
        send(SecretStr(f"http://127.0.0.1:{port}/services/{TOKEN}"), {"text": "x"}, sleep=lambda _: None)
    assert "ConnectionError, 3 times" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None  # a chained requests error would print the address
    assert TOKEN not in caplog.text
