"""A stand-in that speaks Alpha Vantage's protocol; the texts of its notices are the vendor's own."""

from __future__ import annotations

import functools
from urllib.parse import SplitResult, parse_qs

from vendor_listings import NAMES, ListingServer
from vendor_stand_in import KEY, Asked, Reply


class AlphaVantageServer(ListingServer):
    """https://www.alphavantage.co/query; every refusal has status 200."""

    premium = False
    BURST = (
        "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 "
        "request per second). You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to "
        "lift the free key rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock "
        "all premium endpoints"
    )
    DAILY = (
        f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day. Please "
        "subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to instantly remove all daily "
        "rate limits."
    )
    MINUTE = (
        "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls per "
        "day. Please visit https://www.alphavantage.co/premium/ if you would like to target a higher API call "
        "frequency."
    )
    NO_KEY = (
        "the parameter apikey is invalid or missing. Please claim your free API key on "
        "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
    )
    UNKNOWN = (
        "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for {}."
    )
    PREMIUM = (
        "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans "
        "at https://www.alphavantage.co/premium/ to instantly unlock all premium endpoints"
    )
    FULL = (
        "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the "
        "TIME_SERIES_DAILY endpoint. You may subscribe to any of the premium plans at "
        "https://www.alphavantage.co/premium/ to instantly unlock all premium features"
    )

    def endpoint_of(self, url: SplitResult) -> str:
        return parse_qs(url.query).get("function", [""])[0]

    def reply(self, asked: Asked, fault: str) -> Reply:
        said = self._notice(asked, fault)
        if said:
            return Reply.json(said)
        listing = self.listings[asked.query["symbol"]]
        named = "WRONG" if fault == "wrong_symbol" else listing.symbol
        if fault == "no_events":
            return Reply.json({})
        if asked.endpoint == "DIVIDENDS":
            dated = listing.events("cash_dividend")[::-1]
            rows = [
                {"ex_dividend_date": day, "declaration_date": "None", "amount": f"{value:.4g}"} for day, value in dated
            ]
            return Reply.json({"symbol": named, "data": [*rows, {"ex_dividend_date": "None", "amount": "None"}]})
        if asked.endpoint == "SPLITS":
            dated = listing.events("split")[::-1]
            rows = [{"effective_date": day, "split_factor": f"{value:.4f}"} for day, value in dated]
            return Reply.json({"symbol": named, "data": rows})
        return self._time_series(asked, named, fault)

    def _notice(self, asked: Asked, fault: str) -> dict[str, str]:
        """What is said instead of an answer; empty when there is one."""
        notices = {"burst": ("Information", self.BURST), "daily": ("Information", self.DAILY)}
        notices |= {"minute": ("Note", self.MINUTE), "premium": ("Information", self.PREMIUM)}
        full = asked.query.get("outputsize") == "full"
        if asked.query.get("apikey") != KEY:
            return {"Error Message": self.NO_KEY}
        if fault in notices:
            return dict([notices[fault]])
        if asked.query["symbol"] not in self.listings:
            return {"Error Message": self.UNKNOWN.format(asked.endpoint)}
        if asked.endpoint == "TIME_SERIES_DAILY_ADJUSTED" and not self.premium:
            return {"Information": self.PREMIUM}
        return {"Information": self.FULL} if full and fault == "full_is_premium" else {}

    def _time_series(self, asked: Asked, named: str, fault: str) -> Reply:
        full = asked.query.get("outputsize") == "full"
        listing = self.listings[asked.query["symbol"]]
        rows = {} if fault == "no_rows" else self._series(listing.symbol, asked.endpoint.endswith("ADJUSTED"), full)
        meta = {
            "1. Information": "Daily Prices (open, high, low, close) and Volumes",
            "2. Symbol": named,
            "3. Last Refreshed": max(rows, default=""),
            "4. Output Size": "Full size" if full else "Compact",
            "5. Time Zone": "Asia/Tokyo" if fault == "wrong_timezone" else "US/Eastern",
        }
        return Reply.json({"Meta Data": meta, "Series" if fault == "wrong_shape" else "Time Series (Daily)": rows})

    @functools.cache  # noqa: B019 - lives as long as the test module
    def _series(self, symbol: str, adjusted: bool, full: bool) -> dict[str, dict[str, str]]:
        listing = self.listings[symbol]
        bars = listing.bars.iloc[::-1] if full else listing.bars.iloc[::-1].head(100)
        splits, cash = dict(listing.events("split")), dict(listing.events("cash_dividend"))
        closes = listing.adjusted_closes()
        table = {}
        for row in bars.to_dict("records"):
            day = f"{row['session']:%Y-%m-%d}"
            values = [f"{row[name]:.4f}" for name in NAMES[:4]]
            volume = f"{row['volume']:.0f}"
            if adjusted:
                extra = [f"{closes[day]:.4f}", volume, f"{cash.get(day, 0.0):.4f}", f"{splits.get(day, 1.0):.1f}"]
                names = ["adjusted close", "volume", "dividend amount", "split coefficient"]
            else:
                extra, names = [volume], ["volume"]
            fields = zip([*NAMES[:4], *names], [*values, *extra], strict=True)
            table[day] = {f"{position}. {name}": value for position, (name, value) in enumerate(fields, 1)}
        return table
