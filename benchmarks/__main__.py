"""The runner: every benchmark, or some of them, into benchmarks/results.json and onto the terminal."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.measure import FULL, QUICK, Scale, Skipped

BENCHMARKS = (
    "indicators",
    "index",
    "writes",
    "ingestion",
    "startup",
    "bookkeeping",
    "pipeline",
    "queries",
    "ui",
    "peers",
)
LONG = ("growth", "growth_wide")
"""Those that `make bench` leaves out, for they take longer than all others together; `--only` names them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what `arguments` ask for; exit code 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=(*BENCHMARKS, *LONG), metavar="NAME", help=", ".join((*BENCHMARKS, *LONG))
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, printed and not kept")
    parser.add_argument("--show", action="store_true", help="print the kept results and measure nothing")
    parser.add_argument("-o", "--output", type=Path, help="keep the results in this file instead of results.json")
    options = parser.parse_args(arguments)
    if options.show:
        report.show(report.load(options.output or report.RESULTS))
        return 0
    scale = QUICK if options.quick else FULL
    keep = options.output or (None if options.quick else report.RESULTS)
    return measure(options.only or BENCHMARKS, scale, keep)


def measure(names: Sequence[str], scale: Scale, keep: Path | None) -> int:
    """Run benchmarks one after the other; results are kept after each, so that an interruption loses only one.

    Args:
        names: of BENCHMARKS.
        scale: size and repeats.
        keep: file that takes the results; None = only print them.
    """
    results = {"machine": report.machine(), "figures": {}} if keep is None else report.load(keep)
    missed = False
    for name in names:
        started, busy = time.monotonic(), report.load_average()
        print(f"{name} ...", end=" ", flush=True, file=sys.stderr)
        try:
            figures = importlib.import_module(f"benchmarks.{name}").run(scale)
        except Skipped as reason:
            print(f"skipped: {reason}", file=sys.stderr)
            continue
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
        entries = report.entries(figures, scale, report.circumstances(busy))
        missed |= any(entry["met"] is False for entry in entries.values())
        report.merge(results, name, entries)
        if keep is not None:
            report.save(results, keep)
    report.show(results)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
