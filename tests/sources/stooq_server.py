"""A stand-in that speaks Stooq's protocol."""

from __future__ import annotations

from urllib.parse import SplitResult

import pandas as pd
from vendor_listings import NAMES, ListingServer
from vendor_stand_in import KEY, Asked, Reply

from market_assets.domain.adjustments import adjust


class StooqServer(ListingServer):
    """https://stooq.com/q/d/l/: CSV, adjusted for splits and dividends unless o=1111111; refusals are text with 200."""

    def endpoint_of(self, url: SplitResult) -> str:
        return "csv" if url.path == "/q/d/l/" else url.path

    def reply(self, asked: Asked, fault: str) -> Reply:
        return Reply.text(self._text(asked, fault))

    def _text(self, asked: Asked, fault: str) -> str:
        if asked.query.get("apikey") != KEY:
            return "Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=spy.us&get_apikey\n2. Enter the captcha\n"
        listing = self.listings.get(asked.query["s"])
        said = {
            "limit": "Exceeded the daily hits limit",
            "wrong_shape": "Symbol,Date,Time\r\nX,2005-01-03,22:00:00\r\n",
        }
        if fault in said or listing is None or fault == "no_rows":
            return said.get(fault, "No data")
        bars = listing.bars
        if asked.query.get("o") != "1111111" or fault == "adjusted":
            bars = adjust(bars.assign(symbol="x"), listing.actions.assign(symbol="x"))
        first, last = pd.Timestamp(asked.query["d1"]), pd.Timestamp(asked.query["d2"])
        rows = bars[bars["session"].between(first, last)]
        if rows.empty:
            return "No data"
        lines = [
            f"{row['session']:%Y-%m-%d},{','.join(f'{row[name]:.6g}' for name in NAMES[:4])},{row['volume']:.0f}"
            for row in rows.to_dict("records")
        ]
        if fault == "half_row":
            lines[-1] = lines[-1][: len(lines[-1]) // 3]
        text = "\r\n".join(["Date,Open,High,Low,Close,Volume", *lines]) + "\r\n"
        return text[:-4] if fault == "half_number" else text
