"""What the calculations read from the warehouse: adjusted bars and stored states for indicators, markets for indices.

Queries and frames only. Lookback is read here and never expressed as a partition offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd

from market_assets.domain.indices import MarketFrames
from market_assets.warehouse.connection import connect, read_frame
from market_assets.warehouse.tables import INDEX_VALUE

ADJUSTED = """
    select b.symbol, b.session, b.open * b.forward_price_factor as open, b.high * b.forward_price_factor as high,
        b.low * b.forward_price_factor as low, b.close * b.forward_price_factor as close,
        b.volume / b.forward_split_factor as volume, b.forward_price_factor as price_factor,
        1 / b.forward_split_factor as volume_factor
"""

# The lookback counts bars, not days: a suspended symbol reaches further back than its neighbours.
# Bars of sessions at which the benchmark has no level are none for the indicators that read it.
FIRST_SESSIONS = """
    select c.symbol, least(own.first_session, compared.first_session, c.session) as first_session
    from unnest($1::text[], $2::text[]::date[]) as c (symbol, session)
    cross join lateral (
        select min(session) as first_session from (
            select distinct p.session from raw.price_bar p
            where p.symbol = c.symbol and p.known_to is null and p.session <= c.session
            order by p.session desc limit $3
        ) as bar
    ) as own
    cross join lateral (
        select min(session) as first_session from (
            select distinct p.session from raw.price_bar p
            join indices.index_value v on v.index_id = $4 and v.session = p.session and v.known_to is null
            where p.symbol = c.symbol and p.known_to is null and p.session <= c.session
            order by p.session desc limit $3
        ) as bar
    ) as compared
"""

WHOLE = f"{ADJUSTED} from intermediate.int_adjusted_bar b where b.symbol = any($1::text[]) and b.session <= $2"

# Symbol by symbol: what is asked of one reaches every index inside the view, that of the actions too. What is asked of
# many reaches the bars alone, and a day would work out the factors of all symbols there are for each chunk of them.
SINCE_LOOKBACK = f"""
    {ADJUSTED}
    from unnest($1::text[], $2::text[]::date[]) as since (symbol, first_session)
    cross join lateral (
        select * from intermediate.int_adjusted_bar as bar
        where bar.symbol = since.symbol and bar.session between since.first_session and $3
        offset 0
    ) as b
"""  # noqa: S608 - constants

# A listing that has ended without an action that says how leaves at its last price, after its last session.
ACTIONS = """
    select symbol, ex_date, kind, value, detail from intermediate.int_golden_action where ex_date <= $1
    union all
    select s.symbol, s.last_session + 1, 'delisting', null, null from raw.security s
    where s.known_to is null and s.last_session < $1 and not exists (
        select from intermediate.int_golden_action a
        where a.symbol = s.symbol and a.ex_date >= s.last_session
            and a.kind in ('delisting', 'merger_cash', 'merger_stock', 'symbol_change')
    )
"""


# Expected and present bars are stacked and grouped, not joined: what the planner thinks of a table that was loaded a
# moment ago may make a join of the two quadratic.
COVERAGE = """
    select symbol, month, sum(expected)::float8 as expected, least(sum(present), sum(expected))::float8 as present
    from (
        select m.symbol, date_trunc('month', s.session)::date as month, count(*) as expected, 0 as present
        from raw.universe_member m
        join raw.trading_session s on s.exchange = m.exchange and s.known_to is null and s.session between $1 and $2
            and s.session between m.member_from and coalesce(m.member_to, 'infinity')
        where m.known_to is null
        group by 1, 2
        union all
        select m.symbol, date_trunc('month', b.session)::date, 0, count(distinct b.session)
        from raw.universe_member m
        join raw.price_bar b on b.symbol = m.symbol and b.known_to is null and b.session between $1 and $2
            and b.session between m.member_from and coalesce(m.member_to, 'infinity')
        where m.known_to is null
        group by 1, 2
    ) as counted
    group by symbol, month
    having sum(expected) > 0
"""


def symbols_between(url: str, start: date, end: date) -> list[str]:
    """Symbols with a current bar, or a stored indicator of a bar since withdrawn, in [start, end]; sorted."""
    with connect(url) as connection:
        rows = connection.execute(
            "select symbol from raw.price_bar where known_to is null and session between %(start)s and %(end)s "
            "union select symbol from analytics.indicator where known_to is null "
            "and session between %(start)s and %(end)s order by 1",
            {"start": start, "end": end},
        ).fetchall()
    return [row[0] for row in rows]


def universe_symbols(url: str) -> list[str]:
    """Symbols of the universe that the warehouse was last loaded with, ordered."""
    frame = read_frame(url, "select distinct symbol from raw.universe_member where known_to is null order by 1")
    return list(frame["symbol"])


def last_indicators(url: str, symbols: Sequence[str], before: date, columns: Sequence[str]) -> pd.DataFrame:
    """The last stored indicator row of each symbol before a date.

    Returns:
        symbol, session and `columns` (float64); symbols without such a row are absent.
    """
    names = ", ".join(f'i."{name}"' for name in columns)
    return read_frame(
        url,
        f"select s.symbol, i.session, {names} from unnest($1::text[]) as s(symbol) cross join lateral ("  # noqa: S608
        "select * from analytics.indicator i where i.symbol = s.symbol and i.known_to is null and i.session < $2 "
        "order by i.session desc limit 1) i order by 1",
        (_array(symbols), before),
    )


def indicator_bars(
    url: str, symbols: Sequence[str], carried: pd.DataFrame, lookback: int, end: date, benchmark: str = ""
) -> pd.DataFrame:
    """Input of `market_assets.domain.indicators.compute`: bars on the basis of each symbol's first session.

    Args:
        url: libpq URL.
        symbols: what to read.
        carried: symbol and session of the stored state each symbol continues from; a symbol that is absent is read
            from its first bar.
        lookback: bars to read up to the carried session, and as many of those at which the benchmark has a level.
        end: last session.
        benchmark: index whose stored total return level becomes the column `benchmark`; "" = none.
    """
    parts = []
    fresh = sorted(set(symbols) - set(carried["symbol"]))
    if fresh:
        parts.append(read_frame(url, WHOLE, (_array(fresh), end)))
    if len(carried):
        since = read_frame(
            url,
            FIRST_SESSIONS,
            (_array(carried["symbol"].tolist()), _dates(carried["session"]), lookback, benchmark),
        )
        wanted = (_array(since["symbol"].tolist()), _dates(since["first_session"]), end)
        parts.append(read_frame(url, SINCE_LOOKBACK, wanted))
    bars = pd.concat(parts, ignore_index=True).sort_values(["symbol", "session"], ignore_index=True)
    return bars.assign(benchmark=_levels_at(url, benchmark, bars["session"])) if len(bars) else bars


def _levels_at(url: str, index_id: str, sessions: pd.Series) -> pd.Series:
    """Current total return level of an index at each of `sessions`, NaN where it has none."""
    levels = read_frame(
        url,
        "select session, total_return from indices.index_value "
        "where known_to is null and index_id = $1 and session between $2 and $3",
        (index_id, sessions.min().date(), sessions.max().date()),
    )
    return sessions.map(levels.set_index("session")["total_return"]).astype("float64")


def stored_index(url: str, index_id: str, before: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last stored session of an index before a date: its row of index_value and its rows of index_constituent."""
    values = read_frame(
        url,
        "select index_id, session, price_return, total_return, net_total_return, divisor, market_value, constituents "
        "from indices.index_value where known_to is null and index_id = $1 and session < $2 "
        "order by session desc limit 1",
        (index_id, before),
    )
    if values.empty:
        return values, pd.DataFrame()
    constituents = read_frame(
        url,
        "select index_id, session, symbol, shares, weight, price, contribution, fx_rate, carried_sessions "
        "from indices.index_constituent where known_to is null and index_id = $1 and session = $2",
        (index_id, values["session"].iloc[0].date()),
    )
    return values, constituents


def frozen_through(url: str, index_id: str, open_days: int | None) -> date | None:
    """Last session whose stored level is older than the `open_days` latest ones; None when there is none."""
    if open_days is None:
        return None
    found = read_frame(
        url,
        "select session from indices.index_value where known_to is null and index_id = $1 "
        "order by session desc offset $2 limit 1",
        (index_id, open_days),
    )
    return None if found.empty else found["session"].iloc[0].date()


def published_levels(url: str, index_id: str, start: date, end: date) -> pd.DataFrame:
    """Current rows of index_value of an index in [start, end], with the transaction that wrote each, by session."""
    names = ", ".join(INDEX_VALUE.columns)
    return read_frame(
        url,
        f"select {names}, changed_xid::text::bigint as changed_xid from indices.index_value "  # noqa: S608
        "where known_to is null and index_id = $1 and session between $2 and $3 order by session",
        (index_id, start, end),
    )


def first_departure(url: str, index_id: str) -> date | None:
    """First session at which a recalculation departs from the published level; None when none does."""
    found = read_frame(
        url,
        "select min(session) as session from indices.index_recalculation where known_to is null and index_id = $1",
        (index_id,),
    )["session"]
    return None if found.isna().all() else found.iloc[0].date()


def corrections(url: str, after: int, until: date) -> list[str]:
    """What was written or withdrawn of the days up to `until` by later transactions than `after`, newest day first.

    Returns:
        such as "price of IBM on 2024-02-15"; actions, memberships, share counts and reference files alike.
    """
    found = read_frame(
        url,
        "select distinct what, symbol, day from ("
        "select 'price' as what, symbol, session as day, changed_xid from raw.price_bar "
        "union all select replace(kind, '_', ' '), symbol, ex_date, changed_xid from raw.corporate_action "
        "union all select 'membership', symbol, coalesce(member_to, member_from), changed_xid "
        "from raw.universe_member "
        "union all select 'share count', symbol, effective_date, changed_xid from raw.shares_outstanding "
        "union all select 'rate', base || '/' || quote, session, changed_xid from raw.fx_rate "
        "union all select 'free float', symbol, effective_date, changed_xid from raw.free_float "
        "union all select score || ' score', symbol, effective_date, changed_xid from raw.factor_score) as fact "
        "where changed_xid > $1::text::xid8 and day <= $2 order by day desc, symbol, what",
        (str(after), until),
    )
    return [f"{row.what} of {row.symbol} on {row.day:%Y-%m-%d}" for row in found.itertuples()]


def index_market(url: str, sessions: pd.DatetimeIndex) -> MarketFrames:
    """What an index is calculated from: bars of `sessions`; the rest whole, up to the last of them."""
    start, end = sessions[0].date(), sessions[-1].date()
    return MarketFrames(
        sessions=sessions,
        bars=read_frame(
            url,
            "select symbol, session, close, volume from intermediate.int_golden_bar where session between $1 and $2",
            (start, end),
        ),
        members=read_frame(
            url,
            "select symbol, member_from, member_to, exchange, currency from raw.universe_member where known_to is null",
        ),
        actions=read_frame(url, ACTIONS, (end,)),
        shares=read_frame(
            url, "select symbol, effective_date, shares from raw.shares_outstanding where known_to is null"
        ),
        free_float=read_frame(
            url,
            "select symbol, effective_date, factor from raw.free_float where known_to is null and effective_date <= $1",
            (end,),
        ),
        fx=read_frame(
            url, "select base, quote, session, rate from raw.fx_rate where known_to is null and session <= $1", (end,)
        ),
        scores=_scores(url, end),
    )


def _scores(url: str, end: date) -> dict[str, pd.DataFrame]:
    rows = read_frame(
        url,
        "select score as name, symbol, effective_date, value as score from raw.factor_score "
        "where known_to is null and effective_date <= $1",
        (end,),
    )
    return {str(name): own.drop(columns="name") for name, own in rows.groupby("name")}


def coverage_by_month(url: str, start: date, end: date) -> pd.DataFrame:
    """Share of expected bars that are there, symbols x months; NaN where none is expected.

    A bar is expected for each session of the exchange inside a membership interval. Many symbols are shown in at most
    60 rows, the least covered first.
    """
    rows = read_frame(url, COVERAGE, (start, end))
    rows["share"] = rows["present"] / rows["expected"]
    rows["month"] = rows["month"].dt.strftime("%Y-%m")
    table = rows.set_index(["symbol", "month"])["share"].unstack("month")  # noqa: PD010 - one value per cell
    return table if len(table) <= 60 else table.loc[table.mean(axis=1).sort_values().index[:60]]


def _array(values: Sequence[str]) -> str:
    """A PostgreSQL text[] literal."""
    return "{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}"


def _dates(values: pd.Series) -> str:
    """The same of dates."""
    return _array([day.date().isoformat() for day in values])
