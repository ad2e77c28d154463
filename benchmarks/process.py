"""Commands in processes of their own: wall time, peak memory, output. An error stops the benchmark with the output."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.inputs import PROJECT

_NOT_FOR_CHILDREN = ("PYTHONDONTWRITEBYTECODE", "DAGSTER_EVENT_BATCH_SIZE", "MARKET_DATABASE_URL", "DAGSTER_HOME")
"""Settings of this machine that a user's shell does not have: uncached bytecode alone costs a second at each start."""


@dataclass(frozen=True)
class Finished:
    """A command that succeeded.

    Attributes:
        seconds: from launch to exit.
        peak_mb: largest resident memory of the process, megabytes.
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
        _, status, usage = os.wait4(child.pid, 0)
        elapsed = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    if child.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {child.returncode}: {printed[-3000:]}")
    return Finished(elapsed, usage.ru_maxrss / 1024, printed)


def child_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a child: a user's shell, and `environment`."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN}
    return {**kept, **(environment or {})}


def market(arguments: Sequence[str], environment: Mapping[str, str]) -> Finished:
    """Run the `market` command."""
    return python(["-m", "market_assets.cli", *arguments], environment)
