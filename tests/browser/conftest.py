"""A running Dagster over an installation of its own, and a headless Chromium that looks at it.

MARKET_SCREENSHOTS=1 keeps the pictures in docs/images, where the README shows them; otherwise they go to a temporary
folder, so that a test run leaves the checkout as it was.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import requests
from browser_screen import LOADED_THROUGH, Screen

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

ROOT = Path(__file__).resolve().parents[2]
MARKET = (sys.executable, "-m", "market_assets.cli")

READY_SECONDS, STOP_SECONDS = 120, 60
PATIENCE_MS = 60_000
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's Chromium; never one that Playwright downloads."""
    path = shutil.which("chromium")
    if path is not None:
        return path
    message = "Chromium is not on PATH; on Debian: apt-get install --no-install-recommends chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def dagster_address(chromium: str) -> Iterator[str]:
    """Webserver and daemon over the sample history, of which the last session is missing."""
    folder = Path(tempfile.mkdtemp(prefix="market-browser-"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as another user
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MARKET_", "DAGSTER_"))}
    environment = {**kept, "MARKET_HOME": str(folder / "home")}
    try:
        _market("backfill", "--to", LOADED_THROUGH, environment=environment)
        yield from _serve(folder, environment)
    finally:
        _market("stop", environment=environment)
        shutil.rmtree(folder, ignore_errors=True)


def _market(*arguments: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*MARKET, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"market {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"


def _serve(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "ui.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*MARKET, "ui", "--port", str(port)],
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(address, process, log)
        yield address
    finally:
        _stop(process)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"market ui ended with {process.returncode}\n{log.read_text()}"
        try:
            requests.get(f"{address}/server_info", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"Dagster did not answer on {address} within {READY_SECONDS} s\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop `market ui` as a service manager does, and whatever is left of it."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    _, left = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for child in left:
        child.kill()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures are kept."""
    if os.environ.get("MARKET_SCREENSHOTS") == "1":
        return ROOT / "docs" / "images"
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def context(chromium: str, dagster_address: str) -> Iterator[BrowserContext]:
    """A browser session of a new user."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_ARGUMENTS))
        opened = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US", timezone_id="UTC")
        opened.set_default_timeout(PATIENCE_MS)
        yield opened
        browser.close()


@pytest.fixture
def screen(context: BrowserContext, dagster_address: str, pictures: Path) -> Iterator[Screen]:
    """A tab. Whatever it shows must come from Dagster itself: the UI has to work on a machine without the internet."""
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield Screen(page, dagster_address, pictures)
    page.close()
    assert [url for url in asked if not url.startswith((dagster_address, "data:", "blob:"))] == []
