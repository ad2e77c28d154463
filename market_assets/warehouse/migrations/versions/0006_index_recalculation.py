"""What the frozen levels of an index would be with the inputs known since.

Revision: 0006

indices.index_recalculation is versioned like indices.index_value and has its columns, and why they differ. Columns of
new indicators need no revision: `market_assets.warehouse.migrate` adds them from the registry.
"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        create table indices.index_recalculation (
            index_id text, session date,
            price_return double precision, total_return double precision, net_total_return double precision,
            divisor double precision, market_value double precision, constituents integer, reason text,
            known_from timestamptz not null,
            known_to timestamptz,
            run_id text not null,
            changed_xid xid8 not null default pg_current_xact_id(),
            constraint index_recalculation_pkey primary key (index_id, session, known_from),
            constraint index_recalculation_version_order check (known_to > known_from)
        )
        """
    )
    op.execute(
        "create unique index index_recalculation_current on indices.index_recalculation (index_id, session) "
        "where known_to is null"
    )
    op.execute("create index index_recalculation_changed on indices.index_recalculation (changed_xid)")
