"""Source `alpha_vantage`: daily history from Alpha Vantage.

Belongs here: its questions, its notices and what its answers say. Does not belong here: transport (`http.py`) or what
all vendors asked by symbol share (`by_symbol.py`).

TIME_SERIES_DAILY is "raw (as-traded)" by its documentation, volume included, and so are columns 1 to 4 and 6 of
TIME_SERIES_DAILY_ADJUSTED; dividends are amounts as paid (IBM 1999-02-08: 0.22, before the 2:1 split of that year),
split factors new shares per old. Column 5, the adjusted close, is only read to hold the dividends against. Refusals
arrive with status 200: {"Note" | "Information" | "Error Message": text}.
https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import MarketError, RateLimited, SourceRejected, SourceUnavailable
from market_assets.fetching.limits import Limits
from market_assets.sources.by_symbol import (
    Action,
    BySymbolSource,
    Question,
    Rows,
    VendorOptions,
    number,
    require_symbol,
)
from market_assets.sources.http import Call, HttpClient
from market_assets.sources.keys import ApiKey
from market_assets.sources.options import SourceContext, SourceOptions

ENDPOINT: Final = "https://www.alphavantage.co"
EXCHANGES: Final = {"XNYS": "", "XNAS": "", "XETR": ".DEX", "XTSE": ".TRT", "XBOM": ".BSE", "XSHG": ".SHH"}
"""Exchanges whose quotation unit is the currency. London (.LON) is not among them: its answers do not say whether a
line trades in pence, pounds or dollars."""
CURRENCIES: Final = {"XETR": "EUR", "XTSE": "CAD", "XBOM": "INR", "XSHG": "CNY"}

NEW_YORK: Final = ("US/Eastern", "America/New_York")
SERIES: Final = "Time Series (Daily)"
COMPACT_SESSIONS: Final = 95
"""Sessions that outputsize=compact is sure to reach back; it answers with the latest 100 rows. The whole history is a
premium feature since 2025."""
HOUR: Final = 3600.0

_PACE: Final = ("rate limit", "call frequency", "requests per", "calls per", "spreading out", "burst")
_PLAN: Final = ("premium endpoint", "premium feature", "your current plan")
_KEY: Final = "apikey is invalid"


class AlphaVantageOptions(VendorOptions):
    """Options of Alpha Vantage, besides those of every vendor.

    Attributes:
        key_variable: environment variable of the key; `<variable>_FILE` names a file that holds it.
        adjusted: ask TIME_SERIES_DAILY_ADJUSTED, one request a symbol instead of three; needs a premium plan.
    """

    key_variable: str = Field(default="MARKET_ALPHA_VANTAGE_KEY", pattern=r"^[A-Z][A-Z0-9_]*$")
    adjusted: bool = False


class AlphaVantageSource(BySymbolSource):
    """Alpha Vantage's as-traded bars of closed sessions, with splits and dividends. It gives no facts of securities."""

    basis: PriceBasis = "as_traded"
    limits = Limits(requests_per_second=1.0, burst=1)

    def __init__(self, name: str, options: AlphaVantageOptions, context: SourceContext) -> None:
        """Nothing is asked yet.

        Raises:
            ConfigError: the key is not set.
        """
        client = HttpClient(
            "Alpha Vantage",
            name,
            options.endpoint or ENDPOINT,
            context,
            timeout=options.timeout_seconds,
            key=ApiKey.of(options.key_variable, parameter="apikey"),
            notice=notice,
        )
        super().__init__(name, options, context, client, EXCHANGES)
        self._adjusted = options.adjusted

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> AlphaVantageSource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, AlphaVantageOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def answer(self, question: Question) -> tuple[Rows, str, Mapping[str, Any] | None]:
        """See `BySymbolSource.answer`."""
        symbol, currency = question.symbol, CURRENCIES.get(question.ref.exchange, "USD")
        function = "TIME_SERIES_DAILY_ADJUSTED" if self._adjusted else "TIME_SERIES_DAILY"

        def series(document: Any) -> Rows:
            facts = document["Meta Data"]
            require_symbol("Alpha Vantage", symbol, facts["2. Symbol"])
            if currency == "USD" and facts["5. Time Zone"] not in NEW_YORK:
                raise ValueError(f"dates in {facts['5. Time Zone']} instead of {NEW_YORK[0]}")
            return _rows(document[SERIES])

        # There is no range to ask for: what is not in the latest 100 rows is in the whole history.
        rows = self._ask(function, question, series, outputsize="compact" if self._is_recent(question) else "full")
        if self._adjusted:
            return rows, currency, None
        dividends = self._ask("DIVIDENDS", question, _actions(symbol, "ex_dividend_date", "amount", "cash_dividend"))
        splits = self._ask("SPLITS", question, _actions(symbol, "effective_date", "split_factor", "split"))
        return Rows(rows.days, rows.bars, dividends + splits), currency, None

    def _is_recent(self, question: Question) -> bool:
        exchange = question.ref.exchange
        latest = self.context.last_closed(exchange)
        return len(self.context.sessions(exchange, question.first, latest)) <= COMPACT_SESSIONS

    def _ask(self, function: str, question: Question, read: Any, **params: str) -> Any:
        query = {"function": function, "symbol": question.symbol, **params}
        return self.client.ask(Call("/query", query, f"{question.named}, {function}"), read)


def notice(about: str, text: str) -> MarketError | None:
    """The error that a notice of Alpha Vantage means.

    A limit's text also advertises the premium plans, so limits are looked for first. A daily one rests for an hour.
    """
    kind, said = _said(text)
    if not said:
        return None
    where, quoted = f"Alpha Vantage: {about}", repr(said[:200])
    if _KEY in said:
        return SourceRejected(f"{where}: the key was refused: {quoted}. Check the key.")
    if kind == "Error Message":
        return SourceRejected(f"{where}: refused: {quoted}. Check symbol and exchange in the universe.")
    if any(phrase in said for phrase in _PLAN) and not any(phrase in said for phrase in _PACE):
        return SourceRejected(f"{where}: not in the plan: {quoted}. Ask for a shorter range or use another source.")
    daily = "per day" in said and "per second" not in said
    return RateLimited(f"{where}: limit reached: {quoted}. Ask later and more slowly.", HOUR if daily else None)


def _said(text: str) -> tuple[str, str]:
    """Kind and text of a notice; empty for an answer."""
    try:
        document = json.loads(text)
    except ValueError:
        return "", ""
    for kind in ("Error Message", "Information", "Note"):
        if isinstance(document, dict) and document.get(kind):
            return kind, " ".join(str(document[kind]).split())
    return "", ""


def _rows(table: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Rows of a time series, oldest first.

    Raises:
        SourceUnavailable: it has none, which no known symbol has.
    """
    if not table:
        raise SourceUnavailable("Alpha Vantage: an empty time series. Ask again later.")
    records, actions, adjusted = [], [], []
    for day in sorted(table):
        row = {name.partition(". ")[2]: value for name, value in table[day].items()}
        records.append((day, [row[name] for name in ("open", "high", "low", "close", "volume")]))
        adjusted.append(row.get("adjusted close"))
        cash, ratio = number(row.get("dividend amount")), number(row.get("split coefficient"))
        if ratio > 0 and ratio != 1.0:
            actions.append(Action(dt.date.fromisoformat(day), "split", ratio))
        if cash > 0:
            actions.append(Action(dt.date.fromisoformat(day), "cash_dividend", cash))
    return Rows.of(records, tuple(actions), adjusted)


def _actions(symbol: str, date_field: str, value_field: str, kind: str) -> Any:
    """Reader of the answers of DIVIDENDS and SPLITS; an event without a date or an amount is no event yet ("None")."""

    def read(document: Any) -> tuple[Action, ...]:
        if document == {}:
            return ()  # it keeps no events of this security
        require_symbol("Alpha Vantage", symbol, document["symbol"])
        known = [
            (row[date_field], number(row[value_field])) for row in document["data"] if str(row[date_field]) != "None"
        ]
        return tuple(Action(dt.date.fromisoformat(day), kind, value) for day, value in known if value > 0)

    return read
