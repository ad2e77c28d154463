"""The tables that Python writes: their keys and value columns. dbt's models are described in dbt/.

Every table here is versioned (see versions.py); the columns below are those a writer supplies. The migrations create
the same tables, and a test compares both.
"""

from __future__ import annotations

from dataclasses import dataclass

DATABASE = "market"
"""Name of the warehouse in asset metadata; lineage replaces it by the real one."""

VERSION_COLUMNS = ("known_from", "known_to", "run_id", "changed_xid")
"""Columns of every versioned table beside its own; the writer fills them."""

TEXT, DATE, FLOAT, INTEGER, TIMESTAMP, BOOLEAN = (
    "text",
    "date",
    "double precision",
    "integer",
    "timestamp with time zone",
    "boolean",
)


@dataclass(frozen=True)
class VersionedTable:
    """One bitemporal table.

    Attributes:
        schema: PostgreSQL schema.
        name: table name inside the schema.
        key: key columns and their SQL types, in index order. The key identifies a row among current versions.
        values: value columns and their SQL types. A row is restated when any of them differs.
    """

    schema: str
    name: str
    key: dict[str, str]
    values: dict[str, str]

    @property
    def qualified(self) -> str:
        """`schema.name`, as in messages and in lineage."""
        return f"{self.schema}.{self.name}"

    @property
    def first_key(self) -> str:
        """Name of the first key column: a symbol, an index."""
        return next(iter(self.key))

    @property
    def columns(self) -> dict[str, str]:
        """Key and value columns with their SQL types."""
        return {**self.key, **self.values}


PRICE_BAR = VersionedTable(
    "raw",
    "price_bar",
    {"symbol": TEXT, "session": DATE, "source": TEXT},
    {"open": FLOAT, "high": FLOAT, "low": FLOAT, "close": FLOAT, "volume": FLOAT, "currency": TEXT},
)
PROVISIONAL_BAR = VersionedTable("raw", "provisional_bar", PRICE_BAR.key, PRICE_BAR.values)
"""Bars of sessions that have not closed, kept only when asked for; withdrawn when the final bar is stored."""

CORPORATE_ACTION = VersionedTable(
    "raw",
    "corporate_action",
    {"symbol": TEXT, "ex_date": DATE, "kind": TEXT, "source": TEXT},
    {"value": FLOAT, "currency": TEXT, "detail": TEXT},
)
SECURITY = VersionedTable(
    "raw",
    "security",
    {"symbol": TEXT},
    {
        "exchange": TEXT,
        "name": TEXT,
        "currency": TEXT,
        "first_session": DATE,
        "last_session": DATE,
        "source": TEXT,
    },
)
SHARES_OUTSTANDING = VersionedTable(
    "raw", "shares_outstanding", {"symbol": TEXT, "effective_date": DATE}, {"shares": FLOAT, "source": TEXT}
)
FX_RATE = VersionedTable("raw", "fx_rate", {"base": TEXT, "quote": TEXT, "session": DATE}, {"rate": FLOAT})
FREE_FLOAT = VersionedTable("raw", "free_float", {"symbol": TEXT, "effective_date": DATE}, {"factor": FLOAT})
FACTOR_SCORE = VersionedTable(
    "raw", "factor_score", {"score": TEXT, "symbol": TEXT, "effective_date": DATE}, {"value": FLOAT}
)
UNIVERSE_MEMBER = VersionedTable(
    "raw",
    "universe_member",
    {"symbol": TEXT, "member_from": DATE},
    {"exchange": TEXT, "name": TEXT, "currency": TEXT, "member_to": DATE},
)
TRADING_SESSION = VersionedTable(
    "raw",
    "trading_session",
    {"exchange": TEXT, "session": DATE},
    {"opens_at": TIMESTAMP, "closes_at": TIMESTAMP},
)
SOURCE_PRIORITY = VersionedTable("raw", "source_priority", {"exchange": TEXT, "source": TEXT}, {"priority": INTEGER})
EXCHANGE = VersionedTable("raw", "exchange", {"exchange": TEXT}, {"tick_size": FLOAT})
INDEX_VALUE = VersionedTable(
    "indices",
    "index_value",
    {"index_id": TEXT, "session": DATE},
    {
        "price_return": FLOAT,
        "total_return": FLOAT,
        "net_total_return": FLOAT,
        "divisor": FLOAT,
        "market_value": FLOAT,
        "constituents": INTEGER,
    },
)
INDEX_CONSTITUENT = VersionedTable(
    "indices",
    "index_constituent",
    {"index_id": TEXT, "session": DATE, "symbol": TEXT},
    {
        "shares": FLOAT,
        "weight": FLOAT,
        "price": FLOAT,
        "contribution": FLOAT,
        "fx_rate": FLOAT,
        "carried_sessions": INTEGER,
    },
)
INDEX_RECALCULATION = VersionedTable(
    "indices",
    "index_recalculation",
    {"index_id": TEXT, "session": DATE},
    {**INDEX_VALUE.values, "reason": TEXT},
)
DIVISOR_CHANGE = VersionedTable(
    "indices",
    "divisor_change",
    {"index_id": TEXT, "session": DATE, "reason": TEXT},
    {
        "divisor_before": FLOAT,
        "divisor_after": FLOAT,
        "market_value_before": FLOAT,
        "market_value_after": FLOAT,
        "detail": TEXT,
    },
)
REBALANCE = VersionedTable(
    "indices",
    "rebalance",
    {"index_id": TEXT, "session": DATE},
    {
        "effective_close": DATE,
        "reference_session": DATE,
        "constituents": INTEGER,
        "additions": TEXT,
        "deletions": TEXT,
        "turnover": FLOAT,
    },
)
REBALANCE_TARGET = VersionedTable(
    "indices",
    "rebalance_target",
    {"index_id": TEXT, "session": DATE, "symbol": TEXT},
    {
        "target_weight": FLOAT,
        "shares": FLOAT,
        "reference_price": FLOAT,
        "reference_fx_rate": FLOAT,
        "reference_size": FLOAT,
    },
)
QUALITY_RESULT = VersionedTable(
    "quality",
    "result",
    {"asset": TEXT, "check_name": TEXT, "session": DATE},
    {"severity": TEXT, "passed": BOOLEAN, "failed_rows": "bigint", "detail": TEXT},
)
SOURCE_AGREEMENT = VersionedTable(
    "quality",
    "source_agreement",
    {"session": DATE, "source": TEXT},
    {"compared": INTEGER, "disagreed": INTEGER, "rate": FLOAT},
)


def indicator_table() -> VersionedTable:
    """analytics.indicator: one column per output of the indicator registry."""
    from market_assets.domain.indicators.registry import output_columns

    return VersionedTable(
        "analytics",
        "indicator",
        {"symbol": TEXT, "session": DATE},
        {column.name: FLOAT for column in output_columns()},
    )


TABLES = (
    PRICE_BAR,
    PROVISIONAL_BAR,
    CORPORATE_ACTION,
    SECURITY,
    SHARES_OUTSTANDING,
    FX_RATE,
    FREE_FLOAT,
    FACTOR_SCORE,
    UNIVERSE_MEMBER,
    TRADING_SESSION,
    SOURCE_PRIORITY,
    EXCHANGE,
    INDEX_VALUE,
    INDEX_CONSTITUENT,
    INDEX_RECALCULATION,
    DIVISOR_CHANGE,
    REBALANCE,
    REBALANCE_TARGET,
    QUALITY_RESULT,
    SOURCE_AGREEMENT,
)
"""Every versioned table but analytics.indicator, whose columns come from the registry."""
