"""Source `sample`: five real companies, 2000-03-01 to 2013-03-01, from the PyPI package bokeh-sampledata.

Belongs here: reading that file as traded, beside the companies' own splits and dividends (`sample_facts/`). Does not
belong here: the vendor's adjusted close. It is not a bar; tests hold the adjustment engine against it.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import ConfigError
from market_assets.sources.base import (
    Coverage,
    FetchRequest,
    FetchResult,
    PriceSource,
    SecurityRef,
    SymbolFailure,
    unknown_symbol,
)
from market_assets.sources.frames import BAR_COLUMNS, DATE_DTYPE, SECURITIES
from market_assets.sources.options import SourceContext, SourceOptions

FACTS: Final = Path(__file__).with_name("sample_facts")
"""Folder of the companies' facts; its README says how each was verified."""

FIRST_SESSION: Final = dt.date(2000, 3, 1)
LAST_SESSION: Final = dt.date(2013, 3, 1)

_COLUMNS: Final = {
    "Ticker": "symbol",
    "Date": "session",
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Adj Close": "adj_close",
}


class SampleOptions(SourceOptions):
    """The sample has no options."""


def stocks_file() -> Path:
    """Path of the prices inside the installed package, found without importing it: that costs more than the read.

    Raises:
        ConfigError: the package is not installed, or holds no such file.
    """
    spec = importlib.util.find_spec("bokeh_sampledata")
    places = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(places[0]) / "_data" / "stocks.csv.gz" if places else None
    if path is None or not path.is_file():
        raise ConfigError(
            "the sample prices are not installed; install the locked requirements (make run does)",
            file=str(path or "bokeh_sampledata"),
        )
    return path


def read_stocks(path: Path) -> pd.DataFrame:
    """The vendor's file: symbol, session, open, high, low, close (as traded), volume, adj_close; 12,154 rows."""
    frame = pd.read_csv(path, parse_dates=["Date"]).rename(columns=_COLUMNS)[list(_COLUMNS.values())]
    return frame.astype({"session": DATE_DTYPE, "volume": "float64"})


class SampleSource(PriceSource):
    """AAPL, FB, GOOG, IBM and MSFT as traded. FB lists on 2012-05-18 and GOOG on 2004-08-19."""

    authoritative = True
    basis: PriceBasis = "as_traded"

    def __init__(self, name: str = "sample") -> None:
        self.name = name
        self.provides = Coverage(frozenset({"XNYS", "XNAS"}), FIRST_SESSION, LAST_SESSION)

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> SampleSource:  # noqa: ARG003 - the contract's signature
        """See `PriceSource.from_options`."""
        return cls(name)

    def known_securities(self) -> tuple[SecurityRef, ...]:
        """The five companies."""
        columns = (self._securities[column] for column in ("symbol", "exchange", "currency"))
        return tuple(SecurityRef(*map(str, row)) for row in zip(*columns, strict=True))

    def _fetch(self, request: FetchRequest) -> FetchResult:
        known = set(self._securities["symbol"])
        failures: tuple[SymbolFailure, ...] = tuple(
            unknown_symbol(self.name, symbol, f"It holds {', '.join(sorted(known))}.")
            for symbol in request.names
            if symbol not in known
        )
        bars, actions, securities = (
            frame[frame["symbol"].isin(request.names)] for frame in (self._bars, self._actions, self._securities)
        )
        start, end = pd.Timestamp(request.start), pd.Timestamp(request.end)
        return FetchResult(
            bars=bars[bars["session"].between(start, end)],
            actions=actions[actions["ex_date"].between(start, end)],
            securities=securities,
            failures=failures,
            requests_made=1,
            origin=self.name,
        )

    @cached_property
    def _bars(self) -> pd.DataFrame:
        frame = read_stocks(stocks_file()).assign(source=self.name, currency="USD")
        return frame[list(BAR_COLUMNS)]

    @cached_property
    def _actions(self) -> pd.DataFrame:
        frame = pd.read_csv(FACTS / "corporate_actions.csv", parse_dates=["ex_date"])
        frame = frame.rename(columns={"published_by": "detail"})
        return frame.assign(source=self.name)

    @cached_property
    def _securities(self) -> pd.DataFrame:
        """Facts of the companies; first_session is the first bar held, which for FB and GOOG is the listing."""
        frame = pd.read_csv(FACTS / "securities.csv")
        first = self._bars.groupby("symbol")["session"].min()
        frame = frame.assign(first_session=frame["symbol"].map(first), last_session=None, source=self.name)
        return SECURITIES.conform(frame, self.name)
