"""How many symbols are worked on at once: as many as configured, fewer where each brings more years."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from market_assets.config import MarketConfig
from market_assets.resources import CHUNK_YEARS, Platform


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform that works on 250 symbols at once."""
    return Platform(
        MarketConfig.model_validate(
            {"partitions": {"start": "2000-01-03"}, "sources": [{"kind": "sample"}], "file": tmp_path / "market.yaml"}
        )
    )


@pytest.mark.parametrize(
    ("start", "end", "symbols"),
    [
        (date(2024, 1, 2), date(2024, 1, 2), 250),
        (date(2019, 1, 2), date(2023, 12, 29), 250),
        (date(2014, 1, 2), date(2023, 12, 29), 125),
        (date(1984, 1, 2), date(2023, 12, 29), 31),
    ],
)
def test_a_longer_range_takes_fewer_symbols_at_once(platform, start, end, symbols):
    assert platform.config.ingest.chunk_symbols == 250
    assert platform.chunk_symbols(start, end) == symbols
    rows = symbols * (end - start).days
    assert rows <= 250 * CHUNK_YEARS * 366, "the rows of a chunk are bounded"


def test_a_chunk_holds_at_least_one_symbol(platform):
    assert platform.chunk_symbols(date(1000, 1, 1), date(5000, 1, 1)) == 1
