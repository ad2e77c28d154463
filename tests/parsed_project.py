"""The dbt project, parsed once for each test process: tests that only read its manifest need not wait for it again."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from market_assets.dbt.project import manifest

VARIABLES = ("MARKET_HOME", "MARKET_CONFIG", "MARKET_DATABASE_URL", "MARKET_DATABASE_URL_FILE")


@cache
def parsed_home() -> Path:
    """A MARKET_HOME in which the project is parsed, for a warehouse of the default name. Tests only read it."""
    home = Path(tempfile.mkdtemp(prefix="market-parsed-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with pytest.MonkeyPatch.context() as environment:
        enter_parsed_home(environment, home)
        manifest()
    return home


def enter_parsed_home(environment: pytest.MonkeyPatch, home: Path | None = None) -> None:
    """Work with the checkout's configuration and the parsed project."""
    for name in VARIABLES:
        environment.delenv(name, raising=False)
    environment.setenv("MARKET_HOME", str(home or parsed_home()))
