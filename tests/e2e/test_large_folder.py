"""The 505-symbol folder, as the README loads a folder of one's own: minutes of work, with `make test-slow`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from market_project import ROOT, MarketProject

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("large_folder")]


@pytest.fixture(scope="module")
def folder_project(install, shared_data: Path) -> MarketProject:
    """An installation with the README's example configuration; paths in it point at the real folder."""
    project = install("large")
    settings = yaml.safe_load((ROOT / "config" / "examples" / "files.yaml").read_text(encoding="utf-8"))
    settings["sources"][0]["options"]["folder"] = str(shared_data / "sp500_5yr")
    settings["calendars"]["overrides"] = str(ROOT / "config" / "calendar_overrides.csv")
    project.config_file.parent.mkdir(parents=True, exist_ok=True)
    project.config_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    shutil.copy(ROOT / "config" / "universe.csv", project.config_file.parent / "universe.csv")
    project.command("universe", "--source", "files", "-o", str(project.config_file.parent / "universe.csv"))
    return project


def test_every_row_of_the_folder_is_stored_or_in_quarantine(folder_project: MarketProject):
    done = folder_project.command("backfill", "--source", "files")
    stored = folder_project.query("select count(*) from raw.price_bar where known_to is null")[0][0]
    held = folder_project.query("select count(*) from quality.quarantine")[0][0]
    assert (stored, held) == (618_270, 770)
    assert stored + held == 619_040, "rows of the folder, as its README counts them"
    assert "checks: " in done.stdout


def test_known_faults_are_held_back_by_their_rules(folder_project: MarketProject):
    held = folder_project.query("select rule, count(*) from quality.quarantine group by 1 order by 1")
    assert held == [
        ("inverted_range", 1),
        ("misdated_repeat", 477),
        ("missing_price", 11),
        ("price_outside_range", 4),
        ("stale_repeat", 277),
    ]
    lnt = folder_project.query("select rule from quality.quarantine where symbol = 'LNT' and session = '2016-05-19'")
    assert lnt == [("price_outside_range",)], "the bad print of LNT"


def test_the_same_folder_again_writes_nothing(folder_project: MarketProject):
    before = folder_project.query("select count(*) from analytics.indicator")[0][0]
    folder_project.command("backfill", "--source", "files")
    assert folder_project.query("select count(*) from analytics.indicator")[0][0] == before
    assert folder_project.query("select count(*) from raw.price_bar where known_to is not null")[0][0] == 0
