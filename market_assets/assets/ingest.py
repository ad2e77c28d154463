"""Vendor data: bars as traded, corporate actions and security facts. One fetch serves all three assets."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    DailyPartitionsDefinition,
    MaterializeResult,
    ResourceParam,
    multi_asset,
)

from lineage.facts import COLUMN_SCHEMA, TABLE_NAME, tables_metadata
from market_assets import companion, plots
from market_assets.assets.columns import column_schema
from market_assets.assets.ingest_metadata import of_table, on_every_partition, on_last_partition
from market_assets.assets.results import partitioned_result, write_metadata
from market_assets.ingestion import IngestReport, ingest
from market_assets.partitions import run_range
from market_assets.policy import OWNERS, classified_errors, ingest_backfills
from market_assets.resources import Platform
from market_assets.warehouse.inputs import coverage_by_month
from market_assets.warehouse.tables import (
    CORPORATE_ACTION,
    DATABASE,
    EXCHANGE,
    FACTOR_SCORE,
    FREE_FLOAT,
    FX_RATE,
    PRICE_BAR,
    SECURITY,
    SHARES_OUTSTANDING,
    SOURCE_AGREEMENT,
    SOURCE_PRIORITY,
    TRADING_SESSION,
    UNIVERSE_MEMBER,
    VersionedTable,
)

RAW_PRICES, CORPORATE_ACTIONS, SECURITIES = "raw_prices", "corporate_actions", "securities"
FURTHER_TABLES = {
    RAW_PRICES: (SOURCE_AGREEMENT,),
    SECURITIES: (
        SHARES_OUTSTANDING,
        UNIVERSE_MEMBER,
        TRADING_SESSION,
        EXCHANGE,
        SOURCE_PRIORITY,
        FX_RATE,
        FREE_FLOAT,
        FACTOR_SCORE,
    ),
}
"""Tables an asset writes beside its own."""

SOURCE_TAG = "market/source"
"""Run tag that names the one source to ask, instead of the configured chain."""

SYMBOLS_TAG = "market/symbols"
"""Run tag: the members of the universe to ask for, separated by commas, instead of all."""

PROVISIONAL_TAG = "market/provisional"
"""Run tag, any value: keep the bars of the session in progress as well, in raw.provisional_bar."""


def build_ingest(partitions: DailyPartitionsDefinition, sessions_per_run: int | None = None) -> AssetsDefinition:
    """The ingest assets: raw_prices by session, corporate_actions and securities as a whole.

    Args:
        partitions: sessions.
        sessions_per_run: see `ingest_backfills`.
    """

    @multi_asset(
        name="ingest",
        specs=[
            _spec(
                RAW_PRICES,
                PRICE_BAR,
                "Daily bars as traded, every version of each, from the first source that answers for the symbol.",
                partitions_def=partitions,
            ),
            _spec(
                CORPORATE_ACTIONS,
                CORPORATE_ACTION,
                "Splits, dividends, spin-offs and symbol changes by ex-date, as the sources publish them.",
            ),
            _spec(
                SECURITIES,
                SECURITY,
                "Facts of each security, share counts, universe membership, trading sessions and reference files.",
            ),
        ],
        can_subset=True,
        backfill_policy=ingest_backfills(sessions_per_run),
        pool="vendor",
    )
    def ingest_assets(
        context: AssetExecutionContext, platform: ResourceParam[Platform]
    ) -> Iterator[MaterializeResult[Any]]:
        selected = {key.to_user_string() for key in context.selected_asset_keys}
        tags = context.run.tags
        companion.start_for(context)
        with classified_errors(context):
            report = ingest(
                platform,
                *_range(context, platform),
                run_id=context.run.run_id,
                only_source=tags.get(SOURCE_TAG),
                symbols=tags[SYMBOLS_TAG].split(",") if SYMBOLS_TAG in tags else None,
                provisional=PROVISIONAL_TAG in tags,
                write=selected,
            )
        if RAW_PRICES in selected:
            yield _raw_prices(context, platform, report)
        if CORPORATE_ACTIONS in selected:
            yield MaterializeResult(asset_key=CORPORATE_ACTIONS, metadata=of_table(report, "actions"))
        if SECURITIES in selected:
            yield MaterializeResult(
                asset_key=SECURITIES,
                metadata={
                    **write_metadata(report.securities + report.reference),
                    "rows_received": (report.securities + report.reference).received,
                    "share_counts_received": report.rows_received["shares"],
                    "share_counts_written": report.shares.versions_written,
                },
            )

    return ingest_assets


def _spec(name: str, table: VersionedTable, description: str, **options: Any) -> AssetSpec:
    further = FURTHER_TABLES.get(name)
    more = tables_metadata([f"{DATABASE}.{other.qualified}" for other in further]) if further else {}
    return AssetSpec(
        name,
        description=description,
        group_name="ingest",
        owners=OWNERS,
        kinds={"python", "postgres"},
        metadata={TABLE_NAME: f"{DATABASE}.{table.qualified}", COLUMN_SCHEMA: column_schema(table), **more},
        **options,
    )


def _range(context: AssetExecutionContext, platform: Platform) -> tuple[date, date]:
    """Sessions of the run; the whole history when only unpartitioned assets were asked for."""
    if AssetKey(RAW_PRICES) in context.selected_asset_keys:
        return run_range(context)
    return platform.config.partitions.start, min(map(platform.last_session, platform.universe.exchanges))


def _raw_prices(context: AssetExecutionContext, platform: Platform, report: IngestReport) -> MaterializeResult[Any]:
    start, end = run_range(context)
    picture = None
    if start < end:
        picture = companion.call(plots.png, plots.coverage, coverage_by_month(platform.warehouse_url, start, end))
    return partitioned_result(
        context,
        RAW_PRICES,
        report.bars_by_session,
        every=on_every_partition(report),
        last=on_last_partition(report),
        picture=picture,
    )
