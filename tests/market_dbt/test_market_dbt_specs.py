"""dbt's manifest as assets and checks: what each becomes, on a small manifest, and on the real project."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import AssetCheckSeverity, AssetKey
from parsed_project import enter_parsed_home

from lineage.facts import UNIT_TAG
from market_assets.dbt.project import manifest
from market_assets.dbt.specs import DbtModel, read_models


def model(name: str, reads: list[str], materialized: str = "incremental", **other: Any) -> dict[str, Any]:
    node = {
        "unique_id": f"model.market.{name}",
        "resource_type": "model",
        "name": name,
        "alias": name,
        "database": "market",
        "schema": "marts",
        "description": f"What {name} is.",
        "fqn": ["market", "marts", name],
        "original_file_path": f"models/marts/{name}.sql",
        "config": {"materialized": materialized},
        "depends_on": {"nodes": reads},
        "columns": {},
    }
    return {**node, **other}


def dbt_test(name: str, reads: list[str], attached: str | None = None, **other: Any) -> dict[str, Any]:
    node = {
        "unique_id": f"test.market.{name}",
        "resource_type": "test",
        "name": name,
        "alias": name,
        "description": "",
        "attached_node": attached,
        "original_file_path": f"tests/{name}.sql",
        "config": {"severity": "ERROR"},
        "depends_on": {"nodes": reads},
    }
    return {**node, **other}


def source(name: str, asset: str) -> dict[str, Any]:
    return {"source_name": name, "config": {"meta": {"dagster": {"asset_key": [asset]}}}}


VIEW = model("stg_bars", ["source.market.market.price_bar"], "view")
GOLDEN = model("int_golden", ["model.market.stg_bars", "source.market.market.source_priority"], "view")
MART = model("fct_bar", ["model.market.int_golden"])
LEVELS = model("stg_levels", ["source.market.indices.index_value"], "view")
SOURCES = {
    "source.market.market.price_bar": source("market", "raw_prices"),
    "source.market.market.source_priority": source("market", "securities"),
    "source.market.indices.index_value": source("indices", "index_values"),
}


def models_of(*nodes: dict[str, Any]) -> dict[str, DbtModel]:
    read = read_models({"nodes": {node["unique_id"]: node for node in nodes}, "sources": SOURCES})
    return {found.spec.key.to_user_string(): found for found in read}


def deps(found: DbtModel) -> list[str]:
    return [dep.asset_key.to_user_string() for dep in found.spec.deps]


def test_a_view_is_a_virtual_asset_of_what_it_reads():
    found = models_of(VIEW, GOLDEN, MART)
    assert found["int_golden"].is_view
    assert found["int_golden"].spec.is_virtual
    assert found["int_golden"].spec.kinds == {"dbt", "postgres", "view"}
    assert deps(found["int_golden"]) == ["securities", "stg_bars"]


def test_a_table_names_what_its_views_read_so_that_blocking_checks_hold_it():
    found = models_of(VIEW, GOLDEN, MART)
    assert deps(found["fct_bar"]) == ["int_golden", "raw_prices", "securities", "stg_bars"]
    assert not found["fct_bar"].is_view
    assert found["fct_bar"].spec.group_name == "marts"
    assert found["fct_bar"].spec.metadata["dagster/table_name"] == "market.marts.fct_bar"


def test_a_view_of_a_computed_table_belongs_to_that_tables_group():
    found = models_of(VIEW, LEVELS)
    assert (found["stg_bars"].spec.group_name, found["stg_levels"].spec.group_name) == ("prices", "indices")


def test_models_come_in_the_order_of_their_names():
    assert list(models_of(VIEW, MART, GOLDEN)) == ["fct_bar", "int_golden", "stg_bars"]


def test_columns_have_type_description_and_unit():
    columns = {
        "close": {
            "name": "close",
            "data_type": "float8",
            "description": "Last price.",
            "config": {"meta": {"unit": "USD"}},
        },
        "note": {"name": "note", "data_type": None, "description": "", "meta": {}},
    }
    schema = models_of(model("fct_bar", [], columns=columns))["fct_bar"].spec.metadata["dagster/column_schema"]
    close, note = schema.columns
    assert (close.name, close.type, close.description, close.tags) == (
        "close",
        "float8",
        "Last price.",
        {UNIT_TAG: "USD"},
    )
    assert (note.type, note.tags) == ("unknown", {})


@pytest.mark.parametrize(
    ("severity", "expected"),
    [("ERROR", AssetCheckSeverity.ERROR), ("error", AssetCheckSeverity.ERROR), ("warn", AssetCheckSeverity.WARN)],
)
def test_a_data_test_is_a_check_of_its_model_in_its_severity(severity, expected):
    node = dbt_test("not_null_close", ["model.market.fct_bar"], "model.market.fct_bar", config={"severity": severity})
    (check,) = models_of(MART, VIEW, GOLDEN, node)["fct_bar"].tests
    assert check.severity is expected
    assert check.spec.asset_key == AssetKey("fct_bar")
    assert check.spec.name == "not_null_close"
    assert check.spec.description == "dbt data test, tests/not_null_close.sql"


def test_a_singular_test_belongs_to_the_last_model_it_reads():
    node = dbt_test("same_rows", ["source.market.market.price_bar", "model.market.int_golden", "model.market.fct_bar"])
    found = models_of(VIEW, GOLDEN, MART, node)
    assert [check.unique_id for check in found["fct_bar"].tests] == ["test.market.same_rows"]
    assert found["int_golden"].tests == ()


def test_a_test_of_a_source_is_no_models_check():
    node = dbt_test("fresh", ["source.market.market.price_bar"])
    assert all(found.tests == () for found in models_of(VIEW, node).values())


def test_names_that_dagster_refuses_are_written_with_underscores():
    node = dbt_test("close.is-positive", ["model.market.fct_bar"], "model.market.fct_bar")
    assert models_of(VIEW, GOLDEN, MART, node)["fct_bar"].tests[0].spec.name == "close_is_positive"


# The real project ---------------------------------------------------------------------------------------------------


@pytest.fixture
def project_models(monkeypatch) -> dict[str, DbtModel]:
    enter_parsed_home(monkeypatch)
    return {found.spec.key.to_user_string(): found for found in read_models(manifest())}


def test_every_data_test_of_the_project_is_a_check_of_one_model(project_models):
    nodes = manifest()["nodes"].values()
    wanted = {node["unique_id"] for node in nodes if node["resource_type"] == "test"}
    found = [check.unique_id for model in project_models.values() for check in model.tests]
    assert sorted(found) == sorted(wanted)
    names = [(check.spec.asset_key, check.spec.name) for model in project_models.values() for check in model.tests]
    assert len(set(names)) == len(names)


def test_every_table_of_the_project_has_a_test_of_its_key(project_models):
    for name, found in project_models.items():
        if not found.is_view:
            assert any("primary_key" in check.spec.name for check in found.tests), name
