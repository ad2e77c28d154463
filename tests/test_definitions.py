"""Everything Dagster is told, against a snapshot: whoever changes the graph sees what changed, and so do reviewers.

A wanted change is written down with MARKET_UPDATE_SNAPSHOTS=1 pytest tests/test_definitions.py
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DailyPartitionsDefinition, Definitions, TableColumnLineage, TableSchema
from parsed_project import enter_parsed_home

from market_assets.definitions import build_definitions
from market_assets.resources import Platform

SNAPSHOT = Path(__file__).parent / "snapshots" / "definitions.json"
GROUPS = {"ingest", "prices", "analytics", "indices", "marts", "quality"}
HOW = "If this change is wanted: MARKET_UPDATE_SNAPSHOTS=1 pytest tests/test_definitions.py"


@pytest.fixture(scope="module")
def definitions() -> Iterator[Definitions]:
    with pytest.MonkeyPatch.context() as environment:
        enter_parsed_home(environment)
        yield build_definitions(Platform())


def described(definitions: Definitions) -> dict[str, Any]:
    """The graph as JSON: assets, checks, jobs and sensors by name."""
    graph = definitions.resolve_asset_graph()
    assets, checks = {}, {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "owners": sorted(node.owners),
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": partitions(node.partitions_def),
            "automation": node.automation_condition.get_label() if node.automation_condition else None,
            "table": node.metadata["dagster/table_name"],
            "executable": node.is_executable,
        }
    for check_key in graph.asset_check_keys:
        check = graph.get(check_key)
        checks[f"{check_key.asset_key.to_user_string()}.{check_key.name}"] = {
            "blocking": check.blocking,
            "severity": check.metadata.get("severity"),
        }
    jobs = {
        job.name: {
            "assets": sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys),
            "steps": sorted(node.name for node in job.nodes),
            "tags": dict(job.tags),
        }
        for job in definitions.resolve_all_job_defs()
        if not job.name.startswith("__")
    }
    sensors = {
        sensor.name: {
            "status": sensor.default_status.value,
            "seconds": sensor.minimum_interval_seconds,
            "targets": sorted(target.job_name for target in sensor.targets) if sensor.targets else [],
        }
        for sensor in definitions.sensors or []
    }
    return {"assets": assets, "checks": dict(sorted(checks.items())), "jobs": jobs, "sensors": sensors}


def partitions(definition: Any) -> str | None:
    if definition is None:
        return None
    assert isinstance(definition, DailyPartitionsDefinition)
    keys = definition.get_partition_keys()
    return f"{len(keys)} sessions {keys[0]} to {keys[-1]}, {definition.timezone}"


def test_the_graph_is_the_one_of_the_snapshot(definitions):
    text = json.dumps(described(definitions), indent=2, sort_keys=True) + "\n"
    if os.environ.get("MARKET_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    known = SNAPSHOT.read_text(encoding="utf-8")
    changes = list(difflib.unified_diff(known.splitlines(), text.splitlines(), "snapshot", "now", lineterm="", n=4))
    assert not changes, "\n".join(["the graph has changed:", *changes, HOW])


# What holds for every asset, whatever the graph looks like -----------------------------------------------------------


def test_every_asset_says_what_it_is(definitions):
    for spec in definitions.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        assert spec.description, f"{name} has no description"
        assert spec.owners, f"{name} has no owner"
        assert spec.kinds, f"{name} has no kind"
        assert spec.group_name in GROUPS, name
        assert str(spec.metadata["dagster/table_name"]).count(".") == 2, f"{name}: table_name is database.schema.table"


def test_every_column_has_a_description(definitions):
    for spec in definitions.resolve_all_asset_specs():
        schema = spec.metadata["dagster/column_schema"]
        assert isinstance(schema, TableSchema)
        bare = [column.name for column in schema.columns if not column.description or column.type == "unknown"]
        assert not bare, f"{spec.key.to_user_string()}: columns without description or type: {bare}"


def test_declared_column_lineage_names_columns_that_exist(definitions):
    columns = {
        spec.key: {column.name for column in spec.metadata["dagster/column_schema"].columns}
        for spec in definitions.resolve_all_asset_specs()
    }
    declared = 0
    for spec in definitions.resolve_all_asset_specs():
        lineage = spec.metadata.get("dagster/column_lineage")
        if lineage is None:
            continue
        assert isinstance(lineage, TableColumnLineage)
        declared += 1
        for name, sources in lineage.deps_by_column.items():
            assert name in columns[spec.key], f"{spec.key.to_user_string()} has no column {name}"
            for source in sources:
                read = f"{source.asset_key.to_user_string()}.{source.column_name}"
                assert source.column_name in columns[source.asset_key], f"{name} reads {read}, which does not exist"
    assert declared >= 3


def test_what_the_checks_read_is_in_the_graph(definitions):
    graph = definitions.resolve_asset_graph()
    for key in graph.asset_check_keys:
        assert key.asset_key in graph.get_all_asset_keys()


def test_no_asset_is_split_into_a_run_per_partition(definitions):
    graph = definitions.resolve_asset_graph()
    for key in graph.executable_asset_keys:
        policy = graph.get(key).backfill_policy
        assert policy is not None, key
        assert policy.max_partitions_per_run is None, f"{key} would be filled back one partition a run"


def test_only_views_and_the_table_of_the_checks_are_not_executable(definitions):
    graph = definitions.resolve_asset_graph()
    others = [graph.get(key) for key in graph.get_all_asset_keys() - graph.executable_asset_keys]
    assert {node.key for node in others if "view" not in node.kinds} == {AssetKey("quality_results")}


def test_code_references_lead_to_the_functions(definitions):
    spec = next(spec for spec in definitions.resolve_all_asset_specs() if spec.key == AssetKey("raw_prices"))
    references = spec.metadata["dagster/code_references"]
    assert str(references.code_references[0].file_path).endswith("market_assets/assets/ingest.py")


def test_importing_the_code_location_builds_nothing():
    program = (
        "import sys, market_assets.definitions; "
        "print([m for m in ('great_expectations', 'yfinance', 'dbt', 'matplotlib', 'exchange_calendars', 'talib', "
        "'sqlglot', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
