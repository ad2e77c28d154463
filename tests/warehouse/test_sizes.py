"""Sizes of tables: counted while small, estimated from the planner's statistics when large."""

from __future__ import annotations

import pytest

from market_assets.warehouse.connection import connect
from market_assets.warehouse.sizes import COUNTED_ROWS, Size, table_sizes

ROWS = COUNTED_ROWS * 2


@pytest.fixture
def filled(warehouse_url):
    """raw.price_bar with ROWS rows, a quarter of them replaced."""
    with connect(warehouse_url, autocommit=True) as connection:
        connection.execute(
            "insert into raw.price_bar (symbol, session, source, known_from, known_to, run_id) "
            "select 'S' || i %% 100, date '2000-01-01' + i / 100, 's', '2024-01-01', "
            "case when i %% 4 = 0 then timestamptz '2024-02-01' end, 'run' from generate_series(1, %s) i",
            (ROWS,),
        )
        yield connection


def test_a_small_table_is_counted(connection):
    assert table_sizes(connection, ["raw.price_bar", "quality.quarantine"]) == {
        "raw.price_bar": Size(0, 0, counted=True),
        "quality.quarantine": Size(0, 0, counted=True),
    }


def test_a_table_without_statistics_is_counted_however_large(filled):
    assert table_sizes(filled, ["raw.price_bar"]) == {"raw.price_bar": Size(ROWS * 3 // 4, ROWS, counted=True)}


def test_a_large_table_is_estimated_within_a_few_percent(filled):
    filled.execute("vacuum (analyze) raw.price_bar")
    size = table_sizes(filled, ["raw.price_bar"])["raw.price_bar"]
    assert not size.counted
    assert size.versions == pytest.approx(ROWS, rel=0.02)
    assert size.current == pytest.approx(ROWS * 3 / 4, rel=0.05)
