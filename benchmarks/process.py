"""Commands in processes of their own: wall time, peak memory, output. An error stops the benchmark with the output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.inputs import PROJECT

LOOK_SECONDS = 0.25
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)

_NOT_FOR_CHILDREN = ("PYTHONDONTWRITEBYTECODE", "DAGSTER_EVENT_BATCH_SIZE", "MARKET_DATABASE_URL", "DAGSTER_HOME")
"""Settings of this machine that a user's shell does not have: uncached bytecode alone costs a second at each start."""


@dataclass(frozen=True)
class Finished:
    """A command that succeeded.

    Attributes:
        seconds: from launch to exit.
        peak_mb: largest resident memory of the process and of those it started, each at its own time, megabytes.
        output: what it printed.
    """

    seconds: float
    peak_mb: float
    output: str


def python(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run this interpreter with `arguments` from the project's folder.

    Raises:
        RuntimeError: it failed; the message holds the end of what it printed.
    """
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=child_environment(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peak_mb = _peak_mb(child)
        elapsed = time.perf_counter() - started
        output.seek(0)
        printed = output.read()
    if child.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {child.returncode}: {printed[-3000:]}")
    return Finished(elapsed, peak_mb, printed)


def _peak_mb(child: subprocess.Popen[bytes] | subprocess.Popen[str]) -> float:
    """Largest resident memory of `child` and of what it started but for a server, megabytes; waits for its end.

    Looked at while it runs: what the kernel tells afterwards includes the memory of this process, which it began with.
    """
    peaks: dict[int, int] = {}
    while True:
        for pid in _family(child.pid):
            with suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                if not status.startswith("Name:\tpostgres\n"):
                    peaks[pid] = max([peaks.get(pid, 0), *(int(size) for size in _PEAK.findall(status))])
        try:
            child.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return sum(peaks.values()) / 1024


def _family(pid: int) -> list[int]:
    with suppress(psutil.NoSuchProcess):
        return [pid, *(started.pid for started in psutil.Process(pid).children(recursive=True))]
    return []


def child_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a child: a user's shell, and `environment`."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN}
    return {**kept, **(environment or {})}


def market(arguments: Sequence[str], environment: Mapping[str, str]) -> Finished:
    """Run the `market` command."""
    return python(["-m", "market_assets.cli", *arguments], environment)
