"""The runner: every fault, or some of them, against real runs; a table of what was injected and survived."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from chaos.faults import FAULTS, Outcome
from chaos.installation import Arena
from market_assets.commands.console import console, table


@dataclass(frozen=True)
class Line:
    """One fault in the table: the outcome of each trial, and what they took together."""

    fault: str
    outcomes: tuple[Outcome, ...]
    seconds: float

    @property
    def survived(self) -> bool:
        """Whether every trial was."""
        return not any(outcome.problems for outcome in self.outcomes)

    @property
    def cells(self) -> tuple[str, ...]:
        """Fault, times injected, times survived, runs until the tables were right, seconds."""
        injected = sum(outcome.injected for outcome in self.outcomes)
        survived = sum(outcome.injected for outcome in self.outcomes if not outcome.problems)
        runs = f"{sum(outcome.runs for outcome in self.outcomes) / len(self.outcomes):.1f}"
        return self.fault, str(injected), str(survived), runs, f"{self.seconds:.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try what `arguments` ask for; exit code 1 when a fault is not survived."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses symbols, counts and moments")
    parser.add_argument("--only", action="append", choices=FAULTS, metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--kills", type=int, help="number of moments for kill -9")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    console.print("setting up, and one run without a fault ...", highlight=False)
    with Arena() as arena:
        console.print(f"ready after {time.monotonic() - began:.0f} s; a run takes {arena.seconds:.1f} s")
        lines = [
            _try(arena, fault, options.seed, options.kills if fault == "kill -9" else None)
            for fault in options.only or FAULTS
        ]
    columns = ("fault", "times injected", "times survived", "runs", "seconds")
    table(f"chaos, seed {options.seed}", columns, [line.cells for line in lines])
    lost = [line.fault for line in lines if not line.survived]
    console.print(f"{len(lines) - len(lost)} of {len(lines)} faults survived in {time.monotonic() - began:.0f} s")
    return 1 if lost else 0


def _try(arena: Arena, fault: str, seed: int, times: int | None) -> Line:
    trial, usual = FAULTS[fault]
    began, outcomes = time.monotonic(), []
    for number in range(times or usual):
        console.print(f"{fault} {number + 1}/{times or usual} ...", end=" ", highlight=False)
        outcome = trial(arena, Random(f"{seed} {fault} {number}"))  # noqa: S311 - has to be repeatable
        console.print(f"[red]not survived[/]: {outcome.problems}" if outcome.problems else "survived", highlight=False)
        outcomes.append(outcome)
    return Line(fault, tuple(outcomes), time.monotonic() - began)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped all the same
    sys.exit(main())
