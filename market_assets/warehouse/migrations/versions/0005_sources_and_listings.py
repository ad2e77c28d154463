"""Sources against each other and the life of a listing: priorities by exchange, price steps, agreement, evidence.

Revision: 0005

raw.source_priority had one order for all exchanges. Its rows, past versions included, become rows of each exchange that
the universe has known, so that an as-of read of an earlier day still finds the order of that day.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

VERSION_COLUMNS = """
    known_from timestamptz not null,
    known_to timestamptz,
    run_id text not null,
    changed_xid xid8 not null default pg_current_xact_id()
"""


FUNCTIONS = (
    """
    create function public.same_close(one double precision, other double precision, tick double precision)
    returns boolean language sql immutable parallel safe
    return abs(one - other) <= greatest(tick, 0.001 * greatest(one, other)) + 1e-9 * greatest(one, other)
    """,
    """
    create function public.tick_size(of_symbol text)
    returns double precision language sql stable parallel safe
    as $$
        select coalesce(
            (
                select venue.tick_size
                from raw.exchange as venue
                where venue.known_to is null and venue.exchange = (
                    select listed.exchange from raw.universe_member as listed
                    where listed.symbol = of_symbol
                    order by listed.known_from desc
                    limit 1
                )
            ),
            0.01
        )
    $$
    """,
    """
    create function public.close_is_supported(of_symbol text, of_session date, of_source text)
    returns boolean language plpgsql stable parallel safe
    as $$
    begin
        return exists (
            select
            from raw.price_bar as bar
            inner join raw.price_bar as witness on witness.symbol = bar.symbol and witness.session = bar.session
            where bar.symbol = of_symbol and bar.session = of_session and bar.source = of_source
                and bar.known_to is null and witness.known_to is null and witness.source <> of_source
                and public.same_close(bar.close, witness.close, public.tick_size(of_symbol))
        );
    end
    $$
    """,
)
"""When two closes agree, as market_assets/domain/reconciliation.py says it: a test compares both."""


def upgrade() -> None:
    """Give priorities an exchange; create raw.exchange, quality.source_agreement and ingest.listing_evidence."""
    _priorities_by_exchange()
    _versioned("raw.exchange", "exchange text", "tick_size double precision")
    _versioned(
        "quality.source_agreement",
        "session date, source text",
        "compared integer, disagreed integer, rate double precision",
    )
    # int_golden_bar compares the closes of two sources; with the close in it, the index alone answers.
    op.execute("drop index raw.price_bar_current")
    op.execute(
        "create unique index price_bar_current on raw.price_bar (symbol, session, source) include (close) "
        "where known_to is null"
    )
    for function in FUNCTIONS:
        op.execute(function)
    # Symbol changes are few and read with every adjusted bar: they must not cost a scan of all actions.
    op.execute(
        "create index corporate_action_symbol_change on raw.corporate_action (symbol, ex_date) "
        "where known_to is null and kind = 'symbol_change'"
    )
    op.execute(
        """
        create table ingest.listing_evidence (
            symbol text,
            source text,
            session date,
            finding text not null constraint listing_evidence_known check (finding in ('traded', 'absent', 'ended')),
            last_session date,
            detail text not null,
            run_id text not null,
            found_at timestamptz not null default clock_timestamp(),
            primary key (symbol, source, session)
        )
        """
    )


def _priorities_by_exchange() -> None:
    for statement in (
        "alter table raw.source_priority add column exchange text",
        "alter table raw.source_priority drop constraint source_priority_pkey",
        "drop index raw.source_priority_current",
        """
        insert into raw.source_priority (exchange, source, priority, known_from, known_to, run_id)
        select listed.exchange, ranked.source, ranked.priority, ranked.known_from, ranked.known_to, ranked.run_id
        from raw.source_priority as ranked
        cross join (select distinct exchange from raw.universe_member) as listed
        """,
        "delete from raw.source_priority where exchange is null",
        "alter table raw.source_priority alter column exchange set not null",
        (
            "alter table raw.source_priority "
            "add constraint source_priority_pkey primary key (exchange, source, known_from)"
        ),
        "create unique index source_priority_current on raw.source_priority (exchange, source) where known_to is null",
    ):
        op.execute(statement)


def _versioned(table: str, key: str, values: str) -> None:
    """Create one versioned table with its indexes, as 0001 does."""
    name = table.split(".")[1]
    names = ", ".join(column.split()[0] for column in key.split(", "))
    op.execute(
        f"""
        create table {table} (
            {key},
            {values},
            {VERSION_COLUMNS},
            constraint {name}_pkey primary key ({names}, known_from),
            constraint {name}_version_order check (known_to > known_from)
        )
        """
    )
    op.execute(f"create unique index {name}_current on {table} ({names}) where known_to is null")
    op.execute(f"create index {name}_changed on {table} (changed_xid)")
