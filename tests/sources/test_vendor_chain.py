"""Vendors over HTTP in a real chain: real configuration, real ingestion, real PostgreSQL; only the vendors stand in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from eodhd_server import EodhdServer
from nse_server import NseServer, Traded
from psycopg import sql
from tiingo_server import TiingoServer
from vendor_contract import sessions
from vendor_listings import Listing, sample_listings
from vendor_stand_in import KEY

from market_assets.config import load_config
from market_assets.ingestion import IngestReport, ingest
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect, read_frame

START, END = dt.date(2005, 2, 1), dt.date(2005, 3, 11)
NOW = dt.datetime(2005, 3, 12, 12, 0, tzinfo=dt.UTC)  # a Saturday
MEMBERS = {"AAPL": "XNAS", "IBM": "XNYS", "MSFT": "XNAS"}
UNIVERSE = ["symbol,exchange,name,currency,member_from,member_to"] + [
    f"{symbol},{exchange},{symbol},USD,2003-01-02," for symbol, exchange in MEMBERS.items()
]


@pytest.fixture(scope="module")
def truth() -> dict[str, Listing]:
    return sample_listings({symbol: symbol for symbol in MEMBERS})


@pytest.fixture(scope="module")
def tiingo(truth: dict[str, Listing]) -> Iterator[TiingoServer]:
    with TiingoServer(truth.values()) as server:
        yield server


@pytest.fixture(scope="module")
def eodhd(truth: dict[str, Listing]) -> Iterator[EodhdServer]:
    renamed = sample_listings({symbol: f"{symbol}.US" for symbol in truth})
    with EodhdServer(renamed.values()) as server:
        yield server


class Chain:
    """A platform of two vendors on a fresh warehouse, whose clock can be moved."""

    def __init__(self, folder: Path, url: str, tiingo: TiingoServer, eodhd: EodhdServer) -> None:
        self.folder, self.url, self.now = folder, url, NOW
        fetch = {"attempts": 2, "first_wait_seconds": 0, "failures_to_open": 4, "cooldown_seconds": 600}
        fetch |= {"requests_per_second": 1000, "burst": 100}
        options = {"timeout_seconds": 2.0, "threads": 1}  # a half-open circuit lets one request through at a time
        settings = {
            "partitions": {"start": dt.date(2005, 2, 1)},
            "sources": [
                {"kind": "tiingo", "options": {"endpoint": tiingo.url, **options}, "fetch": fetch},
                {"kind": "eodhd", "options": {"endpoint": eodhd.url, **options}, "fetch": fetch},
            ],
        }
        (folder / "market.yaml").write_text(yaml.safe_dump(settings))
        (folder / "universe.csv").write_text("\n".join(UNIVERSE) + "\n")
        (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")

    def ingest(self, run_id: str) -> IngestReport:
        """One run, with a platform of its own, as each run has."""
        platform = Platform(load_config(self.folder / "market.yaml", {}), now=lambda: self.now)
        platform.warehouse_url = self.url  # a template of the tests is already migrated
        return ingest(platform, START, END, run_id=run_id)

    def bars(self) -> pd.DataFrame:
        """Current bars."""
        query = "select * from raw.price_bar where known_to is null order by symbol, session, source"
        return read_frame(self.url, query)

    def circuit(self, source: str) -> str:
        """State of a source's circuit, as the next run will find it."""
        with connect(self.url) as connection:
            row = connection.execute("select state from ingest.source_state where source = %s", [source]).fetchone()
        return "closed" if row is None else str(row[0])


@pytest.fixture
def chain(
    tmp_path: Path, warehouse_url: str, tiingo: TiingoServer, eodhd: EodhdServer, monkeypatch: pytest.MonkeyPatch
) -> Chain:
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MARKET_TIINGO_KEY", KEY)
    monkeypatch.setenv("MARKET_EODHD_KEY", KEY)
    tiingo.heal()
    eodhd.heal()
    return Chain(tmp_path, warehouse_url, tiingo, eodhd)


def same_as(truth: dict[str, Listing], bars: pd.DataFrame) -> bool:
    """Whether `bars` are all sessions of the range as traded."""
    columns = ["symbol", "session", "open", "high", "low", "close", "volume"]
    expected = pd.concat([truth[symbol].between(str(START), str(END)) for symbol in sorted(MEMBERS)])
    pd.testing.assert_frame_equal(
        bars[columns].reset_index(drop=True), expected[columns].reset_index(drop=True), check_dtype=False
    )
    return True


def test_a_dead_first_vendor_costs_a_few_requests_and_no_bar(
    chain: Chain, tiingo: TiingoServer, eodhd: EodhdServer, truth: dict[str, Listing]
) -> None:
    tiingo.inject("reset")
    report = chain.ingest("run-1")
    assert report.failures == []
    assert report.bars_by_source["eodhd"] == report.received > 0
    assert same_as(truth, chain.bars())
    assert chain.circuit("tiingo") == "open"
    assert len(tiingo.asked) <= 5, "once the circuit is open nothing is asked"
    assert report.requests == len(tiingo.asked) + len(eodhd.asked)

    actions = read_frame(chain.url, "select symbol, kind, value, source from raw.corporate_action order by 1, 2")
    assert actions.to_numpy().tolist()[0] == ["AAPL", "split", 2.0, "eodhd"]

    # It is back, but left alone until the cooldown is over; then it is the first source again.
    tiingo.heal()
    chain.now += dt.timedelta(minutes=1)
    chain.ingest("run-2")
    assert tiingo.asked == []
    chain.now += dt.timedelta(minutes=30)
    report = chain.ingest("run-3")
    assert chain.circuit("tiingo") == "closed"
    assert report.bars_by_source["tiingo"] > 0
    bars = chain.bars()
    for source in ("eodhd", "tiingo"):
        assert same_as(truth, bars[bars["source"] == source]), source


def test_what_one_vendor_does_not_know_the_next_one_answers(
    chain: Chain, tiingo: TiingoServer, truth: dict[str, Listing]
) -> None:
    hidden = tiingo.listings.pop("IBM")
    try:
        report = chain.ingest("run-1")
    finally:
        tiingo.listings["IBM"] = hidden
    bars = chain.bars()
    assert report.failures == []
    assert bars.groupby("symbol")["source"].unique().map(list).to_dict() == {
        "AAPL": ["tiingo"],
        "IBM": ["eodhd"],
        "MSFT": ["tiingo"],
    }
    assert same_as(truth, bars)


def test_no_key_is_ever_stored(chain: Chain, tiingo: TiingoServer, eodhd: EodhdServer) -> None:
    tiingo.inject("401")
    eodhd.inject("daily")
    with pytest.raises(Exception, match="no source answered for any of 3 symbols") as caught:
        chain.ingest("run-1")
    assert KEY not in str(caught.value)
    with connect(chain.url) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema in ('ingest', 'quality', 'raw') and table_type = 'BASE TABLE'"
        ).fetchall()
        for name in tables:
            rows = connection.execute(sql.SQL("select t::text from {} t").format(sql.Identifier(*name))).fetchall()
            assert KEY not in str(rows)
    for path in (chain.folder / "home").rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_daily_files_are_asked_for_once_whatever_the_number_of_symbols(
    tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    start, end = dt.date(2024, 7, 1), dt.date(2024, 7, 12)
    days = sessions("XBOM", start, end)
    symbols = [f"S{number}" for number in range(7)]
    files = {
        f"{day:%Y-%m-%d}": [Traded(symbol, "EQ", (10.0, 11.0, 9.0, 10.5, 100)) for symbol in symbols] for day in days
    }
    with NseServer(files) as server:
        source = {"kind": "nse_bhavcopy", "options": {"endpoint": server.url, "threads": 1}}
        settings = {
            "partitions": {"start": start},
            "sources": [{**source, "fetch": {"requests_per_second": 1000}}],
            "ingest": {"chunk_symbols": 2},
        }
        (tmp_path / "market.yaml").write_text(yaml.safe_dump(settings))
        rows = [f"{symbol},XBOM,{symbol},INR,2020-01-01," for symbol in symbols]
        (tmp_path / "universe.csv").write_text("\n".join([UNIVERSE[0], *rows]) + "\n")
        (tmp_path / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
        now = dt.datetime(2024, 7, 13, 12, 0, tzinfo=dt.UTC)
        platform = Platform(load_config(tmp_path / "market.yaml", {}), now=lambda: now)
        platform.warehouse_url = warehouse_url
        report = ingest(platform, start, end, run_id="run-1")
        assert (report.received, report.failures) == (7 * len(days), [])
        assert report.requests == len(server.asked) == len(days)
        assert server.requests == {"legacy": 5, "udiff": 5}
