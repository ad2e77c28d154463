"""Imports beside the work: only for runs that wait for a vendor, only what their steps need, and never fatal."""

from __future__ import annotations

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest

from market_assets import warmup


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would have been imported."""
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr(warmup, "warm_up", lambda modules: found.append(tuple(modules)))
    return found


def context(*steps: str) -> SimpleNamespace:
    return SimpleNamespace(job_def=SimpleNamespace(graph=SimpleNamespace(node_names=lambda: list(steps))))


def platform(*kinds: str) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(sources=[SimpleNamespace(kind=kind) for kind in kinds]))


@pytest.mark.parametrize(
    ("steps", "modules"),
    [
        (("ingest", "raw_prices_checks", "marts"), warmup.CHECKS + warmup.MARTS),
        (("ingest", "raw_prices_checks"), warmup.CHECKS),
        (("ingest",), ()),
    ],
)
def test_a_run_that_waits_for_a_vendor_imports_what_its_steps_need(asked, steps, modules):
    warmup.warm_up_for(context(*steps), platform("files", "yahoo"))
    assert asked == [modules]


def test_a_run_that_only_computes_is_not_disturbed(asked):
    warmup.warm_up_for(context("ingest", "marts"), platform("files", "sample"))
    assert asked == []


@pytest.mark.parametrize(("steps", "modules"), [(("indices", "marts"), [warmup.MARTS]), (("indices",), [])])
def test_a_step_that_waits_for_the_database_imports_dbt_for_the_marts(asked, steps, modules):
    warmup.warm_up_marts(context(*steps))
    assert asked == modules


def test_a_module_that_is_missing_is_left_to_the_step_that_needs_it(caplog):
    with caplog.at_level(logging.ERROR):
        warmup.warm_up(["no_such_module", "json"]).join(60)
    assert "cannot import no_such_module ahead of its use" in caplog.text


def test_a_step_waits_for_an_import_that_is_under_way():
    """In a process of its own: the packages must not have been imported before."""
    code = (
        "from market_assets.warmup import CHECKS, MARTS, warm_up; warm_up([*CHECKS, *MARTS]);"
        "import great_expectations as gx; from dbt.cli.main import dbtRunner; print(gx.__version__, dbtRunner.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "dbtRunner"
