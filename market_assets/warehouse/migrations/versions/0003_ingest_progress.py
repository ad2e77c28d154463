"""How far an ingestion has come, and bars of sessions that have not closed.

Revision: 0003

ingest.plan and ingest.checkpoint are not versioned: they are the machinery's own log, kept for a month.
    plan         one ingestion: what was asked for, when it ended, whether an answer is still owed
    checkpoint   one answer of one source about one symbol and range, written in the transaction that stores its rows
raw.provisional_bar is versioned like raw.price_bar. Nothing is computed from it.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the three tables."""
    op.execute(
        """
        create table ingest.plan (
            plan_id bigint generated always as identity primary key,
            fingerprint text not null,
            first_day date not null,
            last_day date not null,
            weekly text[] not null,
            run_id text not null,
            started_at timestamptz not null,
            ended_at timestamptz,
            complete boolean not null default false
        )
        """
    )
    op.execute("create index plan_open on ingest.plan (fingerprint) where not complete")
    op.execute("create index plan_started_at on ingest.plan (started_at)")
    op.execute(
        """
        create table ingest.checkpoint (
            checkpoint_id bigint generated always as identity primary key,
            plan_id bigint not null references ingest.plan on delete cascade,
            source text not null,
            symbol text not null,
            first_day date not null,
            last_day date not null,
            outcome text not null constraint checkpoint_known check (outcome in ('answered', 'refused', 'failed')),
            error text,
            cause text,
            recorded_at timestamptz not null default clock_timestamp()
        )
        """
    )
    op.execute("create index checkpoint_plan on ingest.checkpoint (plan_id)")
    op.execute(
        """
        create table raw.provisional_bar (
            symbol text, session date, source text,
            open double precision, high double precision, low double precision, close double precision,
            volume double precision, currency text,
            known_from timestamptz not null,
            known_to timestamptz,
            run_id text not null,
            changed_xid xid8 not null default pg_current_xact_id(),
            constraint provisional_bar_pkey primary key (symbol, session, source, known_from),
            constraint provisional_bar_version_order check (known_to > known_from)
        )
        """
    )
    op.execute(
        "create unique index provisional_bar_current on raw.provisional_bar (symbol, session, source) "
        "where known_to is null"
    )
    op.execute("create index provisional_bar_changed on raw.provisional_bar (changed_xid)")
    op.execute("create index provisional_bar_session on raw.provisional_bar (session) where known_to is null")
