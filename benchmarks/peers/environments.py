"""Environments of the peers: a virtual environment for each lock file, made once, and works run in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Skipped
from market_assets.settings import market_home

FOLDER = Path(__file__).parent


def prepared(peer: str) -> Path:
    """Python of the environment of a peer, which is made when its lock file is new.

    Raises:
        Skipped: its packages cannot be installed here.
    """
    lock = FOLDER / peer / "requirements.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    environment = market_home() / "bench" / f"{peer}-{digest}"
    python = environment / "bin" / "python"
    if python.exists():
        return python
    uv = str(Path(sys.executable).with_name("uv"))
    making = environment.with_name(f"{environment.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    for command in (
        [uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(making)],
        [uv, "pip", "install", "--quiet", "--python", str(making), "--require-hashes", "-r", str(lock)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(making, ignore_errors=True)
            raise Skipped(f"the packages of {peer} cannot be installed: {done.stderr.strip()[-500:]}")
    making.rename(environment)
    return python


def seconds_of(python: Path, peer: str, arguments: list[str]) -> float:
    """Run the work of a peer; it prints the seconds it took in its last line.

    Raises:
        RuntimeError: it failed; the message holds the end of what it printed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DAGSTER", "MARKET"))}
    done = subprocess.run(
        [str(python), str(FOLDER / peer / "work.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=kept,
    )
    if done.returncode:
        raise RuntimeError(f"{peer} ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])
