"""At 11:00 in New York Yahoo shows a row of today. It is no final bar: refused, or kept apart until the close."""

# No `from __future__ import annotations`: the platform becomes a Dagster resource.

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import yaml
from dagster import DagsterInstance, materialize

from chaos.yahoo_listings import listings_of
from chaos.yahoo_server import YahooServer
from market_assets.assets.ingest import PROVISIONAL_TAG, build_ingest
from market_assets.config import load_config
from market_assets.errors import SessionNotClosed
from market_assets.ingestion import ingest
from market_assets.resources import Platform
from market_assets.sources.base import FetchRequest
from market_assets.sources.sample import SampleSource
from market_assets.warehouse.connection import connect
from market_assets.warehouse.writes import WriteResult

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

FIRST, YESTERDAY, TODAY = dt.date(2005, 6, 27), dt.date(2005, 6, 29), dt.date(2005, 6, 30)
AT_ELEVEN = dt.datetime(2005, 6, 30, 15, tzinfo=dt.UTC)
AT_SIX = dt.datetime(2005, 6, 30, 22, tzinfo=dt.UTC)
BEFORE_OPEN = dt.datetime(2005, 6, 30, 13, tzinfo=dt.UTC)


class Desk:
    """A platform on the stand-in for Yahoo, and the clock of both."""

    def __init__(self, platform: Platform, server: YahooServer, url: str) -> None:
        self.platform, self.server, self.url = platform, server, url
        self.final = {symbol: listing.bars for symbol, listing in server.listings.items()}
        self.at(AT_ELEVEN, 1.0)

    def at(self, now: dt.datetime, share: float | None) -> None:
        """Set the clock; Yahoo shows today's row with this share of its final close, None = as it is final."""
        self.platform.now = lambda: now
        for symbol, listing in self.server.listings.items():
            bars = self.final[symbol]
            shown = bars[bars["session"] <= pd.Timestamp(TODAY)].copy()
            if share is not None:
                forming = shown["session"] == pd.Timestamp(TODAY)
                shown.loc[forming, ["close", "high", "low", "open"]] *= 0.9 * share
                shown.loc[forming, "volume"] //= 3
            listing.bars = shown

    def ingest(self, start: dt.date, end: dt.date, **options: Any) -> Any:
        return ingest(self.platform, start, end, run_id="run", **options)

    def rows(self, query: str) -> list[tuple]:
        with connect(self.url) as connection:
            return connection.execute(query).fetchall()

    def last_final(self) -> dt.date:
        return self.rows("select max(session) from raw.price_bar")[0][0]

    def close_of_today(self, symbol: str) -> float:
        bars = self.final[symbol]
        return float(bars.loc[bars["session"] == pd.Timestamp(TODAY), "close"].iloc[0])


@pytest.fixture
def desk(tmp_path, warehouse_url, monkeypatch) -> Iterator[Desk]:
    from yfinance.data import SingletonMeta, YfData

    SingletonMeta._instances.pop(YfData, None)
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    sample = SampleSource()
    refs = tuple(ref for ref in sample.known_securities() if ref.symbol in {"AAPL", "IBM"})
    traded = sample.fetch(FetchRequest(refs, dt.date(2005, 6, 1), dt.date(2005, 7, 15)))
    rows = [(ref.symbol, "XNYS", ref.symbol, "USD", "2000-01-03", "") for ref in refs]
    columns = ["symbol", "exchange", "name", "currency", "member_from", "member_to"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "universe.csv", index=False)
    (tmp_path / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
    with YahooServer(listings_of(traded.bars, traded.actions)) as server:
        options = {"endpoint": server.url, "timeout_seconds": 5.0}
        settings = {"partitions": {"start": dt.date(2005, 6, 1)}, "sources": [{"kind": "yahoo", "options": options}]}
        (tmp_path / "market.yaml").write_text(yaml.safe_dump(settings))
        platform = Platform(load_config(tmp_path / "market.yaml", {}), now=lambda: AT_ELEVEN)
        platform.warehouse_url = warehouse_url  # a template of the tests is already migrated
        yield Desk(platform, server, warehouse_url)
    SingletonMeta._instances.pop(YfData, None)


def test_todays_partial_row_never_becomes_a_final_bar(desk: Desk):
    report = desk.ingest(FIRST, YESTERDAY)
    assert report.bars == WriteResult(received=6, added=6)
    assert desk.last_final() == YESTERDAY
    with pytest.raises(SessionNotClosed, match="closes at 2005-06-30 20:00 UTC and it is 2005-06-30 15:00 UTC"):
        desk.ingest(FIRST, TODAY)
    assert desk.last_final() == YESTERDAY


def test_a_session_in_progress_is_kept_apart_when_asked_for_and_replaced_at_the_close(desk: Desk):
    desk.ingest(FIRST, YESTERDAY)
    report = desk.ingest(TODAY, TODAY, provisional=True)
    assert report.provisional == WriteResult(received=2, added=2)
    assert (report.bars, report.received, report.bars_by_session) == (WriteResult(), 2, {})
    assert desk.last_final() == YESTERDAY
    desk.at(AT_ELEVEN + dt.timedelta(hours=1), 1.01)
    assert desk.ingest(TODAY, TODAY, provisional=True).provisional == WriteResult(received=2, restated=2)

    desk.at(AT_SIX, None)
    report = desk.ingest(TODAY, TODAY)
    assert (report.bars.added, report.provisional.withdrawn) == (2, 2)
    closes = dict(desk.rows(f"select symbol, close from raw.price_bar where session = '{TODAY}'"))  # noqa: S608
    assert closes == {symbol: pytest.approx(desk.close_of_today(symbol), abs=1e-6) for symbol in ("AAPL", "IBM")}
    assert desk.rows("select count(*), count(known_to) from raw.provisional_bar") == [(4, 4)], "history stays"
    assert desk.ingest(TODAY, TODAY).provisional.withdrawn == 0


def test_before_the_open_there_is_nothing_provisional(desk: Desk):
    desk.at(BEFORE_OPEN, 1.0)
    report = desk.ingest(FIRST, YESTERDAY, provisional=True)
    assert (report.bars.added, report.provisional.received) == (6, 0)
    with pytest.raises(SessionNotClosed):
        desk.ingest(TODAY, TODAY, provisional=True)


def test_a_run_with_the_tag_keeps_both(desk: Desk, instance: DagsterInstance):
    result = materialize(
        [build_ingest(desk.platform.partitions)],
        selection=["raw_prices"],
        partition_key=YESTERDAY.isoformat(),
        tags={PROVISIONAL_TAG: "true"},
        instance=instance,
        resources={"platform": desk.platform},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    (made,) = result.asset_materializations_for_node("ingest")
    shown = {name: value.value for name, value in made.metadata.items()}
    assert (shown["rows_received"], shown["rows_added"], shown["rows_provisional"]) == (4, 2, 2)
    assert shown["dagster/partition_row_count"] == 2
    assert desk.rows("select distinct session from raw.provisional_bar") == [(TODAY,)]
