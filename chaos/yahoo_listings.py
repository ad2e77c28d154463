"""What the stand-in for Yahoo knows of a security, and the parts of a chart that follow from it.

Does not belong here: requests, faults and the frame of an answer (`yahoo_server.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from market_assets.domain.adjustments import adjust
from market_assets.sources.frames import ACTIONS


@dataclass
class Listing:
    """One security at Yahoo.

    Attributes:
        symbol: Yahoo's symbol.
        bars: as-traded session, open, high, low, close, volume. A column adjusted_close, if there is one, is shown as
            it is; otherwise Yahoo's adjusted closes are right.
        actions: ACTION_COLUMNS of this security, values as traded.
        timezone, opens: zone and local time that rows are stamped with.
        currency: quotation unit (GBp for pence).
        unit: quotation units in one unit of the bars' prices (100 for pence).
        name: long name.
        instrument: EQUITY or ETF.
    """

    symbol: str
    bars: pd.DataFrame
    actions: pd.DataFrame = field(default_factory=ACTIONS.empty)
    timezone: str = "America/New_York"
    opens: dt.time = dt.time(9, 30)
    currency: str = "USD"
    unit: float = 1.0
    name: str = "Example Inc."
    instrument: str = "EQUITY"
    _shown: tuple[Any, Any, Any] = field(default=(None, None, None), init=False, repr=False, compare=False)

    def shown(self) -> pd.DataFrame:
        """Bars as Yahoo shows them, split-adjusted, with `adjusted_close` and `stamp`; kept while the frames are."""
        bars, actions, shown = self._shown
        if bars is not self.bars or actions is not self.actions:
            named = {"symbol": self.symbol}
            traded, known = self.bars.assign(**named), self.actions.assign(**named)
            shown = adjust(traded, known, dividends=False)
            if "adjusted_close" not in shown:
                # Yahoo sends single precision.
                adjusted = adjust(traded, known)["close"].astype("float32").astype("float64")
                shown = shown.assign(adjusted_close=adjusted)
            shown = shown.assign(stamp=self.stamps(shown["session"]))
            self._shown = (self.bars, self.actions, shown)
        return shown

    def stamps(self, days: pd.Series) -> pd.Series:
        """Opening moment of each session, in seconds since 1970."""
        opens = days + pd.Timedelta(hours=self.opens.hour, minutes=self.opens.minute)
        return opens.dt.tz_localize(self.timezone).dt.as_unit("s").astype("int64")


def events(listing: Listing, start: int, end: int) -> dict[str, Any]:
    """Events of [start, end) as Yahoo shows them: distributions divided by the splits after them."""
    events: dict[str, Any] = {"dividends": {}, "splits": {}, "capitalGains": {}}
    actions = listing.actions
    splits = actions[actions["kind"] == "split"]
    stamps = listing.stamps(actions["ex_date"])
    told = actions.assign(stamp=stamps)[(stamps >= start) & (stamps < end)]
    for action in told.to_dict("records"):
        stamp = action["stamp"]
        if action["kind"] == "split":
            ratio = action["value"]
            numerator, denominator = (ratio, 1.0) if ratio >= 1 else (1.0, 1.0 / ratio)
            events["splits"][str(stamp)] = {
                "date": stamp,
                "numerator": numerator,
                "denominator": denominator,
                "splitRatio": f"{numerator:g}:{denominator:g}",
            }
        else:
            later = splits.loc[splits["ex_date"] > action["ex_date"], "value"].prod()
            amount = round(action["value"] * listing.unit / later, 6)
            group = (
                "capitalGains" if listing.instrument == "ETF" and action["kind"] == "special_dividend" else "dividends"
            )
            same = events[group].setdefault(str(stamp), {"amount": 0.0, "date": stamp})
            same["amount"] = round(same["amount"] + amount, 6)
    return {name: table for name, table in events.items() if table}


def indicators(rows: pd.DataFrame, unit: float) -> dict[str, Any]:
    """Prices and volume of `rows` as Yahoo shows them, null where one is missing."""

    def numbers(column: str, scale: float) -> list[float | None]:
        return [None if pd.isna(value) else float(value) * scale for value in rows[column]]

    quote = {name: numbers(name, unit) for name in ("open", "high", "low", "close")}
    volume = [None if pd.isna(value) else int(value) for value in rows["volume"]]
    return {"quote": [{**quote, "volume": volume}], "adjclose": [{"adjclose": numbers("adjusted_close", unit)}]}


def listings_of(
    result_bars: pd.DataFrame, actions: pd.DataFrame, *, rename: Callable[[str], str] = str, **facts: Any
) -> list[Listing]:
    """Listings of the symbols in as-traded frames, such as those of another source."""
    return [
        Listing(
            rename(str(symbol)),
            bars.reset_index(drop=True),
            actions[actions["symbol"] == symbol].reset_index(drop=True),
            **facts,
        )
        for symbol, bars in result_bars.groupby("symbol")
    ]
