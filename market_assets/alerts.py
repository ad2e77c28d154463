"""Failure alerts: the message of a failed run, and the webhook that takes it.

Belongs here: what is said about a failure, within the limits of Slack's format, and its delivery. Does not belong here:
deciding that a run has failed (sensors.py).

The payload follows Slack's "Block Kit": Mattermost, Rocket.Chat, Discord (/slack) and Teams relays take it as well. The
webhook's address is a secret: it never appears in a log, an error or a traceback.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from market_assets.errors import MarketError

TIMEOUT_SECONDS: Final = 5.0
ATTEMPTS: Final = 3
FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 10.0  # three attempts stay well within the 60 s of a sensor evaluation
# Slack, "Block Kit reference": a header takes 150 characters, a section 3,000
HEADER_LIMIT: Final = 150
SECTION_LIMIT: Final = 3_000
ERROR_LIMIT: Final = 2_500
FINDING_LIMIT: Final = 200
LISTED: Final = 10  # failed checks and steps named before "and n more"

_SECRETS: Final = (
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]*@", re.IGNORECASE), r"\1***@"),
    (re.compile(r"((?:api[_-]?key|apikey|token|password|secret)\s*=\s*)[^\s&'\"]+", re.IGNORECASE), r"\1***"),
)


class AlertNotDelivered(MarketError):
    """The webhook did not take a message, after every attempt."""


@dataclass(frozen=True)
class StepFailure:
    """One failed step.

    Attributes:
        step: its key.
        error: message of the error and of its causes, without the traceback.
    """

    step: str
    error: str


@dataclass(frozen=True)
class CheckFailure:
    """One blocking check that did not pass.

    Attributes:
        asset: asset key.
        check: name of the check.
        partition: session it was evaluated on, None = the whole run.
        description: what it found.
    """

    asset: str
    check: str
    partition: str | None
    description: str


@dataclass(frozen=True)
class RunFailure:
    """What is known about a failed run.

    Attributes:
        run_id: Dagster's id.
        job: name of the job.
        partitions: first and last partition, None for a run without; equal for one partition.
        steps: failed steps, in order.
        checks: failed blocking checks, in order.
        message: Dagster's own word on the failure, used when no step failed.
        link: address of the run in the UI, None when it is not known.
    """

    run_id: str
    job: str
    partitions: tuple[str, str] | None
    steps: Sequence[StepFailure] = ()
    checks: Sequence[CheckFailure] = ()
    message: str = ""
    link: str | None = None


def failure_payload(failure: RunFailure) -> dict[str, Any]:
    """The message as a Slack payload: `text` for notifications, `blocks` for the channel.

    Text from the run is escaped and shortened to Slack's limits; passwords and keys in addresses are masked.
    """
    where = _partitions(failure.partitions)
    headline = f"{failure.job} failed{f' for {where}' if where else ''}"
    facts = {"Run": _run(failure), "Job": _escaped(failure.job), "Partitions": where or "none"}
    if failure.steps:
        facts["Failing step"] = _listed([_escaped(step.step) for step in failure.steps])
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(headline, HEADER_LIMIT)}},
        _section("\n".join(f"*{name}:* {value}" for name, value in facts.items())),
    ]
    if failure.checks:
        lines = [
            f"• {_escaped(check.asset)}.{_escaped(check.check)}"
            f"{f' [{check.partition}]' if check.partition else ''}: {_shown(check.description, FINDING_LIMIT)}"
            for check in failure.checks
        ]
        blocks.append(_section("*Blocking checks that failed*\n" + _listed(lines, "\n")))
    error = failure.steps[0].error if failure.steps else failure.message
    if error:
        blocks.append(_section(f"*Error*\n```{_shown(error, ERROR_LIMIT)}```"))
    return {"text": _escaped(headline), "blocks": blocks}


def send(
    webhook: SecretStr,
    payload: Mapping[str, Any],
    *,
    timeout: float = TIMEOUT_SECONDS,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Post `payload` to `webhook`, again after no answer, 429 (waiting as long as it says) and 5xx.

    Args:
        webhook: address, a secret.
        payload: JSON object.
        timeout: seconds for each attempt to connect and to answer.
        attempts: how often to try.
        sleep: waits between attempts.

    Raises:
        AlertNotDelivered: refused, or not taken after all attempts; says what happened and never where.
    """
    import requests

    problem = ""
    for attempt in range(attempts):
        wait = FIRST_WAIT_SECONDS * 2**attempt
        try:
            answer = requests.post(webhook.get_secret_value(), json=payload, timeout=timeout, allow_redirects=False)
        except requests.RequestException as error:
            # The text of a requests error holds the address: only its type may be told.
            problem = type(error).__name__
        else:
            if answer.ok and not answer.is_redirect:
                return
            problem = f"answered {answer.status_code}"
            if answer.status_code != requests.codes.too_many_requests and answer.status_code < 500:
                raise AlertNotDelivered(f"the webhook {problem}; check MARKET_ALERT_WEBHOOK")
            wait = max(wait, _seconds(answer.headers.get("Retry-After")))
        if attempt + 1 < attempts:
            sleep(min(wait, LONGEST_WAIT_SECONDS))
    raise AlertNotDelivered(f"the webhook {problem}, {attempts} times; the alert is only in this log")


def _run(failure: RunFailure) -> str:
    return f"<{failure.link}|{failure.run_id}>" if failure.link else failure.run_id


def _partitions(partitions: tuple[str, str] | None) -> str:
    if partitions is None:
        return ""
    first, last = partitions
    return first if first == last else f"{first} to {last}"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, SECTION_LIMIT)}}


def _listed(items: Sequence[str], separator: str = ", ") -> str:
    more = len(items) - LISTED
    return separator.join([*items[:LISTED], *([f"and {more} more"] if more > 0 else [])])


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _escaped(text: str) -> str:
    """Slack, "Formatting text": &, < and > are control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _shown(text: str, limit: int) -> str:
    """Foreign text, fit to be shown: secrets masked, escaped, at most `limit` characters, no escape cut in half."""
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    escaped = _escaped(text)
    return escaped if len(escaped) <= limit else re.sub(r"&[a-z]{0,3}$", "", escaped[: limit - 1]) + "…"


def _seconds(text: str | None) -> float:
    try:
        return max(float(text or 0), 0.0)
    except ValueError:
        return 0.0
