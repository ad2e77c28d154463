"""One question to Yahoo through yfinance: the history of one symbol, or a typed error that says why not.

Belongs here: the yfinance session, what its exceptions and HTTP answers mean, and how many requests were made. Does not
belong here: what bars and actions follow from an answer (`yahoo.py`), retries, rate limits and breakers.

yfinance turns most failures into an empty frame or a guess ("possibly delisted"), and ignores Retry-After. So its
exceptions are let through, and the last HTTP answer is kept beside them: the status decides what an exception means.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import tempfile
import threading
import warnings
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import pandas as pd

from market_assets.errors import (
    MarketError,
    RateLimited,
    SourceRejected,
    SourceUnavailable,
    UnexpectedPayload,
)

CHART_PATH: Final = "/v8/finance/chart/"
QUOTED: Final = 120
"""Characters of a body that a message shows."""

FACTS: Final = (
    "symbol",
    "currency",
    "exchangeTimezoneName",
    "firstTradeDate",
    "regularMarketTime",
    "longName",
    "shortName",
)
"""Keys of the metadata that are read."""

_PARSING: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# yfinance walks the JSON without looking: whatever shape it trips over comes out as one of these.


@dataclass(frozen=True)
class History:
    """Yahoo's answer for one symbol.

    Attributes:
        frame: Open, High, Low, Close, Volume, Dividends, Stock Splits (and Capital Gains for funds), split-adjusted,
            by midnight of the exchange-local date, in its zone. Empty when Yahoo knows the symbol but has no bars.
        metadata: Yahoo's facts about the symbol, by the keys of FACTS; empty when it gave none.
        requests: HTTP requests made.
    """

    frame: pd.DataFrame
    metadata: dict[str, Any]
    requests: int


class _Conversation(threading.local):
    """What this thread's current question has cost and answered so far."""

    requests: int = 0
    chart: Any = None


class YahooClient:
    """A yfinance session whose answers are kept long enough to explain a failure. May be used from several threads."""

    def __init__(self, *, timeout: float, endpoint: str | None = None, session: Any = None) -> None:
        """Prepare a session; nothing is asked.

        Args:
            timeout: seconds without a byte after which a request fails.
            endpoint: address that stands in for every Yahoo host, such as a local server or a gateway; None: Yahoo.
            session: a requests or curl_cffi session to use instead of a new one.
        """
        self._timeout, self._endpoint = timeout, endpoint
        self._given = session
        self._talk = _Conversation()

    def history(self, symbol: str, zone: str, start: dt.date) -> History:
        """Daily history of `symbol` from `start` to now, with the events of that time.

        Args:
            symbol: Yahoo's symbol.
            zone: zone of its exchange; saves the request in which yfinance would look it up.
            start: first date.

        Raises:
            RateLimited: 429, with Yahoo's Retry-After when it sent one.
            SourceUnavailable: no connection, timeout, 5xx, refused crumb, body cut off.
            SourceRejected: Yahoo does not know the symbol.
            UnexpectedPayload: anything but a chart: HTML, another shape.
        """
        import yfinance

        self._talk.requests, self._talk.chart = 0, None
        try:
            ticker = yfinance.Ticker(symbol, session=self._session)
            ticker._tz = zone  # noqa: SLF001 - yfinance offers no other way to tell it what it would ask Yahoo for
            frame = ticker.history(
                start=start, interval="1d", auto_adjust=False, actions=True, keepna=True, timeout=self._timeout
            )
            # Key by key: iterating over yfinance's lazy metadata would cost a request for intraday trading periods.
            metadata = {key: ticker.history_metadata.get(key) for key in FACTS}
            return History(frame, metadata, self._talk.requests)
        except yfinance.exceptions.YFPricesMissingError as error:
            known = self._no_bars(error)
            if known is None:
                raise self._explained(symbol, error) from error
            return History(pd.DataFrame(), known, self._talk.requests)
        except (yfinance.exceptions.YFException, OSError) as error:
            raise self._explained(symbol, error) from error
        except _PARSING as error:
            raise self._explained(symbol, error) from error

    @property
    def requests(self) -> int:
        """HTTP requests of this thread's last question."""
        return self._talk.requests

    @functools.cached_property
    def _session(self) -> Any:
        import yfinance

        yfinance.set_tz_cache_location(_private_cache().name)
        yfinance.config.debug.hide_exceptions = False
        # yfinance 1.7 turns on warnings about its own use of pandas, several for each answer; we cannot act on them.
        warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning, module="yfinance")
        session = self._given or (_routed_session(self._endpoint) if self._endpoint else _vendor_session())
        original = session.request

        def recorded(*args: Any, **kwargs: Any) -> Any:
            url = str(kwargs.get("url", args[1] if len(args) > 1 else ""))
            self._talk.requests += 1
            if CHART_PATH in url:
                self._talk.chart = None
            response = original(*args, **kwargs)
            if CHART_PATH in url:
                self._talk.chart = response
            return response

        session.request = recorded
        return session

    def _no_bars(self, error: Exception) -> dict[str, Any] | None:
        """Metadata of a symbol that exists but has no bars since the start, None when that is not what happened."""
        chart = self._talk.chart
        if chart is None:
            return None
        if chart.status_code == 400 and "Data doesn't exist for startDate" in str(error):
            return {}
        try:
            result = chart.json()["chart"]["result"][0]
        except (LookupError, TypeError, ValueError):
            return None
        metadata = result.get("meta")
        empty = chart.status_code == 200 and metadata and not result.get("timestamp")
        return {key: metadata.get(key) for key in FACTS} if empty else None

    def _explained(self, symbol: str, error: Exception) -> MarketError:
        """The error of our tree for what happened; the HTTP status outranks yfinance's own reading."""
        chart = self._talk.chart
        reason = " ".join(str(error).split())[:QUOTED] or type(error).__name__
        if type(error).__name__ == "YFRateLimitError" or (chart is not None and chart.status_code >= 400):
            return _refused(symbol, chart, reason)
        if chart is None:
            return SourceUnavailable(f"Yahoo: {symbol}: no answer ({type(error).__name__}: {reason}). Ask again later.")
        if not isinstance(error, _PARSING):
            return SourceUnavailable(f"Yahoo: {symbol}: an answer without a result ({reason}). Ask again later.")
        body = str(chart.text)
        if isinstance(error, ValueError) and body.lstrip().startswith("{") and not body.rstrip().endswith("}"):
            return SourceUnavailable(f"Yahoo: {symbol}: the answer is cut off after {len(body)} characters. Ask again.")
        return UnexpectedPayload(
            f"Yahoo: {symbol}: the answer is not a chart ({type(error).__name__}); it begins {body[:QUOTED]!r}. "
            "If this persists, Yahoo has changed its format: update yfinance or use another source."
        )


def _refused(symbol: str, chart: Any, reason: str) -> MarketError:
    """The error for an HTTP status of 400 and above, or for yfinance's own report of a 429."""
    status = 429 if chart is None else int(chart.status_code)
    if status == 429:
        wait = _retry_after(chart)
        told = "no time was given" if wait is None else f"it asked for {wait:g} s"
        return RateLimited(f"Yahoo: {symbol}: too many requests (429), {told}. Ask later and more slowly.", wait)
    if status >= 500:
        return SourceUnavailable(f"Yahoo: {symbol}: HTTP {status}. Yahoo is failing; ask again later.")
    if status in {401, 403}:
        return SourceUnavailable(
            f"Yahoo: {symbol}: HTTP {status}, cookie or crumb refused. The next request gets new ones."
        )
    return SourceRejected(
        f"Yahoo: {symbol}: HTTP {status}: {reason}. Check symbol and exchange in the universe; one refusal does not "
        "mean that it is delisted."
    )


@functools.lru_cache(maxsize=1)
def _private_cache() -> tempfile.TemporaryDirectory[str]:
    """yfinance keeps cookies in SQLite files; shared between processes they lock each other out. Removed at exit."""
    return tempfile.TemporaryDirectory(prefix="market-yahoo-")


def _vendor_session() -> Any:
    """The session yfinance makes for itself: a browser's TLS fingerprint where curl_cffi is installed."""
    from yfinance._http import new_session

    return new_session()


def _routed_session(endpoint: str) -> Any:
    """A session that sends every request to `endpoint`, with the host it was meant for in the Host header."""
    import requests
    from requests.adapters import HTTPAdapter

    scheme, netloc, *_ = urlsplit(endpoint)

    class RoutedAdapter(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
            # A copy is routed: the session goes on to see the host that was meant, and keeps cookies under its name.
            meant, routed = urlsplit(str(request.url)), request.copy()
            routed.headers["Host"] = meant.netloc
            routed.url = urlunsplit((scheme, netloc, meant.path, meant.query, ""))
            response = super().send(routed, *args, **kwargs)
            response.request, response.url = request, str(request.url)
            return response

    session = requests.Session()
    session.trust_env = False
    session.mount("https://", RoutedAdapter(pool_maxsize=32))
    return session


def _retry_after(response: Any) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3)."""
    value = "" if response is None else str(response.headers.get("Retry-After") or "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    seconds: float = (moment - dt.datetime.now(dt.UTC)).total_seconds()
    return max(seconds, 0.0)
