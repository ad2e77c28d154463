"""What can go wrong in lineage, as a tree of its own: the package depends on no other error tree.

LineageError
├── LineageConfigError         a setting that cannot be used, with what is allowed
├── UnsupportedEventLog        the Dagster instance keeps its event log where it cannot be read in order
├── ColumnLineageError         SQL that cannot be analysed, or a declaration that contradicts the real columns
├── NodeNotFound               no such asset, table or column; carries suggestions
├── AmbiguousNode              several match; carries them
└── DeliveryError              an event was not delivered
    ├── TransientDeliveryError     worth another try: network, 429, 408, 5xx, or a setting that a person will correct
    └── TerminalDeliveryError      the receiver refuses this very event: another try gives the same answer
"""

from __future__ import annotations

from collections.abc import Sequence


class LineageError(Exception):
    """Base of every error this package raises on purpose."""


class LineageConfigError(LineageError):
    """A setting cannot be used; the message names it, its value and what is allowed."""


class UnsupportedEventLog(LineageError):
    """The instance's event log has no single, ordered table to read."""


class ColumnLineageError(LineageError):
    """Column lineage cannot be derived from SQL, or is declared for columns that do not exist."""


class NodeNotFound(LineageError):
    """No asset, table or column of that name was ever collected.

    Attributes:
        suggestions: the closest names, best first.
    """

    def __init__(self, name: str, suggestions: Sequence[str], reason: str = "is not in the collected lineage") -> None:
        self.suggestions = tuple(suggestions)
        hint = f" Did you mean {', '.join(self.suggestions)}?" if suggestions else ""
        super().__init__(f"{name!r} {reason}.{hint}")


class AmbiguousNode(LineageError):
    """A name stands for several datasets or columns.

    Attributes:
        candidates: full names, each of which is unique.
    """

    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        self.candidates = tuple(candidates)
        super().__init__(f"{name!r} is ambiguous. Use one of {', '.join(self.candidates)}.")


class DeliveryError(LineageError):
    """An event could not be delivered."""


class TransientDeliveryError(DeliveryError):
    """The same event may be accepted later.

    Attributes:
        retry_after: seconds the receiver asked to wait, None when it did not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TerminalDeliveryError(DeliveryError):
    """The receiver understood the event and refuses it."""
