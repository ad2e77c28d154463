"""Redis, a daemon and workers as separate processes on one database: what several machines would be."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
from market_project import ROOT, MarketProject

STOP_SECONDS = 30


def redis_server() -> str:
    """Path of Debian's redis-server."""
    path = shutil.which("redis-server")
    if path is not None:
        return path
    message = "redis-server is not on PATH; on Debian: apt-get install --no-install-recommends redis-server"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class CeleryCluster(AbstractContextManager["CeleryCluster"]):
    """A broker, dagster-daemon with the Celery run launcher, and workers with work folders of their own.

    Args:
        project: whose database and configuration all of them share.
        workers: names; each gets a folder of its own as MARKET_HOME.
        settings: MARKET_* overrides of the configuration.
    """

    def __init__(self, project: MarketProject, workers: tuple[str, ...], settings: dict[str, str]) -> None:
        self._broker_executable = redis_server()
        self.project = project
        self._folder = project.folder / "cluster"
        self._folder.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        dagster_home = self._folder / "dagster"
        dagster_home.mkdir()
        parts = [ROOT / "dagster.yaml", ROOT / "deploy" / "celery" / "run_launcher.yaml"]
        (dagster_home / "dagster.yaml").write_text("\n".join(part.read_text(encoding="utf-8") for part in parts))
        self.workers = workers
        self.environment = {
            **settings,
            "MARKET_DATABASE_URL": project.url,
            "MARKET_CELERY_BROKER": f"redis://127.0.0.1:{self._port}/0",
            "MARKET_CONFIG": str(project.config_file),
            "DAGSTER_HOME": str(dagster_home),
            # dagster-celery starts `celery` by its name.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def home(self, name: str) -> Path:
        """MARKET_HOME of a worker or of the daemon."""
        return self._folder / name

    def __enter__(self) -> CeleryCluster:
        broker = [self._broker_executable, "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        self._start("redis", [*broker, "--dir", str(self._folder)])
        celery = [sys.executable, "-m", "dagster_celery.cli", "worker", "start", "-A", "dagster_celery.app"]
        for name in self.workers:
            configuration = str(ROOT / "deploy" / "celery" / "worker.yaml")
            self._start(name, [*celery, "-y", configuration, "-n", name, "--", "--concurrency", "1"])
        self._start("daemon", [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")])
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            if process.poll() is not None:
                continue
            family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            _, left = psutil.wait_procs(family, timeout=STOP_SECONDS)
            for one in left:
                one.kill()

    def wait_until(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        """Poll until it holds; fails with the end of every log."""
        deadline = time.monotonic() + seconds
        while not holds():
            dead = [process.args for process in self._processes if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                pytest.fail(f"{what}: not after {seconds} s; ended: {dead}\n{self.logs()}")
            time.sleep(0.5)

    def log(self, name: str) -> str:
        """What a process printed."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _start(self, name: str, command: list[str]) -> None:
        with (self._folder / f"{name}.log").open("w") as output:
            self._processes.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, **self.environment, "MARKET_HOME": str(self.home(name))},
                    cwd=ROOT,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def logs(self) -> str:
        """The end of what each process printed."""
        return "\n".join(
            f"--- {file.name}\n{file.read_text(errors='replace')[-3000:]}"
            for file in sorted(self._folder.glob("*.log"))
        )
