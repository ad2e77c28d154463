"""What a benchmark returns: a cost with its spread, beside a floor or a peer, and the target it is held to."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

DIGITS = 4
SHORT = 5
"""Times as many measurements of work that takes milliseconds."""


class Skipped(Exception):
    """What a benchmark needs is not on this machine; the message says what and how to get it."""


@dataclass(frozen=True)
class Scale:
    """How much of the full input a run uses.

    Attributes:
        name: recorded with each figure; targets are judged at `full` only.
        share: of the full size.
        repeats: measurements of each side.
    """

    name: str
    share: float
    repeats: int

    def of(self, full: int, least: int = 1) -> int:
        """A size at this scale."""
        return max(least, round(full * self.share))


FULL = Scale("full", 1.0, 3)
QUICK = Scale("quick", 0.1, 3)


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing, in the unit of its figure."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.runs)

    def scaled(self, factor: float) -> Spread:
        """The same measurements in another unit."""
        return Spread(tuple(run * factor for run in self.runs))

    def as_dict(self) -> dict[str, Any]:
        """Rounded, as results.json keeps it."""
        return {
            "median": _rounded(self.median),
            "min": _rounded(min(self.runs)),
            "max": _rounded(max(self.runs)),
            "runs": [_rounded(run) for run in self.runs],
        }


@dataclass(frozen=True)
class Beside:
    """Another way to do the same work, measured in the same run and unit.

    Attributes:
        what: what it does, and what it leaves out.
    """

    what: str
    spread: Spread


@dataclass(frozen=True)
class Target:
    """What a figure is held to; None = not held to that.

    Attributes:
        at_most: cost in the unit of the figure.
        floors: cost in multiples of the floor.
        faster: times less than the peer.
        facts: name of a fact -> the most it may be.
    """

    at_most: float | None = None
    floors: float | None = None
    faster: float | None = None
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """One result.

    Attributes:
        name: unique, such as `index.increment`.
        what: the work, with its size.
        unit: of every measurement here.
        ours: the platform's cost.
        floor: the least the work can cost, without the platform.
        peer: another package or the stock way.
        target: what it is held to.
        facts: sizes and rates beside it.
    """

    name: str
    what: str
    unit: str
    ours: Spread
    floor: Beside | None = None
    peer: Beside | None = None
    target: Target = Target()
    facts: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def floors(self) -> float | None:
        """Our cost in multiples of the floor."""
        return self.ours.median / self.floor.spread.median if self.floor else None

    @property
    def faster(self) -> float | None:
        """How many times less than the peer."""
        return self.peer.spread.median / self.ours.median if self.peer else None

    def met(self) -> bool | None:
        """Whether every part of the target holds; None without a target."""
        target, held = self.target, []
        if target.at_most is not None:
            held.append(self.ours.median <= target.at_most)
        if target.floors is not None and self.floors is not None:
            held.append(self.floors <= target.floors)
        if target.faster is not None and self.faster is not None:
            held.append(self.faster >= target.faster)
        held += [float(self.facts[name]) <= most for name, most in target.facts.items()]
        return all(held) if held else None

    def promise(self) -> str:
        """The target in words."""
        target = self.target
        parts = [
            f"<= {target.at_most:g} {self.unit}" if target.at_most is not None else "",
            f"<= {target.floors:g} x floor" if target.floors is not None else "",
            f">= {target.faster:g} x less than peer" if target.faster is not None else "",
            *(f"{name} <= {most:g}" for name, most in target.facts.items()),
        ]
        return ", ".join(part for part in parts if part)

    def as_dict(self, scale: Scale) -> dict[str, Any]:
        """As results.json keeps it."""
        result: dict[str, Any] = {
            "what": self.what,
            "scale": scale.name,
            "unit": self.unit,
            "ours": self.ours.as_dict(),
        }
        for name, beside, ratio in (("floor", self.floor, self.floors), ("peer", self.peer, self.faster)):
            if beside is not None and ratio is not None:
                key = "ours_over_floor" if name == "floor" else "peer_over_ours"
                result |= {name: {"what": beside.what, **beside.spread.as_dict()}, key: _rounded(ratio)}
        result["target"] = self.promise()
        result["met"] = self.met() if scale is FULL else None
        result["facts"] = {
            name: _rounded(value) if isinstance(value, float) else value for name, value in self.facts.items()
        }
        return result


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call, without the garbage of the one before."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def processor_seconds(work: Callable[[], object]) -> float:
    """Processor time of one call in this process: what its wall time would be on a machine with nothing else to do."""
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started


def alternate(repeats: int, *works: Callable[[], float]) -> list[Spread]:
    """Measure each of `works`, which return a cost, `repeats` times in turn: a busy moment hits all of them."""
    rounds = [[work() for work in works] for _ in range(repeats)]
    return [Spread(runs) for runs in zip(*rounds, strict=True)]


def _rounded(value: float) -> float:
    """To DIGITS significant digits: the rest is noise."""
    return float(f"{value:.{DIGITS}g}")
