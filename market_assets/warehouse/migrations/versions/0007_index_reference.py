"""What an index may need beside bars: exchange rates, free-float factors and factor scores, from the reference files.

Revision: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = {
    "fx_rate": ("base text, quote text, session date", "rate double precision"),
    "free_float": ("symbol text, effective_date date", "factor double precision"),
    "factor_score": ("score text, symbol text, effective_date date", "value double precision"),
}


def upgrade() -> None:
    """Create the tables."""
    for name, (key, values) in TABLES.items():
        names = ", ".join(column.split()[0] for column in key.split(", "))
        op.execute(
            f"""
            create table raw.{name} (
                {key}, {values},
                known_from timestamptz not null,
                known_to timestamptz,
                run_id text not null,
                changed_xid xid8 not null default pg_current_xact_id(),
                constraint {name}_pkey primary key ({names}, known_from),
                constraint {name}_version_order check (known_to > known_from)
            )
            """
        )
        op.execute(f"create unique index {name}_current on raw.{name} ({names}) where known_to is null")
        op.execute(f"create index {name}_changed on raw.{name} (changed_xid)")
