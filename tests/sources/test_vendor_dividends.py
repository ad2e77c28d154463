"""Dividends against the adjusted closes of vendors: real clients and ingestion, only the vendors stand in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from alpha_vantage_server import AlphaVantageServer
from eodhd_server import EodhdServer
from tiingo_server import TiingoServer
from vendor_listings import Listing, ListingServer, sample_listings
from vendor_stand_in import KEY

from chaos.yahoo_listings import Listing as YahooListing
from chaos.yahoo_listings import listings_of
from chaos.yahoo_server import YahooServer
from market_assets.config import load_config
from market_assets.domain.adjustments import adjust
from market_assets.ingestion import IngestReport, ingest
from market_assets.resources import Platform
from market_assets.sources.adjusted_closes import without_joints
from market_assets.sources.base import FetchRequest, SecurityRef
from market_assets.sources.frames import ACTIONS
from market_assets.sources.options import SourceContext
from market_assets.sources.registry import build_source
from market_assets.sources.sample import SampleSource
from market_assets.warehouse.connection import connect

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

HEADER = "symbol,exchange,name,currency,member_from,member_to"


@pytest.fixture(autouse=True)
def fresh_client() -> Iterator[None]:
    """yfinance keeps one client a process; each test starts without."""
    from yfinance.data import SingletonMeta, YfData

    SingletonMeta._instances.pop(YfData, None)
    yield
    SingletonMeta._instances.pop(YfData, None)


class Installation:
    """Real configuration, real ingestion and real PostgreSQL around one vendor, at a given moment."""

    def __init__(self, folder: Path, url: str, members: list[str], start: dt.date, now: dt.datetime) -> None:
        self.folder, self.url, self.start, self.now = folder, url, start, now
        (folder / "universe.csv").write_text("\n".join([HEADER, *members]) + "\n")
        (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")

    def ingest(self, kind: str, endpoint: str, run_id: str, **options: Any) -> IngestReport:
        fetch = {"attempts": 1, "requests_per_second": 1000, "burst": 100}
        source = {"kind": kind, "options": {"endpoint": endpoint, "threads": 2, **options}, "fetch": fetch}
        settings = {"partitions": {"start": self.start}, "sources": [source]}
        (self.folder / "market.yaml").write_text(yaml.safe_dump(settings))
        platform = Platform(load_config(self.folder / "market.yaml", {}), now=lambda: self.now)
        platform.warehouse_url = self.url
        return ingest(platform, self.start, self.now.date() - dt.timedelta(days=1), run_id=run_id)


# Yahoo: real frames, with Yahoo's own adjusted closes and their rounding -------------------------------------------

FACTS = {
    "8TRA-DE": ("8TRA.DE", {"timezone": "Europe/Berlin", "currency": "EUR"}),
    "ABDP-L": ("ABDP.L", {"timezone": "Europe/London", "currency": "GBp", "unit": 100.0}),
    "CALM": ("CALM", {}),
    "EWG": ("EWG", {"instrument": "ETF"}),
}
MEMBERS = [
    "8TRA,XETR,Traton,EUR,2023-05-30,2023-06-07",
    "ABDP,XLON,AB Dynamics,GBP,2022-01-04,",
    "CALM,XNYS,Cal-Maine,USD,2022-01-04,",
    "EWG,XNYS,Germany,USD,2022-01-04,",
]


def frame_at_yahoo(path: Path) -> YahooListing:
    """A frame of known_bad, which has no splits: its prices are as traded."""
    table = pd.read_csv(path).rename(columns={"Datetime": "Date", "Adj Close": "adjusted_close"})
    table["session"] = pd.to_datetime(table["Date"].str[:10]).astype("datetime64[us]")
    assert not table["Stock Splits"].any()
    paid = table[table["Dividends"] != 0]
    symbol, facts = FACTS[path.name.split("-1d-")[0]]
    actions = paid[["session"]].rename(columns={"session": "ex_date"})
    actions = actions.assign(symbol=symbol, kind="cash_dividend", source="yahoo", value=paid["Dividends"])
    columns = {name: name.lower() for name in ("Open", "High", "Low", "Close", "Volume")}
    bars = table.rename(columns=columns)[["session", *columns.values(), "adjusted_close"]]
    return YahooListing(symbol, bars, ACTIONS.conform(actions.assign(currency="", detail=None), path.name), **facts)


def test_yahoos_faulty_dividends_are_found_and_its_right_ones_raise_nothing(
    shared_data: Path, tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    now = dt.datetime(2024, 8, 24, 12, tzinfo=dt.UTC)  # a Saturday
    desk = Installation(tmp_path, warehouse_url, MEMBERS, dt.date(2022, 1, 4), now)

    def answered(run_id: str, *names: str) -> IngestReport:
        frames = [frame_at_yahoo(shared_data / "known_bad" / f"{name}.csv") for name in names]
        with YahooServer(frames) as server:
            return desk.ingest("yahoo", server.url, run_id)

    clean = ("CALM-1d-no-bad-divs", "EWG-1d-no-bad-divs")
    faulty = answered("faulty", "8TRA-DE-1d-missing-div-adjust", "ABDP-L-1d-bad-div", *clean)
    assert faulty.failures == []
    assert faulty.warned == {"dividend_not_adjusted": 1, "just_outside_range": 44}
    assert faulty.quarantined_actions == {"dividend_100x": 5}
    with connect(warehouse_url) as connection:
        held = connection.execute(
            "select symbol, min((proposal ->> 'value')::float8), max((proposal ->> 'value')::float8)"
            " from quality.quarantine where rule = 'dividend_100x' group by symbol"
        ).fetchall()
        stored = connection.execute(
            "select symbol, count(*) from raw.corporate_action where known_to is null group by symbol order by symbol"
        ).fetchall()
    assert held == [("ABDP", 0.0176, 0.0442)]
    assert stored == [("8TRA", 1), ("CALM", 10), ("EWG", 5)]

    right = answered("right", "8TRA-DE-1d-missing-div-adjust-fixed", "ABDP-L-1d-bad-div-fixed", *clean)
    assert right.warned == {"just_outside_range": 44}
    assert right.quarantined_actions == {}


@pytest.fixture(scope="module")
def ibm() -> YahooListing:
    """IBM, whose dividends of these years are invented to be telling."""
    sample = SampleSource()
    ref = next(ref for ref in sample.known_securities() if ref.symbol == "IBM")
    traded = sample.fetch(FetchRequest((ref,), dt.date(2003, 1, 2), dt.date(2006, 12, 29)))
    (listing,) = listings_of(traded.bars, traded.actions.assign(value=1.5))
    return listing


def test_yahoos_adjusted_closes_are_left_out_where_two_answers_meet(ibm: YahooListing) -> None:
    request = FetchRequest((SecurityRef("IBM", "XNYS", "USD"),), dt.date(2003, 1, 2), dt.date(2006, 12, 29))
    now = dt.datetime(2007, 1, 2, 22, tzinfo=dt.UTC)
    with YahooServer([ibm]) as server:

        def fetched() -> pd.Series:
            source = build_source("yahoo", options={"endpoint": server.url}, context=SourceContext(now=lambda: now))
            return source.fetch(request).adjusted_closes.set_index("session")["adjusted_close"]

        whole = fetched()
        server.inject("cut_body", times=1)
        pieces = fetched()
    named = {"symbol": "IBM"}
    expected = adjust(ibm.bars.assign(**named), ibm.actions.assign(**named))
    np.testing.assert_allclose(whole, expected["close"], rtol=1e-6)
    left_out = np.flatnonzero(~whole.index.isin(pieces.index))
    assert len(left_out) in range(2, 10, 2)
    assert (np.diff(left_out)[::2] == 1).all(), "both sides of each joint"
    pd.testing.assert_series_equal(pieces, whole.drop(whole.index[left_out]))


def test_without_adjusted_closes_yahoo_says_nothing_of_its_dividends(ibm: YahooListing) -> None:
    """yfinance shows the closes in their place, as if every dividend were ignored."""

    class Bare(YahooServer):
        def chart(self, *args: Any, **kwargs: Any) -> tuple[int, Any]:
            status, document = super().chart(*args, **kwargs)
            del document["chart"]["result"][0]["indicators"]["adjclose"]
            return status, document

    request = FetchRequest((SecurityRef("IBM", "XNYS", "USD"),), dt.date(2004, 1, 2), dt.date(2004, 12, 31))
    with Bare([ibm]) as server:
        answer = build_source("yahoo", options={"endpoint": server.url}).fetch(request)
    assert len(answer.actions) == 4
    assert (len(answer.bars), len(answer.adjusted_closes)) == (252, 0)


# Vendors asked over HTTP: a company that splits, and pays before, with and after its split --------------------------

START, NOW = dt.date(2005, 2, 1), dt.datetime(2005, 3, 12, 12, 0, tzinfo=dt.UTC)  # a Saturday
PAID = {"2005-02-24": 1.0, "2005-02-28": 0.5, "2005-03-08": 0.5}
VENDORS: dict[str, tuple[type[ListingServer], str, dict[str, Any]]] = {
    "tiingo": (TiingoServer, "", {}),
    "eodhd": (EodhdServer, ".US", {}),
    "alpha_vantage": (AlphaVantageServer, "", {"adjusted": True}),
}


def company(suffix: str, unadjusted: frozenset[str] = frozenset()) -> Listing:
    """AAPL with its real split of 2005-02-28 and invented dividends."""
    listing = sample_listings({"AAPL": f"AAPL{suffix}"}, unadjusted=unadjusted)["AAPL"]
    paid = listing.actions.iloc[[0] * len(PAID)].assign(
        ex_date=pd.to_datetime(list(PAID)), kind="cash_dividend", value=list(PAID.values())
    )
    listing.actions = ACTIONS.conform(pd.concat([listing.actions, paid]), "test")
    listing.bars = listing.bars[listing.bars["session"] <= pd.Timestamp(NOW.date())]
    return listing


@pytest.mark.parametrize("kind", VENDORS)
def test_a_dividend_that_a_vendors_adjusted_closes_miss_is_warned_of(
    kind: str, tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(f"MARKET_{kind.upper()}_KEY", KEY)
    server_class, suffix, options = VENDORS[kind]
    desk = Installation(tmp_path, warehouse_url, ["AAPL,XNAS,Apple,USD,2003-01-02,"], START, NOW)

    def answered(run_id: str, *unadjusted: str) -> IngestReport:
        server = server_class([company(suffix, frozenset(unadjusted))])
        if isinstance(server, AlphaVantageServer):
            server.premium = True
        with server:
            return desk.ingest(kind, server.url, run_id, **options)

    clean = answered("clean")
    assert (clean.failures, clean.warned, clean.quarantined_actions) == ([], {}, {})
    assert (clean.received, clean.rows_received["actions"]) == (28, 4)
    assert answered("one", "2005-02-24").warned == {"dividend_not_adjusted": 1}
    faulty = answered("all", "2005-02-24", "2005-03-08")
    assert faulty.warned == {"dividend_not_adjusted": 2}
    assert faulty.quarantined_actions == {}


# Stretches ----------------------------------------------------------------------------------------------------------


def test_between_two_stretches_no_adjusted_closes_are_compared() -> None:
    days = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")
    closes = np.arange(1.0, 11.0)
    gone = np.nan
    whole = without_joints([(days, closes)])
    np.testing.assert_array_equal(whole, closes)
    older, middle, newer = (days[:4], closes[:4]), (days[4:6], closes[4:6]), (days[6:], closes[6:])
    nothing = days[:0], closes[:0]
    np.testing.assert_array_equal(
        without_joints([older, nothing, middle, newer]), [1, 2, 3, gone, gone, gone, gone, 8, 9, 10]
    )
    backwards = [(part[::-1], values[::-1]) for part, values in (newer, older)]
    np.testing.assert_array_equal(without_joints(backwards), [10, 9, 8, gone, gone, 3, 2, 1])
    assert without_joints([]).shape == without_joints([nothing]).shape == (0,)
