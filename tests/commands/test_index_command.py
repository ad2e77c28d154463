"""`market index`: stored sessions explained, and definitions tested on the warehouse's bars.

One warehouse for the module: the sample companies from June 2004 to April 2005. MSFT pays a special dividend on
2004-11-15, AAPL splits on 2005-02-28, and GOOG, listed in August 2004, joins at the rebalance of September.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result
from warehouse_with_views import new_warehouse

from market_assets.cli import app
from market_assets.commands.backtest import run as run_backtest
from market_assets.commands.index import explain
from market_assets.errors import ConfigError, InputError
from market_assets.index_calculation import calculate_indices
from market_assets.ingestion import ingest
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect, read_frame
from market_assets.warehouse.tables import (
    DIVISOR_CHANGE,
    INDEX_CONSTITUENT,
    INDEX_VALUE,
    REBALANCE,
    REBALANCE_TARGET,
)
from market_assets.warehouse.versions import as_of, write_versions

pytestmark = pytest.mark.xdist_group("index_command")  # one warehouse for all of them

ROOT = Path(__file__).resolve().parents[2]
START, END = date(2004, 6, 1), date(2005, 4, 29)
EW = {
    "id": "EW",
    "name": "Equal weight",
    "base_date": START.isoformat(),
    "base_value": 1000,
    "weighting": "equal",
    "rebalance": {"frequency": "quarterly", "weekday": "friday", "nth": 3},
    "withholding_tax": 0.3,
}
CONFIG = {
    "partitions": {"start": START.isoformat(), "end": END.isoformat()},
    "universe": str(ROOT / "config" / "universe.csv"),
    "calendars": {"overrides": str(ROOT / "config" / "calendar_overrides.csv")},
    "sources": [{"kind": "sample"}],
    "indices": [EW],
}


@pytest.fixture(scope="module")
def url(pg_server: Any, _warehouse_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A loaded warehouse, in whose environment the tests of this module work."""
    folder = tmp_path_factory.mktemp("index-command")
    (folder / "market.yaml").write_text(yaml.safe_dump(CONFIG))
    database = new_warehouse(pg_server, _warehouse_template)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MARKET_DATABASE_URL", database)
        monkeypatch.setenv("MARKET_HOME", str(folder / "home"))
        monkeypatch.setenv("MARKET_CONFIG", str(folder / "market.yaml"))
        platform = Platform()
        ingest(platform, START, END, run_id="test")
        calculate_indices(platform, START, END, run_id="test")
        yield database


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    """The configured index as a file of its own."""
    return definition_file(tmp_path, EW)


def definition_file(folder: Path, raw: object) -> Path:
    file = folder / "definition.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


def run(*arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["index", *arguments], catch_exceptions=False)


def explained(*arguments: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(run("explain", "EW", *arguments, "--json"))
    return made


def contents(url: str) -> dict[str, tuple[int, str]]:
    """Rows and newest change of each table a calculation could write."""
    with connect(url) as connection:
        return {
            table.name: connection.execute(f"select count(*), max(changed_xid)::text from {table.qualified}").fetchone()  # noqa: S608
            for table in (INDEX_VALUE, INDEX_CONSTITUENT, DIVISOR_CHANGE, REBALANCE, REBALANCE_TARGET)
        }


@pytest.mark.usefixtures("url")
class TestExplain:
    def test_an_ordinary_session_is_the_sum_of_its_constituents(self, url: str) -> None:
        made = explained("--session", "2004-07-15")
        stored = read_frame(
            url,
            "select session, price_return from indices.index_value where known_to is null and session <= $1 "
            "order by session desc limit 2",
            (date(2004, 7, 15),),
        )["price_return"]
        assert made["previous_session"] == "2004-07-14"
        assert made["levels"]["price_return"]["level"] == stored[0]
        assert made["levels"]["price_return"]["change"] == pytest.approx(stored[0] / stored[1] - 1)
        closes = read_frame(
            url,
            "select symbol, max(close) filter (where session = $1) / min(close) filter (where session = $2) - 1 "
            "as move from raw.price_bar where known_to is null and session in ($1, $2) group by 1",
            (date(2004, 7, 15), date(2004, 7, 14)),
        ).set_index("symbol")["move"]
        assert len(made["constituents"]) == len(closes) == 3
        for row in made["constituents"]:
            assert row["symbol_return"] == pytest.approx(closes[row["symbol"]])
            assert row["opening_weight"] * row["symbol_return"] == pytest.approx(row["contribution"])
        total = sum(row["contribution"] for row in made["constituents"])
        assert total == pytest.approx(made["levels"]["price_return"]["change"])
        assert (made["changes"], made["divisor_changes"], made["rebalances"]) == ([], [], [])

    def test_a_rebalance_names_who_joined_and_what_it_cost(self) -> None:
        made = explained("--session", "2004-09-20")
        (rebalance,) = made["rebalances"]
        assert rebalance["effective_close"] == rebalance["reference_session"] == "2004-09-17"
        assert rebalance["additions"] == "GOOG"
        assert [row["reason"] for row in made["divisor_changes"]] == ["rebalance"]
        assert {row["symbol"]: row["change"] for row in made["changes"]}["GOOG"] == "added"
        assert [row["target_weight"] for row in made["targets"]] == [0.25] * 4
        printed = run("explain", "EW", "--session", "2004-09-20")
        assert "rebalance after the close of 2004-09-17, data of 2004-09-17, turnover" in printed
        assert "added: GOOG; deleted: none" in printed
        assert "3 constituents have other shares than before" in printed

    def test_a_special_dividend_changes_the_divisor_and_is_no_loss(self) -> None:
        made = explained("--session", "2004-11-15")
        (change,) = made["divisor_changes"]
        assert (change["reason"], change["detail"]) == ("special_dividend", "MSFT 3")
        assert change["divisor_after"] < change["divisor_before"]
        (microsoft,) = (row for row in made["constituents"] if row["symbol"] == "MSFT")
        assert microsoft["symbol_return"] == pytest.approx(27.39 / (29.97 - 3.00) - 1)
        assert made["dividend_points"] > 0, "the regular dividend of the same day"

    def test_a_split_changes_shares_and_nothing_else(self) -> None:
        made = explained("--session", "2005-02-28")
        assert made["divisor_changes"] == []
        (apple,) = made["changes"]
        assert (apple["symbol"], apple["change"]) == ("AAPL", "resized")
        assert apple["shares"] == 2 * apple["shares_before"]
        assert "AAPL" in run("explain", "EW", "--session", "2005-02-28").split("changed constituents")[1]

    def test_the_base_date_has_no_returns(self) -> None:
        printed = run("explain", "EW", "--session", START.isoformat())
        assert "EW at 2004-06-01, its base date" in printed
        assert explained("--session", START.isoformat())["levels"]["price_return"]["previous"] is None

    def test_without_a_session_it_is_the_last_one_and_top_cuts_the_list(self) -> None:
        printed = run("explain", "EW", "--top", "2")
        assert "EW at 2005-04-29, after 2005-04-28" in printed
        assert "constituents: 2 of 4, by contribution" in printed
        assert "contributions sum to" in printed

    def test_an_unknown_index_or_session_says_what_is_stored(self) -> None:
        with pytest.raises(InputError, match=r"no level of index NOPE; stored are EW from 2004-06-01 to 2005-04-29"):
            invoke("explain", "NOPE")
        with pytest.raises(InputError, match="no level of index EW at 2004-07-04"):
            invoke("explain", "EW", "--session", "2004-07-04")
        with pytest.raises(InputError, match=r"as known at 2001-01-01 00:00 UTC; stored are no indices yet"):
            invoke("explain", "EW", "--as-of", "2001-01-01")

    def test_a_restated_level_can_be_explained_as_it_was_published(
        self, url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        day = date(2004, 8, 2)
        published = explained("--session", day.isoformat())["levels"]["price_return"]["level"]
        moment = datetime.now(UTC)
        row = as_of(url, INDEX_VALUE, moment, "session = $2", (day,))
        write_versions(url, INDEX_VALUE, row.assign(price_return=row["price_return"] * 2), run_id="restated")
        assert explained("--session", day.isoformat())["levels"]["price_return"]["level"] == 2 * published
        explain("EW", day, moment, 0, as_json=True)
        assert json.loads(capsys.readouterr().out)["levels"]["price_return"]["level"] == published
        write_versions(url, INDEX_VALUE, row, run_id="test")


@pytest.mark.usefixtures("url")
class TestBacktest:
    def test_the_configured_definition_gives_the_stored_levels_and_writes_nothing(
        self, definition: Path, url: str, tmp_path: Path
    ) -> None:
        before = contents(url)
        printed = run("backtest", str(definition), "--against", "EW", "-o", str(tmp_path / "out"))
        assert contents(url) == before
        stored = read_frame(
            url,
            "select session, price_return, total_return, net_total_return from indices.index_value "
            "where known_to is null order by 1",
        )
        levels = pd.read_csv(tmp_path / "out" / "levels.csv", parse_dates=["session"])
        for name in ("price_return", "total_return", "net_total_return"):
            assert levels[name].tolist() == stored[name].tolist()
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert (summary["from"], summary["to"], summary["rebalances"]) == ("2004-06-01", "2005-04-29", 4)
        assert (summary["tracking"]["difference"], summary["tracking"]["error"]) == (0, 0)
        assert "4 rebalances: turnover" in printed
        assert "tracking difference +0.00% a year" in printed
        rebalances = pd.read_csv(tmp_path / "out" / "rebalances.csv")
        assert rebalances["additions"].iloc[1:].dropna().tolist() == ["GOOG"]

    def test_the_picture_is_a_png(self, definition: Path, tmp_path: Path) -> None:
        run("backtest", str(definition), "--against", "IBM", "-o", str(tmp_path / "out"))
        assert (tmp_path / "out" / "levels.png").read_bytes().startswith(b"\x89PNG")

    def test_a_range_moves_base_date_and_end(self, definition: Path, tmp_path: Path) -> None:
        run("backtest", str(definition), "--from", "2004-07-03", "--to", "2004-07-31", "-o", str(tmp_path))
        levels = pd.read_csv(tmp_path / "levels.csv")
        assert levels["session"].iloc[[0, -1]].tolist() == ["2004-07-06", "2004-07-30"]
        assert levels["price_return"].iloc[0] == 1000

    def test_a_definition_without_a_base_date_takes_the_first_session_asked_for(self, tmp_path: Path) -> None:
        raw = {name: value for name, value in EW.items() if name != "base_date"}
        printed = run("backtest", str(definition_file(tmp_path, raw)), "--from", "2005-01-01", "-o", str(tmp_path))
        assert "2005-01-03 to 2005-04-29" in printed

    def test_one_name_follows_its_own_adjusted_close(self, tmp_path: Path) -> None:
        """They differ by when a dividend is reinvested: at the close of the ex-date here, at the one before there."""
        raw = {**EW, "id": "IBM_ONLY", "universe": {"symbols": ["IBM"]}}
        printed = run("backtest", str(definition_file(tmp_path, raw)), "--against", "IBM")
        summary = json.loads((Path(printed.split("are in ")[1].strip()) / "summary.json").read_text())
        assert abs(summary["tracking"]["difference"]) < 1e-3
        assert summary["tracking"]["correlation"] > 0.9999

    @pytest.mark.parametrize(
        ("raw", "options", "problem"),
        [
            (["EW"], (), "must be a mapping: one definition"),
            ({**EW, "wieghting": "equal"}, (), "wieghting: unknown key"),
            ({**EW, "universe": {"exchanges": ["XLON"]}}, (), "universe.exchanges: no configured exchange"),
            (EW, ("--from", "2005-04-30"), "no session between 2005-04-30 and 2005-04-29"),
            (EW, ("--to", "2004-05-01"), "starts at 2004-06-01, after"),
            (EW, ("--against", "NOPE"), "NOPE is neither an index nor a symbol"),
        ],
    )
    def test_what_cannot_be_tested_is_refused(
        self, tmp_path: Path, raw: object, options: tuple[str, ...], problem: str
    ) -> None:
        with pytest.raises((ConfigError, InputError), match=problem):
            invoke("backtest", str(definition_file(tmp_path, raw)), *options)

    def test_a_missing_file_and_broken_yaml_are_refused_with_their_path(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot read the definition"):
            invoke("backtest", str(tmp_path / "nowhere.yaml"))
        (tmp_path / "broken.yaml").write_text("id: [")
        with pytest.raises(ConfigError, match=r"broken\.yaml: not valid YAML"):
            invoke("backtest", str(tmp_path / "broken.yaml"))

    def test_an_empty_warehouse_says_how_to_load_it(self, warehouse_url: str) -> None:
        platform = Platform()
        platform.__dict__["warehouse_url"] = warehouse_url  # migrated; its views are not needed to see that it is empty
        with pytest.raises(InputError, match="holds no bars"):
            run_backtest(platform, platform.indices[0], None, None, None)
