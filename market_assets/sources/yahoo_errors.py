"""What went wrong with a question to Yahoo, in the terms of `market_assets.errors`.

Belongs here: HTTP statuses, yfinance's exceptions and broken bodies. Does not belong here: asking (`yahoo_client.py`).
The HTTP status outranks yfinance's own reading.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from market_assets.errors import (
    AnswerCutOff,
    MarketError,
    RateLimited,
    SourceRejected,
    SourceUnavailable,
    TimedOut,
    UnexpectedPayload,
)
from market_assets.sources.http import QUOTED, retry_after

PARSING: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""yfinance walks the JSON without looking: whatever shape it trips over comes out as one of these."""

_CUT_OFF: Final = ("ChunkedEncodingError", "ContentDecodingError", "IncompleteRead")
# Names, not classes: requests and curl_cffi each have their own.


class Body(Protocol):
    """An answer whose text can be quoted."""

    @property
    def text(self) -> str:
        """The body."""


class Refused(Exception):
    """A chart request was answered with a status of 400 or above."""

    def __init__(self, response: Any) -> None:
        super().__init__(" ".join(str(response.text).split())[:QUOTED])
        self.response = response

    @property
    def nothing_there(self) -> bool:
        """Yahoo knows the symbol, and has nothing in the stretch that was asked for."""
        return self.response.status_code == 400 and "Data doesn't exist for startDate" in str(self.response.text)


class NoResult(Exception):
    """A chart was answered that has neither a result nor an error."""


def explained(symbol: str, error: Exception, chart: Any, answer: Body | None) -> MarketError:
    """The error of our tree for what happened.

    Args:
        symbol: Yahoo's symbol.
        error: what yfinance or the HTTP client raised.
        chart: last response to the chart request, None when there was none.
        answer: its body, None when it was not read to the end.
    """
    reason = " ".join(str(error).split())[:QUOTED] or type(error).__name__
    if type(error).__name__ == "YFRateLimitError" or (chart is not None and chart.status_code >= 400):
        return _refused(symbol, chart, reason)
    if chart is None:
        return _unanswered(symbol, error, reason)
    if not isinstance(error, PARSING):
        return SourceUnavailable(f"Yahoo: {symbol}: an answer without a result ({reason}). Ask again later.")
    body = str(chart.text if answer is None else answer.text)
    if isinstance(error, ValueError) and body.lstrip().startswith("{") and not body.rstrip().endswith("}"):
        return AnswerCutOff(f"Yahoo: {symbol}: the answer is cut off after {len(body)} characters. Ask again.")
    return UnexpectedPayload(
        f"Yahoo: {symbol}: the answer is not a chart ({type(error).__name__}); it begins {body[:QUOTED]!r}. "
        "If this persists, Yahoo has changed its format: update yfinance or use another source."
    )


def _unanswered(symbol: str, error: Exception, reason: str) -> MarketError:
    """The error for a request without a response. requests and curl_cffi name their exceptions alike."""
    names = {kind.__name__ for kind in type(error).__mro__}
    told = f"Yahoo: {symbol}: no answer ({type(error).__name__}: {reason}). Ask again later."
    late = names & {"ReadTimeout", "Timeout"} or "Read timed out" in reason
    if late and "ConnectTimeout" not in names and "Connection timed out" not in reason:
        return TimedOut(told)
    if names & set(_CUT_OFF) or "IncompleteRead" in reason:
        return AnswerCutOff(told)
    return SourceUnavailable(told)


def _refused(symbol: str, chart: Any, reason: str) -> MarketError:
    """The error for an HTTP status of 400 and above, or for yfinance's own report of a 429."""
    status = 429 if chart is None else int(chart.status_code)
    if status == 429:
        wait = None if chart is None else retry_after(str(chart.headers.get("Retry-After") or ""))
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
        "mean that it is delisted.",
        unknown=status == 404,
    )
