"""A symbol that is added to the universe file: its own history is loaded, and what depends on it is computed again."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from dagster import DagsterInstance, RunRequest, build_sensor_context
from market_project import MarketProject

LEVELS = (
    "select price_return from indices.index_value where index_id = 'EQUAL' and known_to is null order by session desc"
)

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("vendor")]


class Daemon:
    """Evaluates sensors and executes what they ask for, as the daemon does."""

    def __init__(self, project: MarketProject) -> None:
        self.project = project
        self.cursors: dict[str, str | None] = {}

    def evaluate(self, name: str) -> RunRequest | None:
        definitions = self.project.definitions()
        with (
            DagsterInstance.get() as instance,
            build_sensor_context(
                instance=instance, cursor=self.cursors.get(name), definitions=definitions, sensor_name=name
            ) as context,
        ):
            tick = definitions.resolve_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = tick.cursor
        return tick.run_requests[0] if tick.run_requests else None

    def follow(self, name: str, job: str) -> RunRequest:
        """Evaluate a sensor that must ask for a run, and execute it."""
        request = self.evaluate(name)
        assert request is not None, f"{name} asked for nothing"
        with DagsterInstance.get() as instance:
            done = (
                self.project.definitions()
                .resolve_job_def(job)
                .execute_in_process(instance=instance, tags=dict(request.tags), raise_on_error=False)
            )
        assert done.success, [event.message for event in done.all_events if event.is_failure]
        return request


def test_an_added_symbol_is_loaded_alone_and_reaches_indicators_and_indices(project, vendor):
    universe = project.config_file.parent / "universe.csv"
    everyone = pd.read_csv(universe)
    everyone[everyone["symbol"] != "PLAI"].to_csv(universe, index=False)
    assert project.run().success
    daemon = Daemon(project)
    assert daemon.evaluate("universe_sensor") is None
    assert daemon.evaluate("restatement_sensor") is None
    before = project.query("select count(*), max(known_from) from raw.price_bar where symbol <> 'PLAI'")
    level = project.query(LEVELS)[0]

    everyone.to_csv(universe, index=False)
    request = daemon.follow("universe_sensor", "ingest_session")
    assert request.tags["market/symbols"] == "PLAI"
    sessions = [day.date() for day in vendor.sessions]
    assert project.query(
        "select count(*), min(session), max(session) from raw.price_bar where symbol = 'PLAI' and known_to is null"
    ) == [(len(sessions), sessions[0], sessions[-1])]
    assert project.query("select count(*), max(known_from) from raw.price_bar where symbol <> 'PLAI'") == before
    assert project.query(
        "select distinct symbol from ingest.checkpoint c join ingest.plan p using (plan_id) "
        "where p.run_id = (select run_id from raw.price_bar where symbol = 'PLAI' limit 1)"
    ) == [("PLAI",)]

    daemon.follow("restatement_sensor", "recompute")
    assert project.count("analytics.indicator", "symbol = 'PLAI' and known_to is null") == len(sessions)
    assert project.count("indices.index_constituent", "symbol = 'PLAI' and known_to is null") > 0
    assert project.query(LEVELS)[0] != level
    assert daemon.evaluate("universe_sensor") is None
    assert daemon.evaluate("restatement_sensor") is None, "computed once"
    assert date.fromisoformat(request.tags["dagster/asset_partition_range_start"]) == sessions[0]
