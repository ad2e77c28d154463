"""One index for all versions of a key in the place of two: loads write fewer index entries.

Revision: 0008

The unique index on (key, known_to), in which two nulls are equal, proves that a key has one current version as the
partial index did, finds the current row of a key, and finds all of its versions as the primary key did.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

KEYS = {
    "raw.price_bar": "symbol, session, source",
    "raw.provisional_bar": "symbol, session, source",
    "raw.corporate_action": "symbol, ex_date, kind, source",
    "raw.security": "symbol",
    "raw.shares_outstanding": "symbol, effective_date",
    "raw.fx_rate": "base, quote, session",
    "raw.free_float": "symbol, effective_date",
    "raw.factor_score": "score, symbol, effective_date",
    "raw.universe_member": "symbol, member_from",
    "raw.trading_session": "exchange, session",
    "raw.source_priority": "exchange, source",
    "raw.exchange": "exchange",
    "analytics.indicator": "symbol, session",
    "indices.index_value": "index_id, session",
    "indices.index_constituent": "index_id, session, symbol",
    "indices.index_recalculation": "index_id, session",
    "indices.divisor_change": "index_id, session, reason",
    "indices.rebalance": "index_id, session",
    "indices.rebalance_target": "index_id, session, symbol",
    "quality.source_agreement": "session, source",
}
INCLUDED = {"raw.price_bar": " include (close)"}
"""Read from the index alone where sources are compared."""


def upgrade() -> None:
    """Make the new index before the old ones go: the proof is never missing."""
    for table, key in KEYS.items():
        schema, name = table.split(".")
        op.execute(
            f"create unique index {name}_version on {table} ({key}, known_to){INCLUDED.get(table, '')} "
            "nulls not distinct"
        )
        op.execute(f"alter table {table} drop constraint {name}_pkey")
        op.execute(f"drop index {schema}.{name}_current")
        for column in key.split(", "):
            op.execute(f"alter table {table} alter column {column} set not null")
