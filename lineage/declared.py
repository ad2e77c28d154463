"""What is known of an asset: its definition, overlaid with what its newest materialization of a run says.

Belongs here: reading Dagster's definitions and metadata into plain values. Naming datasets and building facets do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetKey,
    AssetMaterialization,
    Definitions,
    MetadataValue,
    RepositoryDefinition,
    TableColumnLineage,
    TableSchema,
)

from lineage import facts
from lineage.columns import SqlLineage

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

# Dagster notes on each materialization which versions of its upstream assets it read: one tag per asset.
_INPUT_TAG = "dagster/input_data_version/"


@dataclass(frozen=True)
class DeclaredAsset:
    """An asset as its definition has it. Keys are Dagster's user strings: parts joined by a slash.

    Attributes:
        executable: whether runs write it; False for views and for assets that somebody else writes.
    """

    key: str
    parents: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    description: str | None = None
    owners: tuple[str, ...] = ()
    executable: bool = True


Declared = Mapping[str, DeclaredAsset]
"""Asset key -> definition."""


def declared_assets(source: Definitions | RepositoryDefinition | BaseAssetGraph[Any]) -> dict[str, DeclaredAsset]:
    """Every asset of a code location, read from its definitions, its repository or its asset graph."""
    if isinstance(source, Definitions):
        source = source.get_repository_def()
    graph: BaseAssetGraph[Any] = source.asset_graph if isinstance(source, RepositoryDefinition) else source
    return {
        node.key.to_user_string(): DeclaredAsset(
            key=node.key.to_user_string(),
            parents=tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
            metadata=node.metadata,
            description=node.description,
            owners=tuple(node.owners),
            executable=node.is_executable,
        )
        for node in graph.asset_nodes
    }


@dataclass(frozen=True)
class AssetFacts:
    """Everything lineage knows of an asset in one run.

    Attributes:
        key: asset key as user string.
        table: database.schema.table as the metadata has it, None when the asset is no table.
        tables: further tables it writes.
        schema: its columns.
        parents: keys of the assets it reads, sorted.
        sources_by_asset: column lineage by (asset key, column), in the order given.
        sql_lineage: column lineage by table, which is finer and is used instead when present.
        sql: the statement that ran.
        statistics: properties of the outputStatistics facet, for the run as a whole.
        partition_row_count: rows of the one partition that the materialization is about.
        row_count: rows of the whole table.
        description: text of the definition.
        owners: as in the definition.
    """

    key: str
    table: str | None = None
    tables: tuple[str, ...] = ()
    schema: TableSchema | None = None
    parents: tuple[str, ...] = ()
    sources_by_asset: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    sql_lineage: SqlLineage | None = None
    sql: str | None = None
    statistics: Mapping[str, int] | None = None
    partition_row_count: int | None = None
    row_count: int | None = None
    description: str | None = None
    owners: tuple[str, ...] = ()


def asset_facts(key: str, declared: Declared, materialization: AssetMaterialization | None = None) -> AssetFacts:
    """Facts of an asset: the materialization's metadata first, the definition's where it says nothing.

    Args:
        key: asset key as user string; an asset that is not declared has only its materialization's facts.
        declared: definitions by key.
        materialization: the newest one of the run, None for an asset that was not materialized.
    """
    definition = declared.get(key) or DeclaredAsset(key)
    metadata = {name: _plain(value) for name, value in definition.metadata.items()}
    parents = set(definition.parents)
    if materialization is not None:
        metadata |= {name: _plain(value) for name, value in materialization.metadata.items()}
        parents |= _parents_in_tags(materialization.tags or {})
    lineage = metadata.get(facts.COLUMN_LINEAGE)
    sources = _sources_by_asset(lineage) if isinstance(lineage, TableColumnLineage) else {}
    parents |= {asset for found in sources.values() for asset, _ in found}
    schema, columns = metadata.get(facts.COLUMN_SCHEMA), metadata.get(facts.COLUMNS)
    return AssetFacts(
        key=key,
        table=_text(metadata.get(facts.TABLE_NAME)),
        tables=tuple(str(table) for table in _items(metadata.get(facts.TABLES))),
        schema=schema if isinstance(schema, TableSchema) else None,
        parents=tuple(sorted(parents)),
        sources_by_asset=sources,
        sql_lineage=SqlLineage.from_dict(columns) if isinstance(columns, Mapping) else None,
        sql=_text(metadata.get(facts.SQL)),
        statistics=_counts(metadata.get(facts.STATISTICS)),
        partition_row_count=_count(metadata.get(facts.PARTITION_ROW_COUNT)),
        row_count=_count(metadata.get(facts.ROW_COUNT)),
        description=definition.description,
        owners=definition.owners,
    )


def _parents_in_tags(tags: Mapping[str, str]) -> set[str]:
    return {tag.removeprefix(_INPUT_TAG) for tag in tags if tag.startswith(_INPUT_TAG)}


def _sources_by_asset(lineage: TableColumnLineage) -> dict[str, tuple[tuple[str, str], ...]]:
    return {
        column: tuple(sorted({(AssetKey.to_user_string(dep.asset_key), dep.column_name) for dep in deps}))
        for column, deps in lineage.deps_by_column.items()
    }


def _plain(value: object) -> object:
    """The value inside Dagster's wrapper; definitions may hold it unwrapped."""
    return value.value if isinstance(value, MetadataValue) else value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, (list, tuple)) else ()


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _counts(value: object) -> dict[str, int] | None:
    if not isinstance(value, Mapping):
        return None
    return {str(name): count for name, count in value.items() if isinstance(count, int)}
