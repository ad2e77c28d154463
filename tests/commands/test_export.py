"""`market export`: what a table holds, exactly, in every format, and cut as asked."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result
from warehouse_with_views import new_warehouse

from market_assets.cli import app
from market_assets.errors import InputError
from market_assets.warehouse.tables import PRICE_BAR
from market_assets.warehouse.versions import write_versions

pytestmark = pytest.mark.xdist_group("export")

THIRD = 100.0 / 3.0  # needs all seventeen digits
BEFORE, AFTER = datetime(2024, 1, 3, 22, tzinfo=UTC), datetime(2024, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def url(pg_server: Any, _warehouse_template: str) -> str:
    """Two symbols on two sessions; the first close of AAA was restated on 2024-01-09."""
    url = new_warehouse(pg_server, _warehouse_template)
    bars = pd.DataFrame(
        {
            "symbol": ["AAA", "AAA", "BBB"],
            "session": pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-03"]),
            "source": "files",
            **{key: [1.0, 2.0, 3.0] for key in ("open", "high", "low")},
            "close": [THIRD, 2.0, 3.0],
            "volume": [10.0, 20.0, 30.0],
            "currency": "USD",
        }
    )
    write_versions(url, PRICE_BAR, bars, run_id="first", known_at=BEFORE)
    write_versions(url, PRICE_BAR, bars.iloc[:1].assign(close=34.0), run_id="second", known_at=AFTER)
    return url


@pytest.fixture
def export(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command, with `-o` into a folder of the test."""
    monkeypatch.setenv("MARKET_DATABASE_URL", url)
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))

    def run(*arguments: str, output: Path = tmp_path / "out") -> Result:
        return CliRunner().invoke(app, ["export", *arguments, "-o", str(output)], catch_exceptions=True)

    return run


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_a_float_comes_back_bit_for_bit(export, tmp_path, form):
    done = export("raw.price_bar", "--format", form, "--as-of", "2024-01-05")
    assert done.exit_code == 0, done.output
    assert "3 rows of raw.price_bar" in done.output
    file = tmp_path / "out"
    if form == "json":
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        closes, first = [row["close"] for row in rows], rows[0]["session"]
    else:
        rows = pd.read_parquet(file) if form == "parquet" else pd.read_csv(file)
        closes, first = rows["close"].tolist(), str(rows["session"].iloc[0])
    assert closes == [THIRD, 2.0, 3.0]
    assert first == date(2024, 1, 2).isoformat()


def test_without_a_moment_the_current_version_is_written(export, tmp_path):
    assert export("raw.price_bar", "--symbols", "AAA", "--to", "2024-01-02").exit_code == 0
    rows = pd.read_csv(tmp_path / "out")
    assert rows["close"].tolist() == [34.0]
    assert "known_from" not in rows


def test_a_view_that_names_when_its_rows_became_known_is_no_versioned_table(export, tmp_path):
    assert export("intermediate.int_golden_bar").exit_code == 0
    assert len(pd.read_csv(tmp_path / "out")) == 3
    done = export("intermediate.int_golden_bar", "--as-of", "2024-01-05")
    assert isinstance(done.exception, InputError)
    assert "keeps no versions" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("raw.prices",), "no table 'raw.prices'; there are"),
        (("raw.security", "--from", "2024-01-02"), "raw.security has no session"),
        (("indices.index_value", "--symbols", "AAA"), "indices.index_value has no symbol"),
    ],
)
def test_what_cannot_be_exported_says_why_and_leaves_no_file(export, tmp_path, arguments, told):
    done = export(*arguments)
    assert isinstance(done.exception, InputError)
    assert told in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_written_leaves_what_was_there(export, tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    done = export("raw.price_bar", output=target)
    assert isinstance(done.exception, InputError)
    assert f"cannot write {target}" in str(done.exception)
    assert target.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".partial") == []
