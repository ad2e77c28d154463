"""Ways to hand events over: a file of JSON lines, an OpenLineage endpoint over HTTP, standard output.

Belongs here: one class per transport, and which of its failures are worth another try. When to try again is the relay's
business. Every transport receives the stored bytes and sends exactly those.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from lineage.config import TransportConfig
from lineage.errors import TerminalDeliveryError, TransientDeliveryError

if TYPE_CHECKING:
    from io import BufferedRandom

    import requests

_TAIL_CHUNK: Final = 1 << 20
_BODY_SHOWN: Final = 300

# Answers about the connection rather than the event: a wrong key or address must not turn the whole outbox into dead
# letters, so these wait for a person behind the circuit breaker, like a receiver that is down.
_SETTING_AT_FAULT: Final = {
    401: "check the API key",
    403: "check the API key",
    404: "check url and endpoint",
    405: "check url and endpoint",
    407: "check the proxy",
}
_TRY_AGAIN: Final = (408, 425, 429)


class Transport(Protocol):
    """Hands events over."""

    name: str
    """Names the circuit breaker."""

    batch: int
    """Most events per `send`."""

    def send(self, payloads: Sequence[str]) -> None:
        """Hand events over, in order. Returns when the receiver has them all.

        Raises:
            TransientDeliveryError: none of them may count as delivered; the same call may succeed later.
            TerminalDeliveryError: the receiver refuses what was sent.
        """

    def close(self) -> None:
        """Release what is open."""


def open_transport(config: TransportConfig) -> Transport | None:
    """The transport that `config` describes, None for `none`."""
    if config.kind == "file" and config.path is not None:
        return FileTransport(config.path)
    if config.kind == "http" and config.url is not None:
        return HttpTransport(config)
    return ConsoleTransport() if config.kind == "console" else None


class FileTransport:
    """Appends events to a file, one JSON document a line, and syncs it to disk.

    Delivery is at least once. After a crash between the write and the commit that says so, the same events come again:
    so the first write of a process reads as many lines from the end of the file as one batch may have left there, cuts
    off a torn last line, and skips events that are already in the file. Processes that share the file take turns.
    """

    batch = 500

    def __init__(self, path: Path) -> None:
        self.name = "file"
        self._path = path
        self._written: set[bytes] | None = None

    def send(self, payloads: Sequence[str]) -> None:
        """See `Transport.send`. Raises TransientDeliveryError for a full disk or a missing permission."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._written is None:
                    self._written = _recover(file, self.batch)
                lines = [payload.encode() for payload in payloads]
                file.write(b"".join(line + b"\n" for line in lines if line not in self._written))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._written = None  # what reached the file is unknown: look again before the next write
            raise TransientDeliveryError(f"cannot write {self._path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Nothing is kept open between writes."""


def _recover(file: BufferedRandom, lines: int) -> set[bytes]:
    """The last lines of a file, after a last line without its end has been cut off."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start > 0 and tail.count(b"\n") <= lines:
        step = min(_TAIL_CHUNK, start)
        start -= step
        file.seek(start)
        tail = file.read(step) + tail
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        file.truncate(start + len(whole))
    return set(whole.split(b"\n")[-lines - 1 :])


class ConsoleTransport:
    """Prints events to standard output, one a line."""

    batch = 100

    name = "console"

    def send(self, payloads: Sequence[str]) -> None:
        """See `Transport.send`."""
        sys.stdout.writelines(f"{payload}\n" for payload in payloads)
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing to release."""


class HttpTransport:
    """Posts events to an OpenLineage endpoint through OpenLineage's own HTTP transport, one a request.

    The client's retries are off, because the relay decides about them; redirects are refused, because following one
    turns a POST into a GET and would count the event as delivered.
    """

    batch = 1

    def __init__(self, config: TransportConfig) -> None:
        import requests
        from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, TokenProvider
        from openlineage.client.transport.http import HttpTransport as OpenLineageHttp

        self.name = f"http {config.url}"
        self._where = f"{(config.url or '').rstrip('/')}/{config.endpoint.lstrip('/')}"
        session = requests.Session()
        session.max_redirects = 0
        auth = ApiKeyTokenProvider({"api_key": config.api_key}) if config.api_key else TokenProvider({})
        self._client = OpenLineageHttp(
            HttpConfig(
                url=f"{(config.url or '').rstrip('/')}/",
                endpoint=config.endpoint.lstrip("/"),
                timeout=config.timeout_seconds,
                auth=auth,
                session=session,
                retry={"total": 0, "redirect": 0},
            )
        )

    def send(self, payloads: Sequence[str]) -> None:
        """See `Transport.send`."""
        import requests

        for payload in payloads:
            try:
                # A dict passes through the client unchanged, and is written with the same keys in the same order.
                self._client.emit(json.loads(payload))
            except requests.HTTPError as error:
                raise _refusal(self._where, error.response) from error
            except requests.TooManyRedirects as error:
                raise TransientDeliveryError(f"{self._where} redirects; configure the final address") from error
            except requests.RequestException as error:
                raise TransientDeliveryError(f"{self._where}: {type(error).__name__}: {_cause(error)}") from error

    def close(self) -> None:
        """Close kept connections."""
        self._client.close()


def _refusal(where: str, response: requests.Response) -> TransientDeliveryError | TerminalDeliveryError:
    body = " ".join(response.text.split())[:_BODY_SHOWN]
    message = f"{where} answered {response.status_code}{f': {body}' if body else ''}"
    if remedy := _SETTING_AT_FAULT.get(response.status_code):
        return TransientDeliveryError(f"{message}; {remedy}")
    if response.status_code >= 500 or response.status_code in _TRY_AGAIN:
        return TransientDeliveryError(message, _retry_after(response.headers.get("Retry-After")))
    return TerminalDeliveryError(message)


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait by a Retry-After header: a number, or an HTTP date (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _cause(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps a refused connection three times."""
    text = str(error)
    while (inner := error.__cause__ or error.__context__) is not None:
        error, text = inner, str(inner) or text
    return text
