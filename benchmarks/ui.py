"""How long the Dagster UI takes to show something, with every asset and 2,767 partitions of each.

A webserver over an installation that holds them, and a headless Chromium: from asking for an address until the text is
there that the page is opened for. Each page in a new browser session, so nothing is cached. The floor is the UI itself:
its first page until the navigation is there.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg

from benchmarks.inputs import PROJECT
from benchmarks.installation import Installation, synthetic_settings, temporary_installation
from benchmarks.measure import Beside, Figure, Scale, Skipped, Target, alternate
from benchmarks.process import child_environment
from market_assets.domain.calendars import build_calendar

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

PARTITIONS, SYMBOLS = 2767, 5
START = "2010-01-04"
READY_SECONDS, PATIENCE_MS = 120, 120_000
AT_MOST_SECONDS = 5.0
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


@dataclass(frozen=True)
class Shown:
    """A page.

    Attributes:
        name: of its figure.
        what: it shows.
        path: of its address.
        content: what must be visible before the page counts as loaded.
        held: whether it is held to AT_MOST_SECONDS.
    """

    name: str
    what: str
    path: str
    content: Callable[[Page], Locator]
    held: bool = True


def run(scale: Scale) -> list[Figure]:
    """Open each page `scale.repeats` times.

    Raises:
        Skipped: no Chromium.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        raise Skipped("chromium is not on PATH; on Debian: apt-get install --no-install-recommends chromium")
    from playwright.sync_api import sync_playwright

    partitions = scale.of(PARTITIONS)
    end = _end(partitions)
    with temporary_installation(lambda folder: synthetic_settings(folder, SYMBOLS, START, end)) as installation:
        installation.prepare()
        installation.market("backfill")
        run_id = _run_id(installation)
        pages = (
            Shown(
                "ui.catalog",
                "the asset catalog",
                "/assets",
                lambda page: page.get_by_role("link", name="asset_group ingest").first,
            ),
            Shown(
                "ui.partitions",
                "the partitions of an asset",
                "/assets/raw_prices?view=partitions",
                lambda page: page.get_by_text(f"Materialized ({partitions})"),
            ),
            Shown(
                "ui.run",
                "the page of the run that made everything",
                f"/runs/{run_id}",
                lambda page: page.get_by_text("Success", exact=True).first,
            ),
            Shown(
                "ui.run_events",
                "the last of that run's events, after all others",
                f"/runs/{run_id}",
                lambda page: page.get_by_text("RUN_SUCCESS"),
                held=False,
            ),
        )
        shell = Shown("", "", "/", lambda page: page.get_by_role("link", name="Catalog"))
        with _webserver(installation) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
            try:
                works = [_opening(browser, address, page) for page in pages]
                floor = _opening(browser, address, shell)
                for work in (*works, floor):
                    work()  # the code location loads at the first question
                *measured, bare = alternate(scale.repeats, *works, floor)
            finally:
                browser.close()
    return [
        Figure(
            name=page.name,
            what=f"{page.what}, {partitions} partitions of each asset",
            unit="s",
            ours=spread,
            floor=Beside("the UI itself: its first page until the navigation is there", bare),
            target=Target(at_most=AT_MOST_SECONDS if page.held else None),
            facts={"partitions": partitions},
        )
        for page, spread in zip(pages, measured, strict=True)
    ]


def _end(partitions: int) -> str:
    sessions = build_calendar("XNYS", date(2009, 1, 1), date(2024, 12, 31)).sessions()
    return str(sessions[sessions >= START][partitions - 1].date())


def _run_id(installation: Installation) -> str:
    with psycopg.connect(installation.server.url("dagster")) as connection:
        row = connection.execute("select run_id from runs order by id desc limit 1").fetchone()
    if row is None:
        raise RuntimeError("the installation holds no run")
    return str(row[0])


def _opening(browser: Browser, address: str, shown: Shown) -> Callable[[], float]:
    """A work that opens a page in a session of its own and returns the seconds until its content is there."""

    def open_page() -> float:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page: Page = context.new_page()
        started = time.perf_counter()
        page.goto(address + shown.path, wait_until="commit")
        shown.content(page).wait_for(timeout=PATIENCE_MS)
        elapsed = time.perf_counter() - started
        context.close()
        return elapsed

    return open_page


@contextmanager
def _webserver(installation: Installation) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = installation.folder / "webserver.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", "workspace.yaml"],
            cwd=PROJECT,
            env=child_environment(installation.environment),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, log)
        yield address
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        process.wait(60)
        for child in psutil.wait_procs(family, timeout=60)[1]:
            child.kill()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import requests

    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(f"{address}/server_info", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"the webserver did not answer within {READY_SECONDS} s; see {log}")
