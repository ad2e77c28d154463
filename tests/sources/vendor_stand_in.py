"""A local HTTP server that stands in for a vendor and misbehaves on request. One subclass speaks each protocol.

Belongs here: serving, counting, and the faults that need no knowledge of a protocol. Does not belong here: any vendor's
answers (`tiingo_server.py` and its neighbours).

    with TiingoServer(listings) as server:
        server.inject("500", times=2)
        server.inject("429", retry_after="3", path="prices")
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

STATUSES = ("400", "401", "402", "403", "404", "429", "500", "502", "503", "504")
KEY = "k3y/With+Signs9"
"""What every stand-in wants; has characters that are escaped in an address."""

HTML = b"<!DOCTYPE html><html><body>Please verify you are human</body></html>"


@dataclass(frozen=True)
class Asked:
    """One request: endpoint as the server names it, path, query and headers."""

    endpoint: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, document: Any, status: int = 200) -> Reply:
        """A JSON document."""
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    @classmethod
    def text(cls, text: str, status: int = 200) -> Reply:
        """Plain text."""
        return cls(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})


@dataclass
class Fault:
    """A fault, how often it is still to happen, and where; an empty path is everywhere."""

    kind: str
    times: int
    path: str
    retry_after: str | None


class StandIn:
    """The server, on a free port of 127.0.0.1 while the context is open.

    Attributes:
        asked: requests in order, faulty ones included.
        injected: fault -> times it was injected.
        delay: seconds that the fault `slow` takes before the answer, and `drip` for all of it.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.injected: Counter[str] = Counter()
        self.delay = 1.0
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def endpoint_of(self, url: SplitResult) -> str:
        """Name of the endpoint that a request is for."""
        raise NotImplementedError

    def reply(self, asked: Asked, fault: str) -> Reply:
        """The answer to one request, with a fault of the protocol's own or "" for none."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Address, for the option `endpoint`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> Counter[str]:
        """Requests by endpoint."""
        return Counter(asked.endpoint for asked in self.asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def inject(self, kind: str, *, times: int = 1_000_000, path: str = "", retry_after: str | None = None) -> None:
        """Let the next `times` requests to endpoint `path` meet a fault."""
        with self._lock:
            self._faults.append(Fault(kind, times, path, retry_after))

    def heal(self) -> None:
        """Forget all faults and what was counted."""
        with self._lock:
            self._faults.clear()
            self.asked.clear()
            self.injected.clear()

    def note(self, asked: Asked) -> Fault | None:
        """Count a request; the fault it meets."""
        with self._lock:
            self.asked.append(asked)
            for fault in self._faults:
                if fault.times > 0 and fault.path in {"", asked.endpoint}:
                    fault.times -= 1
                    self.injected[fault.kind] += 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stand_in = stand_in

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients of a faulty server hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Keep the test output clean."""

    def do_GET(self) -> None:
        url, stand_in = urlsplit(self.path), self.server.stand_in
        query = dict(parse_qsl(url.query))
        asked = Asked(stand_in.endpoint_of(url), url.path, query, dict(self.headers))
        fault = stand_in.note(asked) or Fault("", 0, "", None)
        if fault.kind == "reset":
            # Linger 0: the kernel sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        if fault.kind == "slow":
            time.sleep(stand_in.delay)
        self._send(self._faulty(fault) or stand_in.reply(asked, fault.kind), fault.kind)

    def _faulty(self, fault: Fault) -> Reply | None:
        """Answers that need no data."""
        if fault.kind in STATUSES:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return Reply(int(fault.kind), f"<html><body>{fault.kind}</body></html>".encode(), headers)
        if fault.kind == "html":
            return Reply(200, HTML, {"Content-Type": "text/html"})
        return Reply() if fault.kind == "empty_body" else None

    def _send(self, reply: Reply, fault: str) -> None:
        body = reply.body[: len(reply.body) * 2 // 3] if fault == "truncated" else reply.body
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "cut_body":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        elif fault == "drip":
            # Each piece arrives within any read timeout, the whole does not.
            for position in range(20):
                self.wfile.write(body[position * len(body) // 20 : (position + 1) * len(body) // 20])
                self.wfile.flush()
                time.sleep(self.server.stand_in.delay / 20)
        else:
            self.wfile.write(body)
