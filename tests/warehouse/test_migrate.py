"""Bringing a server to the schema: databases made on demand, migrations that several processes may start at once."""

from __future__ import annotations

import multiprocessing
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, text

from market_assets.domain.indicators import output_columns
from market_assets.errors import TerminalError, WarehouseUnavailable
from market_assets.warehouse import migrate as module
from market_assets.warehouse.connection import connect
from market_assets.warehouse.migrate import (
    create_database,
    current_revision,
    head_revision,
    is_current,
    migrate,
    sqlalchemy_url,
)
from market_assets.warehouse.tables import TABLES, indicator_table

if TYPE_CHECKING:
    from conftest import TestServer


@pytest.fixture
def missing_url(pg_server: TestServer) -> str:
    """URL of a database that does not exist yet."""
    return pg_server.url(f"missing_{uuid.uuid4().hex[:8]}")


def columns(url: str) -> dict[str, set[str]]:
    with connect(url) as connection:
        rows = connection.execute(
            "select table_schema || '.' || table_name, array_agg(column_name::text) "
            "from information_schema.columns group by 1"
        ).fetchall()
    return {name: set(names) for name, names in rows}


# Databases ----------------------------------------------------------------------------------------------------------


def test_a_missing_database_is_created_once(missing_url):
    assert create_database(missing_url)
    assert not create_database(missing_url)


def test_a_name_that_needs_quoting_is_created(pg_server):
    url = pg_server.url("a b-é")
    assert create_database(url)
    with connect(url) as connection:
        assert connection.info.dbname == "a b-é"


def test_a_server_that_is_away_is_told_without_the_password():
    with pytest.raises(
        WarehouseUnavailable, match=r"cannot connect to postgresql://u:\*\*\*@127.0.0.1:1/market"
    ) as caught:
        create_database("postgresql://u:secret@127.0.0.1:1/market")
    assert "secret" not in str(caught.value)


def test_a_role_that_may_not_create_it_is_told_what_to_run(pg_server, missing_url):
    with connect(pg_server.url("postgres"), autocommit=True) as connection:
        connection.execute("drop role if exists modest")
        connection.execute("create role modest login")
    with pytest.raises(TerminalError, match=r'may not create it; run as an administrator: CREATE DATABASE "missing_'):
        create_database(missing_url.replace("postgres@", "modest@"))


# Migrations ---------------------------------------------------------------------------------------------------------


def test_an_empty_server_gets_every_table(missing_url):
    assert migrate(missing_url) == ("", head_revision())
    found = columns(missing_url)
    for table in (*TABLES, indicator_table()):
        assert found[table.qualified] >= set(table.columns) | {"known_from", "known_to", "run_id", "changed_xid"}
    assert {"quality.quarantine", "quality.quarantine_event", "lineage.outbox"} <= found.keys()
    assert is_current(missing_url)


def test_migrating_again_changes_nothing(warehouse_url):
    before = columns(warehouse_url)
    assert migrate(warehouse_url) == (head_revision(), head_revision())
    assert columns(warehouse_url) == before


def test_versions_of_an_older_warehouse_stay_and_keep_their_proof(missing_url):
    """Revision 0008 puts one unique index in the place of the primary key and the index of current rows."""
    create_database(missing_url)
    engine = create_engine(sqlalchemy_url(missing_url))
    config = module._config()
    with engine.begin() as opened:
        config.attributes["connection"] = opened
        command.upgrade(config, "0007")
    engine.dispose()
    insert = (
        "insert into raw.price_bar (symbol, session, source, close, known_from, known_to, run_id) "
        "values ('A', '2024-01-02', 's', %s, %s, %s, 'r')"
    )
    with connect(missing_url) as connection:
        connection.execute(insert, (1.0, "2024-01-03", "2024-01-04"))
        connection.execute(insert, (2.0, "2024-01-04", None))
    assert migrate(missing_url) == ("0007", head_revision())
    with connect(missing_url) as connection:
        kept = connection.execute("select close from raw.price_bar order by known_from").fetchall()
        assert kept == [(1.0,), (2.0,)]
        with pytest.raises(psycopg.errors.UniqueViolation, match="price_bar_version"):
            connection.execute(insert, (3.0, "2024-01-05", None))


def test_a_database_that_was_never_migrated_has_no_revision(pg_server):
    url = pg_server.create_database("empty")
    assert current_revision(url) == ""
    assert not is_current(url)


def test_an_emptied_version_table_has_no_revision(pg_server):
    url = pg_server.create_database("empty")
    with connect(url) as connection:
        connection.execute("create table public.alembic_version (version_num text)")
    assert current_revision(url) == ""


def test_a_new_indicator_gets_its_column(warehouse_url):
    name = output_columns()[3].name
    with connect(warehouse_url) as connection:
        connection.execute(
            psycopg.sql.SQL("alter table analytics.indicator drop column {}").format(psycopg.sql.Identifier(name))
        )
    assert not is_current(warehouse_url)
    migrate(warehouse_url)
    assert is_current(warehouse_url)
    assert name in columns(warehouse_url)["analytics.indicator"]


def test_a_database_of_newer_code_is_refused(warehouse_url):
    with connect(warehouse_url) as connection:
        connection.execute("update public.alembic_version set version_num = '9999'")
    assert not is_current(warehouse_url)
    with pytest.raises(TerminalError, match="revision 9999, which this code does not know; update market-assets"):
        migrate(warehouse_url)


def test_an_old_server_is_refused(monkeypatch, warehouse_url):
    monkeypatch.setattr(module, "MINIMUM_SERVER", 990000)
    with pytest.raises(TerminalError, match=r"is PostgreSQL \d+; 15 or newer is needed"):
        migrate(warehouse_url)


def test_the_product_of_no_ratios_is_one_and_of_some_their_product(warehouse_url):
    with connect(warehouse_url) as connection:
        found = connection.execute(
            "select public.product(r) filter (where r > 9), public.product(r) "
            "from (values (2.0::float8), (0.1), (7)) v (r)"
        ).fetchone()
    assert found == (1.0, pytest.approx(1.4))


def _migrate(url: str, queue: multiprocessing.Queue[object]) -> None:
    try:
        queue.put(migrate(url)[1])
    except Exception as error:
        queue.put(repr(error))


def test_processes_that_migrate_at_once_do_not_collide(missing_url):
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[object] = context.Queue()
    processes = [context.Process(target=_migrate, args=(missing_url, queue)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=120) for _ in processes] == [head_revision()] * 3
    for process in processes:
        process.join(60)
    assert is_current(missing_url)


# SQLAlchemy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40@host:1/market", "postgresql+psycopg://u:p%40@host:1/market"),
        ("postgresql://postgres@/market?host=/run", "postgresql+psycopg://postgres@localhost/market?host=/run"),
        ("postgresql:///market?host=/run", "postgresql+psycopg://localhost/market?host=/run"),
    ],
)
def test_urls_for_sqlalchemy(url, expected):
    assert sqlalchemy_url(url) == expected


def test_sqlalchemy_connects_over_the_socket(warehouse_url):
    engine = create_engine(sqlalchemy_url(warehouse_url))
    with engine.connect() as connection:
        assert connection.execute(text("select 1")).scalar() == 1
    engine.dispose()
