"""The one Definitions object: where sources, assets, checks, sensors and lineage meet.

`defs` is what Dagster loads. `build_definitions` is the seam for tests and the CLI.
"""

from __future__ import annotations

import os
import warnings

from dagster import (
    AssetKey,
    AssetSelection,
    BetaWarning,
    Definitions,
    PreviewWarning,
    definitions,
    in_process_executor,
    with_source_code_references,
)

from market_assets.assets.indicators import INDICATORS, build_indicators
from market_assets.assets.indices import INDEX_VALUES, build_indices
from market_assets.assets.ingest import RAW_PRICES, build_ingest
from market_assets.assets.marts import build_marts
from market_assets.automation import build_automation_sensor, marts_condition, session_condition
from market_assets.checks import build_quality_checks, quality_results
from market_assets.dbt.project import manifest
from market_assets.dbt.specs import read_models
from market_assets.jobs import build_jobs
from market_assets.resources import Platform
from market_assets.sensors import (
    build_failure_alert_sensor,
    build_restatement_sensor,
    build_session_close_sensor,
    build_universe_sensor,
)
from market_assets.tracing import lineage_sensor
from market_assets.warehouse.connection import connect
from market_assets.warehouse.inputs import universe_symbols


def build_definitions(platform: Platform | None = None) -> Definitions:
    """Everything Dagster may show and run.

    Args:
        platform: configuration and everything made from it; None = from config/market.yaml.
    """
    with warnings.catch_warnings():
        # Dagster calls parts of its API preview or beta, once for each use; the version is pinned.
        warnings.simplefilter("ignore", PreviewWarning)
        warnings.simplefilter("ignore", BetaWarning)
        return _build(platform or Platform())


def _build(platform: Platform) -> Definitions:
    after_bars = session_condition(AssetSelection.assets(RAW_PRICES))
    after_session = marts_condition([AssetKey(name) for name in (INDICATORS, INDEX_VALUES)])
    models = read_models(manifest())
    backfill, ingest, recompute = build_jobs()
    return Definitions(
        assets=with_source_code_references(
            [
                build_ingest(platform.partitions, platform.config.backfill.sessions_per_run),
                quality_results(),
                *(model.spec for model in models if model.is_view),
                build_indicators(platform.partitions, after_bars),
                build_indices(platform.partitions, after_bars),
                build_marts(models, after_session),
            ]
        ),
        asset_checks=build_quality_checks(platform),
        jobs=[backfill, ingest, recompute],
        sensors=[
            build_session_close_sensor(
                calendars=tuple(platform.calendars.values()),
                partitions=platform.partitions,
                target=ingest,
                settle=platform.settle,
                now=platform.now,
            ),
            build_universe_sensor(
                load=platform.read_universe,
                loaded_symbols=lambda: universe_symbols(platform.warehouse_url),
                exchanges=tuple(platform.calendars),
                partitions=platform.partitions,
                target=ingest,
            ),
            build_restatement_sensor(
                connect=lambda: connect(platform.warehouse_url), partitions=platform.partitions, target=recompute
            ),
            build_failure_alert_sensor(
                webhook=platform.config.alert_webhook, ui_address=os.environ.get("MARKET_UI_ADDRESS")
            ),
            build_automation_sensor(AssetSelection.groups("analytics", "indices", "marts")),
            lineage_sensor(platform),
        ],
        resources={"platform": platform},
        executor=in_process_executor,
    )


@definitions
def defs() -> Definitions:
    """What Dagster loads; built when asked for, so that importing this module costs nothing."""
    return build_definitions()
