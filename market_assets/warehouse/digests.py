"""What the versioned writer remembers of long writes: the same rows again are unchanged, without comparing them.

A write falls into blocks, the rows of one value of the first key column: a symbol, an index. A digest of a block says
that its rows, and with a scope no others of its days, are current. It stays true until something of the block and those
days is written, and then it is forgotten in the same transaction. So the digests may be believed as far as the table's
lock reaches, which the writer holds. What others do to a versioned table makes a trigger forget all of that table.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from market_assets.warehouse.tables import DATE, VersionedTable

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from market_assets.warehouse.writes import Scope

REMEMBERED_ROWS: Final = 200
"""A smaller block is compared sooner than it is remembered."""

MARK: Final = "select set_config('market.versioned_writer', 'on', true)"
"""Says, until the end of the transaction, that it is the writer who writes."""

EARLIEST, LATEST = date(1, 1, 1), date(9999, 12, 31)

_ASKED = """
    jsonb_to_recordset($2::text::jsonb) as asked (block text, first_day date, last_day date, digest text)
"""
_UNCHANGED = f"""
    select known.block from public.write_digest as known
    inner join {_ASKED} on known.block = asked.block and known.first_day = asked.first_day
        and known.last_day = asked.last_day and known.digest = asked.digest
    where known.table_name = $1
"""  # noqa: S608 - constants, here and below
_FORGET = f"""
    delete from public.write_digest as known using {_ASKED}
    where known.table_name = $1 and known.block = asked.block
        and known.first_day <= asked.last_day and known.last_day >= asked.first_day
"""  # noqa: S608
_REMEMBER = f"""
    insert into public.write_digest (table_name, block, first_day, last_day, digest)
    select $1, block, first_day, last_day, digest from {_ASKED}
    on conflict (table_name, block, first_day, last_day) do update set digest = excluded.digest
"""  # noqa: S608


@dataclass(frozen=True)
class Block:
    """The rows of one value of the first key column in one write.

    Attributes:
        value: of the first key column.
        start, stop: its rows in the write.
        first_day, last_day: days it speaks for.
        digest: of its rows and the scope of the write.
    """

    value: str
    start: int
    stop: int
    first_day: date
    last_day: date
    digest: str

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.stop - self.start


def blocks_of(table: VersionedTable, rows: pa.Table, scope: Scope | None) -> list[Block]:
    """The blocks of a write, and one without rows for each further value that its scope speaks for.

    Rows of a value that do not stand together are a block that is never remembered.

    Args:
        table: where they are written.
        rows: `rows.to_arrow`.
        scope: of the write. It names values of the first key column.
    """
    first, *others = table.key
    day = next((name for name in others if table.key[name] == DATE), None)
    values = rows.column(first).combine_chunks().dictionary_encode()
    names = [str(value) for value in values.dictionary.to_pylist()]
    codes = values.indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), rows.num_rows]
    found: list[Block] = []
    if len(edges) - 1 != len(names):
        found += whole(names)
    else:
        days = None if day is None else rows.column(day).combine_chunks().to_numpy(zero_copy_only=False)
        digest = _Digest(table, rows, scope)
        for start, stop in itertools.pairwise(edges):
            covered = _days(day, None if days is None else days[start:stop], scope)
            found.append(Block(names[codes[start]], start, stop, *covered, digest.of(start, stop)))
    silent = set() if scope is None else set(scope.members[first]) - set(names)
    return found + [Block(value, 0, 0, *_days(day, None, scope), "") for value in sorted(silent)]


class _Digest:
    """Digests of slices of a write."""

    def __init__(self, table: VersionedTable, rows: pa.Table, scope: Scope | None) -> None:
        members = {} if scope is None else {name: sorted(scope.members[name]) for name in scope.members}
        members.pop(table.first_key, None)
        spoken_for = None if scope is None else (sorted(scope.ranges.items()), sorted(members.items()))
        self._beginning = hashlib.blake2b(repr((table.qualified, table.columns, spoken_for)).encode(), digest_size=32)
        self._columns = [part for column in rows.columns for part in _contents(column.combine_chunks())]

    def of(self, start: int, stop: int) -> str:
        """Digest of rows `start` to `stop`, "" when there are too few to be remembered."""
        if stop - start < REMEMBERED_ROWS:
            return ""
        digest = self._beginning.copy()
        for content in self._columns:
            digest.update(content(start, stop))
        return digest.hexdigest()


def _contents(column: pa.Array) -> list[Callable[[int, int], bytes]]:
    """What a column holds from one row to another, as bytes that tell any two different contents apart."""
    import pyarrow as pa

    if pa.types.is_string(column.type):
        _, offsets, data = column.buffers()
        ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
        text = memoryview(data) if data is not None else memoryview(b"")
        lengths = np.diff(ends)
        found = [
            lambda start, stop: lengths[start:stop].tobytes(),
            lambda start, stop: bytes(text[ends[start] : ends[stop]]),
        ]
    elif pa.types.is_floating(column.type):
        numbers = column.to_numpy(zero_copy_only=False)  # a null is NaN, and there is no other
        return [lambda start, stop: numbers[start:stop].tobytes()]
    else:
        if pa.types.is_date(column.type):
            column = column.cast(pa.int32())
        values = column.cast(pa.int64()).fill_null(0).to_numpy()
        found = [lambda start, stop: values[start:stop].tobytes()]
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return [*found, lambda start, stop: valid[start:stop].tobytes()]


def unchanged(cursor: Any, table: VersionedTable, blocks: Sequence[Block]) -> set[str]:
    """Values of those blocks that are current as they are."""
    asked = [block for block in blocks if block.rows >= REMEMBERED_ROWS]
    if not asked:
        return set()
    cursor.execute(_UNCHANGED, (table.qualified, _as_json(asked)))
    return {row[0] for row in cursor.fetchall()}


def forget(cursor: Any, table: VersionedTable, blocks: Collection[Block]) -> None:
    """Forget what was remembered of the days of `blocks`: something of them is written now."""
    if blocks:
        cursor.execute(_FORGET, (table.qualified, _as_json(blocks)))


def forget_all(cursor: Any, table: VersionedTable) -> None:
    """Forget everything of a table."""
    cursor.execute("delete from public.write_digest where table_name = $1", (table.qualified,))


def remember(cursor: Any, table: VersionedTable, blocks: Sequence[Block]) -> None:
    """Remember those blocks that are long enough: they are current now."""
    kept = [block for block in blocks if block.rows >= REMEMBERED_ROWS]
    if kept:
        cursor.execute(_REMEMBER, (table.qualified, _as_json(kept)))


def whole(values: Iterable[str]) -> list[Block]:
    """Blocks without rows that stand for every day of `values`."""
    return [Block(value, 0, 0, EARLIEST, LATEST, "") for value in values]


def _days(day: str | None, days: npt.NDArray[np.datetime64] | None, scope: Scope | None) -> tuple[date, date]:
    """First and last day that a block speaks for: those of its rows, and of the scope where it has a range of days."""
    ranged = None if scope is None or day is None else scope.ranges.get(day)
    if ranged is not None:
        first, last = ranged[0], ranged[1] or LATEST
    elif day is None or days is None or scope is not None:
        return EARLIEST, LATEST
    else:
        first, last = LATEST, EARLIEST
    if days is None:
        return first, last
    return min(first, days.min().astype(object)), max(last, days.max().astype(object))


def _as_json(blocks: Collection[Block]) -> str:
    return json.dumps(
        [
            {
                "block": block.value,
                "first_day": block.first_day.isoformat(),
                "last_day": block.last_day.isoformat(),
                "digest": block.digest,
            }
            for block in blocks
        ]
    )
