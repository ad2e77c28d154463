"""dbt's manifest as Dagster specs: one asset per model, one check per data test. Pure; runs nothing.

Views (staging, intermediate) are virtual assets: they hold no data of their own. A staging view of a table that is
computed after the prices belongs to the group of that table, the other views are group `prices`. Tables are group
`marts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster import (
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetSpec,
    CodeReferencesMetadataValue,
    LocalFileCodeReference,
    TableColumn,
    TableSchema,
)

from lineage.facts import UNIT_TAG
from market_assets.policy import OWNERS
from market_assets.settings import dbt_project

COMPUTED_SOURCES = {"analytics", "indices", "quality"}
"""dbt sources whose tables come after the views of group `prices`; also names of asset groups."""


@dataclass(frozen=True)
class DbtTest:
    """A data test and the check that reports it.

    Attributes:
        unique_id: dbt's id of the test.
        spec: the check.
        severity: what a failure means.
    """

    unique_id: str
    spec: AssetCheckSpec
    severity: AssetCheckSeverity


@dataclass(frozen=True)
class DbtModel:
    """A model, its asset and its tests.

    Attributes:
        unique_id: dbt's id of the model.
        spec: the asset.
        is_view: whether it is a virtual asset.
        tests: data tests attached to it.
    """

    unique_id: str
    spec: AssetSpec
    is_view: bool
    tests: tuple[DbtTest, ...]


def read_models(manifest: Mapping[str, Any]) -> tuple[DbtModel, ...]:
    """Every enabled model of the manifest, ordered by name."""
    tests: dict[str, list[Mapping[str, Any]]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test":
            tests.setdefault(_tested_model(node), []).append(node)
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    return tuple(
        _model(manifest, node, tests.get(node["unique_id"], []))
        for node in sorted(models, key=lambda node: str(node["name"]))
    )


def _tested_model(test: Mapping[str, Any]) -> str:
    """The model a test belongs to: the one it is attached to, else (a singular test) the last one it reads."""
    attached = test.get("attached_node")
    parents = [parent for parent in test["depends_on"]["nodes"] if parent.startswith("model.")]
    return str(attached or (parents[-1] if parents else ""))


def _model(manifest: Mapping[str, Any], node: Mapping[str, Any], tests: list[Mapping[str, Any]]) -> DbtModel:
    key = AssetKey([node["name"]])
    is_view = _is_view(node)
    spec = AssetSpec(
        key,
        deps=sorted(_dependencies(manifest, node["unique_id"], through_views=not is_view)),
        description=node["description"] or None,
        group_name=_group(manifest, node) if is_view else "marts",
        owners=OWNERS,
        kinds={"dbt", "postgres", "view" if is_view else "table"},
        tags={"dbt/folder": node["fqn"][-2]},
        metadata={
            "dagster/table_name": f"{node['database']}.{node['schema']}.{node['alias']}",
            "dagster/column_schema": _column_schema(node),
            "dagster/code_references": CodeReferencesMetadataValue(
                code_references=[LocalFileCodeReference(file_path=str(dbt_project() / node["original_file_path"]))]
            ),
        },
        is_virtual=is_view,
    )
    return DbtModel(
        node["unique_id"],
        spec,
        is_view,
        tuple(_test(key, test) for test in sorted(tests, key=lambda t: str(t["name"]))),
    )


def _is_view(node: Mapping[str, Any]) -> bool:
    return bool(node["config"]["materialized"] == "view")


def _group(manifest: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    parents = [parent for parent in view["depends_on"]["nodes"] if parent.startswith("source.")]
    computed = COMPUTED_SOURCES.intersection(manifest["sources"][parent]["source_name"] for parent in parents)
    return next(iter(computed), "prices")


def _dependencies(manifest: Mapping[str, Any], unique_id: str, *, through_views: bool) -> set[AssetKey]:
    """What a model reads: its parents and, if asked for, what those of them that are views read in turn.

    Inside a run a blocking check does not hold an asset that reads the checked one only through virtual assets, so
    tables name both.
    """
    keys = set()
    for parent in manifest["nodes"][unique_id]["depends_on"]["nodes"]:
        keys.add(_dependency(manifest, parent))
        if through_views and parent.startswith("model.") and _is_view(manifest["nodes"][parent]):
            keys |= _dependencies(manifest, parent, through_views=True)
    return keys


def _dependency(manifest: Mapping[str, Any], unique_id: str) -> AssetKey:
    if unique_id.startswith("source."):
        source = manifest["sources"][unique_id]
        meta = {**source.get("meta", {}), **source.get("config", {}).get("meta", {})}
        return AssetKey(meta["dagster"]["asset_key"])
    return AssetKey([manifest["nodes"][unique_id]["name"]])


def _column_schema(node: Mapping[str, Any]) -> TableSchema:
    columns = []
    for column in node["columns"].values():
        unit = {**column.get("meta", {}), **column.get("config", {}).get("meta", {})}.get("unit")
        columns.append(
            TableColumn(
                column["name"],
                column.get("data_type") or "unknown",
                description=column["description"],
                tags={UNIT_TAG: str(unit)} if unit else {},
            )
        )
    return TableSchema(columns)


def _test(key: AssetKey, test: Mapping[str, Any]) -> DbtTest:
    severity = (
        AssetCheckSeverity.WARN if str(test["config"]["severity"]).lower() == "warn" else AssetCheckSeverity.ERROR
    )
    spec = AssetCheckSpec(
        _check_name(test),
        asset=key,
        description=test["description"] or f"dbt data test, {test['original_file_path']}",
        metadata={"dbt/test": test["unique_id"], "severity": severity.value},
    )
    return DbtTest(test["unique_id"], spec, severity)


def _check_name(test: Mapping[str, Any]) -> str:
    """dbt's name, which holds at most 63 letters and is unique per project; Dagster allows letters, digits, `_`."""
    return "".join(letter if letter.isalnum() else "_" for letter in str(test["alias"] or test["name"]))
