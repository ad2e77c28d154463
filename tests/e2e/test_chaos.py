"""A fault and a kill of the chaos harness against real runs; all are in `python -m chaos` and the slow test here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random

import pytest

from chaos.__main__ import main
from chaos.faults import FAULTS, differences
from chaos.installation import Arena
from chaos.market import Market

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("chaos")]

SEED = 3


def choices(what: str) -> Random:
    return Random(f"{SEED} {what}")  # noqa: S311 - has to be repeatable


@pytest.fixture(scope="module")
def arena(prepared_home: Path) -> Iterator[Arena]:
    with Arena(Market(symbols=6, start=date(2023, 10, 2), end=date(2023, 12, 29)), prepared=prepared_home) as started:
        yield started


@pytest.mark.parametrize("fault", ["connection reset"])
def test_a_fault_is_survived(arena, fault):
    outcome = FAULTS[fault][0](arena, choices(fault))
    assert outcome.injected > 0
    assert not outcome.problems


@pytest.mark.parametrize("number", [0])
def test_a_killed_run_resumes_and_asks_for_nothing_twice(arena, number):
    outcome = FAULTS["kill -9"][0](arena, choices(f"kill {number}"))
    assert (outcome.injected, outcome.runs, outcome.problems) == (1, 2, ())


def test_the_comparison_sees_a_lost_a_wrong_and_a_doubled_row(arena):
    right = arena.undisturbed
    table = "raw.price_bar"
    row, other = sorted(right[table])[:2]
    lost, wrong, doubled = ({**right, table: right[table].copy()} for _ in range(3))
    del lost[table][row]
    del wrong[table][row]
    wrong[table][row.replace("USD", "EUR")] += 1
    doubled[table][other] += 1
    assert differences(right, right) == []
    for broken in (lost, wrong, doubled):
        assert len(differences(broken, right)) == 1
    assert "1 rows are missing" in differences(lost, right)[0]
    assert "1 are too many" in differences(doubled, right)[0]


@pytest.mark.slow
def test_every_fault_is_survived():
    assert main(["--seed", str(SEED)]) == 0
