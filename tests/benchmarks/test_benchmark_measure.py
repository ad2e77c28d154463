"""Spreads, ratios and targets of a benchmark's figure."""

from __future__ import annotations

import pytest

from benchmarks.measure import FULL, QUICK, Beside, Figure, Spread, Target, alternate


def figure(**changes: object) -> Figure:
    values: dict[str, object] = {"name": "f", "what": "work", "unit": "s", "ours": Spread((3.0, 1.0, 2.0)), **changes}
    return Figure(**values)  # type: ignore[arg-type]  # test values


def test_a_spread_has_median_and_range() -> None:
    assert Spread((3.0, 1.0, 2.0)).as_dict() == {"median": 2.0, "min": 1.0, "max": 3.0, "runs": [3.0, 1.0, 2.0]}
    assert Spread((3.0, 1.0)).scaled(10).runs == (30.0, 10.0)


def test_measurements_of_several_works_alternate() -> None:
    order: list[str] = []

    def work(name: str, cost: float) -> float:
        order.append(name)
        return cost

    ours, floor = alternate(2, lambda: work("ours", 2.0), lambda: work("floor", 1.0))
    assert order == ["ours", "floor", "ours", "floor"]
    assert (ours.runs, floor.runs) == ((2.0, 2.0), (1.0, 1.0))


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(), None),
        (Target(at_most=2.0), True),
        (Target(at_most=1.9), False),
        (Target(floors=2.0), True),
        (Target(floors=1.9), False),
        (Target(faster=4.0), True),
        (Target(faster=4.1), False),
        (Target(at_most=2.0, facts={"memory": 10}), False),
        (Target(at_most=2.0, facts={"memory": 11}), True),
    ],
)
def test_every_part_of_a_target_must_hold(target: Target, met: bool | None) -> None:
    measured = figure(
        floor=Beside("less", Spread((1.0,))), peer=Beside("more", Spread((8.0,))), target=target, facts={"memory": 11.0}
    )
    assert measured.met() is met


def test_results_say_what_is_beside_and_judge_full_runs_only() -> None:
    measured = figure(
        floor=Beside("less", Spread((1.0,))), peer=Beside("more", Spread((8.0,))), target=Target(at_most=1, faster=2)
    )
    kept = measured.as_dict(FULL)
    assert (kept["ours_over_floor"], kept["peer_over_ours"], kept["met"]) == (2.0, 4.0, False)
    assert kept["floor"] == {"what": "less", "median": 1.0, "min": 1.0, "max": 1.0, "runs": [1.0]}
    assert kept["target"] == "<= 1 s, >= 2 x less than peer"
    assert measured.as_dict(QUICK)["met"] is None
    assert QUICK.of(505) < FULL.of(505) == 505
