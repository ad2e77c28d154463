"""Technical indicators by session, from the adjusted bars."""

from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AutomationCondition,
    BackfillPolicy,
    DailyPartitionsDefinition,
    MaterializeResult,
    ResourceParam,
    asset,
)

from lineage.facts import COLUMN_LINEAGE, COLUMN_SCHEMA, TABLE_NAME, lineage_table
from market_assets import companion, plots
from market_assets.assets.columns import column_schema, indicator_lineage, verify_lineage
from market_assets.assets.results import partitioned_result, write_metadata
from market_assets.calculation import calculate_indicators
from market_assets.partitions import run_range
from market_assets.policy import OWNERS, classified_errors
from market_assets.resources import Platform
from market_assets.warehouse.tables import DATABASE, indicator_table

INDICATORS = "indicators"
PLOTTED = ["rsi_14", "return_21", "bollinger_percent_b", "volatility_60"]


def build_indicators(partitions: DailyPartitionsDefinition, automation: AutomationCondition[Any]) -> AssetsDefinition:
    """The indicators asset: one row per symbol and session, one column per registered output."""
    table = indicator_table()
    lineage = indicator_lineage()

    @asset(
        name=INDICATORS,
        description="Technical indicators of each symbol and session, in the price basis of the session itself; beta "
        "and correlation against the benchmark index.",
        deps=["int_adjusted_bar", "raw_prices", "corporate_actions", "index_values"],
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
        automation_condition=automation,
        group_name="analytics",
        owners=OWNERS,
        kinds={"python", "talib", "postgres"},
        metadata={
            TABLE_NAME: f"{DATABASE}.{table.qualified}",
            COLUMN_SCHEMA: column_schema(table),
            COLUMN_LINEAGE: lineage,
            **lineage_table(lineage),
        },
    )
    def indicators(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[Any]:
        companion.start_for(context)
        with classified_errors(context):
            verify_lineage(platform.warehouse_url, table, lineage)
            report = calculate_indicators(platform, *run_range(context), run_id=context.run.run_id)
        last = report.last
        return partitioned_result(
            context,
            INDICATORS,
            report.rows_by_session,
            every={**write_metadata(report.result), "symbols": report.symbols},
            last={},
            picture=companion.call(plots.png, plots.distributions, last[PLOTTED], PLOTTED) if len(last) else None,
        )

    return indicators
