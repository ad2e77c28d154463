"""The one writer of versioned tables, and the as-of read. Nothing else inserts, updates or deletes in them.

A write stages its rows by binary COPY into a temporary table (unlogged, private to the session) and then, in the same
transaction and under one advisory lock per table,
    1. keeps the staged rows that do not equal their current version,
    2. closes the current versions of those (a restatement),
    3. closes current versions inside `scope` that were not staged (a withdrawal),
    4. inserts what it kept.
Rows equal to their current version cost a read and no write; long writes are remembered by digest, and not even
compared when they come again (digests.py). When the table has never seen the symbols (the first key column) that a
write speaks for, its rows are copied straight into it. A crash before the commit leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from market_assets.errors import OutOfOrderKnowledge, WarehouseUnavailable
from market_assets.warehouse import digests
from market_assets.warehouse.connection import arrow_cursor, arrow_to_frame, connect, read_frame
from market_assets.warehouse.rows import in_pieces, to_arrow
from market_assets.warehouse.tables import FLOAT, VERSION_COLUMNS, VersionedTable
from market_assets.warehouse.writes import Scope, WriteResult

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ANALYZE_ROWS, ANALYZE_BYTES, ANALYZE_SHARE = 1_000, 1 << 17, 0.1
"""A table is vacuumed and analyzed after a transaction that added more rows, or writes side by side that added more
bytes, and more than this share of all."""

_SERVER_AWAY = (WarehouseUnavailable, psycopg.OperationalError)


class VersionedWriter:
    """Writes inside one open transaction; made by `transaction`."""

    def __init__(self, cursor: Any, run_id: str, *, beside: bool = False) -> None:
        self._cursor = cursor
        self._run_id = run_id
        self._beside = beside
        self._stages = 0
        self._inserted: dict[str, tuple[VersionedTable, int]] = {}
        self._scalar(digests.MARK)

    def write(
        self,
        table: VersionedTable,
        frame: pd.DataFrame,
        *,
        known_at: datetime | None = None,
        scope: Scope | None = None,
    ) -> WriteResult:
        """Make `frame` the current knowledge of its keys.

        Args:
            table: where to.
            frame: exactly the table's key and value columns, any order; keys unique and not null. NaN means null.
            known_at: aware knowledge time of the rows; None = now. Must be later than the versions it replaces.
            scope: what the frame speaks for completely; None = only for its own keys.

        Raises:
            ValueError: `known_at` has no time zone, or the scope is open beside other writes.
            SchemaMismatch: columns differ, a key is null or stands twice; the message names the first such key.
            OutOfOrderKnowledge: `known_at` is not later than a version it would replace.
        """
        if self._beside and scope is not None and scope.is_open(table):
            raise ValueError(f"a write of {table.qualified} beside others has to say for which {table.first_key}s")
        arrow = to_arrow(table, frame)
        self.lock(table)
        if known_at is None:
            # After the lock: later than every version committed before.
            known_at, vintage = self._scalar("select clock_timestamp()"), False
        elif known_at.tzinfo is None:
            raise ValueError("known_at must be timezone-aware")
        else:
            vintage = True
        if scope is not None and scope.is_open(table):
            result = self._store(table, arrow, known_at, scope, vintage=vintage)
            if result.changed:
                digests.forget_all(self._cursor, table)
            return result
        blocks = digests.blocks_of(table, arrow, scope)
        # A vintage may be equal to what was replaced since: its rows need not be current afterwards.
        known = set() if vintage else digests.unchanged(self._cursor, table, blocks)
        left = [block for block in blocks if block.value not in known]
        skipped = sum(block.rows for block in blocks if block.value in known)
        result = WriteResult(received=skipped, unchanged=skipped)
        if left or not known:
            rows, within = _without(known, left, table, arrow, scope) if known else (arrow, scope)
            written = self._store(table, rows, known_at, within, vintage=vintage)
            if written.changed:
                digests.forget(self._cursor, table, left)
            if not vintage:
                digests.remember(self._cursor, table, left)
            result += written
        return result

    def _store(
        self, table: VersionedTable, arrow: pa.Table, known_at: datetime, scope: Scope | None, *, vintage: bool
    ) -> WriteResult:
        """Write rows of which nothing is known yet; arguments as in `write`."""
        if self._is_first(table, arrow, scope):
            return self._write_first(table, arrow, known_at)
        stage = self._stage(arrow)
        keys = ", ".join(_quoted(name) for name in table.key)
        self._execute(f"analyze {stage} ({keys})")
        changes = self._changes(table, stage)
        if vintage:
            self._forget_known(table, changes, known_at)
        self._check_order(table, changes, known_at)
        restated = self._close(table, known_at, f"{_same_key(table)} and {_values_differ(table)}", f"from {changes} s")
        withdrawn = 0
        if scope is not None:
            gone = f"not exists (select from {stage} s where {_same_key(table)})"
            withdrawn = self._close(table, known_at, " and ".join([*_scope_conditions(scope), gone]), "")
        inserted = self._insert(table, changes, known_at)
        self._note_inserted(table, inserted)
        self._execute(f"drop table {stage}, {changes}")
        return WriteResult(arrow.num_rows, inserted - restated, restated, arrow.num_rows - inserted, withdrawn)

    def withdraw(self, table: VersionedTable, frame: pd.DataFrame, *, known_at: datetime | None = None) -> int:
        """Close the current versions that equal rows of `frame`, older than `known_at`; returns how many.

        Args:
            table: where.
            frame: as in `write`.
            known_at: aware moment from which they are no longer known; None = now.
        """
        rows = to_arrow(table, frame)
        self.lock(table)
        stage = self._stage(rows)
        equal = f"{_same_key(table)} and not ({_values_differ(table)}) and c.known_from < $1"
        closed = self._close(table, known_at or self._scalar("select clock_timestamp()"), equal, f"from {stage} s")
        self._execute(f"drop table {stage}")
        if closed:
            digests.forget(self._cursor, table, digests.blocks_of(table, rows, None))
        return closed

    def append(self, table: str, frame: pd.DataFrame, casts: Mapping[str, str]) -> None:
        """Insert rows into a table that is not versioned, in the same transaction; rows already there are skipped.

        Args:
            table: qualified name, one of our own.
            frame: rows; columns are those of the table.
            casts: column -> SQL type, for columns whose type a frame cannot carry (jsonb, date).
        """
        import pyarrow as pa

        stage = self._stage(pa.Table.from_pandas(frame, preserve_index=False))
        columns = ", ".join(_quoted(name) for name in frame.columns)
        values = ", ".join(
            f"{_quoted(name)}::{casts[name]}" if name in casts else _quoted(name) for name in frame.columns
        )
        self._execute(f"insert into {table} ({columns}) select {values} from {stage} on conflict do nothing")  # noqa: S608
        self._execute(f"drop table {stage}")

    def lock(self, table: VersionedTable) -> None:
        """Wait for other writers of `table`; until the end of this transaction nobody else writes it.

        A write beside others waits for all but those, see `side_by_side`.
        """
        shared = "_shared" if self._beside else ""
        self._cursor.execute(f"select pg_advisory_xact_lock{shared}(hashtextextended('{table.qualified}', 0))")
        self._cursor.fetchall()

    def read(self, query: str, parameters: Sequence[object] = ()) -> pd.DataFrame:
        """Rows of `query` ($1, $2, ... for parameters) as this transaction sees them."""
        self._execute(query, parameters)
        return arrow_to_frame(self._cursor.fetch_arrow_table())

    def outdated_statistics(self) -> list[VersionedTable]:
        """Tables that grew so much that the planner knows too little of them: it would join a bulk load row by row."""
        return [
            table
            for name, (table, inserted) in self._inserted.items()
            if inserted > ANALYZE_ROWS
            and inserted
            > ANALYZE_SHARE
            * float(self._scalar("select greatest(reltuples, 0) from pg_class where oid = $1::regclass", (name,)))
        ]

    def _execute(self, statement: str, parameters: Sequence[object] = ()) -> None:
        self._cursor.execute(statement, tuple(parameters) or None)

    def _scalar(self, statement: str, parameters: Sequence[object] = ()) -> Any:
        self._execute(statement, parameters)
        row = self._cursor.fetchone()
        return None if row is None else row[0]

    def _stage(self, arrow: pa.Table) -> str:
        """Copy rows into a temporary table; returns its name."""
        stage = f"stage_{self._stages}"
        self._stages += 1
        self._cursor.adbc_ingest(stage, in_pieces(arrow), mode="create", temporary=True)
        return stage

    def _is_first(self, table: VersionedTable, arrow: pa.Table, scope: Scope | None) -> bool:
        """Whether the table has no version, past or current, that this write could replace or withdraw.

        Asked of the values of the first key column; an open scope may withdraw any.
        """
        first = table.first_key
        if scope is not None and scope.is_open(table):
            return False
        order = ", ".join(f"c.{_quoted(name)}" for name in (*table.key, "known_to"))
        values = {str(value) for value in arrow.column(first).unique().to_pylist()}
        values |= {str(value) for value in scope.members[first]} if scope is not None else set()
        # The order makes the planner probe the index; for a value it expects often it would scan the table.
        return not self._scalar(
            f"select exists (select from unnest($1::text[]::{table.key[first]}[]) k(value) cross join lateral ("  # noqa: S608
            f"select from {table.qualified} c where c.{_quoted(first)} = k.value order by {order} limit 1) f)",
            (_array(sorted(values)),),
        )

    def _write_first(self, table: VersionedTable, arrow: pa.Table, known_at: datetime) -> WriteResult:
        """Copy rows straight into the table: there is no version to compare them with."""
        import pyarrow as pa

        rows = arrow.num_rows
        known = pa.repeat(pa.scalar(known_at, pa.timestamp("us", tz="UTC")), rows)
        versions = arrow.append_column("known_from", known).append_column("run_id", pa.repeat(self._run_id, rows))
        if rows:
            self._cursor.adbc_ingest(table.name, in_pieces(versions), mode="append", db_schema_name=table.schema)
        self._note_inserted(table, rows)
        return WriteResult(rows, rows)

    def _note_inserted(self, table: VersionedTable, rows: int) -> None:
        _, before = self._inserted.get(table.qualified, (table, 0))
        self._inserted[table.qualified] = table, before + rows

    def _changes(self, table: VersionedTable, stage: str) -> str:
        """Staged rows that do not equal their current version, in a temporary table; returns its name."""
        changes = f"{stage}_changes"
        self._execute(
            f"create temporary table {changes} as select s.* from {stage} s where not exists ("  # noqa: S608
            f"select from {table.qualified} c where c.known_to is null and {_same_key(table)} "
            f"and not ({_values_differ(table)}))"
        )
        return changes

    def _forget_known(self, table: VersionedTable, stage: str, known_at: datetime) -> None:
        """Drop staged rows equal to what was known at `known_at` and replaced since: a vintage loaded again."""
        self._execute(
            f"delete from {stage} s using {table.qualified} c where {_same_key(table)} "  # noqa: S608
            f"and c.known_from <= $1 and c.known_to > $1 and not ({_values_differ(table)})",
            (known_at,),
        )

    def _check_order(self, table: VersionedTable, stage: str, known_at: datetime) -> None:
        key = ", ".join(f"s.{_quoted(name)}" for name in table.key)
        self._execute(
            f"select {key}, c.known_from from {table.qualified} c join {stage} s on {_same_key(table)} "  # noqa: S608
            f"where c.known_to is null and c.known_from >= $1 and {_values_differ(table)} limit 1",
            (known_at,),
        )
        row = self._cursor.fetchone()
        if row is not None:
            raise OutOfOrderKnowledge(
                f"{table.qualified} {_named_key(table, row)}: a version known from {row[-1]} is current, "
                f"this one claims {known_at}; load vintages in the order in which they were published"
            )

    def _close(self, table: VersionedTable, known_at: datetime, where: str, using: str) -> int:
        return int(
            self._scalar(
                f"with closed as (update {table.qualified} c "  # noqa: S608 - identifiers from the table declarations
                f"set known_to = $1, changed_xid = pg_current_xact_id() {using} "
                f"where c.known_to is null and {where} returning 1) select count(*) from closed",
                (known_at,),
            )
        )

    def _insert(self, table: VersionedTable, stage: str, known_at: datetime) -> int:
        names = ", ".join(_quoted(name) for name in table.columns)
        return int(
            self._scalar(
                f"with written as (insert into {table.qualified} ({names}, known_from, run_id) "  # noqa: S608
                f"select {names}, $1, $2 from {stage} returning 1) select count(*) from written",
                (known_at, self._run_id),
            )
        )


@contextmanager
def transaction(url: str, run_id: str, *, beside: bool = False) -> Iterator[VersionedWriter]:
    """A writer whose writes commit together at the end of the block, or not at all when it raises.

    Args:
        url: libpq URL.
        run_id: recorded in each row.
        beside: this is one of the writes of a `side_by_side` block.
    """
    with arrow_cursor(url) as cursor:
        writer = VersionedWriter(cursor, run_id, beside=beside)
        yield writer
        outdated = [] if beside else writer.outdated_statistics()
    # The rows are committed: a server that goes away now takes nothing but the statistics with it.
    with suppress(*_SERVER_AWAY):
        _maintain(url, outdated)


@contextmanager
def side_by_side(url: str, table: VersionedTable) -> Iterator[None]:
    """Let writes of `table` that are marked `beside` go on at the same time: COPY keeps client and server waiting for
    each other, and two of them fill both.

    The caller sees to it that no two of them speak for the same value of the first key column. All other writers wait
    for each of them as for any write; another such block waits for the end of this one, which sees to the statistics.
    """
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (f"{table.qualified} side by side",))
        yield
        with suppress(*_SERVER_AWAY):
            # Beside what the planner knows, not what was there at first: an earlier block may have been killed.
            found = connection.execute(
                "select pg_relation_size(oid), relpages * current_setting('block_size')::bigint from pg_class "
                "where oid = %s::regclass",
                (table.qualified,),
            ).fetchone()
            size, known = found or (0, 0)
            if size - known > max(ANALYZE_BYTES, ANALYZE_SHARE * known):
                _maintain(url, [table])


def _maintain(url: str, tables: Sequence[VersionedTable]) -> None:
    """Let the new rows be read from indexes alone, and tell the planner of them: bulk loads outrun autovacuum.

    Statistics are those of the columns that plans depend on. Nothing is looked up by a measured value, and there are
    dozens of them.
    """
    if tables:
        with connect(url, autocommit=True) as connection:
            for table in tables:
                columns = [name for name, kind in table.columns.items() if kind != FLOAT]
                connection.execute(
                    sql.SQL("vacuum (analyze) {} ({})").format(
                        sql.Identifier(table.schema, table.name),
                        sql.SQL(", ").join(map(sql.Identifier, (*columns, *VERSION_COLUMNS))),
                    )
                )


def write_versions(
    url: str,
    table: VersionedTable,
    frame: pd.DataFrame,
    *,
    run_id: str,
    known_at: datetime | None = None,
    scope: Scope | None = None,
    beside: bool = False,
) -> WriteResult:
    """`VersionedWriter.write` in a `transaction` of its own."""
    with transaction(url, run_id, beside=beside) as writer:
        return writer.write(table, frame, known_at=known_at, scope=scope)


def as_of(
    url: str, table: VersionedTable, at: datetime | None, where: str = "", parameters: Sequence[object] = ()
) -> Any:
    """Rows of `table` as they were known at `at` (aware; None = now), its key and value columns, ordered by key.

    Args:
        url: libpq URL.
        table: what to read.
        at: knowledge time.
        where: further SQL condition with $2, $3, ... for `parameters`.
        parameters: their values.
    """
    moment = at or datetime.now(UTC)
    if moment.tzinfo is None:
        raise ValueError("at must be timezone-aware")
    names = ", ".join(_quoted(name) for name in table.columns)
    key = ", ".join(_quoted(name) for name in table.key)
    return read_frame(
        url,
        f"select {names} from {table.qualified} where known_from <= $1 and (known_to is null or known_to > $1) "  # noqa: S608
        f"{f'and ({where})' if where else ''} order by {key}",
        (moment, *parameters),
    )


def _without(
    known: set[str], left: Sequence[digests.Block], table: VersionedTable, rows: pa.Table, scope: Scope | None
) -> tuple[pa.Table, Scope | None]:
    """The rows of the blocks that are left, and the scope without the values that are known."""
    import pyarrow as pa

    first = table.first_key
    kept = pa.concat_tables([rows.slice(0, 0), *(rows.slice(block.start, block.rows) for block in left)])
    if scope is None:
        return kept, None
    members = [value for value in scope.members[first] if value not in known]
    return kept, replace(scope, members={**scope.members, first: members})


def _array(values: Sequence[str]) -> str:
    """A PostgreSQL text[] literal."""
    return "{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _same_key(table: VersionedTable) -> str:
    return " and ".join(f"c.{_quoted(name)} = s.{_quoted(name)}" for name in table.key)


def _values_differ(table: VersionedTable) -> str:
    current = ", ".join(f"c.{_quoted(name)}" for name in table.values)
    staged = ", ".join(f"s.{_quoted(name)}" for name in table.values)
    return f"row({current}) is distinct from row({staged})"


def _scope_conditions(scope: Scope) -> list[str]:
    conditions = []
    for column, (first, last) in scope.ranges.items():
        conditions.append(f"c.{_quoted(column)} >= date '{first.isoformat()[:10]}'")
        if last is not None:
            conditions.append(f"c.{_quoted(column)} <= date '{last.isoformat()[:10]}'")
    for column, values in scope.members.items():
        listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
        conditions.append(f"c.{_quoted(column)} in ({listed})" if values else "false")
    return conditions


def _named_key(table: VersionedTable, row: Sequence[Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(table.key, row, strict=False))
