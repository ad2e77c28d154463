"""What is said of each column, against the tables and the calculations it is about."""

from __future__ import annotations

import pytest
from dagster import AssetKey

from market_assets.assets.columns import MEANINGS, column_schema, index_lineage, indicator_lineage, verify_lineage
from market_assets.domain.indicators import output_columns
from market_assets.errors import SchemaMismatch
from market_assets.warehouse.tables import INDEX_CONSTITUENT, INDEX_VALUE, TABLES, VERSION_COLUMNS, indicator_table

DESCRIBED = [table for table in (*TABLES, indicator_table()) if table.qualified in {*MEANINGS, "analytics.indicator"}]


@pytest.mark.parametrize("table", DESCRIBED, ids=lambda table: table.qualified)
def test_every_column_of_the_table_is_described_in_its_type(table):
    schema = {column.name: column for column in column_schema(table).columns}
    assert list(schema) == [*table.columns, *VERSION_COLUMNS]
    for name, sql_type in table.columns.items():
        assert schema[name].type == sql_type
        assert schema[name].description
    assert schema["known_to"].type == "timestamp with time zone"
    assert schema["changed_xid"].type == "xid8"


def test_every_described_table_exists():
    assert set(MEANINGS) <= {table.qualified for table in TABLES}


def test_units_are_tags_and_only_where_there_is_one():
    columns = {column.name: column for column in column_schema(INDEX_VALUE).columns}
    assert "index points" in columns["price_return"].tags.values()
    assert not columns["index_id"].tags


@pytest.mark.parametrize(
    ("table", "lineage"),
    [
        (indicator_table(), indicator_lineage()),
        (INDEX_VALUE, index_lineage("index_values")),
        (INDEX_CONSTITUENT, index_lineage("index_constituents")),
    ],
    ids=lambda value: getattr(value, "qualified", ""),
)
def test_lineage_is_declared_for_exactly_the_columns_of_the_real_table(warehouse_url, table, lineage):
    verify_lineage(warehouse_url, table, lineage)


def test_a_column_without_declared_lineage_is_refused(warehouse_url):
    with pytest.raises(SchemaMismatch, match="carried_sessions"):
        verify_lineage(warehouse_url, INDEX_CONSTITUENT, index_lineage("index_values"))


def test_a_price_indicator_depends_on_prices_and_their_adjustment_and_a_volume_one_on_volume():
    sources = {
        name: {source.column_name for source in read} for name, read in indicator_lineage().deps_by_column.items()
    }
    assert "close" in sources["sma_20"]
    assert "volume" not in sources["sma_20"]
    assert "volume" in sources["volume_ratio_20"]
    assert any("factor" in name for name in sources["sma_20"])
    assert {column.name for column in output_columns()} <= set(sources)


def test_a_level_depends_on_prices_actions_and_membership():
    read = index_lineage("index_values").deps_by_column["total_return"]
    assert {source.asset_key for source in read} >= {AssetKey("securities"), AssetKey("int_golden_action")}
