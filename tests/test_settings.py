"""Where things are, and secrets from the environment or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from market_assets import settings
from market_assets.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in ("MARKET_HOME", "MARKET_CONFIG", "DAGSTER_HOME", "MARKET_SECRET", "MARKET_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_everything_defaults_to_the_checkout():
    assert settings.project_root() == ROOT
    assert settings.market_home() == ROOT / ".market"
    assert settings.config_path() == ROOT / "config" / "market.yaml"
    assert settings.dagster_home() == ROOT
    assert settings.dbt_project() == ROOT / "dbt"


@pytest.mark.parametrize(
    ("variable", "function"),
    [
        ("MARKET_HOME", settings.market_home),
        ("MARKET_CONFIG", settings.config_path),
        ("DAGSTER_HOME", settings.dagster_home),
    ],
)
def test_a_variable_names_another_place_and_the_path_becomes_absolute(monkeypatch, tmp_path, variable, function):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "elsewhere")
    assert function() == tmp_path / "elsewhere"
    monkeypatch.setenv(variable, "~/elsewhere")
    assert function() == Path.home() / "elsewhere"
    monkeypatch.setenv(variable, "")
    assert ROOT in [function(), *function().parents], "an empty variable is an unset one"


def test_an_installed_package_works_in_the_working_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "_PACKAGE_PARENT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert settings.project_root() == tmp_path


def test_no_variable_is_no_secret():
    assert settings.secret("MARKET_SECRET") is None


def test_a_secret_from_the_environment_is_hidden(monkeypatch):
    monkeypatch.setenv("MARKET_SECRET", "hunter2")
    value = settings.secret("MARKET_SECRET")
    assert value is not None
    assert value.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{value} {value!r}"


def test_a_secret_from_a_file_loses_the_line_end(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    monkeypatch.setenv("MARKET_SECRET_FILE", str(tmp_path / "secret"))
    value = settings.secret("MARKET_SECRET")
    assert value is not None
    assert value.get_secret_value() == "hunter2"


def test_a_secret_file_that_cannot_be_read_names_variable_and_file(monkeypatch, tmp_path):
    monkeypatch.setenv("MARKET_SECRET_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=r"MARKET_SECRET_FILE: cannot read the secret: No such file .*missing"):
        settings.secret("MARKET_SECRET")


def test_a_secret_given_twice_is_refused_without_showing_it(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    monkeypatch.setenv("MARKET_SECRET", "hunter3")
    monkeypatch.setenv("MARKET_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigError, match="set MARKET_SECRET or MARKET_SECRET_FILE, not both") as caught:
        settings.secret("MARKET_SECRET")
    assert "hunter" not in str(caught.value)
