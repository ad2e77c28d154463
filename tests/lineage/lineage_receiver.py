"""A stand-in for Marquez: POST /api/v1/lineage over real HTTP, with the faults a real receiver shows."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Fault:
    """What to do with one request instead of accepting it.

    Attributes:
        status: answer with this status.
        headers: with these headers.
        body: and this body.
        reset: break the connection without an answer.
        delay: seconds to wait before answering.
    """

    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    reset: bool = False
    delay: float = 0.0


class Receiver:
    """Runs in a thread of its own between `__enter__` and `__exit__`.

    Attributes:
        accepted: bodies of the requests answered with 201, in order.
        requests: (path, headers, body) of every request that was read.
        faults: taken from the left, one a request; a request without a fault is accepted.
        down: answer for every request while set.
    """

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.faults: deque[Fault] = deque()
        self.down: Fault | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._answer(self)

            def do_GET(self) -> None:
                receiver.requests.append((f"GET {self.path}", dict(self.headers), ""))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        self.requests.append((handler.path, dict(handler.headers), body))
        fault = self.down or (self.faults.popleft() if self.faults else Fault())
        time.sleep(fault.delay)
        if fault.reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return
        if handler.path != "/api/v1/lineage":
            fault = Fault(status=404)
        if fault.status == 201:
            self.accepted.append(body)
        answer = fault.body.encode()
        handler.send_response(fault.status)
        for name, value in fault.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)
