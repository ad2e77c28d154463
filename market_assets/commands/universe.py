"""Write a universe file from the securities that a source can list."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import typer

from market_assets.errors import InputError
from market_assets.resources import Platform
from market_assets.sources.base import FetchRequest
from market_assets.universe import COLUMNS


def write_universe(source_name: str, output: Path, start: date | None, end: date | None) -> None:
    """One membership interval per symbol, from its first to its last session in the source.

    Raises:
        InputError: the source cannot list its securities, or holds none in the range.
    """
    platform = Platform()
    source = platform.sources(source_name)[0]
    refs = source.known_securities()
    if not refs:
        raise InputError(f"source {source_name} cannot list its securities; write {output} by hand")
    request = FetchRequest(refs, start or platform.config.partitions.start, end or platform.now().date())
    result = source.fetch(request)
    if result.bars.empty:
        raise InputError(f"source {source_name} holds no bar between {request.start} and {request.end}")
    days = result.bars.assign(session=result.bars["session"].dt.strftime("%Y-%m-%d"))
    first, last = (days.groupby("symbol")["session"].agg(end).to_dict() for end in ("min", "max"))
    names = dict(zip(result.securities["symbol"], result.securities["name"], strict=True))
    newest = max(last.values())
    rows = [
        (
            ref.symbol,
            ref.exchange,
            names.get(ref.symbol) or ref.symbol,
            ref.currency,
            first[ref.symbol],
            "" if last[ref.symbol] == newest else last[ref.symbol],
        )
        for ref in refs
        if ref.symbol in first
    ]
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    typer.echo(f"{len(rows)} symbols in {output}")
