"""Installations for the end-to-end tests. One is set up per session and copied: migrations and dbt cost seconds."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from market_project import MarketProject
from vendor_folder import VendorFolder, configured_vendor

Install = Callable[..., MarketProject]
"""(name, config_file of the checkout or None for one of its own) -> an installation that is set up and empty."""


@pytest.fixture(scope="session")
def installations() -> Iterator[Path]:
    """Folder of all installations of the session; open to the operating system user that PostgreSQL runs as."""
    folder = Path(tempfile.mkdtemp(prefix="market-e2e-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def prepared_home(installations: Path) -> Path:
    """A MARKET_HOME after `market setup`, its server stopped: what a copy starts from."""
    prepared = MarketProject(installations / "prepared")
    configured_vendor(prepared)
    prepared.command("setup")
    prepared.command("stop")
    return prepared.home


@pytest.fixture(scope="session")
def install(installations: Path, prepared_home: Path) -> Iterator[Install]:
    """Makes an installation that is set up and empty; its server is stopped at the end of the session."""
    made: list[MarketProject] = []

    def make(name: str, config_file: Path | None = None) -> MarketProject:
        project = MarketProject(Path(tempfile.mkdtemp(prefix=f"{name}-", dir=installations)), config_file)
        project.folder.chmod(0o755)
        # cp keeps the owner of the data folder, which is not the one of the tests when they run as root.
        subprocess.run(["cp", "-a", str(prepared_home), str(project.home)], check=True)
        made.append(project)
        return project

    yield make
    for project in made:
        project.stop()


@pytest.fixture
def project(install: Install, request: pytest.FixtureRequest) -> Iterator[MarketProject]:
    """An empty installation in which the test's process works; its server stops with the test."""
    made = install(request.node.originalname)
    with made.entered():
        yield made
    made.stop()


@pytest.fixture
def vendor(project: MarketProject) -> VendorFolder:
    """The vendor of `project`, which is configured to load it."""
    return configured_vendor(project)


@pytest.fixture(scope="session")
def loaded(install: Install) -> MarketProject:
    """An installation that loaded the vendor's market in one undisturbed run. Tests only read it."""
    made = install("loaded")
    configured_vendor(made)
    with made.entered():
        outcome = made.run()
    assert outcome.success, outcome.errors
    return made
