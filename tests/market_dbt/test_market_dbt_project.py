"""Running dbt: parsed when the project changed and only then, on the right database, and nothing left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from parsed_project import enter_parsed_home, parsed_home

from market_assets.dbt import project
from market_assets.errors import TerminalError


@pytest.fixture
def copied_project(tmp_path, monkeypatch) -> Path:
    """A copy of the dbt project that a test may change, with a MARKET_HOME of its own."""
    copy = tmp_path / "dbt"
    shutil.copytree(project.dbt_project(), copy, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setattr(project, "dbt_project", lambda: copy)
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MARKET_DATABASE_URL", raising=False)
    return copy


@pytest.fixture
def parsed(monkeypatch) -> Path:
    enter_parsed_home(monkeypatch)
    return parsed_home()


# The connection -----------------------------------------------------------------------------------------------------


def test_dbt_gets_the_parts_of_the_url_decoded():
    assert project.connection_environment("postgresql://u:s%40c%2Fr@db.example:5433/prices") == {
        "MARKET_DBT_HOST": "db.example",
        "MARKET_DBT_PORT": "5433",
        "MARKET_DBT_USER": "u",
        "MARKET_DBT_PASSWORD": "s@c/r",
        "MARKET_DBT_DBNAME": "prices",
    }


def test_a_socket_is_a_host_and_what_is_left_out_has_the_usual_value():
    environment = project.connection_environment("postgresql://postgres@/market?host=/run/postgresql")
    assert environment["MARKET_DBT_HOST"] == "/run/postgresql"
    assert (environment["MARKET_DBT_PORT"], environment["MARKET_DBT_PASSWORD"]) == ("5432", "")


def test_what_the_profile_has_no_place_for_reaches_libpq_through_its_own_variables():
    url = "postgresql://u@db/market?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=7"
    environment = project.connection_environment(url)
    wanted = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/ca.pem", "PGCONNECT_TIMEOUT": "7"}
    assert environment.items() >= wanted.items()


# Parsing ------------------------------------------------------------------------------------------------------------


def test_the_fingerprint_follows_models_macros_and_yaml(copied_project):
    before = project.fingerprint()
    assert project.fingerprint() == before
    (copied_project / "target").mkdir()
    (copied_project / "target" / "compiled.sql").write_text("select 1")
    (copied_project / "notes.txt").write_text("no part of the project")
    assert project.fingerprint() == before
    seen = {before}
    for name in ("models/marts/fct_daily_bar.sql", "macros/view.sql", "models/marts/_marts.yml"):
        file = copied_project / name
        file.write_text(f"{file.read_text()}\n")
        seen.add(project.fingerprint())
    assert len(seen) == 4


def test_a_parsed_project_is_not_parsed_again(parsed):
    files = list((parsed / "dbt" / "target").iterdir())
    before = {file: file.stat().st_mtime_ns for file in files}
    assert "model.market.fct_daily_bar" in project.manifest()["nodes"]
    assert {file: file.stat().st_mtime_ns for file in files} == before
    assert {file.name for file in files} == {"manifest.json", "partial_parse.msgpack", "fingerprint"}
    assert [file.name for file in (parsed / "dbt").iterdir() if file.name.startswith("parse-")] == []


@pytest.mark.long
def test_a_project_that_cannot_be_parsed_says_why_and_spoils_nothing(copied_project, tmp_path):
    target = tmp_path / "home" / "dbt" / "target"
    shutil.copytree(parsed_home() / "dbt" / "target", target)
    before = (target / "manifest.json").read_bytes()
    (copied_project / "models" / "marts" / "broken.sql").write_text("select * from {{ ref('no_such_model') }}")
    with pytest.raises(TerminalError, match=r"dbt cannot parse .*(?s:.*)no_such_model"):
        project.manifest()
    assert (target / "manifest.json").read_bytes() == before
    assert [file.name for file in target.parent.iterdir() if file.name.startswith("parse-")] == []


def test_the_checkout_stays_clean(parsed):
    root = project.dbt_project()
    assert not (root / "target").exists()
    assert not (root / "logs").exists()


# Running ------------------------------------------------------------------------------------------------------------

NOWHERE = "postgresql://u:secret@127.0.0.1:1/market"


def test_a_command_that_dbt_refuses_is_a_terminal_error(parsed):
    with pytest.raises(TerminalError, match="dbt no-such-command did not run"):
        project.invoke(["no-such-command"], NOWHERE, run_id="refused")


def test_a_database_that_is_away_is_told_without_its_password_and_leaves_no_artifacts(parsed):
    with pytest.raises(TerminalError, match=r"127\.0\.0\.1") as caught:
        project.invoke(["run", "--select", "stg_market__price_bar"], NOWHERE, run_id="away")
    assert "secret" not in str(caught.value)
    assert not (parsed / "dbt" / "runs" / "away").exists()


def test_the_environment_is_as_it_was_afterwards(parsed, monkeypatch):
    monkeypatch.setenv("MARKET_DBT_HOST", "mine")
    monkeypatch.delenv("MARKET_DBT_USER", raising=False)
    with pytest.raises(TerminalError):
        project.invoke(["no-such-command"], NOWHERE, run_id="refused")
    assert os.environ["MARKET_DBT_HOST"] == "mine"
    assert "MARKET_DBT_USER" not in os.environ
