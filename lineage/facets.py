"""Datasets of OpenLineage events and their facets, built from what is known of an asset.

Belongs here: physical names, and the facets of datasets. Which event a dataset goes into is in `lineage.events`.

An asset with a table is the dataset `namespace` / `database.schema.table`, and its asset key is a symlink. An asset
without a table is a dataset of the job namespace, named after its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dagster import TableColumn
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    OutputDatasetFacet,
    base_subset_dataset,
    column_lineage_dataset,
    data_quality_metrics_dataset,
    documentation_dataset,
    output_statistics_output_dataset,
    ownership_dataset,
    schema_dataset,
    symlinks_dataset,
)

from lineage.columns import DIRECT, ColumnSource, SqlLineage
from lineage.config import LineageConfig
from lineage.declared import AssetFacts, Declared, asset_facts
from lineage.facts import UNIT_TAG

ASSET_SYMLINK: Final = "DAGSTER_ASSET"
"""Type of the symlink that names the asset behind a dataset."""

Subset = base_subset_dataset.OutputSubsetOutputDatasetFacet


class Datasets:
    """Builds datasets for the assets of a code location.

    Args:
        config: namespaces, producer, name of the partition dimension.
        declared: definitions by asset key, for the tables behind other assets.
    """

    def __init__(self, config: LineageConfig, declared: Declared) -> None:
        self._config = config
        self._declared = declared
        self._producer = config.producer
        self._known: dict[str, AssetFacts] = {}

    def facts(self, key: str) -> AssetFacts:
        """What the definitions alone say of an asset."""
        if key not in self._known:
            self._known[key] = asset_facts(key, self._declared)
        return self._known[key]

    def name(self, facts: AssetFacts) -> tuple[str, str]:
        """Namespace and name of the dataset that an asset is."""
        return self.table(facts.table) if facts.table else (self._config.job_namespace, facts.key)

    def table(self, table: str) -> tuple[str, str]:
        """Namespace and name of a table, with the real name of its database."""
        parts = table.replace('"', "").split(".")
        if len(parts) == 2 and self._config.database:
            parts.insert(0, self._config.database)
        if len(parts) == 3:
            parts[0] = self._config.database_names.get(parts[0], parts[0])
        return self._config.dataset_namespace, ".".join(parts)

    def inputs(self, facts: AssetFacts) -> list[InputDataset]:
        """What an asset reads: the tables of its parents, and those its column lineage names. Sorted by name."""
        found: dict[tuple[str, str], InputDataset] = {}
        for key in facts.parents:
            dataset = self.input(self.facts(key))
            found[dataset.namespace, dataset.name] = dataset
        if facts.sql_lineage:
            for source in _all_sources(facts.sql_lineage):
                found.setdefault(self.table(source.table), InputDataset(*self.table(source.table)))
        return [found[name] for name in sorted(found)]

    def input(self, facts: AssetFacts, facets: Mapping[str, InputDatasetFacet] | None = None) -> InputDataset:
        """An asset as input."""
        return InputDataset(
            *self.name(facts), facets={"symlinks": self._symlinks(facts)}, inputFacets=dict(facets or {})
        )

    def outputs(
        self, facts: AssetFacts, *, subset: Subset | None = None, rows_written: int | None = None
    ) -> list[OutputDataset]:
        """What an asset writes: its table with all facets, then its further tables.

        Args:
            facts: of the run.
            subset: the partitions written, from `subset`; None when unpartitioned.
            rows_written: used when the facts hold no statistics of the run.
        """
        output_facets: dict[str, OutputDatasetFacet] = {"subset": subset} if subset else {}
        if statistics := self._statistics(facts, rows_written):
            output_facets["outputStatistics"] = statistics
        main = OutputDataset(*self.name(facts), facets=self._facets(facts), outputFacets=output_facets)
        shared: dict[str, OutputDatasetFacet] = {"subset": subset} if subset else {}
        further = [
            OutputDataset(*self.table(table), facets={"symlinks": self._symlinks(facts)}, outputFacets=dict(shared))
            for table in facts.tables
        ]
        return [main, *further]

    def subset(self, partitions: Sequence[str], span: tuple[str, str] | None = None) -> Subset | None:
        """The facet that says which partitions a run wrote.

        Args:
            partitions: partition keys, sorted.
            span: first and last key when the run wrote every partition between them, which is then said as a
                comparison, not as a list of thousands.
        """
        if not partitions:
            return None
        field = base_subset_dataset.FieldBaseCompareExpression(field=self._config.partition_field)
        condition: base_subset_dataset.BaseSubsetCondition
        if span is None or len(partitions) == 1:
            condition = base_subset_dataset.PartitionSubsetCondition(
                partitions=[
                    base_subset_dataset.Partition(dimensions={field.field: key}, identifier=key) for key in partitions
                ]
            )
        else:
            first, last = (base_subset_dataset.LiteralCompareExpression(value=key) for key in span)
            condition = base_subset_dataset.BinarySubsetCondition(
                left=base_subset_dataset.CompareSubsetCondition(field, first, "GREATER_EQUAL_THAN"),
                right=base_subset_dataset.CompareSubsetCondition(field, last, "LESS_EQUAL_THAN"),
                operator="AND",
            )
        return Subset(outputCondition=condition, producer=self._producer)

    def _facets(self, facts: AssetFacts) -> dict[str, DatasetFacet]:
        facets: dict[str, DatasetFacet] = {"symlinks": self._symlinks(facts)}
        if facts.description:
            facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(
                facts.description, contentType="text/markdown", producer=self._producer
            )
        if facts.owners:
            facets["ownership"] = ownership_dataset.OwnershipDatasetFacet(
                [ownership_dataset.Owner(owner) for owner in facts.owners], producer=self._producer
            )
        if facts.schema:
            facets["schema"] = schema_dataset.SchemaDatasetFacet(
                [_schema_field(column, place) for place, column in enumerate(facts.schema.columns, start=1)],
                producer=self._producer,
            )
        if lineage := self._column_lineage(facts):
            facets["columnLineage"] = lineage
        if facts.row_count is not None:
            facets["dataQualityMetrics"] = data_quality_metrics_dataset.DataQualityMetricsDatasetFacet(
                columnMetrics={}, rowCount=facts.row_count, producer=self._producer
            )
        return facets

    def _symlinks(self, facts: AssetFacts) -> symlinks_dataset.SymlinksDatasetFacet:
        return symlinks_dataset.SymlinksDatasetFacet(
            [symlinks_dataset.Identifier(self._config.job_namespace, facts.key, ASSET_SYMLINK)],
            producer=self._producer,
        )

    def _statistics(
        self, facts: AssetFacts, rows_written: int | None
    ) -> output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet | None:
        counts = dict(facts.statistics or ({} if rows_written is None else {"rowCount": rows_written}))
        if not counts:
            return None
        facet = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=counts.pop("rowCount", None), size=counts.pop("size", None), producer=self._producer
        )
        if counts:
            return facet.with_additional_properties(**counts)  # type: ignore[return-value]  # a subclass made at run time
        return facet

    def _column_lineage(self, facts: AssetFacts) -> column_lineage_dataset.ColumnLineageDatasetFacet | None:
        if facts.sql_lineage:
            columns = {
                column: [
                    self._input_field(*self.table(table), column=source, uses=uses)
                    for (table, source), uses in _uses(sources).items()
                ]
                for column, sources in facts.sql_lineage.columns.items()
            }
            rows = [
                self._input_field(*self.table(table), column=source, uses=uses)
                for (table, source), uses in _uses(facts.sql_lineage.rows).items()
            ]
        elif facts.sources_by_asset:
            columns = {
                column: [self._input_field(*self.name(self.facts(asset)), column=source) for asset, source in sources]
                for column, sources in facts.sources_by_asset.items()
            }
            rows = []
        else:
            return None
        return column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={column: column_lineage_dataset.Fields(inputFields=fields) for column, fields in columns.items()},
            dataset=rows,
            producer=self._producer,
        )

    @staticmethod
    def _input_field(
        namespace: str, name: str, *, column: str, uses: Sequence[str] = ()
    ) -> column_lineage_dataset.InputField:
        """A source column. Declared lineage says which columns go in, not how: DIRECT without a subtype."""
        transformations = [
            column_lineage_dataset.Transformation(type="DIRECT" if use in DIRECT else "INDIRECT", subtype=use)
            for use in uses
        ] or [column_lineage_dataset.Transformation(type="DIRECT")]
        return column_lineage_dataset.InputField(namespace, name, column, transformations=transformations)


def _schema_field(column: TableColumn, place: int) -> schema_dataset.SchemaDatasetFacetFields:
    unit = column.tags.get(UNIT_TAG)
    texts = [text for text in (column.description, f"Unit: {unit}." if unit else None) if text]
    return schema_dataset.SchemaDatasetFacetFields(
        name=column.name, type=column.type, description=" ".join(texts) or None, ordinal_position=place
    )


def _all_sources(lineage: SqlLineage) -> list[ColumnSource]:
    return [*(source for sources in lineage.columns.values() for source in sources), *lineage.rows]


def _uses(sources: Sequence[ColumnSource]) -> dict[tuple[str, str], list[str]]:
    """Uses of each (table, column), sorted."""
    uses: dict[tuple[str, str], list[str]] = {}
    for source in sorted(sources):
        uses.setdefault((source.table, source.column), []).append(source.use)
    return uses
