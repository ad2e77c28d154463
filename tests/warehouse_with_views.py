"""A migrated warehouse with dbt's staging and intermediate views, parsed and created once for each test process."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from market_assets.dbt.project import ensure_views

if TYPE_CHECKING:
    from conftest import TestServer


def new_warehouse(server: TestServer, template: str) -> str:
    """URL of a fresh database with the views.

    Args:
        server: the test run's.
        template: name of the migrated database without views.
    """
    return server.create_database("market_views", template=_with_views(server, template))


@cache
def _with_views(server: TestServer, template: str) -> str:
    url = server.create_database("market_views_template", template=template)
    with tempfile.TemporaryDirectory(prefix="market-views-") as home, pytest.MonkeyPatch.context() as environment:
        environment.setenv("MARKET_HOME", str(Path(home)))
        environment.setenv("MARKET_DATABASE_URL", url)
        ensure_views(url)
    return url.split("/")[3].split("?")[0]
