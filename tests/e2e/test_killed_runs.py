"""kill -9 at any moment of a run, and the same command again: the tables are those of an undisturbed run.

Moments are drawn uniformly over the run by a seed. So that load on the machine does not move them, a moment is not a
delay but a place in the run's own event log: after how many events, and how long after the last of them.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from market_project import ROOT, MarketProject, assert_same_tables
from typer.testing import CliRunner

from market_assets.cli import app
from market_assets.warehouse.connection import connect

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("vendor")]

DEADLINE_SECONDS = 300


class Moment(NamedTuple):
    """A place in a run: after so many of its events, and so many seconds after the last of them."""

    events: int
    delay: float


def moment_of(undisturbed: MarketProject, seed: int) -> Moment:
    """A moment of the undisturbed run, uniform over the time it took."""
    with connect(undisturbed.dagster_url) as connection:
        rows = connection.execute(
            "select extract(epoch from timestamp)::float8 from event_logs "
            "where run_id = (select run_id from runs order by id limit 1) order by timestamp"
        ).fetchall()
    times = [row[0] for row in rows]
    at = random.Random(seed).uniform(times[0], times[-1])  # noqa: S311 - a test's choice, not a secret
    events = bisect_right(times, at)
    return Moment(events, at - times[events - 1])


def kill_backfill(project: MarketProject, moment: Moment) -> str:
    """Start `market backfill`, kill it at the moment; id of the run that was in it."""
    project.url  # noqa: B018 - starts the server, so that the event log can be watched
    victim = project.start_command("backfill")
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        while _events(project) < moment.events:
            assert victim.poll() is None, f"it ended before its {moment.events}th event: {victim.stderr.read()}"
            assert time.monotonic() < deadline, "the run does not get on"
            time.sleep(0.005)
        time.sleep(moment.delay)
    finally:
        victim.kill()
        victim.communicate()
    assert victim.returncode == -9
    with connect(project.dagster_url) as connection:
        return connection.execute("select run_id from runs order by id desc limit 1").fetchone()[0]


def _events(project: MarketProject) -> int:
    with connect(project.dagster_url) as connection:
        if connection.execute("select to_regclass('event_logs')").fetchone() == (None,):
            return 0
        return connection.execute("select count(*) from event_logs").fetchone()[0]


def assert_run_again_heals(project: MarketProject, killed: str, undisturbed: MarketProject) -> None:
    """The same command succeeds, closes the killed run, and leaves the tables of an undisturbed run."""
    again = CliRunner().invoke(app, ["backfill"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    assert f"run {killed[:8]} was killed before it ended; marked as failed" in again.output
    with DagsterInstance.get() as instance:
        assert instance.get_run_by_id(killed).status is DagsterRunStatus.FAILURE
    assert_same_tables(project.tables(), undisturbed.tables())


def test_a_killed_run_leaves_nothing_behind(project, vendor, loaded):
    killed = kill_backfill(project, moment_of(loaded, seed=1))
    assert_run_again_heals(project, killed, loaded)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_killed_at_many_moments(project, vendor, loaded, seed):
    killed = kill_backfill(project, moment_of(loaded, seed))
    assert_run_again_heals(project, killed, loaded)


@pytest.mark.slow
def test_killed_again_and_again_before_it_may_end(project, vendor, loaded):
    killed = [kill_backfill(project, moment_of(loaded, seed=20))]
    # Later attempts do less and so have fewer events: they are killed early.
    for events in (10, 40):
        before = _events(project)
        killed.append(kill_backfill(project, Moment(before + events, 0.1)))
    assert_run_again_heals(project, killed[-1], loaded)
    with DagsterInstance.get() as instance:
        assert {instance.get_run_by_id(run_id).status for run_id in killed} == {DagsterRunStatus.FAILURE}


@pytest.fixture(scope="module")
def sample_loaded(install: Callable[..., MarketProject]) -> MarketProject:
    """The sample history after an undisturbed run."""
    made = install("sample_loaded", config_file=ROOT / "config" / "market.yaml")
    with made.entered():
        assert made.run().success
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_load_of_the_whole_sample(install, sample_loaded, seed):
    project = install("sample_killed", config_file=ROOT / "config" / "market.yaml")
    with project.entered():
        killed = kill_backfill(project, moment_of(sample_loaded, seed))
        assert_run_again_heals(project, killed, sample_loaded)
