"""Materialization results: what every partition says of itself, and what only the last one of a run shows.

Dagster copies the metadata of a result to each partition of a range run. Counts of a session therefore go to its own
partition, and pictures, tables and lists to the last partition alone: twenty years of one picture would be 200 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, AssetKey, MaterializeResult
from dagster._core.execution.context.metadata_logging import (
    AssetMetadataHandle,
    OutputMetadataAccumulator,
    OutputMetadataHandle,
)

from lineage.facts import PARTITION_ROW_COUNT, statistics_metadata
from market_assets.plots import plot_metadata

if TYPE_CHECKING:
    from market_assets.warehouse.writes import WriteResult


def write_metadata(result: WriteResult) -> dict[str, Any]:
    """What a write did: for people as plain numbers, for lineage as statistics."""
    return {
        "versions_written": result.versions_written,
        "rows_added": result.added,
        "rows_restated": result.restated,
        "rows_unchanged": result.unchanged,
        "rows_withdrawn": result.withdrawn,
        **statistics_metadata(result.versions_written, restated=result.restated, withdrawn=result.withdrawn),
    }


def partitioned_result(
    context: AssetExecutionContext,
    asset: str,
    rows_by_session: Mapping[date, int],
    *,
    every: Mapping[str, Any],
    last: Mapping[str, Any],
    picture: bytes | None = None,
) -> MaterializeResult[Any]:
    """The result of a session-partitioned asset.

    Args:
        context: of the run.
        asset: name of the asset.
        rows_by_session: session -> rows; a partition without rows reports 0.
        every: small metadata of the run, repeated on each partition.
        last: metadata for the last partition only.
        picture: a PNG for the last partition.
    """
    keys = list(context.partition_keys)
    metadata: dict[str, dict[str, Any]] = {
        key: {PARTITION_ROW_COUNT: rows_by_session.get(date.fromisoformat(key), 0)} for key in keys
    }
    metadata[keys[-1]] |= {**last, **(plot_metadata(picture) if picture is not None else {})}
    _add_metadata(context, asset, metadata)
    return MaterializeResult(asset_key=asset, metadata=dict(every))


def _add_metadata(context: AssetExecutionContext, asset: str, metadata: Mapping[str, Mapping[str, Any]]) -> None:
    """`context.add_asset_metadata` for all partitions at once: called for each, it copies all those before it."""
    step = context.get_step_execution_context()
    every: dict[OutputMetadataHandle | AssetMetadataHandle, Mapping[str, Any]] = {
        **step._metadata_accumulator.per_output_metadata  # noqa: SLF001 - the public call is quadratic in partitions
    }
    for key, values in metadata.items():
        every[AssetMetadataHandle(asset_key=AssetKey(asset), partition_key=key)] = values
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=every)  # noqa: SLF001 - as above
