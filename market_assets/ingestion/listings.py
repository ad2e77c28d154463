"""The life of a listing: what sources find out about it, and the last session that follows from it.

Sources that are asked about the latest session leave findings in ingest.listing_evidence, one for each symbol, source
and session; the decision is that of `domain.listings`. Overruled by the universe file, and by a source that is
authoritative. Facts of several sources do not replace each other in turn: the source that comes first in the order of
the exchange gives them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd

from market_assets.domain.listings import delistings, is_telling, revived
from market_assets.ingestion.reference import order_of_sources
from market_assets.sources.frames import SECURITIES, SHARES, FrameSchema
from market_assets.warehouse.tables import SECURITY
from market_assets.warehouse.versions import VersionedWriter, transaction
from market_assets.warehouse.writes import WriteResult

if TYPE_CHECKING:
    from market_assets.ingestion.answer import Answer
    from market_assets.ingestion.chain import Reply
    from market_assets.resources import Platform
    from market_assets.sources.base import PriceSource

BY: Final = "listings"
"""Source of facts of a security that no vendor has given any of."""

_SAID: Final = "$1::text::jsonb"
_FACTS: Final = f"""
    select symbol, exchange, name, currency, first_session, last_session, source from raw.security
    where known_to is null and symbol in (select jsonb_array_elements_text({_SAID}))
"""  # noqa: S608 - constants
_COUNTED: Final = f"""
    select symbol, effective_date, shares, source from raw.shares_outstanding
    where known_to is null and symbol in (select jsonb_array_elements_text({_SAID}))
"""  # noqa: S608 - constants
_SUSPECTED: Final = f"""
    select distinct symbol from ingest.listing_evidence
    where symbol in (select jsonb_array_elements_text({_SAID}))
"""  # noqa: S608 - constants
_EVIDENCE: Final = "select symbol, source, session, finding, last_session from ingest.listing_evidence order by 1, 2, 3"
_LAST_BARS: Final = f"""
    select asked.symbol, bar.session
    from jsonb_array_elements_text({_SAID}) as asked (symbol)
    cross join lateral (
        select session from raw.price_bar
        where symbol = asked.symbol and known_to is null
        order by session desc
        limit 1
    ) as bar
"""  # noqa: S608 - constants


def facts_to_store(answer: Answer, source: PriceSource) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Security facts and share counts of an answer, as they are stored; as many rows as were received.

    Where a source that comes first on the exchange has given a row, that row stands in for the one received, which then
    changes nothing. A last session that a source states without being authoritative is a finding, not a fact.
    """
    securities, shares = answer.result.securities, answer.result.shares
    alone = len(answer.platform.config.sources) < 2
    if (alone and source.authoritative) or (securities.empty and shares.empty):
        return securities, shares
    known = answer.writer.read(_FACTS, (_array(securities["symbol"]),))
    if not source.authoritative:
        stated = securities[["symbol"]].merge(known[["symbol", "last_session"]], on="symbol", how="left")
        days = stated["last_session"].astype(securities["last_session"].dtype)
        securities = securities.assign(last_session=days.to_numpy())
    if alone:
        return securities, shares
    counted = answer.writer.read(_COUNTED, (_array(shares["symbol"]),))
    return (
        _first_choice(answer, securities, known, SECURITIES),
        _first_choice(answer, shares, counted, SHARES),
    )


def _first_choice(answer: Answer, frame: pd.DataFrame, known: pd.DataFrame, schema: FrameSchema) -> pd.DataFrame:
    """`frame` with the rows of `known` in place of those whose source comes after that of the known row."""
    key = list(schema.key)
    platform, name = answer.platform, answer.source.name
    orders = {exchange: order_of_sources(platform, exchange) for exchange in platform.universe.exchanges}
    before = {
        member.symbol: orders[member.exchange][: orders[member.exchange].index(name)]
        for member in platform.universe.members
    }
    better = known[[other in before[symbol] for symbol, other in zip(known["symbol"], known["source"], strict=True)]]
    if better.empty:
        return frame
    rest = frame.merge(better[key], on=key, how="left", indicator="found")
    rest = rest[rest["found"] == "left_only"].drop(columns="found")
    kept = better.merge(frame[key], on=key)
    return schema.conform(pd.concat([rest, kept], ignore_index=True), answer.source.name)


def note_findings(answer: Answer, reply: Reply) -> None:
    """Keep what a source that was asked about the latest session found out about the listings.

    Args:
        answer: rows of the reply.
        reply: the last part of what the source made of a request.
    """
    if reply.source.authoritative:
        return
    asked = reply.request.symbols
    closed = {exchange: answer.platform.closed_through(exchange) for exchange in {ref.exchange for ref in asked}}
    current = {ref.symbol: closed[ref.exchange] for ref in asked if reply.request.end >= closed[ref.exchange]}
    unknown = {
        failure.symbol: failure.cause for failure in reply.failures if failure.unknown and failure.symbol in current
    }
    rows = []
    if is_telling(len(asked), len(unknown)):
        rows += [(symbol, current[symbol], "absent", None, cause) for symbol, cause in unknown.items()]
    facts = answer.result.securities
    for symbol, ended in zip(facts["symbol"], facts["last_session"], strict=True):
        if symbol in current and pd.notna(ended) and ended.date() < current[symbol]:
            rows.append((symbol, current[symbol], "ended", ended.date(), "the source states a last session"))
    against = {row[0] for row in rows}
    bars = answer.result.bars
    traded = bars[bars["symbol"].isin(set(current) - against)].groupby("symbol")["session"].max()
    suspected = set(answer.writer.read(_SUSPECTED, (_array(traded.index),))["symbol"]) if len(traded) else set()
    rows += [(symbol, traded[symbol].date(), "traded", None, "a bar") for symbol in sorted(suspected)]
    if rows:
        columns = ["symbol", "session", "finding", "last_session", "detail"]
        found = pd.DataFrame(rows, columns=columns).assign(source=answer.source.name, run_id=answer.run_id)
        found = found.astype({"session": "datetime64[us]", "last_session": "datetime64[us]"})
        answer.writer.append("ingest.listing_evidence", found, {"session": "date", "last_session": "date"})


def settle_listings(platform: Platform, run_id: str) -> WriteResult:
    """Set raw.security.last_session where the universe file or the findings of several sources say so, or cease to."""
    named = {member.symbol: member.last_session for member in platform.universe.members if member.last_session}
    with transaction(platform.warehouse_url, run_id) as writer:
        evidence = writer.read(_EVIDENCE)
        if evidence.empty and not named:
            return WriteResult()
        rule = platform.config.ingest.delisting
        asked = _array(sorted({*evidence["symbol"], *named}))
        bars = writer.read(_LAST_BARS, (asked,)).set_index("symbol")["session"]
        ended = delistings(evidence, bars, sources=rule.sources, sessions=rule.sessions).set_index("symbol")
        days: dict[str, object] = dict.fromkeys(revived(evidence), pd.NaT)
        days |= {str(symbol): day for symbol, day in ended["last_session"].items()}
        days |= {symbol: pd.Timestamp(day) for symbol, day in named.items()}
        facts = _facts(platform, writer, sorted(days))
        facts["last_session"] = pd.Series([days[symbol] for symbol in facts["symbol"]], dtype="datetime64[us]")
        return writer.write(SECURITY, facts)


def _facts(platform: Platform, writer: VersionedWriter, symbols: Sequence[str]) -> pd.DataFrame:
    """Current facts of `symbols`; from the universe file for those that no source has given any of."""
    known = writer.read(_FACTS, (_array(symbols),))
    members = {member.symbol: member for member in platform.universe.members}
    rows = [
        (symbol, member.exchange, member.name, member.currency, pd.NaT, pd.NaT, BY)
        for symbol, member in members.items()
        if symbol in symbols and symbol not in set(known["symbol"])
    ]
    new = pd.DataFrame(rows, columns=list(SECURITY.columns))
    both = pd.concat([known, new.astype(known.dtypes)], ignore_index=True) if rows else known
    return SECURITIES.conform(both, BY)


def _array(values: Iterable[str]) -> str:
    return json.dumps(sorted(set(values)))
