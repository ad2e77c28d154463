"""Imports beside the work: only what later steps need, at the moment when the run waits, and never fatal."""

from __future__ import annotations

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest

from market_assets import warmup


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
def test_what_later_steps_need_is_named_in_their_order(steps, modules):
    assert warmup.needed_later(context(*steps)) == [*modules]


@pytest.mark.parametrize(("kinds", "waits"), [(("files", "yahoo"), True), (("files", "sample", "synthetic"), False)])
def test_a_source_over_a_network_is_waited_for(kinds, waits):
    assert warmup.waits_for_vendors(platform(*kinds)) is waits


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
