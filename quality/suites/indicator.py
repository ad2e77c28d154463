"""Checks on analytics.indicator: one row per symbol and session, one column per output of the indicator registry.

What the columns are, their bounds and warm-up come from whoever computes them, as parameters; no indicator is named
here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from quality.suite import RowCheck, Severity, Suite
from quality.suites.common import schema_check, unique_key_check

KEY = ("symbol", "session")


@dataclass(frozen=True)
class ColumnBounds:
    """The values a column may take.

    Attributes:
        column: name of the column.
        minimum: smallest value, inclusive; None = any number.
        maximum: largest value, inclusive; None = any number.
    """

    column: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class IndicatorThresholds:
    """Limits of the suite.

    Attributes:
        rounding: how far floating point may carry a value over its bound, relative to the bound or to 1.
    """

    rounding: float = 1e-9


def indicator_suite(
    bounds: Sequence[ColumnBounds],
    ascending: Sequence[Sequence[str]],
    warm_up: Mapping[str, int],
    thresholds: IndicatorThresholds | None = None,
) -> Suite:
    """The suite of analytics.indicator.

    Args:
        bounds: every column, with the bounds it has: columns without bounds are still checked for NaN and infinity.
        ascending: groups of columns that never decrease from one to the next, such as lower, middle and upper band.
        warm_up: column -> number of a symbol's first bars in which it may be null. Columns that may be null later
            (undefined for a flat series, say) are left out.
        thresholds: limits; None = the defaults.
    """
    limits = thresholds or IndicatorThresholds()
    columns = {"symbol": "text", "session": "date"} | {bound.column: "double precision" for bound in bounds}
    checks = [
        schema_check("analytics", "indicator", columns),
        unique_key_check(KEY),
        _within_bounds(bounds, limits),
    ]
    if ascending:
        checks.append(_band_order(ascending, limits))
    if warm_up:
        checks.append(_null_only_in_warm_up(warm_up))
    return Suite(name="indicator", schema="analytics", table="indicator", checks=checks)


def _within_bounds(bounds: Sequence[ColumnBounds], limits: IndicatorThresholds) -> RowCheck:
    outside = [
        (bound.column, sql.SQL("not ({})").format(_inside(bound, limits.rounding)), sql.Identifier(bound.column))
        for bound in bounds
    ]
    bounded = [bound for bound in bounds if bound.minimum is not None or bound.maximum is not None]
    return RowCheck(
        name="within_bounds",
        description="Every indicator is a finite number inside the bounds of its definition.",
        severity=Severity.ERROR,
        threshold="; ".join(_in_words(bound) for bound in bounded) or "finite",
        identify=KEY,
        parameters={"found": _listing(outside), "outside": _any(outside)},
        query="select symbol, session, {found} as outside from batch where {outside}",
    )


def _band_order(ascending: Sequence[Sequence[str]], limits: IndicatorThresholds) -> RowCheck:
    crossed = []
    for columns in ascending:
        names = [sql.Identifier(column) for column in columns]
        falls = [
            sql.SQL("{0} - {1} > {2} * abs({1})").format(below, above, limits.rounding)
            for below, above in itertools.pairwise(names)
        ]
        shown = sql.SQL("concat_ws(' / ', {})").format(sql.SQL(", ").join(names))
        crossed.append((" / ".join(columns), sql.SQL(" or ").join(falls), shown))
    return RowCheck(
        name="band_order",
        description="The lower band is not above the middle, nor the middle above the upper.",
        severity=Severity.ERROR,
        threshold="; ".join(" <= ".join(columns) for columns in ascending),
        identify=KEY,
        parameters={"found": _listing(crossed), "crossed": _any(crossed)},
        query="select symbol, session, {found} as crossed from batch where {crossed}",
    )


def _null_only_in_warm_up(warm_up: Mapping[str, int]) -> RowCheck:
    late = [
        (
            column,
            sql.SQL("({} is null and bar > {})").format(sql.Identifier(column), sql.Literal(bars)),
            sql.Literal("null"),
        )
        for column, bars in warm_up.items()
    ]
    # The bar from which on the row may not look like this; nothing where no column is null.
    allowed = sql.SQL("least({})").format(
        sql.SQL(", ").join(
            sql.SQL("case when {} is null then {} end").format(sql.Identifier(column), sql.Literal(bars))
            for column, bars in warm_up.items()
        )
    )
    longest = max(warm_up.values())
    return RowCheck(
        name="null_only_in_warm_up",
        description="An indicator is null only in the first bars of a symbol, before it has enough history.",
        severity=Severity.ERROR,
        threshold=f"first {min(warm_up.values())} to {longest} bars, by column",
        identify=KEY,
        parameters={"found": _listing(late), "allowed": allowed, "longest": longest},
        # Bars are counted in the index, and only what fails is read whole. Where a range begins inside a warm-up, bars
        # before it count, but no more of them than the longest warm-up has.
        query="""
            select symbol, session, bar, {found} as columns
            from (
                select symbol, session, bars_in_range + bars_before as bar
                from (select symbol, session, {allowed} as allowed from batch) as judged
                inner join (
                    select symbol, session, row_number() over (partition by symbol order by session) as bars_in_range
                    from batch
                ) as counted using (symbol, session)
                cross join lateral (
                    select count(*) as bars_before
                    from (
                        select from analytics.indicator as earlier
                        where earlier.symbol = judged.symbol and earlier.session < {start}
                            and earlier.known_to is null
                        limit {longest}
                    ) as before
                ) as history
                where allowed is not null and bars_in_range + bars_before > allowed
                offset 0
            ) as late
            inner join batch using (symbol, session)
        """,
    )


def _inside(bound: ColumnBounds, rounding: float) -> sql.Composed:
    # Nulls are judged by null_only_in_warm_up: a comparison with null is neither inside nor outside.
    # PostgreSQL sorts NaN above infinity: a number below anything finite is one.
    column = sql.Identifier(bound.column)
    lowest, highest = sql.SQL("{} > '-infinity'").format(column), sql.SQL("{} < 'infinity'").format(column)
    if bound.minimum is not None:
        lowest = sql.SQL("{} >= {}").format(column, bound.minimum - rounding * _scale(bound.minimum))
    if bound.maximum is not None:
        highest = sql.SQL("{} <= {}").format(column, bound.maximum + rounding * _scale(bound.maximum))
    return sql.SQL("{} and {}").format(lowest, highest)


def _scale(bound: float) -> float:
    return max(1.0, abs(bound))


def _in_words(bound: ColumnBounds) -> str:
    if bound.maximum is None:
        return f"{bound.column} >= {bound.minimum:g}"
    if bound.minimum is None:
        return f"{bound.column} <= {bound.maximum:g}"
    return f"{bound.column} in [{bound.minimum:g}, {bound.maximum:g}]"


_Found = tuple[str, sql.Composable, sql.Composable]
"""What is shown, the condition under which it is wrong, and the value to show."""


def _any(found: Sequence[_Found]) -> sql.Composed:
    return sql.SQL(" or ").join(condition for _, condition, _ in found)


def _listing(found: Sequence[_Found]) -> sql.Composed:
    """Text naming what is wrong in a row, such as `rsi_14=130.2, adx_14=NaN`."""
    parts = [
        sql.SQL("case when {} then {} || {} end").format(condition, sql.Literal(f"{label}="), shown)
        for label, condition, shown in found
    ]
    # An array, since a function takes no more than a hundred arguments; nulls in it are left out.
    return sql.SQL("array_to_string(array[{}], ', ')").format(sql.SQL(", ").join(parts))
