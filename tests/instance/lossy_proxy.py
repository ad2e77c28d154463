"""A network that fails at the worst moment: after the server committed, before the client hears of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKET_NAME = ".s.PGSQL.5432"


@contextmanager
def proxy_that_drops_answers_to_commit(server: Path, folder: Path) -> Iterator[Path]:
    """A socket folder for libpq in front of the server's; a connection ends once the server has answered a COMMIT.

    Args:
        server: the server's socket folder.
        folder: where to put the proxy's socket.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / SOCKET_NAME))
    listener.listen()
    threading.Thread(target=_accept, args=(listener, server), daemon=True).start()
    try:
        yield folder
    finally:
        listener.close()


def _accept(listener: socket.socket, server: Path) -> None:
    with suppress(OSError):  # raised when the listener is closed
        while True:
            client, _ = listener.accept()
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(str(server / SOCKET_NAME))
            committing = threading.Event()
            threading.Thread(target=_questions, args=(client, upstream, committing), daemon=True).start()
            threading.Thread(target=_answers, args=(upstream, client, committing), daemon=True).start()


def _questions(client: socket.socket, server: socket.socket, committing: threading.Event) -> None:
    with suppress(OSError), server:
        while data := client.recv(65536):
            if b"COMMIT\0" in data:  # not BEGIN ... READ COMMITTED
                committing.set()
            server.sendall(data)


def _answers(server: socket.socket, client: socket.socket, committing: threading.Event) -> None:
    with suppress(OSError), client:
        while data := server.recv(65536):
            if committing.is_set():
                client.shutdown(socket.SHUT_RDWR)
                return
            client.sendall(data)
