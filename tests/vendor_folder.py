"""A vendor that a test can have restate, withdraw and delay: a folder of CSV files, bars as traded, and actions.

Six companies from 2024-01-02 on: SPLT splits 2:1 on 2024-02-13 and REVS 1:10 on 2024-03-05, DIVI and SPLT pay
dividends, SPEC a special one, LATE lists on 2024-02-01. A file says what the vendor knows; `write` publishes it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from market_assets.domain.calendars import build_calendar

if TYPE_CHECKING:
    from market_project import MarketProject

START, END = date(2024, 1, 2), date(2024, 3, 28)
LISTINGS = {"DIVI": START, "LATE": date(2024, 2, 1), "PLAI": START, "REVS": START, "SPEC": START, "SPLT": START}
ACTIONS = (
    ("DIVI", "2024-02-08", "cash_dividend", 0.55),
    ("SPLT", "2024-02-13", "split", 2.0),
    ("SPLT", "2024-02-29", "cash_dividend", 0.21),
    ("SPEC", "2024-02-22", "special_dividend", 4.0),
    ("REVS", "2024-03-05", "split", 0.1),
    ("DIVI", "2024-03-14", "cash_dividend", 0.55),
)
PRICES = ["open", "high", "low", "close"]


INDICATOR_TABLES = {"analytics.indicator", "marts.fct_indicator", "marts.mart_market_breadth"}
"""Tables of numbers that a run continues from stored state, equal to 1e-10; all others are equal to the bit."""


class VendorFolder:
    """What the vendor knows, and the files in which it says so.

    Args:
        folder: where the files are.
        end: last session of the market.
    """

    def __init__(self, folder: Path, end: date = END) -> None:
        self.folder = folder
        self.sessions = build_calendar("XNYS", date(2023, 1, 1), date(2024, 12, 31)).sessions(
            pd.Timestamp(START), pd.Timestamp(end)
        )
        self.actions = pd.DataFrame(ACTIONS, columns=["symbol", "ex_date", "kind", "value"])
        histories = [self._history(symbol, listed) for symbol, listed in LISTINGS.items()]
        self.bars = pd.concat(histories, ignore_index=True)
        self.write()

    def _history(self, symbol: str, listed: date) -> pd.DataFrame:
        """A seeded random walk with the actions in it, opening between two closes; prices in whole cents."""
        random = np.random.default_rng(sum(map(ord, symbol)))
        sessions = self.sessions[self.sessions >= pd.Timestamp(listed)]
        returns = random.normal(0.0004, 0.015, len(sessions))
        splits, amounts = np.ones(len(sessions)), np.zeros(len(sessions))
        for _, ex_date, kind, value in self.actions[self.actions["symbol"] == symbol].itertuples(index=False):
            (splits if kind == "split" else amounts)[sessions.get_indexer([pd.Timestamp(ex_date)])] = value
        close = np.empty(len(sessions))
        before = 40.0 + random.integers(0, 80)
        for position, change in enumerate(returns):
            before = close[position] = (before - amounts[position]) * (1 + change) / splits[position]
        opened = close * (1 + random.normal(0, 0.003, len(sessions)))
        frame = pd.DataFrame(
            {
                "symbol": symbol,
                "date": sessions,
                "open": opened,
                "high": np.maximum(opened, close) * 1.004,
                "low": np.minimum(opened, close) * 0.996,
                "close": close,
                "volume": random.integers(100_000, 900_000, len(sessions)).astype(float),
            }
        )
        frame[PRICES] = frame[PRICES].round(4)
        return frame

    def write(self) -> None:
        """Publish: one file per symbol and one of actions."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.folder.glob("*.csv"):
            file.unlink()
        for symbol, rows in self.bars.groupby("symbol"):
            rows.drop(columns="symbol").to_csv(self.folder / f"{symbol}_bars.csv", index=False)
        self.actions.to_csv(self.folder / "actions.csv", index=False)

    def bar(self, symbol: str, session: str) -> pd.Series:
        """Mask of one bar."""
        return (self.bars["symbol"] == symbol) & (self.bars["date"] == pd.Timestamp(session))

    def restate(self, symbol: str, session: str, **values: float) -> None:
        """Give a bar other values."""
        self.bars.loc[self.bar(symbol, session), list(values)] = list(values.values())

    def settings(self) -> dict[str, Any]:
        """market.yaml of an installation that loads this folder and calculates two indices from it."""
        index = {"base_date": START, "base_value": 1000, "withholding_tax": 0.15}
        quarterly = {"frequency": "quarterly", "months": [3, 6, 9, 12], "weekday": "friday", "nth": 3}
        return {
            "partitions": {"start": START, "end": self.sessions[-1].date()},
            "sources": [
                {
                    "kind": "files",
                    "options": {
                        "folder": str(self.folder),
                        "file_name": "{symbol}_bars.csv",
                        "columns": {"session": "date"},
                        "basis": "as_traded",
                        "currency": "USD",
                        "actions_file": str(self.folder / "actions.csv"),
                    },
                }
            ],
            "indices": [
                {"id": "EQUAL", "weighting": "equal", "rebalance": quarterly, **index},
                {"id": "PRICE", "weighting": "price", "rebalance": quarterly, **index},
            ],
            "lineage": {"transport": {"kind": "file"}},
        }

    def members(self) -> list[tuple[str, date, date | None]]:
        """Each company from its listing on."""
        return [(symbol, listed, None) for symbol, listed in LISTINGS.items()]


def configured_vendor(project: MarketProject) -> VendorFolder:
    """A vendor in the folder of `project`, configured as its source."""
    folder = VendorFolder(project.folder / "vendor")
    project.configure(folder.settings(), folder.members())
    return folder
