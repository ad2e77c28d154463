"""Asking a vendor over HTTP: one request, its deadline, what its status and body mean, and no key in any message.

Belongs here: transport, statuses, decoding, and the way through guard and cache. Does not belong here: what a vendor is
asked and what its answer says (one module per vendor), its key (`keys.py`), pace, retries and circuit
(`market_assets.fetching`).
"""

from __future__ import annotations

import datetime as dt
import email.utils
import io
import json
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from market_assets.errors import (
    AnswerCutOff,
    MarketError,
    RateLimited,
    SourceRejected,
    SourceUnavailable,
    TimedOut,
    UnexpectedPayload,
)
from market_assets.fetching.cache import cache_key
from market_assets.sources.keys import ApiKey, keep_out_of_logs, redacted

if TYPE_CHECKING:
    import requests

    from market_assets.sources.options import SourceContext

T = TypeVar("T")

Form = Literal["json", "text", "zip"]
"""What a body is decoded to before it is read: a JSON document, text, or the only file of a zip archive as text."""

QUOTED: Final = 120
"""Characters of a body that a message shows."""

_CHUNK: Final = 65_536
_NOTICE: Final = 4096  # bytes; no notice is longer
_PARSING: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# What reading a document of an unknown shape raises.


@dataclass(frozen=True)
class Call:
    """One question to a vendor.

    Attributes:
        path: appended to the endpoint; starts with a slash.
        params: query without the key.
        about: the question in words, for messages; names the symbol.
        form: how the body is decoded.
        keep: the answer is about closed history: read it from the cache, or keep it there.
        depends_on: what else the answer depends on, such as the splits it is adjusted for.
        splittable: the caller can ask for less (see `Guard.call`).
    """

    path: str
    params: Mapping[str, str]
    about: str
    form: Form = "json"
    keep: bool = False
    depends_on: str = ""
    splittable: bool = False


def no_notice(about: str, text: str) -> None:
    """Of a vendor that says it all with the status."""


class _Talk(threading.local):
    """Requests of this thread since it last asked for their number."""

    requests: int = 0


@dataclass
class HttpClient:
    """One vendor's HTTP interface. May be used from several threads.

    Attributes:
        vendor: its name, for messages.
        source: name of the source, for cache keys.
        endpoint: address that paths are appended to.
        context: guard and cache.
        timeout: seconds for a whole answer; one that stalls at the end takes up to twice as long.
        key: the vendor's key, None when it wants none.
        headers: sent with each request.
        notice: reads what the vendor says instead of an answer, which some send with status 200. Given the question and
            the text without the key; returns the error it means, None when it is no notice.
    """

    vendor: str
    source: str
    endpoint: str
    context: SourceContext = field(repr=False)
    timeout: float = 30.0
    key: ApiKey | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    notice: Callable[[str, str], MarketError | None] = no_notice

    def __post_init__(self) -> None:
        self.endpoint = self.endpoint.rstrip("/")
        self._talk = _Talk()
        keep_out_of_logs(self._secrets)
        self._session: requests.Session | None = None
        self._lock = threading.Lock()

    @property
    def _secrets(self) -> frozenset[str]:
        return self.key.spellings if self.key is not None else frozenset()

    def spent(self) -> int:
        """Requests this thread has made since it last asked."""
        count, self._talk.requests = self._talk.requests, 0
        return count

    def ask(self, call: Call, read: Callable[[Any], T], *, absent: Callable[[], T] | None = None) -> T:
        """What `read` makes of the answer to one call.

        Args:
            call: what is asked.
            read: takes the decoded body. Whatever shape it trips over becomes UnexpectedPayload.
            absent: the answer when there is nothing at the address (404); None = SourceRejected.

        Raises:
            TimedOut, AnswerCutOff, SourceUnavailable, RateLimited: another try may help.
            SourceRejected: 401, 403, 404 and other refusals.
            UnexpectedPayload: an answer of another form or shape; quotes its start.
            CircuitOpen: the vendor is being left alone.
        """
        about, form = call.about, call.form
        cache = self.context.cache if call.keep else None
        name = cache_key(self.source, self.endpoint + call.path, call.params, call.depends_on)
        kept = cache.read(name) if cache is not None else None
        if kept is not None:
            return self._read(kept, read, form, about)

        def once() -> tuple[bytes | None, T]:
            body = self._body(call, absent is not None)
            if body is None and absent is not None:
                return None, absent()
            return body, self._read(body or b"", read, form, about)

        body, value = self.context.guard.call(about, once, splittable=call.splittable)
        if cache is not None and body is not None:
            cache.write(name, body)
        return value

    def told(self, text: str) -> str:
        """Start of a vendor's text without its key, on one line, as messages show it."""
        return " ".join(redacted(text, self._secrets).split())[:QUOTED]

    def _read(self, body: bytes, read: Callable[[Any], T], form: Form, about: str) -> T:
        notice = (
            self._noticed(body.decode("utf-8", "replace"), about) if len(body) < _NOTICE and form != "zip" else None
        )
        if notice is not None:
            raise notice
        document = self._decoded(body, form, about)
        try:
            return read(document)
        except _PARSING as error:
            reason = f"{type(error).__name__}: {self.told(str(error))}"
        raise self.unexpected(about, body.decode("utf-8", "replace"), f"has an unknown shape ({reason})")

    def _noticed(self, text: str, about: str) -> MarketError | None:
        return self.notice(about, redacted(text, self._secrets))

    def unexpected(self, about: str, text: str, problem: str) -> UnexpectedPayload:
        """The error for an answer that is not what its form promises."""
        return UnexpectedPayload(
            f"{self.vendor}: {about}: the answer {problem}; it begins {self.told(text)!r}. If this persists, "
            f"{self.vendor} has changed its interface or wants a browser: use another source until this one follows."
        )

    def _decoded(self, body: bytes, form: Form, about: str) -> Any:
        if not body.strip():
            raise SourceUnavailable(f"{self.vendor}: {about}: an answer without a body. Ask again later.")
        text = body.decode("utf-8-sig", "replace")
        start = text.lstrip()
        if start[:1] == "<":
            raise self.unexpected(about, text, f"is HTML instead of {form}")
        cut = AnswerCutOff(f"{self.vendor}: {about}: the answer is cut off after {len(body)} bytes. Ask again.")
        if form == "text":
            return text
        if form == "zip":
            if not body.startswith(b"PK"):
                raise self.unexpected(about, text, "is no zip archive")
            unzipped = _only_file(body)
            if unzipped is None:
                raise cut
            return unzipped
        try:
            return json.loads(text)
        except ValueError:
            ends = text.rstrip()[-1:]
        if (start[0], ends) in {("{", "}"), ("[", "]")} or start[0] not in "{[":
            raise self.unexpected(about, text, "is not JSON")
        raise cut

    def _body(self, call: Call, may_be_absent: bool) -> bytes | None:
        """Body of a 200; None for a 404 that is an answer."""
        import requests
        from urllib3.exceptions import HTTPError

        self._talk.requests += 1
        failure: MarketError
        try:
            with self._opened().get(
                self.endpoint + call.path, params=self._query(call.params), timeout=self.timeout, stream=True
            ) as response:
                body = self._whole(response, time.monotonic() + self.timeout)
                if response.status_code == 200:
                    return body
                if response.status_code == 404 and may_be_absent:
                    return None
                failure = self._refused(response, body.decode("utf-8", "replace"), call.about)
        except (requests.RequestException, HTTPError, OSError) as error:
            failure = self._broken(error, call.about)
        # Not from within the handler: the transport's error shows the address, and with it the key.
        raise failure

    def _query(self, params: Mapping[str, str]) -> dict[str, str]:
        if self.key is None or not self.key.parameter:
            return dict(params)
        return {**params, self.key.parameter: self.key.plain}

    def _whole(self, response: requests.Response, deadline: float) -> bytes:
        """The body, if it is complete before the deadline. A read timeout alone would let it drip for hours."""
        body = io.BytesIO()
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body.write(chunk)
            if time.monotonic() > deadline:
                raise TimeoutError(f"no complete answer in {self.timeout:g} s")
        return body.getvalue()

    def _opened(self) -> requests.Session:
        import requests
        from requests.adapters import HTTPAdapter

        with self._lock:
            if self._session is None:
                session = requests.Session()
                session.headers.update(self.headers)
                session.auth = lambda prepared: prepared  # or a .netrc would replace our header
                if self.key is not None and self.key.header is not None:
                    name, form = self.key.header
                    session.headers[name] = form.format(self.key.plain)
                for scheme in ("https://", "http://"):
                    session.mount(scheme, HTTPAdapter(pool_maxsize=32))
                self._session = session
            return self._session

    def _broken(self, error: Exception, about: str) -> MarketError:
        """The error for a request without a whole answer."""
        import requests
        from urllib3.exceptions import ProtocolError, ReadTimeoutError

        reason = self.told(str(error))
        if isinstance(error, requests.Timeout | ReadTimeoutError | TimeoutError):
            return TimedOut(f"{self.vendor}: {about}: no answer in {self.timeout:g} s. Ask again, or for less.")
        # Before the headers requests wraps what breaks; in the body urllib3 says it itself.
        if isinstance(error, ProtocolError):
            return AnswerCutOff(f"{self.vendor}: {about}: the answer is cut off ({reason}). Ask again.")
        return SourceUnavailable(
            f"{self.vendor}: {about}: no answer ({type(error).__name__}: {reason}). Ask again later."
        )

    def _refused(self, response: requests.Response, text: str, about: str) -> MarketError:
        """The error for a status other than 200."""
        status, said = response.status_code, self.told(text)
        where = f"{self.vendor}: {about}: HTTP {status}"
        wait = retry_after(response.headers.get("Retry-After", ""))
        notice = self._noticed(text, about)
        if isinstance(notice, RateLimited):
            notice.retry_after = notice.retry_after if wait is None else wait
        if notice is not None:
            return notice
        if status == 429:
            told = "no time was given" if wait is None else f"it asked for {wait:g} s"
            return RateLimited(f"{where}, too many requests, {told}: {said!r}. Ask later and more slowly.", wait)
        if status in {408, 504}:
            return TimedOut(f"{where}: {self.vendor} did not answer in time. Ask again, or for less.")
        if status >= 500:
            return SourceUnavailable(f"{where}: {said!r}. {self.vendor} is failing; ask again later.")
        if status < 400:
            return self.unexpected(about, text, f"is a bare HTTP {status}")
        key = f"Check {self.key.variable} and what the plan includes." if self.key else "It may want a browser."
        remedy = {
            401: key,
            403: key,
            404: "Check symbol and exchange in the universe.",
        }
        told = f"{where}: {said!r}. {remedy.get(status, f'Check the options of {self.source}.')}"
        return SourceRejected(told, unknown=status == 404)


def retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3); None when it is neither."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    seconds: float = (moment - dt.datetime.now(dt.UTC)).total_seconds()
    return max(seconds, 0.0)


def _only_file(body: bytes) -> str | None:
    """Text of the one file in a zip archive; None when the archive is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return archive.read(archive.namelist()[0]).decode("utf-8-sig", "replace")
    except (zipfile.BadZipFile, zlib.error, IndexError, EOFError, OSError):
        return None
