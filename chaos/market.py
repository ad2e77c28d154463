"""The small market that is loaded again and again: what the vendor serves, the universe and the configuration.

Invented from a fixed seed by source `synthetic`, with splits and dividends in it; the same at every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from chaos.yahoo_listings import Listing, listings_of
from chaos.yahoo_server import YahooServer

PRIMARY, FALLBACK = "yahoo", "fallback"
TIMEOUT_SECONDS = 1.0
"""How long the client waits for a byte."""

FETCH = {
    "requests_per_second": 500,
    "burst": 100,
    "attempts": 4,
    "first_wait_seconds": 0.05,
    "longest_wait_seconds": 0.4,
    "failures_to_open": 6,
    "cooldown_seconds": 0.5,
}
"""The fetch policy with waits that are short; what it does is the same."""


@dataclass(frozen=True)
class Market:
    """How much there is to load.

    Attributes:
        symbols: number of securities.
        start: first session.
        end: last session.
    """

    symbols: int = 8
    start: date = date(2022, 1, 3)
    end: date = date(2023, 12, 29)


def listings(market: Market) -> list[Listing]:
    """Every security with its whole history."""
    from market_assets.sources.base import FetchRequest
    from market_assets.sources.registry import build_source

    options = {
        "seed": 4,
        "symbols": market.symbols,
        "start": market.start,
        "late_listings": 0.0,
        "delistings_per_year": 0.0,
        "suspensions_per_year": 0.0,
    }
    source = build_source("synthetic", options=options)
    result = source.fetch(FetchRequest(source.known_securities(), market.start, market.end))
    return listings_of(result.bars, result.actions)


def write_configuration(
    folder: Path, market: Market, primary: YahooServer, fallback: YahooServer | None, *, cache: bool = True
) -> Path:
    """market.yaml, the universe and an empty calendar override file in `folder`; returns market.yaml.

    Args:
        folder: exists.
        market: the range of partitions.
        primary: asked first.
        fallback: asked for what the first one fails to answer; None = there is no other source.
        cache: whether answers are kept on disk.
    """
    servers = {PRIMARY: primary, **({FALLBACK: fallback} if fallback else {})}
    settings = {
        "partitions": {"start": market.start, "end": market.end},
        "sources": [_source(name, server) for name, server in servers.items()],
        # Several transactions a run, so that there is something between them.
        "ingest": {"chunk_symbols": 2, "http_cache": {"enabled": cache}},
        "lineage": {"transport": {"kind": "none"}},
    }
    rows = [(symbol, "XNYS", symbol, "USD", market.start, None) for symbol in sorted(primary.listings)]
    columns = ["symbol", "exchange", "name", "currency", "member_from", "member_to"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "universe.csv", index=False)
    (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
    file = folder / "market.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


def _source(name: str, server: YahooServer) -> dict[str, Any]:
    options = {"endpoint": server.url, "timeout_seconds": TIMEOUT_SECONDS, "threads": 2}
    return {"kind": "yahoo", "name": name, "options": options, "fetch": FETCH}
