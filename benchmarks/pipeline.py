"""The whole way: files of 505 symbols x 5 years to checked marts, and one more session on that history.

Each repetition has an installation of its own with databases, dbt views and universe prepared; then `market backfill`
runs in a process of its own, from launch to exit: every asset, check, mart and lineage event. The floor is the plain
script floor.py in a process of its own on an empty database of an equally tuned server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import LAST_SESSION, SESSIONS, SYMBOLS, vendor_folder
from benchmarks.installation import temporary_installation
from benchmarks.measure import Beside, Figure, Scale, Spread, Target
from benchmarks.process import Finished, python
from benchmarks.server import checkpoint, fresh_database, temporary_folder, temporary_server

SESSION_BEFORE = "2018-02-06"
OWN_STEPS = ("ingest", "indicators", "indices")
"""Steps that are all ours; the others are dbt's and Great Expectations' work for the larger part."""


@dataclass(frozen=True)
class Round:
    """One repetition of everything."""

    bulk: Finished
    daily: Finished
    bulk_floor: Finished
    daily_floor: Finished


def run(scale: Scale) -> list[Figure]:
    """Load all sessions but the last, then the last one."""
    symbols = scale.of(SYMBOLS, least=5)
    with temporary_folder() as folder:
        source = vendor_folder(folder / "vendor", symbols)
        rounds = [_round(folder / "vendor") for _ in range(scale.repeats)]
    return [
        Figure(
            name="pipeline.bulk",
            what=f"market backfill: {symbols} symbols x {SESSIONS - 1} sessions of {source}, files to checked marts",
            unit="s",
            ours=Spread(tuple(one.bulk.seconds for one in rounds)),
            floor=Beside(
                "one plain script: read, COPY, TA-Lib, index arithmetic, SQL marts; no versions, checks or lineage",
                Spread(tuple(one.bulk_floor.seconds for one in rounds)),
            ),
            target=Target(at_most=40.0, floors=5.0, facts={"peak_mb": 2560}),
            facts={"peak_mb": max(one.bulk.peak_mb for one in rounds), **_facts(rounds[-1].bulk)},
        ),
        Figure(
            name="pipeline.daily",
            what=f"market backfill of one more session for {symbols} symbols, launch to exit",
            unit="s",
            ours=Spread(tuple(one.daily.seconds for one in rounds)),
            floor=Beside("the plain script for one session", Spread(tuple(one.daily_floor.seconds for one in rounds))),
            target=Target(at_most=15.0, facts={"own_steps_seconds": 4.0}),
            facts={"peak_mb": max(one.daily.peak_mb for one in rounds), **_facts(rounds[-1].daily)},
        ),
    ]


def _round(vendor: Path) -> Round:
    with temporary_installation() as installation:
        (installation.folder / "vendor").symlink_to(vendor)
        installation.prepare()
        bulk = installation.market("backfill", "--to", SESSION_BEFORE)
        checkpoint(installation.url)
        daily = installation.market("backfill", "--from", LAST_SESSION, "--to", LAST_SESSION)
    with temporary_folder() as folder, temporary_server(folder) as plain:
        url = fresh_database(plain, "floor")
        bulk_floor = python(["-m", "benchmarks.floor", str(vendor), url, SESSION_BEFORE])
        checkpoint(url)
        daily_floor = python(["-m", "benchmarks.floor", str(vendor), url, LAST_SESSION, "increment"])
    return Round(bulk, daily, bulk_floor, daily_floor)


def _facts(run: Finished) -> dict[str, float | str]:
    """What the summary of `market backfill` says."""
    steps = {name: float(seconds) for name, seconds in _STEP.findall(run.output.split("seconds per step")[1])}
    checks = _CHECKS.search(run.output)
    return {
        "own_steps_seconds": sum(steps.get(name, 0.0) for name in OWN_STEPS),
        "checks": checks.group(0) if checks else "",
        **{f"step_{name}": seconds for name, seconds in steps.items()},
    }


_STEP = re.compile(r"^(\w+)\s+([\d.]+)\s*$", re.MULTILINE)
_CHECKS = re.compile(r"\d+ passed, \d+ failed")
