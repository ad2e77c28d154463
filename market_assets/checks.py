"""Which suite watches which asset, with thresholds from the configuration. How a suite runs is in `quality`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from dagster import AssetCheckExecutionContext, AssetChecksDefinition, AssetSpec

from lineage.facts import COLUMN_SCHEMA, TABLE_NAME
from market_assets.assets.columns import column_schema
from market_assets.companion import call
from market_assets.domain.indicators import ascending_columns, output_columns, outputs
from market_assets.policy import OWNERS
from market_assets.warehouse.tables import DATABASE, QUALITY_RESULT
from quality.checks import Database, build_checks
from quality.results import PostgresResultSink
from quality.suites.index_value import IndexThresholds, index_constituent_suite, index_value_suite
from quality.suites.indicator import ColumnBounds, IndicatorThresholds, indicator_suite
from quality.suites.price_bar import PriceBarThresholds, price_bar_suite
from quality.validation import run_suite

if TYPE_CHECKING:
    from market_assets.resources import Platform


def build_quality_checks(platform: Platform) -> list[AssetChecksDefinition]:
    """One asset checks definition for each of raw_prices, indicators, index_values and index_constituents."""
    config = platform.config
    columns = output_columns()
    warm_up = {output.name: output.warm_up for output in outputs() if not output.null_when and not output.state}
    index = config.thresholds("index", IndexThresholds)
    suites = {
        "raw_prices": price_bar_suite(config.thresholds("price_bar", PriceBarThresholds)),
        "indicators": indicator_suite(
            [ColumnBounds(column.name, *column.bounds) for column in columns],
            ascending=ascending_columns(),
            warm_up=warm_up,
            thresholds=config.thresholds("indicator", IndicatorThresholds),
        ),
        "index_values": index_value_suite(index),
        "index_constituents": index_constituent_suite(index),
    }
    also_read = {"raw_prices": ["corporate_actions", "securities"], "index_values": ["index_constituents"]}
    database = Database(_warehouse_url, frozenset({"platform"}), run=partial(call, run_suite))
    return [
        build_checks(
            suite,
            asset,
            database=database,
            sink=PostgresResultSink(),
            partitions_def=platform.partitions,
            additional_deps=also_read.get(asset, ()),
        )
        for asset, suite in suites.items()
    ]


def quality_results() -> AssetSpec:
    """The table the checks write their results into. Nobody materializes it; models read it."""
    return AssetSpec(
        "quality_results",
        description="Result of every check for every session, every version of it.",
        group_name="quality",
        owners=OWNERS,
        kinds={"greatexpectations", "postgres"},
        metadata={
            TABLE_NAME: f"{DATABASE}.{QUALITY_RESULT.qualified}",
            COLUMN_SCHEMA: column_schema(QUALITY_RESULT),
        },
    )


def _warehouse_url(context: AssetCheckExecutionContext) -> str:
    return cast("Platform", context.resources.platform).warehouse_url
