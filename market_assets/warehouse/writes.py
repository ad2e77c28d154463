"""What a write of a versioned table speaks for, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from market_assets.warehouse.tables import VersionedTable


@dataclass(frozen=True)
class WriteResult:
    """What one write did. received = added + restated + unchanged.

    Attributes:
        received: rows handed in.
        added: rows whose key had no current version.
        restated: rows that replaced a current version with other values.
        unchanged: rows equal to their current version; nothing was written for them.
        withdrawn: current versions inside the scope that were not handed in and are now closed.
    """

    received: int = 0
    added: int = 0
    restated: int = 0
    unchanged: int = 0
    withdrawn: int = 0

    @property
    def versions_written(self) -> int:
        """New row versions in the table."""
        return self.added + self.restated

    @property
    def changed(self) -> bool:
        """Whether the table holds anything else than before."""
        return self.versions_written + self.withdrawn > 0

    def __add__(self, other: WriteResult) -> WriteResult:
        return WriteResult(*(a + b for a, b in zip(self._values(), other._values(), strict=True)))

    def _values(self) -> tuple[int, ...]:
        return self.received, self.added, self.restated, self.unchanged, self.withdrawn


@dataclass(frozen=True)
class Scope:
    """The part of a table that a write speaks for: current rows in it that are not handed in are withdrawn.

    Attributes:
        ranges: column -> (first, last), both inclusive; last None = open end.
        members: column -> values.
    """

    ranges: Mapping[str, tuple[date, date | None]] = field(default_factory=dict)
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def is_open(self, table: VersionedTable) -> bool:
        """Whether it speaks for every value of the first key column that there is."""
        return table.first_key not in self.members
