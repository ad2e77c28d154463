"""The one Definitions object: where sources, assets, checks, sensors and lineage meet.

`defs` is what Dagster loads. `build_definitions` is the seam for tests and the CLI.
"""

from __future__ import annotations

from dagster import Definitions, in_process_executor, with_source_code_references

from market_assets.assets.indicators import build_indicators
from market_assets.assets.indices import build_indices
from market_assets.assets.ingest import build_ingest
from market_assets.assets.marts import build_marts
from market_assets.automation import downstream_condition
from market_assets.checks import build_quality_checks
from market_assets.dbt.project import manifest
from market_assets.dbt.specs import read_models
from market_assets.jobs import build_jobs
from market_assets.resources import Platform
from market_assets.sensors import build_sensors


def build_definitions(platform: Platform | None = None) -> Definitions:
    """Everything Dagster may show and run.

    Args:
        platform: configuration and everything made from it; None = from config/market.yaml.
    """
    platform = platform or Platform()
    automation = downstream_condition()
    models = read_models(manifest())
    return Definitions(
        assets=with_source_code_references(
            [
                build_ingest(platform.partitions),
                *(model.spec for model in models if model.is_view),
                build_indicators(platform.partitions, automation),
                build_indices(platform.partitions, automation),
                build_marts(models, automation),
            ]
        ),
        asset_checks=build_quality_checks(platform),
        jobs=build_jobs(),
        sensors=build_sensors(platform),
        resources={"platform": platform},
        executor=in_process_executor,
    )


defs = build_definitions()
