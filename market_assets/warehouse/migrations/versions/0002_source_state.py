"""What ingestion keeps about itself: the circuit breaker of each source.

Revision: 0002

Not versioned: a state of the machinery, not knowledge about the market. A row is written when a source first fails.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create schema ingest and the table of breaker states."""
    op.execute("create schema if not exists ingest")
    op.execute(
        """
        create table ingest.source_state (
            source text primary key,
            state text not null constraint source_state_known check (state in ('closed', 'open', 'half_open')),
            since timestamptz not null,
            failures integer not null constraint source_state_failures check (failures >= 0),
            next_try timestamptz,
            error text not null
        )
        """
    )
