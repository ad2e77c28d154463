"""The jobs: what runs together. Which partitions a run covers is said by whoever launches it."""

from __future__ import annotations

from dagster import AssetSelection, UnresolvedAssetJobDefinition, define_asset_job, in_process_executor

from market_assets.assets.ingest import CORPORATE_ACTIONS, RAW_PRICES, SECURITIES
from market_assets.runs import JOB

INGEST_JOB = "ingest"


def build_jobs() -> list[UnresolvedAssetJobDefinition]:
    """`backfill` (everything, in order) and `ingest` (what the session sensors launch; the rest follows by itself)."""
    return [
        define_asset_job(
            JOB,
            selection=AssetSelection.all() - AssetSelection.groups("prices"),
            description="Every asset from vendor bars to marts, for the partitions of the run.",
            executor_def=in_process_executor,
        ),
        define_asset_job(
            INGEST_JOB,
            selection=AssetSelection.assets(RAW_PRICES, CORPORATE_ACTIONS, SECURITIES),
            description="Vendor bars, corporate actions and security facts, for the partitions of the run.",
            executor_def=in_process_executor,
        ),
    ]
