"""A webhook on this machine for tests: takes posts over HTTP, answers as told, remembers what it received."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

TOKEN = "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"


class Webhook:
    """Answers with `answers` in turn (status, headers), then with 200."""

    def __init__(self) -> None:
        self.address = SecretStr("")
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.received: list[dict[str, Any]] = []


@contextmanager
def serve_webhook() -> Iterator[Webhook]:
    """A running webhook, stopped at the end of the block."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            code, headers = hook.answers.pop(0) if hook.answers else (200, {})
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Keep the test output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.address = SecretStr(f"http://127.0.0.1:{server.server_port}/services/{TOKEN}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()
