"""Fifteen real vintages in order: as_of each evening is what the vendor showed up to then, and nothing else.

Each file is loaded on the evening it stands for, by a run of its own. What the vendor showed is rebuilt here from the
files with pandas, on its own. A row that is missing in the warehouse must be in quarantine with its rule, under the run
of the first evening on which it was held; every row of every file is accounted for.
"""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import yaml
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from market_assets.cli import app
from market_assets.config import load_config
from market_assets.domain.screening import RULES
from market_assets.ingestion import IngestReport, ingest
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect, read_frame
from market_assets.warehouse.tables import PRICE_BAR
from market_assets.warehouse.versions import as_of

if TYPE_CHECKING:
    from conftest import TestServer

START, END = date(2015, 7, 1), date(2015, 7, 24)
PUBLISHED = time(18, 0)
ALWAYS = ("EBAY", "NFLX", "PYPL")
NEW_YORK = ZoneInfo("America/New_York")
VALUES = ["open", "high", "low", "close", "volume"]
KEY = ["symbol", "session"]


def evening(day: str) -> datetime:
    """When the file of `day` (YYYYMMDD) became known."""
    return datetime.combine(datetime.strptime(day, "%Y%m%d").date(), PUBLISHED, NEW_YORK)  # noqa: DTZ007 - a date


class LoadedVintages:
    """The vintages as files, and the warehouse after they were loaded.

    Args:
        folder: for the configuration.
        files: folder of the vintages.
        url: a migrated, empty warehouse.
        share: one of how many symbols is loaded, beside the known cases; 1 = the whole market.
    """

    def __init__(self, folder: Path, files: Path, url: str, share: int) -> None:
        self.url, self._folder, self._files = url, folder, files
        self._shown_today = folder / "shown"
        shown = self._read()
        symbols = sorted({*sorted(shown["symbol"].unique())[::share], *ALWAYS})
        self.shown = shown[shown["symbol"].isin(symbols)].reset_index(drop=True)
        self._configure(symbols)
        self.reports = {vintage: self.load(vintage, [vintage]) for vintage in self.vintages}

    def _read(self) -> pd.DataFrame:
        """Every row of every file with its vintage, oldest file first."""
        frames = [
            pd.read_csv(file, keep_default_na=False, parse_dates=["date"], dtype={"volume": float}).assign(
                vintage=file.name[:8]
            )
            for file in sorted(self._files.glob("*.csv.gz"))
        ]
        return pd.concat(frames, ignore_index=True).rename(columns={"date": "session"})

    def _configure(self, symbols: list[str]) -> None:
        rows = [(symbol, "XNYS", symbol, "USD", START, None) for symbol in symbols]
        columns = ["symbol", "exchange", "name", "currency", "member_from", "member_to"]
        pd.DataFrame(rows, columns=columns).to_csv(self._folder / "universe.csv", index=False)
        (self._folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
        actions = pd.DataFrame([("NFLX", "2015-07-15", "split", 7.0)], columns=["symbol", "ex_date", "kind", "value"])
        actions.to_csv(self._folder / "actions.csv", index=False)
        options = {
            "folder": str(self._shown_today),
            "file_name": "{date}.csv.gz",
            "columns": {"session": "date"},
            "basis": "as_traded",
            "currency": "USD",
            "knowledge": {"time": str(PUBLISHED), "timezone": str(NEW_YORK)},
            "actions_file": "actions.csv",
        }
        settings = {
            "partitions": {"start": START, "end": END},
            "sources": [{"kind": "files", "options": options}],
            "ingest": {"chunk_symbols": len(symbols)},
        }
        (self._folder / "market.yaml").write_text(yaml.safe_dump(settings))

    @property
    def config_file(self) -> Path:
        return self._folder / "market.yaml"

    def load(self, run_id: str, vintages: list[str]) -> IngestReport:
        """Ingest these files on the evening of the last of them."""
        shutil.rmtree(self._shown_today, ignore_errors=True)
        self._shown_today.mkdir()
        for vintage in vintages:
            (self._shown_today / f"{vintage}.csv.gz").symlink_to(self._files / f"{vintage}.csv.gz")
        now = evening(vintages[-1])
        platform = Platform(load_config(self.config_file, {}), now=lambda: now)
        platform.warehouse_url = self.url  # a template of the tests is already migrated
        return ingest(platform, START, now.date(), run_id=run_id)

    @property
    def vintages(self) -> list[str]:
        """Dates of the files, oldest first."""
        return sorted(self.shown["vintage"].unique())

    def quarantined(self) -> pd.DataFrame:
        """Run, rule, key and values of each case, from the row as it came."""
        listed = ", ".join(f"(raw_row->>'{name}')::float8 as {name}" for name in VALUES)
        return read_frame(self.url, f"select run_id, rule, symbol, session, {listed} from quality.quarantine")  # noqa: S608

    @cached_property
    def judged(self) -> pd.DataFrame:
        """`shown` with `held`: whether the row was in quarantine by the evening of its file."""
        cases = self.quarantined().groupby([*KEY, *VALUES], as_index=False)["run_id"].min()
        marked = self.shown.merge(cases, how="left", on=[*KEY, *VALUES])
        assert len(marked) == len(self.shown)
        return marked.assign(held=marked["run_id"].notna() & (marked["run_id"] <= marked["vintage"]))

    @cached_property
    def _known(self) -> dict[str, pd.DataFrame]:
        known, by_vintage = pd.DataFrame(columns=[*KEY, *VALUES]), {}
        for vintage, rows in self.judged.groupby("vintage"):
            accepted, held = rows[~rows["held"]], rows[rows["held"]]
            known = pd.concat([known, accepted[[*KEY, *VALUES]]] if len(known) else [accepted[[*KEY, *VALUES]]])
            known = known.drop_duplicates(KEY, keep="last")
            # A bar that the next evening shows to be none is no longer known from then on.
            withdrawn = known.merge(held, how="left", on=[*KEY, *VALUES], indicator=True)["_merge"] == "both"
            known = known[~withdrawn.to_numpy()]
            by_vintage[str(vintage)] = known.sort_values(KEY).reset_index(drop=True)
        return by_vintage

    def expected(self, vintage: str) -> pd.DataFrame:
        """The last statement about each bar in the files up to `vintage`, without those in quarantine."""
        return self._known[vintage]


def assert_same_bars(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert len(expected) > 0
    found = found.sort_values(KEY)[[*KEY, *VALUES]].reset_index(drop=True)
    assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


@pytest.fixture(
    scope="module", params=[pytest.param(6, id="1000-symbols"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
def loaded(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_data: Path,
    _warehouse_template: str,
    pg_server: TestServer,
) -> LoadedVintages:
    url = pg_server.create_database("vintages", template=_warehouse_template)
    return LoadedVintages(tmp_path_factory.mktemp("vintages"), shared_data / "vintages_2015_07", url, request.param)


def test_every_row_of_every_file_is_stored_unchanged_or_in_quarantine(loaded):
    assert len(loaded.vintages) == 15
    everything = set(loaded.shown["symbol"])
    for vintage, report in loaded.reports.items():
        rows = loaded.judged[loaded.judged["vintage"] == vintage]
        assert {failure.symbol for failure in report.failures} == everything - set(rows["symbol"])
        assert report.received == len(rows)
        assert report.bars.received == (~rows["held"]).sum()
        assert sum(report.quarantined.values()) == rows["held"].sum()


def test_rows_of_a_holiday_are_held_by_their_rule(loaded):
    holiday = loaded.shown[loaded.shown["session"] == "2015-07-03"]
    cases = loaded.quarantined()
    held = cases[cases["session"] == "2015-07-03"]
    assert len(holiday) == len(held) > 0
    assert set(held["rule"]) == {"not_a_session"}
    assert "not_a_session" not in set(cases[cases["session"] > "2015-07-03"]["rule"])


def test_few_rows_of_real_data_are_held_and_none_of_the_known_cases(loaded):
    cases = loaded.quarantined()
    cases = cases[cases["session"] > "2015-07-03"]
    assert not set(cases["symbol"]) & set(ALWAYS)
    assert len(cases) < 0.001 * len(loaded.shown)


def test_each_evening_adds_the_bars_it_shows_for_the_first_time_and_those_it_changes(loaded):
    before = pd.DataFrame(columns=[*KEY, *VALUES])
    with connect(loaded.url) as connection:
        written = dict(connection.execute("select known_from, count(*) from raw.price_bar group by 1").fetchall())
    for vintage in loaded.vintages:
        known = loaded.expected(vintage)
        same = known.merge(before, on=[*KEY, *VALUES])
        assert written.pop(evening(vintage)) == len(known) - len(same)
        before = known
    assert not written, "versions that no vintage explains"


def test_as_of_each_evening_is_what_the_vendor_had_shown(loaded):
    for vintage in loaded.vintages:
        assert_same_bars(as_of(loaded.url, PRICE_BAR, evening(vintage)), loaded.expected(vintage))


def test_between_two_evenings_the_earlier_holds(loaded):
    noon = datetime(2015, 7, 15, 12, tzinfo=NEW_YORK)
    assert_same_bars(as_of(loaded.url, PRICE_BAR, noon), loaded.expected("20150714"))


def test_before_the_first_evening_nothing_is_known(loaded):
    assert as_of(loaded.url, PRICE_BAR, datetime(2015, 7, 6, 17, 59, tzinfo=NEW_YORK)).empty


def test_the_current_view_is_the_last_evening(loaded):
    assert_same_bars(as_of(loaded.url, PRICE_BAR, None), loaded.expected(loaded.vintages[-1]))


NFLX_VOLUME = {"20150713": None, "20150714": 2_811_200.0, "20150715": 19_736_500.0, "20150724": 19_736_500.0}
"""Volume of 2015-07-14 as known each evening: before the split of 07-15 it is in old shares, afterwards in new ones."""


def test_the_restated_volume_of_nflx(loaded):
    for vintage, volume in NFLX_VOLUME.items():
        bars = as_of(loaded.url, PRICE_BAR, evening(vintage), "symbol = 'NFLX' and session = $2", (date(2015, 7, 14),))
        assert bars["volume"].tolist() == ([] if volume is None else [volume])


def test_export_as_of_an_evening(loaded, tmp_path, monkeypatch):
    monkeypatch.setenv("MARKET_DATABASE_URL", loaded.url)
    monkeypatch.setenv("MARKET_CONFIG", str(loaded.config_file))
    monkeypatch.setenv("MARKET_HOME", str(tmp_path))
    for vintage in ("20150714", "20150715"):
        file = tmp_path / f"{vintage}.parquet"
        moment = evening(vintage).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        arguments = ["export", "raw.price_bar", "--as-of", moment, "--format", "parquet", "-o", str(file)]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        exported = pd.read_parquet(file)
        exported["session"] = pd.to_datetime(exported["session"])
        assert_same_bars(exported, loaded.expected(vintage))
        nflx = exported[(exported["symbol"] == "NFLX") & (exported["session"] == "2015-07-14")]
        assert nflx["volume"].tolist() == [NFLX_VOLUME[vintage]]


def test_loading_all_of_it_again_writes_nothing(loaded):
    def rows() -> list[list[tuple[str, str]]]:
        with connect(loaded.url) as connection:
            return [
                connection.execute(f"select xmin::text, ctid::text from {table} order by 1, 2").fetchall()  # noqa: S608
                for table in ("raw.price_bar", "raw.security", "raw.corporate_action")
            ]

    before, cases = rows(), loaded.quarantined()
    again = loaded.load("again", loaded.vintages)
    assert again.bars.versions_written == again.bars.withdrawn == 0
    assert rows() == before
    # What a later session has made implausible is a case now; the earlier ones are what they were.
    after = loaded.quarantined()
    assert_frame_equal(after[after["run_id"] != "again"].reset_index(drop=True), cases)
    assert not set(after.loc[after["run_id"] == "again", "rule"]) & set(RULES)
