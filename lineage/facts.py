"""The facts an asset hands to lineage: metadata keys, and helpers that build the values.

Belongs here: everything an asset author touches. Facts that never change between runs (table, column schema, declared
column lineage) belong into the metadata of the asset's definition: Dagster copies the metadata of one materialization
to every partition of a range run. Facts of one run (SQL, statistics) belong into the materialization.

    key                           value                              read from
    dagster/table_name            database.schema.table              definition, materialization
    dagster/column_schema         TableSchema                        definition, materialization
    dagster/column_lineage        TableColumnLineage, by asset key   definition, materialization
    column_lineage                the same, to be read by people     -
    lineage/columns               see `sql_metadata`                 definition, materialization
    lineage/tables                further tables the asset writes    definition, materialization
    lineage/sql                   the SQL that ran                   materialization
    lineage/statistics            see `statistics_metadata`          materialization
    dagster/partition_row_count   rows of one partition              materialization
    dagster/row_count             rows of the whole table            materialization
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dagster import AssetKey, MetadataValue, TableColumnLineage

    from lineage.columns import SqlLineage

TABLE_NAME: Final = "dagster/table_name"
COLUMN_SCHEMA: Final = "dagster/column_schema"
COLUMN_LINEAGE: Final = "dagster/column_lineage"
LINEAGE_TABLE: Final = "column_lineage"
ROW_COUNT: Final = "dagster/row_count"
PARTITION_ROW_COUNT: Final = "dagster/partition_row_count"
COLUMNS: Final = "lineage/columns"
TABLES: Final = "lineage/tables"
SQL: Final = "lineage/sql"
STATISTICS: Final = "lineage/statistics"

UNIT_TAG: Final = "unit"
"""Tag of a TableColumn that names its unit; shown in the column's description."""


def statistics_metadata(
    rows_written: int, *, bytes_written: int | None = None, **counts: int
) -> dict[str, MetadataValue]:
    """Output statistics of one run over all its partitions.

    Args:
        rows_written: rows the run wrote.
        bytes_written: their size, when known.
        counts: further counts, such as restated=3; each becomes a property of the outputStatistics facet.
    """
    from dagster import MetadataValue

    data: dict[str, Any] = {"rowCount": int(rows_written), **{name: int(count) for name, count in counts.items()}}
    if bytes_written is not None:
        data["size"] = int(bytes_written)
    return {STATISTICS: MetadataValue.json(data)}


def tables_metadata(tables: Sequence[str]) -> dict[str, MetadataValue]:
    """Further tables (database.schema.table) that an asset writes beside the one in `dagster/table_name`."""
    from dagster import MetadataValue

    return {TABLES: MetadataValue.json(list(tables))}


def column_lineage(sources: Mapping[str, Sequence[str]]) -> TableColumnLineage:
    """Declared column lineage from `asset.column` texts, for the definition's `dagster/column_lineage`.

    >>> declared = column_lineage({"true_range": ["raw_prices.high", "raw_prices.low"]})
    >>> declared.deps_by_column["true_range"][0].column_name
    'high'

    Raises:
        ColumnLineageError: a text without a dot; names the column and the text.
    """
    from dagster import AssetKey, TableColumnDep, TableColumnLineage

    from lineage.errors import ColumnLineageError

    deps: dict[str, list[TableColumnDep]] = {}
    for column, texts in sources.items():
        deps[column] = []
        for text in texts:
            asset, _, source = text.rpartition(".")
            if not asset or not source:
                raise ColumnLineageError(f"column {column!r}: {text!r} is not of the form asset.column.")
            deps[column].append(TableColumnDep(asset_key=AssetKey.from_user_string(asset), column_name=source))
    return TableColumnLineage(deps_by_column=deps)


def lineage_table(lineage: TableColumnLineage) -> dict[str, MetadataValue]:
    """Column lineage as a table, `column_lineage`: Dagster's open-source UI hides `dagster/column_lineage`."""
    from dagster import MetadataValue

    rows = ["| column | computed from |", "|---|---|"]
    for column, deps in lineage.deps_by_column.items():
        sources = (f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps)
        rows.append(f"| {column} | {', '.join(sources)} |")
    return {LINEAGE_TABLE: MetadataValue.md("\n".join(rows))}


def sql_metadata(
    sql: str, lineage: SqlLineage | None, assets: Mapping[str, AssetKey] | None = None
) -> dict[str, MetadataValue]:
    """SQL and its column lineage, as metadata of a materialization.

    Args:
        sql: the statement that ran.
        lineage: what `lineage.columns.analyse_sql` found in it; None when it could not be analysed.
        assets: asset key of each table name; when given, column lineage is also added as Dagster and as people read it.

    Returns:
        `lineage/sql`, with `lineage` also `lineage/columns`, and with `assets` also `dagster/column_lineage` and
        `column_lineage`.
    """
    from dagster import MetadataValue, TableColumnDep, TableColumnLineage

    metadata: dict[str, MetadataValue] = {SQL: MetadataValue.text(sql)}
    if lineage is None:
        return metadata
    metadata[COLUMNS] = MetadataValue.json(lineage.to_dict())
    if assets is not None:
        deps = {
            column: [
                TableColumnDep(asset_key=assets[table], column_name=source)
                for table, source in lineage.values(column)
                if table in assets
            ]
            for column in lineage.columns
        }
        by_column = TableColumnLineage(deps_by_column=deps)
        metadata |= {COLUMN_LINEAGE: MetadataValue.column_lineage(by_column), **lineage_table(by_column)}
    return metadata
