"""A stand-in that speaks EODHD's protocol."""

from __future__ import annotations

import functools
import math
from typing import Any
from urllib.parse import SplitResult

from vendor_listings import NAMES, Listing, ListingServer, json_number
from vendor_stand_in import KEY, Asked, Reply


class EodhdServer(ListingServer):
    """https://eodhd.com/api: prices raw, volume adjusted for splits, dividends with both amounts."""

    def endpoint_of(self, url: SplitResult) -> str:
        return url.path.split("/")[2]

    def reply(self, asked: Asked, fault: str) -> Reply:
        if asked.query.get("api_token") != KEY:
            return Reply.text("Unauthenticated", 401)
        if fault == "daily":
            return Reply.text(f"You exceeded your daily API requests limit. Please contact support, {KEY}", 402)
        name = asked.path.rsplit("/", 1)[1]
        if asked.endpoint == "exchange-symbol-list":
            return Reply.json(self._lines(name))
        if name not in self.listings:
            return Reply.text("Ticker Not Found.", 404)
        if fault == "wrong_shape":
            return Reply.json([{"day": "2004-06-01"}])
        answer = {"splits": self._splits, "div": self._dividends, "eod": self._bars}[asked.endpoint]
        first, last = asked.query.get("from", "1900-01-01"), asked.query.get("to", "2100-01-01")
        return Reply.json(answer(self.listings[name], first, last, fault))

    def _lines(self, code: str) -> list[dict[str, Any]]:
        lines = [listing for listing in self.listings.values() if listing.symbol.endswith(f".{code}")]
        return [
            {"Code": line.symbol.removesuffix(f".{code}"), "Name": line.name, "Currency": line.currency}
            for line in lines
        ]

    @staticmethod
    def _splits(listing: Listing, first: str, last: str, fault: str) -> list[dict[str, Any]]:
        dated = [(day, ratio) for day, ratio in listing.events("split") if first <= day <= last]
        form = "{}" if fault == "wrong_split" else "{:.6f}/1.000000"
        return [{"date": day, "split": form.format(ratio)} for day, ratio in dated]

    def _dividends(self, listing: Listing, first: str, last: str, fault: str) -> list[dict[str, Any]]:
        return [
            {
                "date": day,
                "declarationDate": None,
                "period": "Quarterly",
                "value": round(value * listing.unit / self._later(listing, day), 5),
                "unadjustedValue": None if fault == "adjusted_only" else round(value * listing.unit, 5),
                "currency": listing.currency,
            }
            for day, value in listing.events("cash_dividend")
            if first <= day <= last
        ]

    def _bars(self, listing: Listing, first: str, last: str, fault: str) -> list[dict[str, Any]]:
        chosen = [] if fault == "no_rows" else listing.between(first, last).to_dict("records")
        splits, closes = listing.events("split"), self._adjusted(listing.symbol)
        return [
            {
                "date": day,
                **{name: json_number(row[name] * listing.unit) for name in NAMES[:4]},
                "adjusted_close": round(closes[day] * listing.unit, 4),
                "volume": round(row["volume"] * math.prod(ratio for ex_date, ratio in splits if ex_date > day)),
            }
            for row in chosen
            for day in [row["session"].isoformat()[:10]]
        ]

    @functools.cache  # noqa: B019 - lives as long as the test module
    def _adjusted(self, symbol: str) -> dict[str, float]:
        return self.listings[symbol].adjusted_closes()

    @staticmethod
    def _later(listing: Listing, day: str) -> float:
        return math.prod(ratio for ex_date, ratio in listing.events("split") if ex_date > day)
