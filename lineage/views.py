"""Views that no run writes: their lineage is read from the database that holds them.

Belongs here: assets that are views of the database with the `lineage` schema and that Dagster never executes, such as
dbt views that are declared as virtual assets. Their SQL is reported to Dagster as a materialization outside any run,
once, and again when it changes; from there on they are collected like everything else.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dagster import AssetKey, AssetMaterialization, MetadataValue

from lineage import facts
from lineage.catalog import read_catalog, read_views
from lineage.columns import Catalog, analyse_sql
from lineage.declared import asset_facts
from lineage.errors import ColumnLineageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    from dagster import DagsterInstance

    from lineage.declared import Declared

_LOG = logging.getLogger(__name__)


def report_views(instance: DagsterInstance, connection: psycopg.Connection, declared: Declared) -> int:
    """Report views whose SQL is new to Dagster; returns how many.

    A view whose SQL cannot be analysed is reported without column lineage, with a warning in the log.

    Args:
        instance: told about the views.
        connection: to the database that holds them; only read.
        declared: definitions by asset key.
    """
    candidates = [key for key, asset in declared.items() if not asset.executable]
    if not candidates:
        return 0
    views = read_views(connection)
    real_names = {table.partition(".")[2]: table for table in views}
    sql_by_key = {key: (name, views[name]) for key in candidates if (name := real_names.get(_relation(key, declared)))}
    told = _reported_sql(instance, [AssetKey.from_user_string(key) for key in sql_by_key])
    changed = {key: view for key, view in sql_by_key.items() if told.get(key) != view[1]}
    if not changed:
        return 0
    catalog = read_catalog(connection)
    database = next(iter(views)).partition(".")[0]
    assets = {
        f"{database}.{relation}": AssetKey.from_user_string(key)
        for key in declared
        if (relation := _relation(key, declared))
    }
    for key, (name, sql) in sorted(changed.items()):
        metadata = {facts.TABLE_NAME: MetadataValue.text(name), **_metadata(key, sql, catalog, assets)}
        instance.report_runless_asset_event(AssetMaterialization(AssetKey.from_user_string(key), metadata=metadata))
    return len(changed)


def _relation(key: str, declared: Declared) -> str:
    """`schema.table` of an asset, empty when it has no table."""
    table = (asset_facts(key, declared).table or "").replace('"', "")
    return ".".join(table.split(".")[-2:])


def _reported_sql(instance: DagsterInstance, keys: list[AssetKey]) -> dict[str, str]:
    """SQL in the newest materialization of each asset."""
    events = instance.event_log_storage.get_latest_materialization_events(keys)
    reported = {}
    for key, entry in events.items():
        materialization = entry.asset_materialization if entry else None
        if materialization is not None and facts.SQL in materialization.metadata:
            reported[key.to_user_string()] = str(materialization.metadata[facts.SQL].value)
    return reported


def _metadata(key: str, sql: str, catalog: Catalog, assets: Mapping[str, AssetKey]) -> dict[str, MetadataValue]:
    try:
        return facts.sql_metadata(sql, analyse_sql(sql, catalog), assets)
    except ColumnLineageError as error:
        _LOG.warning("no column lineage for view %s: %s", key, error)
        return facts.sql_metadata(sql, None)
