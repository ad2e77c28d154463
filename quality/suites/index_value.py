"""Checks on the indices: indices.index_value (with indices.divisor_change) and indices.index_constituent.

The identities are those of S&P DJI, "Index Mathematics Methodology", divisor method: level = market value / divisor,
and a change of the divisor leaves the level where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from quality.errors import SuiteError
from quality.suite import RowCheck, Severity, Suite
from quality.suites.common import finite, schema_check, unique_key_check

VALUE_KEY = ("index_id", "session")
CONSTITUENT_KEY = ("index_id", "session", "symbol")
VALUE_COLUMNS = {
    "index_id": "text",
    "session": "date",
    "price_return": "double precision",
    "total_return": "double precision",
    "net_total_return": "double precision",
    "divisor": "double precision",
    "market_value": "double precision",
    "constituents": "integer",
}
CONSTITUENT_COLUMNS = {
    "index_id": "text",
    "session": "date",
    "symbol": "text",
    "shares": "double precision",
    "weight": "double precision",
    "price": "double precision",
    "contribution": "double precision",
}


@dataclass(frozen=True)
class IndexThresholds:
    """Limits of both suites.

    Attributes:
        weight_tolerance: how far the weights of a session may sum beside 1.
        level_tolerance: relative difference allowed between a level and market value / divisor, and across a rebalance.
        max_daily_return: largest close-to-close return of an index, as a fraction.
        lookback_days: calendar days before the range in which the previous level is looked for.
    """

    weight_tolerance: float = 1e-9
    level_tolerance: float = 1e-9
    max_daily_return: float = 0.25
    lookback_days: int = 14

    def __post_init__(self) -> None:
        if min(self.weight_tolerance, self.level_tolerance) < 0 or self.max_daily_return <= 0 or self.lookback_days < 1:
            raise SuiteError(f"indices: a threshold is negative or zero: {self}")


def index_value_suite(thresholds: IndexThresholds | None = None) -> Suite:
    """The suite of indices.index_value."""
    limits = thresholds or IndexThresholds()
    return Suite(
        name="index_value",
        schema="indices",
        table="index_value",
        checks=(
            schema_check("indices", "index_value", VALUE_COLUMNS),
            unique_key_check(VALUE_KEY),
            _divisor_positive(),
            _has_constituents(),
            _level_is_value_over_divisor(limits),
            _level_continuous(limits),
            _return_bounded(limits),
        ),
    )


def index_constituent_suite(thresholds: IndexThresholds | None = None) -> Suite:
    """The suite of indices.index_constituent."""
    limits = thresholds or IndexThresholds()
    return Suite(
        name="index_constituent",
        schema="indices",
        table="index_constituent",
        checks=(
            schema_check("indices", "index_constituent", CONSTITUENT_COLUMNS),
            unique_key_check(CONSTITUENT_KEY),
            _weights_sum_to_one(limits),
        ),
    )


def _divisor_positive() -> RowCheck:
    return RowCheck(
        name="divisor_positive",
        description="The divisor is a number above zero.",
        severity=Severity.CRITICAL,
        threshold="> 0",
        identify=VALUE_KEY,
        parameters={"divisor_is_number": finite("divisor")},
        query="select index_id, session, divisor from batch where not ({divisor_is_number} and divisor > 0)",
    )


def _has_constituents() -> RowCheck:
    return RowCheck(
        name="has_constituents",
        description="An index level is made of at least one constituent.",
        severity=Severity.CRITICAL,
        threshold="> 0",
        identify=VALUE_KEY,
        query="select index_id, session, constituents from batch where coalesce(constituents, 0) <= 0",
    )


def _level_is_value_over_divisor(limits: IndexThresholds) -> RowCheck:
    return RowCheck(
        name="level_is_value_over_divisor",
        description="The price-return level is market value / divisor.",
        severity=Severity.CRITICAL,
        threshold=f"relative difference <= {limits.level_tolerance:g}",
        identify=VALUE_KEY,
        parameters={
            "tolerance": limits.level_tolerance,
            "level_is_number": finite("price_return"),
            "market_value_is_number": finite("market_value"),
        },
        query="""
            select index_id, session, price_return, market_value, divisor, market_value / nullif(divisor, 0) as expected
            from batch
            where not ({level_is_number} and {market_value_is_number})
                or abs(price_return - market_value / nullif(divisor, 0)) > {tolerance} * abs(price_return)
        """,
    )


def _level_continuous(limits: IndexThresholds) -> RowCheck:
    changes = """
        select
            index_id,
            session,
            reason,
            market_value_before / nullif(divisor_before, 0) as level_before,
            market_value_after / nullif(divisor_after, 0) as level_after
        from indices.divisor_change
        where known_to is null and session between {start} and {end} and reason <> 'base'  -- a base has no level before
    """
    return RowCheck(
        name="level_continuous",
        description="A rebalance, addition or deletion does not move the level: market value / divisor is the same "
        "before and after every change of the divisor.",
        severity=Severity.CRITICAL,
        threshold=f"relative difference <= {limits.level_tolerance:g}",
        identify=("index_id", "session", "reason"),
        parameters={"tolerance": limits.level_tolerance},
        with_={"change": changes},
        population="select session from change",
        query="""
            select index_id, session, reason, level_before, level_after from change
            where not coalesce(abs(level_after - level_before) <= {tolerance} * abs(level_before), false)
        """,
    )


def _return_bounded(limits: IndexThresholds) -> RowCheck:
    return RowCheck(
        name="return_bounded",
        description="An index does not move further in a session than indices do.",
        severity=Severity.WARNING,
        threshold=f"{limits.max_daily_return:.0%}",
        identify=VALUE_KEY,
        parameters={"max_daily_return": limits.max_daily_return, "lookback_days": limits.lookback_days},
        query="""
            with level as (
                select index_id, session, price_return from batch
                union all
                select index_id, session, price_return from indices.index_value
                where known_to is null and session < {start} and session >= {start} - {lookback_days}
            ),
            pair as (
                select
                    index_id,
                    session,
                    price_return,
                    lag(price_return) over previous as previous_level
                from level
                window previous as (partition by index_id order by session)
            )
            select index_id, session, previous_level, price_return as level, price_return / previous_level - 1 as change
            from pair
            where session >= {start}
                and previous_level > 0
                and abs(price_return / previous_level - 1) > {max_daily_return}
        """,
    )


def _weights_sum_to_one(limits: IndexThresholds) -> RowCheck:
    return RowCheck(
        name="weights_sum_to_one",
        description="The weights of an index sum to 1 at every close.",
        severity=Severity.CRITICAL,
        threshold=f"1 +- {limits.weight_tolerance:g}",
        identify=VALUE_KEY,
        parameters={"tolerance": limits.weight_tolerance},
        query="""
            select index_id, session, sum(weight) as weights, count(*) as constituents
            from batch
            group by index_id, session
            having not coalesce(abs(sum(weight) - 1) <= {tolerance}, false)
        """,
    )
