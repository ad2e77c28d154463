"""A real dagster-daemon with its code server: a tick of the session-close sensor loads the session that has just
closed, and automation computes everything after it. Nobody presses a button.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus
from market_project import ROOT, MarketProject

from market_assets.domain.calendars import build_calendar

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("daemon")]

DEADLINE_SECONDS = 420
STOP_SECONDS = 60
SYMBOLS = [f"SYN{number:05}" for number in range(1, 6)]


def live_settings(start: date) -> dict[str, Any]:
    """market.yaml of a market without end: invented companies, partitions open."""
    quiet = {"late_listings": 0, "delistings_per_year": 0, "suspensions_per_year": 0}
    return {
        "partitions": {"start": start},
        "sources": [{"kind": "synthetic", "options": {"seed": 7, "symbols": 5, "start": start, **quiet}}],
        "indices": [{"id": "LIVE", "weighting": "equal", "base_date": start, "base_value": 1000}],
    }


@pytest.fixture
def live(install: Callable[..., MarketProject]) -> Iterator[MarketProject]:
    """An installation that holds every session of the last weeks but the latest."""
    today = datetime.now(UTC).date()
    calendar = build_calendar("XNYS", date(today.year - 1, 1, 1), date(today.year, 12, 31))
    start = calendar.next_session(today - timedelta(days=21)).date()
    project = install("live")
    project.configure(live_settings(start), [(symbol, start, None) for symbol in SYMBOLS])
    with project.entered():
        yield project
    project.stop()


class Daemon:
    """`dagster-daemon run` on the checkout's workspace.yaml, in a process group of its own."""

    def __init__(self, project: MarketProject, log: Path) -> None:
        self._log = log
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")],
                env={**os.environ, **project.environment},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait_until(self, what: str, holds: Callable[[], bool], instance: DagsterInstance) -> None:
        """Poll until it holds; fails with the daemon's log and the state of all runs."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            state = [(run.job_name, run.status.value, dict(run.tags)) for run in instance.get_runs()]
            assert self._process.poll() is None, f"the daemon ended: {self._tail()}"
            assert time.monotonic() < deadline, f"{what}: not after {DEADLINE_SECONDS} s; {state}; {self._tail()}"
            assert DagsterRunStatus.FAILURE not in {run.status for run in instance.get_runs()}, (state, self._tail())
            time.sleep(1)

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


def test_a_closed_session_is_loaded_and_everything_after_it_follows(live, tmp_path):
    keys = live.partition_keys()
    latest, history = keys[-1], date.fromisoformat(keys[-2])
    assert live.run(end=history).success
    assert live.query("select max(session) from marts.fct_index_value") == [(history,)]

    with DagsterInstance.get() as instance, Daemon(live, tmp_path / "daemon.log") as daemon:

        def materialized(asset: str, partition: str | None = None) -> bool:
            if partition is not None:
                return partition in instance.get_materialized_partitions(AssetKey(asset))
            record = instance.get_latest_materialization_event(AssetKey(asset))
            return record is not None and record.run_id != by_hand

        by_hand = instance.get_runs(limit=1)[0].run_id
        daemon.wait_until("the session is loaded", lambda: materialized("raw_prices", latest), instance)
        daemon.wait_until("indicators follow", lambda: materialized("indicators", latest), instance)
        daemon.wait_until("indices follow", lambda: materialized("index_values", latest), instance)
        daemon.wait_until("the marts follow", lambda: materialized("mart_index_performance"), instance)
        daemon.wait_until("every run ends", lambda: all(run.is_finished for run in instance.get_runs()), instance)

        if live.partition_keys()[-1] != latest:
            pytest.skip(f"a session closed while the test ran, which loads more than {latest}")
        runs = [run for run in instance.get_runs() if run.run_id != by_hand]
        ingestions = [run for run in runs if run.job_name == "ingest_session"]
        assert [(run.tags["market/cause"], run.tags["dagster/partition"]) for run in ingestions] == [
            ("session_close", latest)
        ]
        others = [run for run in runs if run not in ingestions]
        assert {run.status for run in runs} == {DagsterRunStatus.SUCCESS}
        assert all("dagster/from_automation_condition" in run.tags for run in others), [run.tags for run in others]

    day = date.fromisoformat(latest)
    on_the_day = f"known_to is null and session = '{latest}'"
    assert live.count("raw.price_bar", on_the_day) == len(SYMBOLS)
    assert live.count("analytics.indicator", on_the_day) == len(SYMBOLS)
    assert live.count("indices.index_value", on_the_day) == 1
    assert live.count("quality.result", f"{on_the_day} and asset = 'raw_prices' and passed") > 0
    for mart in ("fct_daily_bar", "fct_indicator", "fct_index_value", "mart_market_breadth"):
        assert live.query(f"select max(session) from marts.{mart}") == [(day,)], mart  # noqa: S608 - names above
