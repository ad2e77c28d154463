"""One question to Yahoo through yfinance: a stretch of one symbol's history, or a typed error that says why not.

Belongs here: the yfinance session, and how many requests were made. Does not belong here: which stretches are asked for
(`yahoo_history.py`), what an answer says (`yahoo_chart.py`), what a failure means (`yahoo_errors.py`), retries, rate
limits and breakers (`market_assets.fetching`).

yfinance turns most failures into an empty frame or a guess ("possibly delisted"), asks again by itself when a status is
400 or above, and remembers answers about the past in memory. So its exceptions are let through, a refusal is raised
before it sees it, and its memory is bypassed.
"""

from __future__ import annotations

import datetime as dt
import functools
import tempfile
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

import pandas as pd

from market_assets.sources.yahoo_chart import NOTHING, Answer, History, read, without_bars
from market_assets.sources.yahoo_errors import PARSING, NoResult, Refused, explained

CHART_PATH: Final = "/v8/finance/chart/"

_RENEWED: Final = frozenset({401, 403})
# Statuses after which yfinance gets new cookies and a new crumb and asks once more, as it should.


class _Conversation(threading.local):
    """What this thread's questions have cost, and the last chart that answered one."""

    requests: int = 0
    in_question: int = 0
    chart: Any = None


class YahooClient:
    """A yfinance session whose answers are kept long enough to explain a failure. May be used from several threads."""

    def __init__(
        self,
        *,
        timeout: float = 20.0,
        endpoint: str | None = None,
        session: Any = None,
        pace: Callable[[], object] = lambda: None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            timeout: seconds without a byte after which a request fails.
            endpoint: address that stands in for every Yahoo host, such as a local server or a gateway; None: Yahoo.
            session: a requests or curl_cffi session to use instead of a new one.
            pace: called before each request of a question but the first: cookie, crumb, and what is asked again.
        """
        self._timeout, self._endpoint, self._pace = timeout, endpoint, pace
        self._given = session
        self._talk = _Conversation()

    def history(self, symbol: str, zone: str, start: dt.date, end: dt.date | None = None) -> History:
        """Daily history of `symbol` from `start` to `end`, with the events of that time.

        Args:
            symbol: Yahoo's symbol.
            zone: zone of its exchange; saves the request in which yfinance would look it up.
            start: first date.
            end: last date, None = now.

        Raises:
            RateLimited: 429, with Yahoo's Retry-After when it sent one.
            TimedOut: no byte within the timeout.
            AnswerCutOff: the body ends early.
            SourceUnavailable: no connection, 5xx, refused crumb.
            SourceRejected: Yahoo does not know the symbol.
            UnexpectedPayload: anything but a chart: HTML, another shape.
        """
        import yfinance

        self._begin()
        data = _Uncached(None, None)
        try:
            ticker = yfinance.Ticker(symbol, session=self._session)
            ticker._tz = zone  # noqa: SLF001 - yfinance offers no other way to tell it what it would ask Yahoo for
            data.client, ticker._data = ticker._data, data  # noqa: SLF001 - nor to bypass its memory
            frame = ticker.history(
                start=start,
                end=None if end is None else end + dt.timedelta(days=1),
                interval="1d",
                auto_adjust=False,
                actions=True,
                keepna=True,
                timeout=self._timeout,
            )
            return read(frame, data.answer)
        except yfinance.exceptions.YFPricesMissingError as error:
            empty = without_bars(data.answer)
            if empty is None:
                raise explained(symbol, error, self._talk.chart, data.answer) from error
            return empty
        except (Refused, yfinance.exceptions.YFException, OSError, *PARSING) as error:
            if isinstance(error, Refused) and error.nothing_there:
                return NOTHING
            raise explained(symbol, error, self._talk.chart, data.answer) from error

    def later_splits(self, symbol: str, zone: str, start: dt.date, *, kept: bytes | None = None) -> History:
        """Splits of `symbol` from `start` to now, in an answer of one row for each quarter (`frame` has its dates).

        Args and errors: as `history`. `kept` is the body of an earlier answer to the same question: it is read again,
        and Yahoo is not asked.
        """
        from yfinance.const import _BASE_URL_
        from yfinance.data import YfData
        from yfinance.exceptions import YFException

        if kept == b"":
            return NOTHING
        self._begin()
        data = _Uncached(None, kept)
        try:
            data.client = YfData(session=self._session)
            params = {
                "period1": int(dt.datetime.combine(start, dt.time(), ZoneInfo(zone)).timestamp()),
                "period2": int(dt.datetime.now(dt.UTC).timestamp()),
                "interval": "3mo",
                "events": "splits",
            }
            data.get(f"{_BASE_URL_}{CHART_PATH}{symbol}", params, self._timeout)
            return read(None, data.answer)
        except (Refused, NoResult, YFException, OSError, *PARSING) as error:
            if isinstance(error, Refused) and error.nothing_there:
                return NOTHING
            raise explained(symbol, error, self._talk.chart, data.answer) from error

    def reset(self) -> None:
        """Count this thread's requests from zero."""
        self._talk.requests = 0

    @property
    def requests(self) -> int:
        """HTTP requests of this thread since `reset`."""
        return self._talk.requests

    def _begin(self) -> None:
        self._talk.in_question, self._talk.chart = 0, None

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
            if self._talk.in_question:
                self._pace()
            self._talk.in_question += 1
            self._talk.requests += 1
            if CHART_PATH not in url:
                return original(*args, **kwargs)
            self._talk.chart = None
            response = self._talk.chart = original(*args, **kwargs)
            if response.status_code >= 400 and response.status_code not in _RENEWED:
                raise Refused(response)
            return response

        session.request = recorded
        return session


class _Uncached:
    """Stands before yfinance's data client and bypasses its memory of answers.

    Attributes:
        client: yfinance's.
        answer: the last one; with `kept` given, the one that is given for every question.
    """

    def __init__(self, client: Any, kept: bytes | None) -> None:
        self.client = client
        self.answer = None if kept is None else Answer(kept)
        self._replays = kept is not None

    def get(self, url: str, params: Any = None, timeout: float = 30) -> Answer:
        """The chart at `url`."""
        if self.answer is None or not self._replays:
            response = self.client.get(url, params, timeout)
            self.answer = Answer(bytes(response.content), response)
        return self.answer

    cache_get = get


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
