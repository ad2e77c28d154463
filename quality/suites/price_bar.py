"""Checks on raw.price_bar, bars as traded: is every bar possible, is every bar there, is any of them yesterday's.

Reads beside it raw.trading_session and raw.universe_member (what should be there), raw.corporate_action with
raw.source_priority (what explains a jump) and quality.source_agreement (agreement.py). Faults of a vendor's answer that
are caught before a bar is stored belong to ingestion and the quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass

from quality.errors import SuiteError
from quality.suite import RowCheck, Severity, Suite
from quality.suites.agreement import sources_agree
from quality.suites.common import finite, schema_check, unique_key_check

KEY = ("symbol", "session", "source")
COLUMNS = {
    "symbol": "text",
    "session": "date",
    "source": "text",
    "open": "double precision",
    "high": "double precision",
    "low": "double precision",
    "close": "double precision",
    "volume": "double precision",
    "currency": "text",
}


@dataclass(frozen=True)
class PriceBarThresholds:
    """Limits of the suite.

    Attributes:
        completeness_critical: a session with less than this share of the expected bars is structurally broken.
        completeness_warning: a session with less than this share is worth a look.
        max_daily_move: largest close-to-close move, as a fraction, that needs no corporate action to explain it.
        stale_share: a session in which at least this share of traded symbols repeats the previous bar is a copy of it.
        stale_min_symbols: fewer symbols than this cannot show that a session was copied.
        ohlc_tolerance: relative rounding that vendors are allowed between open, high, low and close.
        lookback_days: calendar days before the range in which the previous bar of a symbol is looked for.
        max_disagreement: share of a source's closes in a session that no other source may agree with.
        compared_min_symbols: fewer symbols than this, compared in a session, say nothing about a source.
    """

    completeness_critical: float = 0.5
    completeness_warning: float = 1.0
    max_daily_move: float = 0.5
    stale_share: float = 0.5
    stale_min_symbols: int = 3
    ohlc_tolerance: float = 1e-6
    lookback_days: int = 14
    max_disagreement: float = 0.02
    compared_min_symbols: int = 20

    def __post_init__(self) -> None:
        for name in ("completeness_critical", "completeness_warning", "stale_share", "max_disagreement"):
            if not 0 < getattr(self, name) <= 1:
                raise SuiteError(f"price bars: {name} is a share in (0, 1], not {getattr(self, name)}")
        if self.max_daily_move <= 0 or self.ohlc_tolerance < 0 or self.lookback_days < 1 or self.stale_min_symbols < 1:
            raise SuiteError(f"price bars: a threshold is negative or zero: {self}")


def price_bar_suite(thresholds: PriceBarThresholds | None = None) -> Suite:
    """The suite of raw.price_bar."""
    limits = thresholds or PriceBarThresholds()
    return Suite(
        name="price_bar",
        schema="raw",
        table="price_bar",
        checks=(
            schema_check("raw", "price_bar", COLUMNS),
            unique_key_check(KEY),
            _complete(
                "completeness_floor",
                Severity.CRITICAL,
                limits.completeness_critical,
                "Each session has at least {share} of the bars that the calendar and the membership ask for.",
            ),
            _not_stale(limits),
            _complete(
                "completeness",
                Severity.WARNING,
                limits.completeness_warning,
                "Each session has {share} of the bars that the calendar and the membership ask for.",
            ),
            _positive_prices(),
            _ohlc_consistent(limits),
            _volume_not_negative(),
            _daily_move_explained(limits),
            sources_agree(limits.max_disagreement, limits.compared_min_symbols),
        ),
    )


def _positive_prices() -> RowCheck:
    return RowCheck(
        name="prices_positive",
        description="Open, high, low and close are numbers above zero.",
        severity=Severity.ERROR,
        threshold="> 0",
        identify=KEY,
        parameters={f"{column}_is_number": finite(column) for column in ("open", "high", "low", "close")},
        query="""
            select symbol, session, source, open, high, low, close from batch
            where not (
                {open_is_number} and {high_is_number} and {low_is_number} and {close_is_number}
                and open > 0 and high > 0 and low > 0 and close > 0
            )
        """,
    )


def _ohlc_consistent(limits: PriceBarThresholds) -> RowCheck:
    return RowCheck(
        name="ohlc_consistent",
        description="Low is the lowest and high the highest of open, high, low and close.",
        severity=Severity.ERROR,
        threshold=f"low <= open, close <= high, within {limits.ohlc_tolerance:g} of the price",
        identify=KEY,
        parameters={"tolerance": limits.ohlc_tolerance},
        query="""
            select symbol, session, source, open, high, low, close from batch
            where low - least(open, close, high) > {tolerance} * abs(low)
                or greatest(open, close) - high > {tolerance} * abs(high)
        """,
    )


def _volume_not_negative() -> RowCheck:
    return RowCheck(
        name="volume_not_negative",
        description="Volume is a number of shares, zero or more.",
        severity=Severity.ERROR,
        threshold=">= 0",
        identify=KEY,
        parameters={"volume_is_number": finite("volume")},
        query="select symbol, session, source, volume from batch where not ({volume_is_number} and volume >= 0)",
    )


def _complete(name: str, severity: Severity, share: float, description: str) -> RowCheck:
    return RowCheck(
        name=name,
        description=description.format(share=f"{share:.0%}"),
        severity=severity,
        threshold=f"{share:.0%} of the members of the universe whose exchange was open",
        identify=("symbol", "session"),
        parameters={"share": share},
        with_={"expected": _EXPECTED, "lacking": _LACKING},
        population="select session from expected",
        # Expected and present bars are stacked and grouped, not joined: a join of two large sets is quadratic when the
        # statistics of a freshly loaded table make the planner take one of them for small.
        query="""
            with judged as (
                select symbol, session, max(exchange) as exchange, bool_or(is_present) as is_present
                from (
                    select symbol, session, exchange, false as is_present from expected
                    union all
                    select symbol, session, null, true from batch
                ) as stacked
                where session in (select session from lacking)
                group by symbol, session
                having max(exchange) is not null
            ),
            short as (
                select
                    session,
                    count(*) filter (where is_present) as present_bars,
                    count(*) as expected_bars,
                    array_agg(symbol) filter (where not is_present) as symbols,
                    array_agg(exchange) filter (where not is_present) as exchanges
                from judged
                group by session
                having count(*) filter (where is_present) < {share} * count(*)
            )
            select missing.symbol, session, missing.exchange, present_bars, expected_bars
            from short
            cross join lateral unnest(symbols, exchanges) as missing (symbol, exchange)
        """,
    )


_EXPECTED = """
    select trading_session.session, trading_session.exchange, member.symbol
    from raw.trading_session
    inner join raw.universe_member as member
        on member.exchange = trading_session.exchange
        and member.known_to is null
        and trading_session.session >= member.member_from
        and trading_session.session <= coalesce(member.member_to, 'infinity')
    where trading_session.known_to is null and trading_session.session between {start} and {end}
"""
"""One row for each bar there should be; member_to is the last session of a membership."""

_LACKING = """
    select session
    from (
        select session, count(*) as bars from expected group by session
        union all
        select bar.session, -count(*)
        from (
            select member.exchange, own.session
            from raw.universe_member as member
            cross join lateral (
                select distinct session
                from batch
                where batch.symbol = member.symbol
                    and batch.session between member.member_from and coalesce(member.member_to, 'infinity')
            ) as own
            where member.known_to is null
            offset 0
        ) as bar
        inner join raw.trading_session
            on trading_session.exchange = bar.exchange
            and trading_session.session = bar.session
            and trading_session.known_to is null
        group by bar.session
    ) as counted
    group by session
    having sum(bars) > 0
"""
"""Sessions in which any expected bar is missing: few, so that symbols are looked at in those alone.

Bars are looked up for one membership after the other, along their index, whatever the planner knows of the tables."""

_WITH_LOOKBACK = """
    select symbol, session, source, open, high, low, close, volume
    from raw.price_bar
    where known_to is null and session >= {start} - {lookback_days} and session <= {end}
"""
"""Current bars of the range and of the days before it: what the previous bar is looked up in. One scan in the order of
the index, not `batch` and a second table, which would have to be sorted."""


def _not_stale(limits: PriceBarThresholds) -> RowCheck:
    return RowCheck(
        name="not_stale",
        description="No session repeats the previous one: vendors sometimes serve yesterday's file under a new date.",
        severity=Severity.CRITICAL,
        threshold=(
            f"fewer than {limits.stale_share:.0%} of the symbols of a source repeat open, high, low, close and volume "
            f"(from {limits.stale_min_symbols} symbols)"
        ),
        identify=("source", "symbol", "session"),
        parameters={
            "lookback_days": limits.lookback_days,
            "stale_share": limits.stale_share,
            "stale_min_symbols": limits.stale_min_symbols,
        },
        with_={"bars": _WITH_LOOKBACK},
        # A suspended symbol repeats its price for weeks, with no volume: it says nothing about the file.
        query="""
            with pair as (
                select
                    symbol,
                    session,
                    source,
                    close,
                    volume,
                    lag(session) over previous as previous_session,
                    open = lag(open) over previous
                    and high = lag(high) over previous
                    and low = lag(low) over previous
                    and close = lag(close) over previous
                    and volume = lag(volume) over previous as repeated
                from bars
                window previous as (partition by symbol, source order by session)
            ),
            copied as (
                select
                    source,
                    session,
                    previous_session,
                    count(*) filter (where repeated) as repeated_bars,
                    count(*) as bars,
                    array_agg(symbol) filter (where repeated) as symbols,
                    array_agg(close) filter (where repeated) as closes,
                    array_agg(volume) filter (where repeated) as volumes
                from pair
                where session >= {start} and volume > 0 and previous_session is not null
                group by source, session, previous_session
                having count(*) >= {stale_min_symbols}
                    and count(*) filter (where repeated) >= {stale_share} * count(*)
            )
            select source, bar.symbol, session, previous_session, bar.close, bar.volume, repeated_bars, bars
            from copied
            cross join lateral unnest(symbols, closes, volumes) as bar (symbol, close, volume)
        """,
    )


def _daily_move_explained(limits: PriceBarThresholds) -> RowCheck:
    return RowCheck(
        name="daily_move_explained",
        description=(
            "A close moves by no more than the limit from the previous one, once the splits, stock dividends, cash "
            "dividends and spin-offs between them are taken into account."
        ),
        severity=Severity.WARNING,
        threshold=f"{limits.max_daily_move:.0%}",
        identify=KEY,
        parameters={"lookback_days": limits.lookback_days, "max_daily_move": limits.max_daily_move},
        with_={"bars": _WITH_LOOKBACK},
        # Actions count between the two bars, so that a suspension over an ex-date does not lose them. They are looked
        # up for the jumps alone, and for the bars after a split, to find those the price does not show.
        query="""
            with pair as (
                select
                    symbol,
                    session,
                    source,
                    close,
                    lag(close) over previous as previous_close,
                    lag(session) over previous as previous_session
                from bars
                window previous as (partition by symbol, source order by session)
            ),
            after_split as (
                select action.symbol, bar.session
                from raw.corporate_action as action
                cross join lateral (
                    select session from raw.price_bar
                    where symbol = action.symbol and session >= action.ex_date and known_to is null
                    order by session
                    limit 1
                ) as bar
                where action.known_to is null
                    and action.kind in ('split', 'stock_dividend')
                    and action.ex_date > {start} - {lookback_days}
                    and action.ex_date <= {end}
            ),
            suspect as materialized (
                select * from pair
                where session >= {start}
                    and previous_close > 0
                    and (
                        abs(close / previous_close - 1) > {max_daily_move}
                        or (symbol, session) in (select symbol, session from after_split)
                    )
            ),
            adjusted as (
                select suspect.*, (close * coalesce(shares, 1) + coalesce(cash, 0)) / previous_close - 1 as move
                from suspect
                cross join lateral (
                    select
                        exp(sum(case kind when 'split' then ln(value) when 'stock_dividend' then ln(1 + value) end))
                            as shares,
                        sum(value) filter (where kind in ('cash_dividend', 'special_dividend', 'spin_off')) as cash
                    from (
                        select distinct on (ex_date, kind) kind, value
                        from raw.corporate_action as action
                        left join raw.source_priority
                            on source_priority.source = action.source
                            and source_priority.known_to is null
                            and source_priority.exchange = (
                                select exchange from raw.universe_member as listed
                                where listed.symbol = suspect.symbol
                                order by listed.known_from desc
                                limit 1
                            )
                        where action.symbol = suspect.symbol
                            and action.ex_date > suspect.previous_session
                            and action.ex_date <= suspect.session
                            and action.known_to is null
                            and action.value > 0
                        order by ex_date, kind, source_priority.priority nulls last, action.source
                    ) as action
                ) as between_bars
            )
            select symbol, session, source, previous_session, previous_close, close, round(move::numeric, 4) as move
            from adjusted
            where abs(move) > {max_daily_move} and abs(move) < 'infinity'
        """,
    )
