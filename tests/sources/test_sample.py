"""The bundled sample: five companies, as traded, with their real events."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import pandas as pd
import pytest
from contract import SourceContract

from market_assets.sources.base import FetchRequest, PriceSource, SecurityRef
from market_assets.sources.registry import build_source
from market_assets.sources.sample import FIRST_SESSION, LAST_SESSION, SampleSource


class TestSampleContract(SourceContract):
    refs = (SecurityRef("AAPL", "XNAS", "USD"), SecurityRef("IBM", "XNYS", "USD"))
    start = dt.date(2012, 7, 2)
    end = dt.date(2013, 3, 1)

    @pytest.fixture
    def source(self) -> PriceSource:
        return build_source("sample")


@pytest.fixture(scope="module")
def sample() -> SampleSource:
    return SampleSource()


@pytest.fixture(scope="module")
def everything(sample: SampleSource) -> FetchRequest:
    return FetchRequest(sample.known_securities(), FIRST_SESSION, LAST_SESSION)


def test_holds_12154_bars_of_five_companies(sample: SampleSource, everything: FetchRequest) -> None:
    bars = sample.fetch(everything).bars
    counts = bars.groupby("symbol").size().to_dict()
    assert counts == {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}
    assert bars["session"].agg(["min", "max"]).dt.date.tolist() == [FIRST_SESSION, LAST_SESSION]


def test_prices_are_as_traded(sample: SampleSource, everything: FetchRequest) -> None:
    close = sample.fetch(everything).bars.set_index(["symbol", "session"])["close"]
    assert close["AAPL", pd.Timestamp("2000-06-20")] == 101.25  # the session before a 2:1 split
    assert close["AAPL", pd.Timestamp("2013-03-01")] == 430.47  # before the 7:1 split of 2014


def test_listings_inside_the_period_are_known(sample: SampleSource, everything: FetchRequest) -> None:
    listed = sample.fetch(everything).securities.set_index("symbol")
    assert listed.loc["FB", "first_session"] == pd.Timestamp("2012-05-18")
    assert listed.loc["GOOG", "first_session"] == pd.Timestamp("2004-08-19")
    assert listed["last_session"].isna().all()


def test_each_action_says_where_it_is_published(sample: SampleSource, everything: FetchRequest) -> None:
    actions = sample.fetch(everything).actions
    assert len(actions) == 96
    assert actions["detail"].str.contains("Invest").all()


def test_reading_it_does_not_import_the_slow_package() -> None:
    program = (
        "import sys; from market_assets.sources.sample import SampleSource; s = SampleSource(); "
        "s._bars; print('bokeh_sampledata' in sys.modules, 'yfinance' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
