"""Restatements: what changed in raw data after something was computed from it.

Belongs here: finding changed bars and corporate actions in the warehouse, and the range of sessions they affect. Does
not belong here: launching the run (sensors.py), computing again (assets).

A change matters when a stored result at or after its date was computed without it:
- restated or withdrawn: a version of a bar or action was closed, and results exist for its symbol from that date on;
- late: a row without predecessor arrived for a date from which results of an earlier transaction exist.
- new: bars arrived of a symbol that has no result at all, for a date from which others have results: it was added to
  the universe, or could not be loaded before. Its indicators are missing, and an index may have wanted it.
A row of a reference file (exchange rate, free-float factor, factor score) that was replaced, withdrawn or late affects
all indices that have a level from its day on: which of them read it depends on their definitions.
So a first load affects nothing (its results come after it), a new session affects nothing (no result is that new), and
a dividend announced before its ex-date affects nothing. A change affects every later session: indicators have memory,
and an index level is a chain.

Every version carries `changed_xid`, the transaction that wrote or closed it. A read covers the transactions from the
last watermark to pg_snapshot_xmin, below which all are finished: a commit that comes late is read next time, and none
is read twice, however long it took and whatever knowledge time its rows claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psycopg

_WATERMARK: Final = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"

# Grouped by transaction and symbol first: a load of twenty years is one row per symbol, not one per bar. Results are
# only read for symbols that changed, from the earliest change on, which for a daily load is next to nothing.
_AFFECTED: Final = """
with bounds as (
    select %(since)s::text::xid8 as seen, pg_snapshot_xmin(pg_current_snapshot()) as finished
),
changed as (
    select 'bar' as what, symbol, session as affected_from, changed_xid, known_to is not null as closed
    from raw.price_bar, bounds
    where changed_xid >= seen and changed_xid < finished
    union all
    select 'action', symbol, ex_date, changed_xid, known_to is not null
    from raw.corporate_action, bounds
    where changed_xid >= seen and changed_xid < finished
),
grouped as (
    select what, symbol, changed_xid, closed, min(affected_from) as affected_from, count(*) as versions
    from changed
    group by what, symbol, changed_xid, closed
),
earliest as (
    select symbol, min(affected_from) as affected_from
    from grouped
    group by symbol
),
computed as (
    select i.symbol, i.changed_xid, max(i.session) as session
    from earliest as e
    inner join analytics.indicator as i on e.symbol = i.symbol and e.affected_from <= i.session
    group by i.symbol, i.changed_xid
    union all
    select c.symbol, c.changed_xid, max(c.session)
    from earliest as e
    inner join indices.index_constituent as c on e.symbol = c.symbol and e.affected_from <= c.session
    group by c.symbol, c.changed_xid
),
affected as (
    select g.*
    from grouped as g
    where exists (
        select 1
        from computed as c
        where c.symbol = g.symbol and c.session >= g.affected_from
            and (g.closed or c.changed_xid < g.changed_xid)
    )
    or (
        g.what = 'bar'
        and not exists (select 1 from analytics.indicator as i where i.symbol = g.symbol)
        and exists (
            select 1
            from analytics.indicator as i
            where i.known_to is null and i.session >= g.affected_from and i.changed_xid < g.changed_xid
        )
    )
),
referenced as (
    select r.*
    from (
        select changed_xid, known_to is not null as closed, min(day) as affected_from, count(*) as versions
        from (
            select session as day, changed_xid, known_to from raw.fx_rate
            union all
            select effective_date, changed_xid, known_to from raw.free_float
            union all
            select effective_date, changed_xid, known_to from raw.factor_score
        ) as rows_of_files, bounds
        where changed_xid >= seen and changed_xid < finished
        group by changed_xid, known_to is not null
    ) as r
    where exists (
        select 1
        from indices.index_value as v
        where v.known_to is null and v.session >= r.affected_from and (r.closed or v.changed_xid < r.changed_xid)
    )
)
select
    (select finished::text::bigint from bounds) as watermark,
    least(min(affected_from), (select min(affected_from) from referenced)) as first_date,
    greatest(
        (select max(session) from computed),
        (select max(session) from analytics.indicator where known_to is null),
        (select max(session) from indices.index_value)
    ) as last_date,
    coalesce(sum(versions) filter (where what = 'bar' and closed), 0)::bigint as bars_restated,
    coalesce(sum(versions) filter (where what = 'bar' and not closed), 0)::bigint as bars_written,
    coalesce(sum(versions) filter (where what = 'action'), 0)::bigint as actions_changed,
    count(distinct symbol) as symbols,
    (select coalesce(sum(versions), 0)::bigint from referenced) as reference_rows
from affected
"""


@dataclass(frozen=True)
class Restatement:
    """What has to be computed again.

    Attributes:
        first: earliest affected date, which need not be a session.
        last: last session that results exist for.
        bars_restated: versions of bars that were replaced or withdrawn.
        bars_written: versions of bars that were written by the same transactions, late bars included.
        actions_changed: versions of corporate actions that were written, replaced or withdrawn.
        symbols: symbols concerned by changed bars and actions.
        reference_rows: versions of rows of the reference files that were written, replaced or withdrawn.
    """

    first: date
    last: date
    bars_restated: int
    bars_written: int
    actions_changed: int
    symbols: int
    reference_rows: int = 0


def current_watermark(connection: psycopg.Connection) -> int:
    """Transaction below which all are finished: where a reader that starts now begins."""
    row = connection.execute(_WATERMARK).fetchone()
    assert row is not None  # noqa: S101 - a select without from has one row
    return int(row[0])


def find_restatement(connection: psycopg.Connection, since: int) -> tuple[int, Restatement | None]:
    """What changed since a watermark in data that results were computed from.

    Args:
        connection: to the warehouse; only read.
        since: watermark of the last read.

    Returns:
        The new watermark, and what has to be computed again: None when nothing has.
    """
    row = connection.execute(_AFFECTED, {"since": str(since)}).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without group by has one row
    watermark, first, last, *counts = row
    if first is None:
        return int(watermark), None
    return int(watermark), Restatement(first, last, *(int(count) for count in counts))
