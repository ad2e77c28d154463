"""How often the closes of each source stand alone, by session: quality.source_agreement.

Counted over everything that is known of a session, so that an ingestion of a few symbols does not replace the figures
of all: stored bars, and rows held back as disputed, which count as what their source says.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from market_assets.domain.reconciliation import RULE
from market_assets.warehouse.tables import PRICE_BAR, SOURCE_AGREEMENT
from market_assets.warehouse.versions import transaction
from market_assets.warehouse.writes import Scope, WriteResult

if TYPE_CHECKING:
    from market_assets.resources import Platform

_AGREEMENT: Final = f"""
    with said as (
        select distinct on (symbol, session, source) symbol, session, source, close
        from (
            select symbol, session, source, close, 0 as number
            from raw.price_bar
            where known_to is null and session between $1 and $2
            union all
            select symbol, session, source, (candidate ->> 'close')::float8, quarantine_id
            from quality.quarantine
            where status = 'open' and table_name = '{PRICE_BAR.qualified}' and rule = '{RULE}'
                and candidate is not null and session between $1 and $2
        ) as every
        order by symbol, session, source, number desc
    ),
    listed as (
        select distinct on (member.symbol) member.symbol, venue.tick_size
        from raw.universe_member as member
        inner join raw.exchange as venue on venue.exchange = member.exchange and venue.known_to is null
        order by member.symbol, member.known_from desc
    ),
    compared as (
        select one.session, one.source,
            bool_or(public.same_close(one.close, other.close, coalesce(listed.tick_size, 0.01))) as supported
        from said as one
        inner join said as other
            on other.symbol = one.symbol and other.session = one.session and other.source <> one.source
        left join listed on listed.symbol = one.symbol
        group by one.session, one.source, one.symbol
    )
    select session, source, count(*)::integer as compared,
        (count(*) filter (where not supported))::integer as disagreed,
        (count(*) filter (where not supported))::float8 / count(*) as rate
    from compared
    group by session, source
"""  # noqa: S608 - constants


def note_agreement(platform: Platform, start: date, end: date, *, run_id: str) -> WriteResult:
    """Make the agreement of sources in the sessions of [start, end] current; nothing with one configured source."""
    if len(platform.config.sources) < 2:
        return WriteResult()
    with transaction(platform.warehouse_url, run_id) as writer:
        found = writer.read(_AGREEMENT, (start, end))
        return writer.write(SOURCE_AGREEMENT, found, scope=Scope({"session": (start, end)}))
