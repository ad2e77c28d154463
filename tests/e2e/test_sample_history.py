"""`market backfill` on the real sample history: a new user's first command, looked at from all sides."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from market_project import ROOT, MarketProject
from typer.testing import CliRunner

from market_assets.cli import app

pytestmark = pytest.mark.xdist_group("sample")

BARS = {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}
SESSIONS = 3270
EXCHANGES = 2
"""IBM is listed in New York, the others at the Nasdaq; their sessions are the same days."""


class Sample:
    """The installation after one backfill of everything.

    Attributes:
        project: the installation, with the checkout's own configuration.
        backfill: the finished command.
    """

    def __init__(self, project: MarketProject, backfill: subprocess.CompletedProcess[str]) -> None:
        self.project = project
        self.backfill = backfill


@pytest.fixture(scope="module")
def environment(installations: Path) -> Iterator[MarketProject]:
    """An installation that starts from nothing, in whose environment the tests of this module work."""
    project = MarketProject(installations / "sample", config_file=ROOT / "config" / "market.yaml")
    with project.entered():
        yield project
    project.stop()


@pytest.fixture(scope="module")
def sample(environment: MarketProject) -> Sample:
    before = littered()
    done = environment.command("backfill", check=False)
    assert littered() == before, "the run wrote into the checkout"
    return Sample(environment, done)


def littered() -> set[Path]:
    """What Dagster and dbt leave in a folder that they take for their own."""
    names = ("history", "storage", "schedules", "logs", ".telemetry", ".logs_queue", "dbt/target", "dbt/logs")
    return {ROOT / name for name in names if (ROOT / name).exists()}


def run(*arguments: str) -> str:
    """Output of a command of the CLI, run in this process."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_it_succeeds_and_says_what_to_do_next(sample):
    assert sample.backfill.returncode == 0, sample.backfill.stdout + sample.backfill.stderr
    assert sample.backfill.stderr == ""
    assert "materializing 2000-03-01 to 2013-03-01" in sample.backfill.stdout
    assert "next: `make ui`" in sample.backfill.stdout
    assert "\x1b" not in sample.backfill.stdout, "colours and progress bars belong on a terminal"


def test_every_real_bar_is_stored_as_traded(sample):
    found = dict(sample.project.query("select symbol, count(*) from raw.price_bar where known_to is null group by 1"))
    assert found == BARS
    assert sum(found.values()) == 12_154
    # bokeh-sampledata AAPL.csv, 2005-02-25 and the day of the 2:1 split
    close = dict(
        sample.project.query(
            "select session::text, close from raw.price_bar "
            "where symbol = 'AAPL' and session in ('2005-02-25', '2005-02-28')"
        )
    )
    assert close == {"2005-02-25": 88.99, "2005-02-28": 44.86}


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("raw.price_bar", 12_154),
        ("raw.security", 5),
        ("raw.trading_session", EXCHANGES * SESSIONS),
        ("analytics.indicator", 12_154),
        ("indices.index_value", SESSIONS),
        ("marts.fct_daily_bar", 12_154),
        ("marts.fct_indicator", 12_154),
        ("marts.fct_index_value", SESSIONS),
        ("marts.dim_session", EXCHANGES * SESSIONS),
        ("marts.dim_security", 5),
        ("marts.mart_market_breadth", SESSIONS),
        ("quality.quarantine", 0),
    ],
)
def test_every_table_has_its_rows(sample, table, rows):
    assert sample.project.count(table) == rows


def test_beta_is_measured_against_the_index_that_was_calculated_in_the_same_run(sample):
    rows = sample.project.query(
        "select symbol, count(beta_252), avg(beta_252), min(correlation_252), max(correlation_252) "
        "from marts.fct_indicator group by 1"
    )
    found = {symbol: rest for symbol, *rest in rows}
    assert {symbol: counted for symbol, (counted, *_) in found.items()} == {
        **dict.fromkeys(("AAPL", "IBM", "MSFT"), SESSIONS - 252),
        "FB": 0,
        "GOOG": 2148 - 252,
    }
    assert found["IBM"][1] < 1 < found["AAPL"][1]
    assert all(0 < low <= high <= 1 for counted, _, low, high in found.values() if counted)


def test_no_row_has_a_second_version_after_the_first_run(sample):
    for table in ("raw.price_bar", "analytics.indicator", "indices.index_value", "indices.index_constituent"):
        assert sample.project.count(table, "known_to is not null") == 0


def test_the_index_starts_at_its_base_and_its_returns_keep_their_order(sample):
    levels = sample.project.query(
        "select session::text, price_return, total_return, net_total_return from indices.index_value "
        "where session in ('2000-03-01', '2013-03-01') order by 1"
    )
    assert levels[0] == ("2000-03-01", 1000, 1000, 1000)
    _, price, total, net = levels[1]
    assert 1000 < price < net < total
    ordered = "total_return >= net_total_return and net_total_return >= price_return"
    assert sample.project.count("indices.index_value", f"not ({ordered})") == 0


def test_weights_of_every_session_sum_to_one(sample):
    assert sample.project.query(
        "select count(*) from (select sum(weight) from indices.index_constituent group by session) w(s) "
        "where abs(s - 1) > 1e-12"
    ) == [(0,)]


def test_a_company_is_in_the_index_only_after_it_is_listed(sample):
    first = dict(
        sample.project.query("select symbol, min(session)::text from indices.index_constituent group by 1 order by 1")
    )
    # Google lists on 2004-08-19, Facebook on 2012-05-18; both enter at the rebalance after the third Friday.
    assert first["AAPL"] == "2000-03-01"
    assert first["GOOG"] == "2004-09-20"
    assert first["FB"] == "2012-06-18"


def test_every_check_is_reported_and_only_the_one_real_jump_is_remarked(sample):
    declared = sample.project.definitions().resolve_asset_graph().asset_check_keys
    assert f"checks: {len(declared) - 1} passed, 1 failed" in sample.backfill.stdout
    failing = sample.project.query(
        "select asset, check_name, severity, session::text from quality.result where known_to is null and not passed"
    )
    # Apple warned of its earnings after the close of 2000-09-28 and lost 52 % the next day.
    assert failing == [("raw_prices", "daily_move_explained", "warning", "2000-09-29")]
    sessions = sample.project.query(
        "select count(distinct session) from quality.result where known_to is null group by asset, check_name"
    )
    assert set(sessions) == {(SESSIONS,)}


def test_lineage_events_are_delivered_to_the_file(sample):
    lines = (sample.project.home / "lineage" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert f"collected {len(events)} events, delivered {len(events)}, waiting 0" in sample.backfill.stdout
    completed = {event["job"]["name"]: event for event in events if event["eventType"] == "COMPLETE"}
    assert {"raw_prices", "indicators", "index_values", "fct_daily_bar", "raw_prices.checks"} <= set(completed)
    output = completed["index_values"]["outputs"][0]
    assert output["name"] == "market.indices.index_value"
    assert output["facets"]["columnLineage"]["fields"]["price_return"]["inputFields"]
    rows = completed["raw_prices"]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"]
    assert rows == 12_154


def test_status_counts_every_partition(sample):
    assets = {asset["asset"]: asset for asset in json.loads(run("status", "--json"))["assets"]}
    for name in ("raw_prices", "indicators", "index_values", "index_constituents"):
        assert (assets[name]["present"], assets[name]["missing"], assets[name]["failed"]) == (SESSIONS, 0, 0)
    assert assets["raw_prices"]["rows"] == 12_154
    assert assets["raw_prices"]["last_session"] == "2013-03-01"
    assert assets["raw_prices"]["failing_checks"] == ["daily_move_explained"]
    assert assets["fct_index_value"]["materialized"]


def test_status_as_a_table_names_each_asset_in_full(sample):
    lines = run("status").splitlines()
    assert any(line.startswith("mart_index_performance ") for line in lines)


def test_doctor_finds_nothing_wrong(sample):
    output = run("doctor")
    assert "FAULT" not in output
    assert "3270 sessions, 2000-03-01 to 2013-03-01" in output


def test_lineage_answers_where_a_number_comes_from(sample):
    upstream = run("lineage", "upstream", "index_values.price_return")
    assert "raw_prices.close" in upstream
    impact = run("lineage", "impact", "raw_prices.close")
    assert "fct_index_value.daily_return" in impact


def test_a_session_of_the_index_is_explained(sample):
    explained = run("index", "explain", "SAMPLE_EW", "--session", "2005-02-28")
    assert "2005-02-28" in explained
    for symbol in ("AAPL", "GOOG", "IBM", "MSFT"):
        assert symbol in explained


def test_export_writes_the_levels_that_are_stored(sample, tmp_path):
    run("export", "marts.fct_index_value", "--from", "2013-02-28", "-o", str(tmp_path / "levels.csv"))
    with (tmp_path / "levels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["session"] for row in rows] == ["2013-02-28", "2013-03-01"]
    stored = sample.project.query("select total_return from indices.index_value where session = '2013-03-01'")
    assert float(rows[-1]["total_return_level"]) == stored[0][0]


def test_a_second_run_writes_nothing(sample):
    before = sample.project.physical_rows()
    run("backfill")
    after = sample.project.physical_rows()
    assert {name for name in before if after[name] != before[name]} == set()
