"""The versioned tables of raw, analytics and indices; the tables that quality and lineage describe themselves.

Revision: 0001

Each versioned table holds every version of a row:
    known_from   when this version became known (may be set back for vintages: knowledge time, not write time)
    known_to     when it stopped being the newest knowledge; null = current
    run_id       the Dagster run that wrote it
    changed_xid  transaction that last touched this version (wrote it or closed it): incremental readers ask for
                 changed_xid >= pg_snapshot_xmin of their last read, which misses no late commit and repeats none
Indexes: the primary key (key, known_from) answers as-of reads and every read by key; the unique index on current rows
is the guard against two current versions; changed_xid serves incremental readers; (session) serves reads of a range.
"""

from alembic import op

from lineage.schema import statements as lineage_statements
from quality.schema import statements as quality_statements

revision = "0001"
down_revision = None

SCHEMAS = ("raw", "analytics", "indices", "quality", "lineage", "staging", "intermediate", "marts")

# table: (key columns, value columns, date column that ranges are read by)
VERSIONED = {
    "raw.price_bar": (
        "symbol text, session date, source text",
        (
            "open double precision, high double precision, low double precision, close double precision, "
            "volume double precision, currency text"
        ),
        "session",
    ),
    "raw.corporate_action": (
        "symbol text, ex_date date, kind text, source text",
        "value double precision, currency text, detail text",
        None,
    ),
    "raw.security": (
        "symbol text",
        "exchange text, name text, currency text, first_session date, last_session date, source text",
        None,
    ),
    "raw.shares_outstanding": (
        "symbol text, effective_date date",
        "shares double precision, source text",
        None,
    ),
    "raw.universe_member": (
        "symbol text, member_from date",
        "exchange text, name text, currency text, member_to date",
        None,
    ),
    "raw.trading_session": (
        "exchange text, session date",
        "opens_at timestamptz, closes_at timestamptz",
        "session",
    ),
    "raw.source_priority": ("source text", "priority integer", None),
    "analytics.indicator": ("symbol text, session date", "", "session"),
    "indices.index_value": (
        "index_id text, session date",
        (
            "price_return double precision, total_return double precision, net_total_return double precision, "
            "divisor double precision, market_value double precision, constituents integer"
        ),
        None,
    ),
    "indices.index_constituent": (
        "index_id text, session date, symbol text",
        (
            "shares double precision, weight double precision, price double precision, contribution double precision, "
            "fx_rate double precision, carried_sessions integer"
        ),
        None,
    ),
    "indices.divisor_change": (
        "index_id text, session date, reason text",
        (
            "divisor_before double precision, divisor_after double precision, market_value_before double precision, "
            "market_value_after double precision, detail text"
        ),
        None,
    ),
    "indices.rebalance": (
        "index_id text, session date",
        (
            "effective_close date, reference_session date, constituents integer, additions text, deletions text, "
            "turnover double precision"
        ),
        None,
    ),
    "indices.rebalance_target": (
        "index_id text, session date, symbol text",
        (
            "target_weight double precision, shares double precision, reference_price double precision, "
            "reference_fx_rate double precision, reference_size double precision"
        ),
        None,
    ),
}


def create_versioned(table: str, key: str, values: str, range_column: str | None) -> None:
    """Create one versioned table with its indexes."""
    name = table.split(".")[1]
    key_names = ", ".join(column.split()[0] for column in key.split(", "))
    columns = ", ".join(part for part in (key, values) if part)
    op.execute(
        f"""
        create table {table} (
            {columns},
            known_from timestamptz not null,
            known_to timestamptz,
            run_id text not null,
            changed_xid xid8 not null default pg_current_xact_id(),
            constraint {name}_pkey primary key ({key_names}, known_from),
            constraint {name}_version_order check (known_to > known_from)
        )
        """
    )
    op.execute(f"create unique index {name}_current on {table} ({key_names}) where known_to is null")
    op.execute(f"create index {name}_changed on {table} (changed_xid)")
    if range_column:
        op.execute(f"create index {name}_{range_column} on {table} ({range_column}) where known_to is null")


def upgrade() -> None:
    """Create schemas, tables and the product aggregate."""
    for schema in SCHEMAS:
        op.execute(f"create schema if not exists {schema}")
    op.execute(
        """
        create aggregate public.product(double precision) (
            sfunc = float8mul, stype = double precision, initcond = '1', parallel = safe
        )
        """
    )
    for table, (key, values, range_column) in VERSIONED.items():
        create_versioned(table, key, values, range_column)
    for statement in (*quality_statements(), *lineage_statements()):
        op.execute(statement)
