"""`market quarantine` on a folder of files and a real warehouse: rows held back, shown, decided about, sent again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result
from warehouse_with_views import new_warehouse

from market_assets.cli import app
from market_assets.errors import InputError
from market_assets.ingestion import IngestReport, ingest
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect

pytestmark = pytest.mark.xdist_group("quarantine_command")

SESSIONS = pd.bdate_range("2024-02-01", "2024-02-15").strftime("%Y-%m-%d").tolist()
START, END = (pd.Timestamp(day).date() for day in (SESSIONS[0], SESSIONS[-1]))
HEADER = "symbol,exchange,name,currency,member_from,member_to\n"


class Desk:
    """One installation: a vendor's folder, a configuration, a warehouse, and the command line."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.bars = {
            symbol: pd.DataFrame(
                {
                    "date": SESSIONS,
                    "open": [price + n / 8 for n in range(len(SESSIONS))],
                    "high": [price + 1 + n / 8 for n in range(len(SESSIONS))],
                    "low": [price - 1 + n / 8 for n in range(len(SESSIONS))],
                    "close": [price + 0.5 + n / 8 for n in range(len(SESSIONS))],
                    "volume": [50_000.0 + n for n in range(len(SESSIONS))],
                }
            )
            for symbol, price in (("AAA", 20.0), ("BBB", 90.0))
        }
        self.universe("USD")
        (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
        source = {
            "folder": "vendor",
            "file_name": "{symbol}.csv",
            "columns": {"session": "date"},
            "basis": "as_traded",
            "currency": "USD",
        }
        config = {
            "partitions": {"start": SESSIONS[0], "end": SESSIONS[-1]},
            "sources": [{"kind": "files", "name": "desk", "options": source}],
        }
        (folder / "market.yaml").write_text(yaml.safe_dump(config))

    def universe(self, currency: str) -> None:
        """Say in which currency both companies are quoted."""
        rows = [f"{symbol},XNYS,{symbol},{currency},{SESSIONS[0]},\n" for symbol in self.bars]
        (self.folder / "universe.csv").write_text(HEADER + "".join(rows))

    def fault(self, symbol: str, row: int, factor: float) -> None:
        """Multiply the prices of one bar."""
        prices = ["open", "high", "low", "close"]
        self.bars[symbol].loc[row, prices] *= factor

    def load(self, run_id: str = "load") -> IngestReport:
        """Publish the folder and ingest it."""
        (self.folder / "vendor").mkdir(exist_ok=True)
        for symbol, rows in self.bars.items():
            rows.to_csv(self.folder / "vendor" / f"{symbol}.csv", index=False)
        return ingest(Platform(), START, END, run_id=run_id)

    def market(self, *words: str, **options: Any) -> Result:
        """Run `market quarantine ...`; our own errors come back as exceptions, as in a program."""
        return CliRunner().invoke(app, ["quarantine", *words], **options)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with connect(self.url) as connection:
            return connection.execute(query).fetchall()  # type: ignore[call-overload]  # a query of this module

    def listed(self, *filters: str) -> list[dict[str, Any]]:
        """What `list --json` says."""
        done = self.market("list", "--json", *filters)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def close(self, symbol: str, row: int) -> list[float]:
        """Current close of a bar, none if it is not stored."""
        query = "select close from raw.price_bar where known_to is null and symbol = '{}' and session = '{}'"
        return [value for (value,) in self.rows(query.format(symbol, SESSIONS[row]))]


@pytest.fixture
def desk(pg_server: Any, _warehouse_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    url = new_warehouse(pg_server, _warehouse_template)
    monkeypatch.setenv("MARKET_DATABASE_URL", url)
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MARKET_CONFIG", str(tmp_path / "market.yaml"))
    return Desk(tmp_path, url)


@pytest.fixture
def pence(desk: Desk) -> Desk:
    """AAA has one bar at a hundred times its price; it is held back."""
    desk.fault("AAA", 4, 100.0)
    assert desk.load().quarantined == {"unit_100x": 1}
    return desk


def refused(done: Result) -> str:
    """Message of the error a command ended with."""
    assert isinstance(done.exception, InputError), done.output
    return str(done.exception)


def test_rows_are_listed_by_what_they_are_about(desk: Desk) -> None:
    desk.fault("AAA", 4, 100.0)
    desk.bars["BBB"].loc[7, "close"] = -1.0
    desk.load()
    assert {row["rule"] for row in desk.listed()} == {"non_positive_price", "unit_100x"}
    numbers = [row["quarantine_id"] for row in desk.listed()]
    assert numbers == sorted(numbers, reverse=True), "the latest first"
    assert [row["symbol"] for row in desk.listed("--rule", "unit_100x")] == ["AAA"]
    assert [row["symbol"] for row in desk.listed("--symbol", "BBB")] == ["BBB"]
    assert [row["symbol"] for row in desk.listed("--from", SESSIONS[5], "--source", "desk")] == ["BBB"]
    assert [row["symbol"] for row in desk.listed("--to", SESSIONS[5], "--status", "all")] == ["AAA"]
    assert desk.listed("--source", "other") == []
    table = desk.market("list").stdout
    assert "unit_100x" in table
    assert SESSIONS[4] in table
    assert "only the latest 1 are shown" in desk.market("list", "--limit", "1").stdout
    assert "no quarantined row matches" in desk.market("list", "--status", "rejected").stdout
    assert "no status 'opened'; choose one of open, accepted" in refused(desk.market("list", "--status", "opened"))


def test_a_row_is_shown_as_it_came_with_its_repair_and_its_history(pence: Desk) -> None:
    (row,) = pence.listed()
    number = str(row["quarantine_id"])
    text = pence.market("show", number).stdout
    for shown in ("unit_100x", "as sent", "as stored", "proposed", "2,100", "History", "ingestion", "load"):
        assert shown in text, shown
    whole = json.loads(pence.market("show", number, "--json").stdout)
    assert whole["raw_row"]["close"] == pytest.approx(2100.0)
    assert whole["proposal"] == {**whole["candidate"], "open": 20.5, "high": 21.5, "low": 19.5, "close": 21.0}
    assert [event["status"] for event in whole["history"]] == ["open"]
    assert "no quarantined row has number 999" in refused(pence.market("show", "999"))


def test_an_accepted_proposal_is_stored_by_a_run_of_its_own_and_stays_when_the_row_comes_again(pence: Desk) -> None:
    number = str(pence.listed()[0]["quarantine_id"])
    done = pence.market("accept", number, "--proposed", "--by", "ana", "--note", "pence")
    assert done.exit_code == 0, done.output
    assert "1 rows accepted: 1 stored, 0 restated, 0 were stored already (run quarantine-accept-" in done.stdout
    assert pence.close("AAA", 4) == [21.0]
    shown = json.loads(pence.market("show", number, "--json").stdout)
    assert (shown["status"], shown["stored_row"]) == ("accepted", shown["proposal"])
    stored = pence.rows("select run_id from raw.price_bar where run_id <> 'load'")
    assert stored == [(shown["resolved_run_id"],)]
    trail = [(event["status"], event["by"], event["note"], event["run_id"]) for event in shown["history"]]
    assert trail == [("open", "ingestion", None, "load"), ("accepted", "ana", "pence", shown["resolved_run_id"])]

    again = pence.load("again")
    assert (again.quarantined, again.bars.versions_written) == ({"unit_100x": 1}, 0), "the row as sent is still wrong"
    assert pence.close("AAA", 4) == [21.0]
    assert len(pence.listed("--status", "all")) == 1


def test_a_row_accepted_as_it_came_passes_when_it_comes_again(pence: Desk) -> None:
    pence.market("accept", str(pence.listed()[0]["quarantine_id"]))
    assert pence.close("AAA", 4) == [2100.0]
    again = pence.load("again")
    assert again.quarantined == {}
    assert again.received == again.bars.unchanged == 22
    pence.fault("AAA", 4, 1.01)
    assert pence.load("changed").quarantined == {"unit_100x": 1}, "another content is another case"


def test_a_rejected_row_stays_out_and_is_counted(pence: Desk) -> None:
    done = pence.market("reject", "--rule", "unit_100x", "--yes", "--note", "wrong unit")
    assert "1 rows rejected (run quarantine-reject-" in done.stdout
    again = pence.load("again")
    assert again.quarantined == {"unit_100x": 1}
    assert again.received == again.bars.unchanged + 1
    assert pence.close("AAA", 4) == []
    assert pence.listed() == []


def test_a_case_is_closed_when_the_vendor_sends_a_row_that_passes(pence: Desk) -> None:
    pence.fault("AAA", 4, 0.01)
    assert pence.load("corrected").bars.added == 1
    assert pence.listed() == []
    (row,) = pence.listed("--status", "all")
    assert (row["status"], row["resolved_by"], row["resolved_run_id"]) == ("rejected", "ingestion", "corrected")
    assert row["note"] == "a later answer brought a row that passes the rules"


def test_rejecting_what_was_accepted_withdraws_it(pence: Desk) -> None:
    number = str(pence.listed()[0]["quarantine_id"])
    pence.market("accept", number)
    done = pence.market("reject", number)
    assert "1 rows rejected, 1 versions withdrawn" in done.stdout
    assert "restatement sensor" in done.stdout
    assert pence.close("AAA", 4) == []
    pence.market("accept", number, "--proposed")
    assert pence.close("AAA", 4) == [21.0]


def test_rows_pass_when_the_universe_is_corrected(desk: Desk) -> None:
    desk.universe("EUR")
    assert desk.load().quarantined == {"wrong_currency": 22}
    still = desk.market("replay", "--symbol", "AAA", "--yes", "--by", "ana")
    assert "0 of 11 rows passed the rules" in still.stdout
    assert "wrong_currency" in still.stdout
    number = str(desk.listed("--symbol", "AAA")[0]["quarantine_id"])
    history = json.loads(desk.market("show", number, "--json").stdout)["history"]
    assert [(event["status"], event["by"]) for event in history] == [("open", "ingestion"), ("open", "ana")]
    assert history[1]["note"].startswith("replayed and held again: wrong_currency")

    desk.universe("USD")
    done = desk.market("replay", "--rule", "wrong_currency", "--yes", "--by", "ana", "--note", "universe corrected")
    assert "22 of 22 rows passed the rules and are stored (run quarantine-replay-" in done.stdout
    assert desk.rows("select count(*) from raw.price_bar where known_to is null") == [(22,)]
    assert {row["status"] for row in desk.listed("--status", "all")} == {"replayed"}
    again = desk.load("again")
    assert (again.quarantined, again.bars.unchanged) == ({}, 22)
    assert "only open and accepted rows can be replayed" in refused(desk.market("replay", number))


def test_a_replayed_row_is_judged_among_what_is_stored(pence: Desk) -> None:
    done = pence.market("replay", str(pence.listed()[0]["quarantine_id"]))
    assert "0 of 1 rows passed the rules" in done.stdout
    assert "unit_100x" in done.stdout
    assert pence.close("AAA", 4) == []


def test_of_rows_that_contradict_each_other_one_is_accepted(desk: Desk) -> None:
    other = desk.bars["AAA"].loc[[4]].assign(close=20.9)
    desk.bars["AAA"] = pd.concat([desk.bars["AAA"], other]).sort_values("date", kind="stable")
    assert desk.load().quarantined == {"conflicting_duplicate": 2}
    first, second = sorted(row["quarantine_id"] for row in desk.listed())
    assert "0 of 1 rows passed" in desk.market("replay", str(first)).stdout, "alone it would have no rival"
    assert "are about the same price_bar: accept one of them" in refused(
        desk.market("accept", "--rule", "conflicting_duplicate", "--yes")
    )
    desk.market("accept", str(second))
    assert desk.close("AAA", 4) == [20.9]
    again = desk.load("again")
    assert (again.quarantined, again.bars.unchanged) == ({"conflicting_duplicate": 1}, 21 + 1)


def test_what_no_bar_can_be_made_of_is_not_accepted(desk: Desk) -> None:
    desk.bars["AAA"].loc[4, "close"] = None
    desk.load()
    number = str(desk.listed()[0]["quarantine_id"])
    assert "cannot be stored as it came. Reject it, or replay it later." in refused(desk.market("accept", number))
    assert "has no proposed repair. Reject it." in refused(desk.market("accept", number, "--proposed"))
    assert desk.listed()[0]["status"] == "open"
    assert "0 of 1 rows passed the rules" in desk.market("replay", number).stdout


def test_many_rows_are_changed_only_when_someone_agrees(pence: Desk) -> None:
    assert "say which rows: market quarantine reject NUMBER..." in refused(pence.market("reject"))
    assert "give numbers or filters, not both" in refused(pence.market("reject", "1", "--rule", "unit_100x"))
    assert "no quarantined row matches" in refused(pence.market("reject", "--rule", "stale_repeat"))
    said_no = pence.market("accept", "--rule", "unit_100x", input="n\n")
    assert "accept 1 rows (1 unit_100x)?" in said_no.stdout
    assert "nothing was changed" in refused(said_no)
    assert pence.listed()[0]["status"] == "open"
    assert "1 rows accepted" in pence.market("accept", "--rule", "unit_100x", input="y\n").stdout
    assert "cannot become accepted" in refused(pence.market("accept", "1"))
    assert "no quarantined row has number 77" in refused(pence.market("reject", "1", "77"))
    assert pence.listed("--status", "accepted")[0]["quarantine_id"] == 1, "all or none"


def test_a_row_whose_fault_the_next_session_shows_is_withdrawn(desk: Desk) -> None:
    whole = {symbol: rows.copy() for symbol, rows in desk.bars.items()}
    desk.fault("AAA", 6, 3.7)
    wrong = desk.bars["AAA"]
    desk.bars = {symbol: rows.iloc[:7] for symbol, rows in {**whole, "AAA": wrong}.items()}
    first = desk.load("evening")
    assert (first.quarantined, first.warned) == ({}, {"unexplained_jump": 1}), "it may be the market's own move"
    assert desk.close("AAA", 6) == [pytest.approx(21.25 * 3.7)]
    desk.bars = {**whole, "AAA": wrong}
    second = desk.load("next evening")
    assert second.quarantined == {"foreign_bar": 1}
    assert second.bars.withdrawn == 1
    assert desk.close("AAA", 6) == []
    assert desk.load("later").bars.withdrawn == 0
