"""What the writer remembers of long writes, so that the same rows again need not be compared one by one.

Revision: 0009

public.write_digest says: the rows with this digest are current, and nothing of their block and days has been written
since. The writer keeps it so. What anybody else does to a versioned table makes the writer forget all of that table.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

TABLES = (
    "raw.price_bar",
    "raw.provisional_bar",
    "raw.corporate_action",
    "raw.security",
    "raw.shares_outstanding",
    "raw.fx_rate",
    "raw.free_float",
    "raw.factor_score",
    "raw.universe_member",
    "raw.trading_session",
    "raw.source_priority",
    "raw.exchange",
    "analytics.indicator",
    "indices.index_value",
    "indices.index_constituent",
    "indices.index_recalculation",
    "indices.divisor_change",
    "indices.rebalance",
    "indices.rebalance_target",
    "quality.source_agreement",
)


def upgrade() -> None:
    """Create the table, and a trigger on each versioned table."""
    op.execute(
        """
        create table public.write_digest (
            table_name text,
            block text,                     -- value of the first key column
            first_day date,
            last_day date,
            digest text not null,
            primary key (table_name, block, first_day, last_day)
        )
        """
    )
    op.execute(
        """
        create function public.forget_write_digests() returns trigger language plpgsql as $$
        begin
            if coalesce(current_setting('market.versioned_writer', true), '') <> 'on' then
                delete from public.write_digest where table_name = tg_table_schema || '.' || tg_table_name;
            end if;
            return null;
        end $$
        """
    )
    for table in TABLES:
        op.execute(
            f"create trigger forget_write_digests after insert or update or delete or truncate on {table} "
            "for each statement execute function public.forget_write_digests()"
        )
