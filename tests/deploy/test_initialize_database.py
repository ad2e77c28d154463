"""What the database container runs on its first start: one role that owns its two databases and nothing else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from market_assets.instance.storage import MarketStorage
from market_assets.warehouse.migrate import migrate

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "postgres" / "initialize.sh"


@pytest.fixture
def initialized(private_server: Any) -> Iterator[dict[str, str]]:
    """URLs by database, as role `market`, on a server the script has initialized."""
    administrator = private_server.url("postgres")
    socket = str(conninfo_to_dict(administrator)["host"])
    environment = {
        "PATH": f"{private_server._server.bin_path}:{os.environ['PATH']}",
        "PGHOST": socket,
        "POSTGRES_USER": "postgres",
        "MARKET_DATABASE_PASSWORD": "it's a secret",
    }
    subprocess.run(["sh", str(SCRIPT)], env=environment, check=True, capture_output=True)
    yield {name: f"postgresql://market@/{name}?host={socket}" for name in ("market", "dagster", "postgres")}
    with psycopg.connect(administrator, autocommit=True) as connection:
        for statement in ("drop database market", "drop database dagster", "drop role market"):
            connection.execute(statement)


def test_role_can_set_up_both_databases_without_being_an_administrator(initialized: dict[str, str]) -> None:
    _, revision = migrate(initialized["market"])
    assert revision
    storage = MarketStorage(initialized["dagster"])
    assert storage.run_storage.get_runs() == []
    storage.run_storage.dispose()
    with psycopg.connect(initialized["postgres"]) as connection:
        rights = connection.execute(
            "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user"
        ).fetchone()
    assert rights == (False, False, False)


def test_other_roles_cannot_connect_to_the_databases(initialized: dict[str, str], private_server: Any) -> None:
    with psycopg.connect(private_server.url("postgres"), autocommit=True) as connection:
        connection.execute("create role stranger login")
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                psycopg.connect(initialized["market"].replace("market@", "stranger@"))
        finally:
            connection.execute("drop role stranger")
