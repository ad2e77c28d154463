"""Views that no run writes: their lineage comes from the database, once, and again when they change."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from dagster import AssetKey, AssetSpec, DagsterInstance, Definitions, TableColumnLineage
from lineage_world import CONFIG, DEFINITIONS, run

from lineage.catalog import read_catalog, read_views
from lineage.collector import collect
from lineage.declared import declared_assets
from lineage.facts import COLUMN_LINEAGE, SQL
from lineage.graph import LineageGraph
from lineage.sensor import collect_and_deliver
from lineage.views import report_views

PRICES = AssetSpec("stored_prices", metadata={"dagster/table_name": "market.probe.prices"})
VIEW = AssetSpec(
    "dear_prices", deps=[PRICES], metadata={"dagster/table_name": "market.probe.dear_prices"}, is_virtual=True
)
DEFS = Definitions.merge(DEFINITIONS, Definitions(assets=[PRICES, VIEW, AssetSpec("elsewhere")]))
DECLARED = declared_assets(DEFS)


@pytest.fixture
def views(connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A table and a view of it in the warehouse."""
    connection.execute("create schema probe")
    connection.execute("create table probe.prices (symbol text, close double precision)")
    connection.execute(
        "create view probe.dear_prices as select symbol, close * 2 as twice from probe.prices where close > 100"
    )
    connection.commit()
    yield connection
    connection.rollback()
    connection.execute("drop schema probe cascade")
    connection.commit()


def test_the_database_knows_its_views_and_columns(views: psycopg.Connection) -> None:
    database = views.info.dbname
    assert f"{database}.probe.dear_prices" in read_views(views)
    assert all(".pg_catalog." not in name for name in read_views(views))
    assert read_catalog(views)[f"{database}.probe.dear_prices"] == {"symbol": "text", "twice": "double precision"}


def test_a_view_is_reported_once_and_again_when_it_changes(
    instance: DagsterInstance, views: psycopg.Connection
) -> None:
    assert report_views(instance, views, DECLARED) == 1
    assert report_views(instance, views, DECLARED) == 0
    views.execute("create or replace view probe.dear_prices as select symbol, close as twice from probe.prices")
    assert report_views(instance, views, DECLARED) == 1
    event = instance.get_latest_materialization_event(AssetKey("dear_prices"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert "close AS twice" in str(metadata[SQL].value)
    shown = metadata[COLUMN_LINEAGE].value
    assert isinstance(shown, TableColumnLineage)
    assert shown.deps_by_column["twice"][0].asset_key == AssetKey("stored_prices")


def test_the_graph_goes_through_views(instance: DagsterInstance, views: psycopg.Connection) -> None:
    database = views.info.dbname
    config = replace(CONFIG, database_names={"market": database})
    assert collect_and_deliver(instance, views, config, DECLARED).collected == 2
    graph = LineageGraph.load(views)
    tree = graph.upstream("dear_prices.twice")
    assert [(node.name, node.table, node.uses) for node in tree.walk()] == [
        ("dear_prices.twice", f"{database}.probe.dear_prices", ()),
        ("stored_prices.close", f"{database}.probe.prices", ("TRANSFORMATION",)),
    ]
    assert [item.name for item in graph.impact("stored_prices.close").affected] == ["dear_prices"]


def test_a_view_that_cannot_be_analysed_keeps_its_sql(
    instance: DagsterInstance, views: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    views.execute("create or replace view probe.dear_prices as select symbol, close as twice from probe.prices")
    views.execute("alter view probe.dear_prices rename to hidden")
    views.execute("create view probe.dear_prices as select xmin::text as version from probe.prices")
    caplog.set_level(logging.WARNING)
    assert report_views(instance, views, DECLARED) == 1
    assert "no column lineage for view dear_prices: xmin cannot be resolved" in caplog.text
    config = replace(CONFIG, database_names={"market": views.info.dbname})
    assert collect(instance, views, config, DECLARED) == 2
    assert LineageGraph.load(views).upstream("dear_prices").children[0].name == "stored_prices"


def test_assets_that_runs_write_are_left_to_them(instance: DagsterInstance, views: psycopg.Connection) -> None:
    assert report_views(instance, views, declared_assets(DEFINITIONS)) == 0
    run(instance, "sql")
    assert report_views(instance, views, {"elsewhere": DECLARED["elsewhere"]}) == 0
