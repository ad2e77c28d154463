"""Settings: names of databases, what is refused, what is never shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lineage_world import CONFIG

from lineage.config import TransportConfig, postgres_names
from lineage.declared import AssetFacts
from lineage.errors import LineageConfigError
from lineage.facets import Datasets
from lineage.schema import create_all, statements


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("postgresql://user:secret@db.example:6432/market", ("postgres://db.example:6432", "market")),
        ("postgresql://db.example/market", ("postgres://db.example:5432", "market")),
        ("postgresql://postgres@/market?host=/run/postgres", ("postgres://localhost:socket", "market")),
        ("host=one,two port=5432,5433 dbname=market", ("postgres://one:5432", "market")),
        ("user=market", ("postgres://localhost:socket", "market")),
        ("host=@abstract", ("postgres://localhost:socket", "postgres")),
    ],
)
def test_names_of_a_database(url: str, names: tuple[str, str]) -> None:
    assert postgres_names(url) == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "kafka"}, "transport kind 'kafka' is unknown. Allowed: file, http, console, none"),
        ({"kind": "file"}, "transport `file` needs `path`"),
        ({"kind": "http"}, r"transport `http` needs `url`: http://... or https://... \(found None\)"),
        ({"kind": "http", "url": "marquez:5000"}, r"\(found 'marquez:5000'\)"),
        ({"timeout_seconds": 0}, r"timeout must be above 0 seconds \(found 0\)"),
    ],
)
def test_a_wrong_transport_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LineageConfigError, match=message):
        TransportConfig(**options)


def test_the_key_is_not_shown() -> None:
    assert "s3cret" not in repr(TransportConfig(kind="file", path=Path("x"), api_key="s3cret"))


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("market.raw.bar", "market_test.raw.bar"),
        ('"market"."raw"."bar"', "market_test.raw.bar"),
        ("other.raw.bar", "other.raw.bar"),
        ("raw.bar", "market_test.raw.bar"),
        ("bar", "bar"),
    ],
)
def test_tables_get_the_real_name_of_their_database(table: str, name: str) -> None:
    config = replace(CONFIG, database="market", database_names={"market": "market_test"})
    assert Datasets(config, {}).name(AssetFacts("bars", table=table)) == ("postgres://localhost:socket", name)


def test_the_tables_can_be_made_again_and_again(connection: psycopg.Connection) -> None:
    connection.execute("drop schema lineage cascade")
    create_all(connection)
    create_all(connection)
    row = connection.execute("select count(*) from information_schema.tables where table_schema = 'lineage'").fetchone()
    assert row == (sum("create table" in statement for statement in statements()),)
