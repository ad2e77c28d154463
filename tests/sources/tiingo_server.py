"""A stand-in that speaks Tiingo's protocol; shapes as in the recorded answers of the client tiingo-python."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import SplitResult

from vendor_listings import NAMES, ListingServer, json_number
from vendor_stand_in import KEY, Asked, Reply

from market_assets.domain.adjustments import adjust


class TiingoServer(ListingServer):
    """https://api.tiingo.com: /tiingo/daily/<ticker> and /tiingo/daily/<ticker>/prices."""

    def endpoint_of(self, url: SplitResult) -> str:
        return "prices" if url.path.endswith("/prices") else "facts"

    def reply(self, asked: Asked, fault: str) -> Reply:
        if asked.headers.get("Authorization") != f"Token {KEY}":
            return Reply.json({"detail": "Invalid token."}, 401)
        if fault == "allocation":
            text = "Error: You have run over your hourly request allocation. Please upgrade at https://api.tiingo.com/pricing."
            return Reply.json({"detail": text}, 429)
        symbol = asked.path.split("/")[3]
        listing = self.listings.get(symbol)
        if listing is None:
            return Reply.json({"detail": "Not found."}, 404)
        if asked.endpoint == "facts":
            return Reply.json(
                {
                    "ticker": "WRONG" if fault == "wrong_symbol" else symbol,
                    "name": listing.name,
                    "exchangeCode": "NYSE",
                    "description": "An example.",
                    "startDate": f"{listing.bars['session'].min():%Y-%m-%d}",
                    "endDate": f"{listing.bars['session'].max():%Y-%m-%d}",
                }
            )
        if fault == "wrong_shape":
            return Reply.json([{"date": "2004-06-01", "price": 1}])
        time = "T20:00:00.000Z" if fault == "wrong_time" else "T00:00:00.000Z"
        first, last = asked.query["startDate"], asked.query["endDate"]
        rows = [] if fault == "no_rows" else self._rows(symbol)
        return Reply.json([{**row, "date": row["date"] + time} for row in rows if first <= row["date"] <= last])

    @functools.cache  # noqa: B019 - lives as long as the test module
    def _rows(self, symbol: str) -> list[dict[str, Any]]:
        """Every row of a security, dates without a time."""
        listing = self.listings[symbol]
        adjusted = adjust(listing.bars.assign(symbol=symbol), listing.actions.assign(symbol=symbol))
        closes = listing.adjusted_closes()
        splits, cash = dict(listing.events("split")), dict(listing.events("cash_dividend"))
        return [
            {
                "date": day,
                **{name: json_number(row[name]) for name in NAMES},
                **{f"adj{name.title()}": json_number(later[name]) for name in NAMES},
                "adjClose": json_number(closes[day]),
                "divCash": cash.get(day, 0.0),
                "splitFactor": splits.get(day, 1.0),
            }
            for row, later in zip(listing.bars.to_dict("records"), adjusted.to_dict("records"), strict=True)
            for day in [f"{row['session']:%Y-%m-%d}"]
        ]
