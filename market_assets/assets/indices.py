"""Index levels and constituents by session, by the divisor method. One calculation serves both assets."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    AutomationCondition,
    BackfillPolicy,
    DailyPartitionsDefinition,
    MaterializeResult,
    ResourceParam,
    multi_asset,
)

from lineage.facts import COLUMN_LINEAGE, COLUMN_SCHEMA, TABLE_NAME, lineage_table, tables_metadata
from market_assets import companion, plots
from market_assets.assets.columns import column_schema, index_lineage, verify_lineage
from market_assets.assets.results import partitioned_result, write_metadata
from market_assets.index_calculation import calculate_indices
from market_assets.partitions import run_range
from market_assets.policy import OWNERS, classified_errors
from market_assets.resources import Platform
from market_assets.warehouse.tables import (
    DATABASE,
    DIVISOR_CHANGE,
    INDEX_CONSTITUENT,
    INDEX_RECALCULATION,
    INDEX_VALUE,
    REBALANCE,
    REBALANCE_TARGET,
)

INDEX_VALUES, INDEX_CONSTITUENTS = "index_values", "index_constituents"

INPUTS = ["raw_prices", "corporate_actions", "securities", "int_golden_bar", "int_golden_action"]


def build_indices(partitions: DailyPartitionsDefinition, automation: AutomationCondition[Any]) -> AssetsDefinition:
    """The index assets: index_values and index_constituents, always calculated together."""

    def spec(name: str, description: str, tables: list[str]) -> AssetSpec:
        table = INDEX_VALUE if name == INDEX_VALUES else INDEX_CONSTITUENT
        lineage = index_lineage(name)
        return AssetSpec(
            name,
            description=description,
            deps=INPUTS,
            partitions_def=partitions,
            automation_condition=automation,
            group_name="indices",
            owners=OWNERS,
            kinds={"python", "numpy", "postgres"},
            metadata={
                TABLE_NAME: f"{DATABASE}.{table.qualified}",
                COLUMN_SCHEMA: column_schema(table),
                COLUMN_LINEAGE: lineage,
                **lineage_table(lineage),
                **tables_metadata([f"{DATABASE}.{other}" for other in tables]),
            },
        )

    @multi_asset(
        name="indices",
        specs=[
            spec(
                INDEX_VALUES,
                "Price, total and net total return level of each index, its divisor and market value.",
                [table.qualified for table in (INDEX_RECALCULATION, DIVISOR_CHANGE, REBALANCE, REBALANCE_TARGET)],
            ),
            spec(
                INDEX_CONSTITUENTS,
                "Shares, weight, price and contribution of each constituent of each index at each close.",
                [],
            ),
        ],
        backfill_policy=BackfillPolicy.single_run(),
    )
    def index_assets(
        context: AssetExecutionContext, platform: ResourceParam[Platform]
    ) -> Iterator[MaterializeResult[Any]]:
        start, end = run_range(context)
        companion.start_for(context)
        with classified_errors(context):
            for table, asset in ((INDEX_VALUE, INDEX_VALUES), (INDEX_CONSTITUENT, INDEX_CONSTITUENTS)):
                verify_lineage(platform.warehouse_url, table, index_lineage(asset))
            report = calculate_indices(platform, start, end, run_id=context.run.run_id)
        for index_id, what in report.frozen.items():
            context.log.warning(f"index {index_id}: frozen levels stay although a recalculation departs from {what}")
        yield partitioned_result(
            context,
            INDEX_VALUES,
            report.value_rows,
            every={
                **write_metadata(report.values),
                "rebalances": report.rebalances,
                "divisor_changes_written": report.divisor_changes.versions_written,
                "recalculations_written": report.recalculations.versions_written,
            },
            last={"frozen_levels_that_depart": report.frozen} if report.frozen else {},
            picture=companion.call(plots.png, plots.levels, report.levels) if len(report.value_rows) > 1 else None,
        )
        yield partitioned_result(
            context, INDEX_CONSTITUENTS, report.constituent_rows, every=write_metadata(report.constituents), last={}
        )

    return index_assets
