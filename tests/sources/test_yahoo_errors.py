"""What the HTTP client that yfinance brings for Yahoo itself raises, told for what it is. No stand-in speaks TLS."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from market_assets.errors import AnswerCutOff, MarketError, SourceUnavailable, TimedOut
from market_assets.sources.yahoo_client import _vendor_session
from market_assets.sources.yahoo_errors import explained

HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"chart":'


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def cut(connection: socket.socket) -> None:
    connection.sendall(HALF)


def stall(connection: socket.socket) -> None:
    connection.sendall(HALF)
    time.sleep(0.6)


def hang_up(connection: socket.socket) -> None:
    """Not a byte."""


@pytest.mark.parametrize(("fault", "meaning"), [(cut, AnswerCutOff), (stall, TimedOut), (hang_up, SourceUnavailable)])
def test_what_happened_to_an_answer(
    listener: socket.socket, fault: Callable[[socket.socket], None], meaning: type[MarketError]
) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            fault(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the client's own class, which is what is looked at
        _vendor_session().get(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.4)
    thread.join()
    assert type(explained("IBM", raised.value, None, None)) is meaning


def test_an_address_where_nobody_answers(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the client's own class, which is what is looked at
        _vendor_session().get(f"http://127.0.0.1:{port}/", timeout=0.4)
    assert type(explained("IBM", raised.value, None, None)) is SourceUnavailable


def test_a_connection_that_is_not_made_in_time_is_not_a_range_that_is_too_large() -> None:
    error = TimeoutError("Failed to perform, curl: (28) Connection timed out after 20000 milliseconds")
    assert type(explained("IBM", error, None, None)) is SourceUnavailable
