"""Lineage of this platform: the lineage package, configured. Nothing is sent by assets; see docs/architecture.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.config import LineageConfig, TransportConfig, postgres_names
from lineage.declared import declared_assets
from lineage.sensor import LineagePass, build_lineage_sensor, collect_and_deliver
from market_assets.config import HttpTransport
from market_assets.settings import secret
from market_assets.warehouse import tables
from market_assets.warehouse.connection import connect

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions, SensorDefinition

    from market_assets.resources import Platform


def lineage_config(platform: Platform) -> LineageConfig:
    """The lineage package's settings, with the real names of the warehouse and the key from the environment."""
    settings = platform.config.lineage
    namespace, database = postgres_names(platform.warehouse_url)
    return LineageConfig(
        dataset_namespace=namespace,
        database=database,
        database_names={tables.DATABASE: database},
        job_namespace=settings.namespace,
        partition_field="session",
        transport=_transport(platform),
    )


def _transport(platform: Platform) -> TransportConfig:
    transport = platform.config.lineage.transport
    if isinstance(transport, HttpTransport):
        key = secret("MARKET_LINEAGE_API_KEY")
        return TransportConfig(
            "http",
            url=transport.url,
            endpoint=transport.endpoint,
            api_key=key.get_secret_value() if key else None,
            timeout_seconds=transport.timeout_seconds,
        )
    return TransportConfig(transport.kind, path=platform.config.lineage_file)


def collect_and_deliver_lineage(platform: Platform, definitions: Definitions, instance: DagsterInstance) -> LineagePass:
    """Turn what the event log holds into OpenLineage events and deliver what is due."""
    with connect(platform.warehouse_url) as connection:
        return collect_and_deliver(instance, connection, lineage_config(platform), declared_assets(definitions))


def lineage_sensor(platform: Platform) -> SensorDefinition:
    """The same, while the daemon runs."""
    return build_lineage_sensor(lambda: connect(platform.warehouse_url), lambda: lineage_config(platform))
