"""The error tree. Retryability is in the type, never in the message.

    MarketError
    ├── TransientError                 worth another try; the retry policy reads only this type
    │   ├── SourceUnavailable          vendor down, reset, 5xx
    │   │   ├── TimedOut               no answer in time: a smaller range may have one
    │   │   ├── AnswerCutOff           the answer ends too early: a smaller range may be whole
    │   │   └── CircuitOpen            not asked: the vendor failed too often and is left alone for a while
    │   ├── RateLimited                vendor said slow down; carries retry_after
    │   ├── WarehouseUnavailable       database restarting or refusing connections
    │   └── CompanionLost              (companion.py) the second process of a run ended while it worked
    ├── AlertNotDelivered              (alerts.py) the alert webhook did not take the message
    └── TerminalError                  another try gives the same answer
        ├── ConfigError                file, key, value and what is allowed
        ├── InputError                 a universe row, CLI argument or data file that cannot be used
        ├── SourceRejected             vendor refused the request: unknown symbol, bad key
        ├── UnexpectedPayload          vendor answered in a shape we do not know; quotes the start of it
        ├── SessionNotClosed           a bar was asked for before its session ended
        ├── SchemaMismatch             a frame or table lacks what its contract promises
        └── OutOfOrderKnowledge        a version older than the one it would replace

A message says what failed, for which symbol, session and source, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable


class MarketError(Exception):
    """Base of every error this package raises on purpose."""


class TransientError(MarketError):
    """The same request may succeed later."""


class TerminalError(MarketError):
    """The same request will fail again; a person or another source has to act."""


class SourceUnavailable(TransientError):
    """The vendor could not be reached or failed on its side."""


class TimedOut(SourceUnavailable):
    """The vendor did not answer in time. Worth another try with a smaller range."""


class AnswerCutOff(SourceUnavailable):
    """The answer ends before what was asked for: a body cut off, or sessions missing at an end of the range."""


class CircuitOpen(SourceUnavailable):
    """The vendor was not asked, because it failed too often lately."""


class RateLimited(TransientError):
    """The vendor asked for fewer requests.

    Attributes:
        retry_after: seconds the vendor asked to wait, None when it did not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WarehouseUnavailable(TransientError):
    """PostgreSQL cannot be reached, or went away during a statement."""


class ConfigError(TerminalError):
    """A configuration value cannot be used.

    Attributes:
        file: path of the file that holds the value, or the name of the environment variable.
        key: dotted path of the key inside the file, empty for the file as a whole.
        value: what was found.
        allowed: what would have been accepted.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str,
        key: str = "",
        value: object = None,
        allowed: str | Iterable[str] = "",
    ) -> None:
        self.file = file
        self.key = key
        self.value = value
        self.allowed = allowed if isinstance(allowed, str) else ", ".join(allowed)
        where = f"{file}: {key}" if key else file
        shown = "" if value is None else f" (found {value!r})"
        remedy = f" Allowed: {self.allowed}." if self.allowed else ""
        super().__init__(f"{where}: {problem.rstrip('.')}{shown}.{remedy}")


class InputError(TerminalError):
    """A file, row or argument from the user cannot be used."""


class SourceRejected(TerminalError):
    """The vendor understood the request and refused it.

    Attributes:
        unknown: whether it does not know the symbol, which may mean a delisting; not so for a refused key.
    """

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


class UnexpectedPayload(TerminalError):
    """The vendor's answer has an unknown shape; the message quotes the start of the body."""


class SessionNotClosed(TerminalError):
    """A session that has not closed has no final bar."""


class SchemaMismatch(TerminalError):
    """Columns, dtypes, key or order differ from the declared schema."""


class OutOfOrderKnowledge(TerminalError):
    """A row's knowledge time is not later than that of the version it would replace."""
