"""A local stand-in for Yahoo: the chart API (v8) with cookie and crumb endpoints, served from known data.

It answers from as-traded bars and actions the way Yahoo does: prices divided by all later splits, dividends too, rows
stamped with the opening moment, events keyed by time, an adjusted close. The real yfinance client talks to it through
`YahooOptions(endpoint=server.url)`. Faults are injected by name, a number of times or at random, and counted.

    with YahooServer([Listing("AAPL", bars, actions)]) as server:
        server.inject("500", times=2)
        server.inject("429", retry_after=3, symbols={"AAPL"})
        server.inject_randomly(0.05, kinds=TRANSIENT, seed=1)
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chaos.yahoo_listings import Listing, events, indicators

CHART, CRUMB, COOKIE, OTHER = "chart", "crumb", "cookie", "other"

TRANSIENT = ("429", "500", "502", "reset", "truncated_json", "cut_body", "empty", "null_result")
"""Faults after which the same question may be asked again."""

STATUSES = ("401", "403", "429", "500", "502", "503")

TERMINAL = ("html", "wrong_symbol", "wrong_timezone", "wrong_shape")
"""Faults after which it is no use."""


@dataclass
class _Fault:
    kind: str
    times: int
    symbols: frozenset[str] | None
    retry_after: str | None
    path: str


class YahooServer:
    """The stand-in, on a free port of 127.0.0.1 while the context is open.

    Attributes:
        listings: securities by Yahoo symbol; may be changed while it runs.
        requests: requests served, by endpoint (chart, crumb, cookie, other).
        asked: symbol -> chart requests.
        moments: time.monotonic() of each chart request.
        injected: fault -> times it was injected.
        latency: seconds before each answer.
        delay: seconds that the fault `slow` adds before the answer, `slow_body` in the middle of it.
        in_flight_at_most: largest number of chart requests served at the same time.
    """

    def __init__(self, listings: Iterable[Listing] = (), *, latency: float = 0.0) -> None:
        self.listings = {listing.symbol: listing for listing in listings}
        self.requests: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.moments: list[float] = []
        self.injected: Counter[str] = Counter()
        self.latency, self.delay = latency, 2.0
        self.in_flight_at_most = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._random: tuple[float, tuple[str, ...], random.Random] | None = None
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Address, for `YahooOptions.endpoint`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> YahooServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def inject(
        self,
        kind: str,
        *,
        times: int = 1_000_000,
        symbols: Iterable[str] | None = None,
        retry_after: str | None = None,
        path: str = CHART,
    ) -> None:
        """Let the next `times` requests to `path` (for one of `symbols`) meet a fault."""
        with self._lock:
            chosen = None if symbols is None else frozenset(symbols)
            self._faults.append(_Fault(kind, times, chosen, retry_after, path))

    def inject_randomly(self, rate: float, *, kinds: Iterable[str], seed: int) -> None:
        """Let each chart request meet one of `kinds` with probability `rate`."""
        with self._lock:
            # Not for secrets: a fault plan has to be repeatable.
            self._random = (rate, tuple(kinds), random.Random(seed))  # noqa: S311

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()
            self._random = None

    def forget(self) -> None:
        """Forget what was asked and injected so far."""
        with self._lock:
            for kept in (self.requests, self.asked, self.injected, self.moments):
                kept.clear()

    def fault_of(self, path: str, symbol: str) -> _Fault | None:
        """The fault this request meets; counted when it does."""
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.path == path and (fault.symbols is None or symbol in fault.symbols):
                    fault.times -= 1
                    self.injected[fault.kind] += 1
                    return fault
            if self._random is not None and path == CHART:
                rate, kinds, draw = self._random
                if draw.random() < rate:
                    kind = draw.choice(kinds)
                    self.injected[kind] += 1
                    return _Fault(kind, 0, None, None, path)
        return None

    def note(self, path: str, symbol: str, *, begin: bool) -> None:
        """Count a request that begins or ends."""
        with self._lock:
            if begin:
                self.requests[path] += 1
                if symbol:
                    self.asked[symbol] += 1
                    self.moments.append(time.monotonic())
            if path == CHART:
                self._in_flight += 1 if begin else -1
                self.in_flight_at_most = max(self.in_flight_at_most, self._in_flight)

    def chart(self, symbol: str, query: dict[str, list[str]], fault: str = "") -> tuple[int, Any]:
        """Status and JSON of the chart API for one query."""
        listing = self.listings.get(symbol)
        if listing is None or fault == "not_found":
            return 404, _error("Not Found", "No data found, symbol may be delisted")
        bars = listing.shown()
        first = int(bars["stamp"].iloc[0]) if len(bars) else None
        latest = int(bars["stamp"].iloc[-1]) if len(bars) else None
        if "range" in query:
            start, end = latest or 0, (latest or 0) + 1
        else:
            start, end = int(query["period1"][0]), int(query["period2"][0])
        rows = bars[(bars["stamp"] >= start) & (bars["stamp"] < end)]
        if fault == "partial":
            rows = rows.iloc[: len(rows) // 2]
        zone = "Asia/Tokyo" if fault == "wrong_timezone" else listing.timezone
        meta = {
            "currency": listing.currency,
            "symbol": "WRONG" if fault == "wrong_symbol" else symbol,
            "exchangeName": "NMS",
            "instrumentType": listing.instrument,
            "firstTradeDate": first,
            "regularMarketTime": latest,
            "gmtoffset": 0,
            "timezone": "EST",
            "exchangeTimezoneName": zone,
            "longName": listing.name,
            "priceHint": 2,
            "dataGranularity": "1d",
            "range": "",
            "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        }
        if fault == "null_result":
            return 200, {"chart": {"result": None, "error": None}}
        if fault == "wrong_shape":
            return 200, {
                "chart": {"result": [{"meta": meta, "timestamp": 7, "indicators": {"quote": ["x"]}}], "error": None}
            }
        if rows.empty or fault == "empty":
            return 200, {
                "chart": {"result": [{"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}}], "error": None}
            }
        result = {
            "meta": meta,
            "timestamp": rows["stamp"].tolist(),
            "events": events(listing, start, end),
            "indicators": indicators(rows, listing.unit),
        }
        return 200, {"chart": {"result": [result], "error": None}}


def _error(code: str, description: str) -> dict[str, Any]:
    return {"chart": {"result": None, "error": {"code": code, "description": description}}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, stand_in: YahooServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stand_in = stand_in

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients of a faulty server hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go out in two pieces: the second would wait 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Keep the test output clean."""

    def do_GET(self) -> None:
        path, symbol = self._route()
        stand_in = self.server.stand_in
        stand_in.note(path, symbol, begin=True)
        try:
            fault = stand_in.fault_of(path, symbol) or _Fault("", 0, None, None, path)
            time.sleep(stand_in.latency + (stand_in.delay if fault.kind == "slow" else 0.0))
            if not self._failed(fault):
                self._answer(path, symbol, fault.kind)
        finally:
            stand_in.note(path, symbol, begin=False)

    do_POST = do_GET  # noqa: N815 - the base class looks for this name

    def _route(self) -> tuple[str, str]:
        url = urlsplit(self.path)
        if url.path.startswith("/v8/finance/chart/"):
            return CHART, url.path.rsplit("/", 1)[1]
        if url.path == "/v1/test/getcrumb":
            return CRUMB, ""
        return (COOKIE if self.headers["Host"] == "fc.yahoo.com" else OTHER), ""

    def _failed(self, fault: _Fault) -> bool:
        """Faults that need no data; whether there was one."""
        if fault.kind == "reset":
            # Linger 0: the kernel sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault.kind in STATUSES:
            text = "Too Many Requests\r\n" if fault.kind == "429" else f"<html><body>{fault.kind}</body></html>"
            self._send(int(fault.kind), text.encode(), {"Retry-After": fault.retry_after} if fault.retry_after else {})
        elif fault.kind == "html":
            self._send(200, b"<!DOCTYPE html><html><body>Please verify you are human</body></html>")
        else:
            return False
        return True

    def _answer(self, path: str, symbol: str, fault: str) -> None:
        if path == CRUMB:
            self._send(200, b"Cr.Umb")
        elif path != CHART:
            self._send(200, b"", {"Set-Cookie": "A3=cookie; Domain=.yahoo.com; Path=/; Max-Age=86400"})
        else:
            query = parse_qs(urlsplit(self.path).query)
            status, document = self.server.stand_in.chart(symbol, query, fault)
            body = json.dumps(document).encode()
            if fault == "truncated_json":
                body = body[: len(body) * 2 // 3]
            pause = self.server.stand_in.delay if fault == "slow_body" else 0.0
            self._send(status, body, cut=fault == "cut_body", pause=pause)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        cut: bool = False,
        pause: float = 0.0,
    ) -> None:
        """Answer; `cut` ends the body in the middle, `pause` is how long it stops there."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if pause:
            self.wfile.flush()
            time.sleep(pause)
        if not cut:
            self.wfile.write(body[half:])
        self.close_connection = self.close_connection or cut
