"""What asset authors hand over, and how it is read back."""

from __future__ import annotations

import subprocess
import sys

import pytest
from dagster import AssetKey, AssetMaterialization, AssetSpec, Definitions, TableColumn, TableColumnLineage, TableSchema
from lineage_world import ASSET_BY_TABLE, CATALOG, DEFINITIONS, MART_SQL

from lineage import facts
from lineage.columns import analyse_sql
from lineage.declared import DeclaredAsset, asset_facts, declared_assets
from lineage.errors import ColumnLineageError


def test_statistics() -> None:
    metadata = facts.statistics_metadata(12, bytes_written=340, restated=2)
    assert metadata[facts.STATISTICS].value == {"rowCount": 12, "size": 340, "restated": 2}


def test_declared_column_lineage() -> None:
    lineage = facts.column_lineage({"sma": ["raw/prices.close"], "one": []})
    assert [(dep.asset_key, dep.column_name) for dep in lineage.deps_by_column["sma"]] == [
        (AssetKey(["raw", "prices"]), "close")
    ]
    assert lineage.deps_by_column["one"] == []
    with pytest.raises(ColumnLineageError, match=r"column 'sma': 'close' is not of the form asset.column"):
        facts.column_lineage({"sma": ["close"]})


def test_sql_metadata_feeds_dagsters_own_view_of_lineage_too() -> None:
    metadata = facts.sql_metadata(MART_SQL, analyse_sql(MART_SQL, CATALOG), ASSET_BY_TABLE)
    shown = metadata[facts.COLUMN_LINEAGE].value
    assert isinstance(shown, TableColumnLineage)
    assert {dep.asset_key for dep in shown.deps_by_column["mean_sma"]} == {AssetKey("indicators")}
    twice = "select case when close > 1 then close end + lag(close) over (order by close) as x from market.raw.prices"
    shown = facts.sql_metadata(twice, analyse_sql(twice, CATALOG), ASSET_BY_TABLE)[facts.COLUMN_LINEAGE].value
    assert isinstance(shown, TableColumnLineage)
    assert len(shown.deps_by_column["x"]) == 1, "Dagster refuses a source that is named twice"
    assert facts.COLUMN_LINEAGE not in facts.sql_metadata(MART_SQL, analyse_sql(MART_SQL, CATALOG))


def test_column_lineage_as_people_read_it() -> None:
    lineage = facts.column_lineage({"sma": ["prices.close", "factors.split"], "one": []})
    lines = str(facts.lineage_table(lineage)[facts.LINEAGE_TABLE].value).splitlines()
    assert lines[2:] == ["| sma | factors.split, prices.close |", "| one |  |"]
    assert facts.LINEAGE_TABLE in facts.sql_metadata(MART_SQL, analyse_sql(MART_SQL, CATALOG), ASSET_BY_TABLE)


def test_definitions_are_read_whole() -> None:
    declared = declared_assets(DEFINITIONS)
    assert set(declared) == {"prices", "indicators", "mart"}
    assert declared["mart"].parents == ("indicators", "prices")
    assert declared["prices"].owners == ("team:data",)
    assert declared_assets(DEFINITIONS.get_repository_def()) == declared
    assert declared_assets(DEFINITIONS.get_repository_def().asset_graph) == declared
    assert declared_assets(Definitions(assets=[AssetSpec("external")]))["external"].parents == ()


def test_a_materialization_overrides_the_definition() -> None:
    declared = {
        "a": DeclaredAsset(
            "a", ("b",), {facts.TABLE_NAME: "db.s.old", facts.COLUMN_SCHEMA: TableSchema([TableColumn("x")])}
        )
    }
    known = asset_facts(
        "a",
        declared,
        AssetMaterialization(
            "a",
            metadata={facts.TABLE_NAME: "db.s.new", facts.ROW_COUNT: 5},
            tags={"dagster/input_data_version/c": "1", "dagster/data_version": "2"},
        ),
    )
    assert (known.table, known.row_count, known.parents) == ("db.s.new", 5, ("b", "c"))
    assert known.schema is not None
    assert asset_facts("a", declared).table == "db.s.old"


def test_metadata_of_another_kind_is_passed_over() -> None:
    wrong = {
        facts.TABLE_NAME: 3,
        facts.COLUMN_SCHEMA: "text",
        facts.COLUMN_LINEAGE: "text",
        facts.COLUMNS: "text",
        facts.TABLES: "text",
        facts.STATISTICS: "text",
        facts.ROW_COUNT: "many",
        facts.SQL: "",
    }
    assert asset_facts("a", {"a": DeclaredAsset("a", (), wrong)}) == asset_facts("a", {})


def test_a_code_location_loads_without_the_heavy_packages() -> None:
    code = (
        "import lineage.facts, lineage.columns, lineage.config, lineage.sensor, lineage.schema, sys;"
        "print([name for name in ('sqlglot', 'openlineage', 'requests') if name in sys.modules and name != 'requests'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
