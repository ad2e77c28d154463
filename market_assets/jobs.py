"""The jobs: what runs together. Which partitions a run covers is said by whoever launches it."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job, in_process_executor
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from market_assets.assets.ingest import CORPORATE_ACTIONS, RAW_PRICES, SECURITIES
from market_assets.automation import COMPLETE_RUN_TAG
from market_assets.runs import JOB

Jobs = tuple[UnresolvedAssetJobDefinition, UnresolvedAssetJobDefinition, UnresolvedAssetJobDefinition]


def build_jobs() -> Jobs:
    """`backfill` (everything), `ingest` (what a closed session launches), `recompute` (what a restatement launches)."""
    vendor = AssetSelection.assets(RAW_PRICES, CORPORATE_ACTIONS, SECURITIES)
    executable = AssetSelection.all().materializable()
    return (
        define_asset_job(
            JOB,
            selection=executable,
            description="Every asset from vendor bars to marts, for the partitions of the run.",
            tags={COMPLETE_RUN_TAG: "true"},
            executor_def=in_process_executor,
        ),
        define_asset_job(
            "ingest_session",
            selection=vendor,
            description="Vendor bars, corporate actions and security facts, for the partitions of the run.",
            executor_def=in_process_executor,
        ),
        define_asset_job(
            "recompute",
            selection=executable - vendor | AssetSelection.checks_for_assets(RAW_PRICES),
            description="Everything computed from vendor data, gated by the checks of that data.",
            tags={COMPLETE_RUN_TAG: "true"},
            executor_def=in_process_executor,
        ),
    )
