"""`make bench-compare`: results.json against baseline.json, by ratio to the floor. A machine's speed cancels out.

A figure fails when its ratio to the floor measured in the same run is more than 25 % above the baseline's. Figures
without a floor are compared by their ratio to the peer, the other way round; those with neither are only listed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import report

BASELINE = report.RESULTS.with_name("baseline.json")
ALLOWED = 1.25


class Comparison(NamedTuple):
    """A figure then and now.

    Attributes:
        name: of the figure.
        before, now: cost in multiples of the floor; None = not measured beside one.
        change: now / before; None = cannot be compared.
    """

    name: str
    before: float | None
    now: float | None
    change: float | None

    @property
    def failed(self) -> bool:
        """Whether it costs too much more."""
        return self.change is not None and self.change > ALLOWED


def compare(baseline: Mapping[str, Any], results: Mapping[str, Any]) -> list[Comparison]:
    """Every figure of the baseline.

    Raises:
        SystemExit: a figure of the baseline was not measured again, or not at the same scale.
    """
    found = []
    for name, then in baseline["figures"].items():
        now = results["figures"].get(name)
        if now is None:
            raise SystemExit(
                f"{name} is in the baseline and not in the results; run make bench, or make a new baseline"
            )
        if now["scale"] != then["scale"]:
            raise SystemExit(f"{name} was measured at scale {now['scale']}, its baseline at {then['scale']}")
        before, after = _ratio(then), _ratio(now)
        change = after / before if before and after else None
        found.append(Comparison(name, before, after, change))
    return found


def _ratio(entry: Mapping[str, Any]) -> float | None:
    """Cost in multiples of what stands beside it."""
    if "ours_over_floor" in entry:
        return float(entry["ours_over_floor"])
    return 1 / float(entry["peer_over_ours"]) if "peer_over_ours" in entry else None


def show(found: Sequence[Comparison]) -> None:
    """Print one line for each figure."""
    from market_assets.commands.console import table

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}"

    table(
        "cost in multiples of the floor",
        ("figure", "baseline", "now", "change", ""),
        [
            (one.name, number(one.before), number(one.now), number(one.change), "TOO SLOW" if one.failed else "")
            for one in found
        ],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when a figure costs over 25 % more than in the baseline."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--results", type=Path, default=report.RESULTS)
    parser.add_argument("--keep", action="store_true", help="make the results the new baseline")
    options = parser.parse_args(arguments)
    results = report.load(options.results)
    if options.keep:
        report.save(results, options.baseline)
        return 0
    if not options.baseline.exists():
        raise SystemExit(f"{options.baseline} does not exist; make it with python -m benchmarks.compare --keep")
    found = compare(report.load(options.baseline), results)
    show(found)
    return 1 if any(one.failed for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
