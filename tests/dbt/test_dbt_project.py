"""What the project declares: descriptions, units, keys, columns, and its ties to the Python side."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from dbt_market import MARTS, Warehouse

from market_assets.warehouse.tables import PROVISIONAL_BAR, TABLES, VersionedTable, indicator_table

PROJECT = Path(__file__).resolve().parents[2] / "dbt"
ASSETS = {
    "price_bar": "raw_prices",
    "corporate_action": "corporate_actions",
    "security": "securities",
    "shares_outstanding": "securities",
    "fx_rate": "securities",
    "free_float": "securities",
    "factor_score": "securities",
    "universe_member": "securities",
    "trading_session": "securities",
    "source_priority": "securities",
    "exchange": "securities",
    "source_agreement": "raw_prices",
    "indicator": "indicators",
    "index_value": "index_values",
    "index_constituent": "index_constituents",
    "index_recalculation": "index_values",
    "divisor_change": "index_values",
    "rebalance": "index_values",
    "rebalance_target": "index_values",
    "result": "quality_results",
}


@pytest.fixture(scope="module")
def models(dbt: Any) -> list[Any]:
    return [node for node in dbt.manifest.nodes.values() if node.resource_type == "model"]


def test_a_folder_is_a_schema_and_a_model_lies_in_the_layer_its_name_says(models: list[Any]) -> None:
    layer = {"stg": "staging", "int": "intermediate", "fct": "marts", "dim": "marts", "mart": "marts"}
    for model in models:
        assert model.schema == model.fqn[1] == layer[model.name.split("_")[0]], model.name


def test_views_below_and_incremental_tables_with_contracts_above(models: list[Any]) -> None:
    for model in models:
        if model.schema == "marts":
            assert model.config.materialized == "incremental", model.name
            assert model.config.contract.enforced, model.name
            assert [c.type.value for c in model.constraints] == ["primary_key"], model.name
            assert model.constraints[0].columns == model.config.unique_key == MARTS[model.name]
        else:
            assert model.config.materialized == "view", model.name


def test_every_model_and_column_is_described_and_every_measure_has_a_unit(models: list[Any]) -> None:
    unitless = {"reference_size"}
    for model in models:
        assert model.description, model.name
        for column in model.columns.values():
            assert column.description, f"{model.name}.{column.name}"
            if column.data_type in {"double precision", "bigint"} and column.name not in unitless:
                assert column.config.meta["unit"], f"{model.name}.{column.name}"


def test_every_model_has_a_test_of_its_key(dbt: Any, models: list[Any]) -> None:
    tested = {
        test.attached_node: test.config.severity.lower()
        for test in dbt.manifest.nodes.values()
        if test.resource_type == "test" and test.test_metadata.name in {"primary_key", "unique_combination"}
    }
    derived = {"int_adjusted_bar"}  # one row for each row of int_golden_bar, by a join on a grouped key
    assert {model.unique_id for model in models if model.name not in derived} == set(tested)
    assert set(tested.values()) == {"error"}


def test_the_columns_of_every_relation_are_those_described(market: Warehouse, models: list[Any]) -> None:
    found = market.read(
        "select table_schema, table_name, column_name, data_type from information_schema.columns "
        "where table_schema in ('staging', 'intermediate', 'marts') order by ordinal_position"
    )
    for model in models:
        rows = found[(found["table_schema"] == model.schema) & (found["table_name"] == model.name)]
        described = [(column.name, column.data_type) for column in model.columns.values()]
        assert list(rows[["column_name", "data_type"]].itertuples(index=False, name=None)) == described, model.name


STAGED = [table for table in (*TABLES, indicator_table()) if table is not PROVISIONAL_BAR]
"""Nothing is computed from bars of a session in progress."""


@pytest.mark.parametrize("table", STAGED, ids=lambda table: table.qualified)
def test_every_table_that_python_writes_is_staged_with_all_its_columns(dbt: Any, table: VersionedTable) -> None:
    source = {"raw": "market"}.get(table.schema, table.schema)
    model = dbt.manifest.nodes[f"model.market.stg_{source}__{table.name}"]
    renamed = {"price_return_level", "total_return_level", "net_total_return_level"}
    columns = {
        name.removesuffix("_level") if name in renamed else name: column.data_type
        for name, column in model.columns.items()
    }
    versioned = {"known_from": "timestamp with time zone", "run_id": "text"}
    assert columns == {**table.columns, **versioned}


def test_sources_name_the_assets_that_write_them(dbt: Any) -> None:
    found = {source.name: source.config.meta["dagster"]["asset_key"] for source in dbt.manifest.sources.values()}
    assert found == {name: [asset] for name, asset in ASSETS.items()}


def test_every_mart_says_which_keys_a_change_reaches(dbt: Any) -> None:
    for name in MARTS:
        assert f"macro.market.{name}__changed_keys" in dbt.manifest.macros


def test_indicator_columns_are_in_step_with_the_registry() -> None:
    spec = importlib.util.spec_from_file_location("write_indicator_columns", PROJECT / "write_indicator_columns.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    behind = [path.name for path, text in module.rendered().items() if path.read_text(encoding="utf-8") != text]
    assert not behind, f"{behind} are behind the registry; run python dbt/write_indicator_columns.py"


def test_the_project_is_a_folder_without_packages() -> None:
    """dagster and dbt are imported by name: a package called dbt in the path would hide the installed one."""
    assert not list(PROJECT.rglob("__init__.py"))
    assert not [name for name in ("packages.yml", "dependencies.yml") if (PROJECT / name).exists()]
