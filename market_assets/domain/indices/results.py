"""What a calculation returns, as the warehouse's rows.

Belongs here: collecting blocks of numbers while the engine runs and turning them into frames in the column
names of the `indices` tables. Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.domain.indices.arrays import DayArray, FloatArray, IntArray

if TYPE_CHECKING:
    from market_assets.domain.indices.state import IndexState


VALUE_COLUMNS: Final = (
    "index_id",
    "session",
    "price_return",
    "total_return",
    "net_total_return",
    "divisor",
    "market_value",
    "constituents",
)
CONSTITUENT_COLUMNS: Final = (
    "index_id",
    "session",
    "symbol",
    "shares",
    "weight",
    "price",
    "contribution",
    "fx_rate",
    "carried_sessions",
)
DIVISOR_COLUMNS: Final = (
    "index_id",
    "session",
    "reason",
    "divisor_before",
    "divisor_after",
    "market_value_before",
    "market_value_after",
    "detail",
)
REBALANCE_COLUMNS: Final = (
    "index_id",
    "session",
    "effective_close",
    "reference_session",
    "constituents",
    "additions",
    "deletions",
    "turnover",
)
TARGET_COLUMNS: Final = (
    "index_id",
    "session",
    "symbol",
    "target_weight",
    "shares",
    "reference_price",
    "reference_fx_rate",
    "reference_size",
)


class Level(NamedTuple):
    """One session's values."""

    position: int
    price_return: float
    total_return: float
    net_total_return: float
    divisor: float
    market_value: float
    constituents: int


class Block(NamedTuple):
    """Consecutive sessions with the same n constituents and shares; matrices are (sessions, n)."""

    begin: int
    columns: IntArray
    shares: FloatArray
    weight: FloatArray
    price: FloatArray
    contribution: FloatArray
    fx: FloatArray
    carried: IntArray


class DivisorChange(NamedTuple):
    """A rescaling before the open of a session, at the prices of the close before it."""

    position: int
    reason: str
    divisor_before: float
    divisor_after: float
    market_value_before: float
    market_value_after: float
    detail: str


class Rebalance(NamedTuple):
    """A new composition: `position` is its first session, `effective` the close before it."""

    position: int
    effective: int
    reference: int
    columns: IntArray
    additions: tuple[str, ...]
    deletions: tuple[str, ...]
    turnover: float
    target_weight: FloatArray
    shares: FloatArray
    reference_price: FloatArray
    reference_fx: FloatArray
    reference_size: FloatArray


@dataclass(frozen=True, eq=False)
class IndexResult:
    """Everything a calculation found; frames hold only the sessions it computed.

    Attributes:
        values: VALUE_COLUMNS, rows of indices.index_value.
        constituents: CONSTITUENT_COLUMNS, rows of indices.index_constituent.
        divisor_changes: DIVISOR_COLUMNS, rows of indices.divisor_change.
        rebalances: REBALANCE_COLUMNS, one row per rebalance.
        targets: TARGET_COLUMNS, reference data of each rebalance.
        state: the index after the last session; None before its base date.
    """

    values: pd.DataFrame
    constituents: pd.DataFrame
    divisor_changes: pd.DataFrame
    rebalances: pd.DataFrame
    targets: pd.DataFrame
    state: IndexState | None


class Recorder:
    """Collects a calculation; frames are built once, at the end."""

    def __init__(self, index_id: str, sessions: DayArray, symbols: Sequence[str]) -> None:
        self._index_id = index_id
        self._sessions = sessions
        self._symbols = tuple(symbols)
        self._levels: list[Level] = []
        self._blocks: list[Block] = []
        self._changes: list[DivisorChange] = []
        self._rebalances: list[Rebalance] = []

    def level(self, level: Level) -> None:
        """Add one session's values."""
        self._levels.append(level)

    def block(self, block: Block) -> None:
        """Add the constituents of consecutive sessions."""
        self._blocks.append(block)

    def divisor_change(self, change: DivisorChange) -> None:
        """Add a divisor change; one of the same reason at the same session becomes part of the first."""
        first = self._changes[-1] if self._changes else None
        if first is None or (first.position, first.reason) != (change.position, change.reason):
            self._changes.append(change)
            return
        self._changes[-1] = first._replace(
            divisor_after=change.divisor_after,
            market_value_after=change.market_value_after,
            detail=f"{first.detail}; {change.detail}",
        )

    def rebalance(self, rebalance: Rebalance) -> None:
        """Add a rebalance."""
        self._rebalances.append(rebalance)

    def day(self, position: int) -> str:
        """A session as YYYY-MM-DD, for messages."""
        return str(self._sessions[position])

    def names(self, columns: IntArray) -> tuple[str, ...]:
        """Symbols of columns."""
        return tuple(self._symbols[column] for column in columns.tolist())

    def result(self, state: IndexState | None) -> IndexResult:
        """Everything collected, as frames."""
        return IndexResult(
            values=self._values(),
            constituents=self._constituents(),
            divisor_changes=self._divisor_changes(),
            rebalances=self._rebalance_rows(),
            targets=self._targets(),
            state=state,
        )

    def _values(self) -> pd.DataFrame:
        """VALUE_COLUMNS, by session."""
        table = pd.DataFrame(self._levels, columns=list(Level._fields))
        numbers = dict.fromkeys(table.columns.difference(["position", "constituents"]), "float64")
        table = table.astype({"constituents": "int64", **numbers})
        return self._framed(table, VALUE_COLUMNS)

    def _divisor_changes(self) -> pd.DataFrame:
        """DIVISOR_COLUMNS, by session in the order applied; the session is the first one of the new divisor."""
        table = pd.DataFrame(self._changes, columns=list(DivisorChange._fields))
        # A frame without rows has no types of its own.
        numbers = dict.fromkeys(table.columns.difference(["position", "reason", "detail"]), "float64")
        table = table.astype({"reason": "str", "detail": "str", **numbers})
        return self._framed(table, DIVISOR_COLUMNS)

    def _constituents(self) -> pd.DataFrame:
        """CONSTITUENT_COLUMNS, by (session, symbol)."""
        blocks = [(block, len(block.weight)) for block in self._blocks]
        table = pd.DataFrame(
            {
                "position": _integers(
                    np.repeat(np.arange(block.begin, block.begin + rows), len(block.columns)) for block, rows in blocks
                ),
                "symbol": self._taken(_integers(np.tile(block.columns, rows) for block, rows in blocks)),
                "shares": _floats(np.tile(block.shares, rows) for block, rows in blocks),
                "weight": _floats(block.weight for block, _ in blocks),
                "price": _floats(block.price for block, _ in blocks),
                "contribution": _floats(block.contribution for block, _ in blocks),
                "fx_rate": _floats(block.fx for block, _ in blocks),
                "carried_sessions": _integers(block.carried for block, _ in blocks),
            },
            copy=False,
        )
        return self._framed(table, CONSTITUENT_COLUMNS)

    def _rebalance_rows(self) -> pd.DataFrame:
        """REBALANCE_COLUMNS, by session; additions and deletions are tuples of symbols."""
        table = pd.DataFrame(
            {
                "position": [row.position for row in self._rebalances],
                "effective_close": self._days([row.effective for row in self._rebalances]),
                "reference_session": self._days([row.reference for row in self._rebalances]),
                "constituents": [len(row.columns) for row in self._rebalances],
                "additions": [row.additions for row in self._rebalances],
                "deletions": [row.deletions for row in self._rebalances],
                "turnover": [row.turnover for row in self._rebalances],
            }
        ).astype({"position": "int64", "constituents": "int64", "turnover": "float64"})
        return self._framed(table, REBALANCE_COLUMNS)

    def _targets(self) -> pd.DataFrame:
        """TARGET_COLUMNS, by (session, symbol): the reference data of each rebalance."""
        rows = self._rebalances
        table = pd.DataFrame(
            {
                "position": _integers(np.full(len(row.columns), row.position) for row in rows),
                "symbol": self._taken(_integers(row.columns for row in rows)),
                "target_weight": _floats(row.target_weight for row in rows),
                "shares": _floats(row.shares for row in rows),
                "reference_price": _floats(row.reference_price for row in rows),
                "reference_fx_rate": _floats(row.reference_fx for row in rows),
                "reference_size": _floats(row.reference_size for row in rows),
            }
        )
        return self._framed(table, TARGET_COLUMNS)

    def _taken(self, columns: IntArray) -> pd.api.extensions.ExtensionArray:
        return pd.array(self._symbols, dtype="str").take(columns)

    def _days(self, positions: Sequence[int] | IntArray) -> npt.NDArray[np.datetime64]:
        return self._sessions[np.asarray(positions, np.int64)].astype("datetime64[us]")

    def _framed(self, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        table.insert(0, "session", self._days(table.pop("position").to_numpy(np.int64)))
        table.insert(0, "index_id", pd.Series(self._index_id, table.index, dtype="str"))
        return table[list(columns)]


def _floats(parts: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0), *(part.ravel() for part in parts)])


def _integers(parts: Iterable[IntArray]) -> IntArray:
    return np.concatenate([np.empty(0, np.int64), *(part.ravel() for part in parts)])
