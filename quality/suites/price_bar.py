"""Checks on raw.price_bar, bars as traded: is every bar possible, is every bar there, is any of them yesterday's.

Reads beside it raw.trading_session and raw.universe_member (what should be there) and raw.corporate_action with
raw.source_priority (what explains a jump). Faults of a vendor's answer that are caught before a bar is stored belong to
ingestion and the quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass

from quality.errors import SuiteError
from quality.suite import RowCheck, Severity, Suite
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
    """

    completeness_critical: float = 0.5
    completeness_warning: float = 1.0
    max_daily_move: float = 0.5
    stale_share: float = 0.5
    stale_min_symbols: int = 3
    ohlc_tolerance: float = 1e-6
    lookback_days: int = 14

    def __post_init__(self) -> None:
        for name in ("completeness_critical", "completeness_warning", "stale_share"):
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
        with_={"expected": _EXPECTED, "present": "select distinct symbol, session from batch"},
        population="select session from expected",
        # Two steps: counting finds the few short sessions fast, only those are compared name by name.
        query="""
            with expected_count as (select session, count(*) as bars from expected group by session),
            present_count as (
                select expected.session, count(*) as bars
                from expected
                inner join present using (symbol, session)
                group by expected.session
            ),
            short as materialized (
                select
                    expected_count.session,
                    expected_count.bars as expected_bars,
                    coalesce(present_count.bars, 0) as present_bars
                from expected_count
                left join present_count using (session)
                where coalesce(present_count.bars, 0) < {share} * expected_count.bars
            )
            select expected.symbol, expected.session, expected.exchange, short.present_bars, short.expected_bars
            from expected
            inner join short using (session)
            left join present using (symbol, session)
            where present.symbol is null
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

_WITH_LOOKBACK = """
    select symbol, session, source, open, high, low, close, volume from batch
    union all
    select symbol, session, source, open, high, low, close, volume
    from raw.price_bar
    where known_to is null and session < {start} and session >= {start} - {lookback_days}
"""
"""Bars of the range and those of the days before it: what the previous bar is looked up in."""


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
            with source_session as (
                select source, session, lag(session) over (partition by source order by session) as previous_session
                from (select distinct source, session from bars) as sessions
            ),
            pair as (
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
            compared as (
                select pair.*
                from pair
                inner join source_session using (source, session, previous_session)
                where pair.session >= {start} and pair.volume > 0
            ),
            copied as (
                select source, session, count(*) filter (where repeated) as repeated_bars, count(*) as bars
                from compared
                group by source, session
                having count(*) >= {stale_min_symbols}
                    and count(*) filter (where repeated) >= {stale_share} * count(*)
            )
            select compared.source, compared.symbol, compared.session, compared.previous_session, compared.close,
                compared.volume, copied.repeated_bars, copied.bars
            from compared
            inner join copied using (source, session)
            where compared.repeated
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
        # An action counts at the first bar on or after its ex-date, so that a suspension over it does not lose it.
        query="""
            with action as (
                select distinct on (symbol, ex_date, kind) symbol, ex_date, kind, value
                from raw.corporate_action
                left join raw.source_priority as source_priority
                    on source_priority.source = corporate_action.source and source_priority.known_to is null
                where corporate_action.known_to is null
                    and ex_date > {start} - {lookback_days}
                    and ex_date <= {end}
                    and value > 0
                order by symbol, ex_date, kind, source_priority.priority nulls last, corporate_action.source
            ),
            adjustment as (
                select
                    action.symbol,
                    bar.session,
                    exp(sum(case action.kind
                        when 'split' then ln(action.value)
                        when 'stock_dividend' then ln(1 + action.value)
                        else 0
                    end)) as shares,
                    sum(case
                        when action.kind in ('cash_dividend', 'special_dividend', 'spin_off') then action.value
                        else 0
                    end) as cash
                from action
                cross join lateral (
                    select session from raw.price_bar
                    where symbol = action.symbol and session >= action.ex_date and known_to is null
                    order by session
                    limit 1
                ) as bar
                group by action.symbol, bar.session
            ),
            pair as (
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
            adjusted as (
                select
                    pair.*,
                    (close * coalesce(shares, 1) + coalesce(cash, 0)) / previous_close - 1 as move
                from pair
                left join adjustment using (symbol, session)
                where session >= {start} and previous_close > 0
            )
            select symbol, session, source, previous_session, previous_close, close, round(move::numeric, 4) as move
            from adjusted
            where abs(move) > {max_daily_move} and abs(move) < 'infinity'
        """,
    )
