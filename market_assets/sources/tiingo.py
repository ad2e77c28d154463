"""Source `tiingo`: end-of-day history of US securities from Tiingo.

Belongs here: Tiingo's two questions and what their answers say. Does not belong here: transport (`http.py`) or what all
vendors asked by symbol share (`by_symbol.py`).

open, high, low, close and volume are as traded; of the adjusted columns only adjClose is read, to hold the dividends
against. divCash is the amount as paid, splitFactor the new shares for an old one, both in the row of the ex-date:
https://www.tiingo.com/documentation/end-of-day, and the schema in openapi/schemas of the client tiingo-python.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
from pydantic import Field

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import MarketError, RateLimited
from market_assets.fetching.limits import Limits
from market_assets.sources.by_symbol import (
    VALUES,
    Action,
    BySymbolSource,
    Question,
    Rows,
    VendorOptions,
    day_of,
    number,
    require_symbol,
)
from market_assets.sources.http import Call, HttpClient
from market_assets.sources.keys import ApiKey
from market_assets.sources.options import SourceContext, SourceOptions

ENDPOINT: Final = "https://api.tiingo.com"
EXCHANGES: Final = {"XNYS": "", "XNAS": ""}
CURRENCY: Final = "USD"
HOUR: Final = 3600.0


class TiingoOptions(VendorOptions):
    """Options of Tiingo, besides those of every vendor.

    Attributes:
        key_variable: environment variable of the key; `<variable>_FILE` names a file that holds it.
    """

    key_variable: str = Field(default="MARKET_TIINGO_KEY", pattern=r"^[A-Z][A-Z0-9_]*$")


class TiingoSource(BySymbolSource):
    """Tiingo's as-traded bars of closed sessions, with splits, dividends and listing dates. Two requests a symbol."""

    basis: PriceBasis = "as_traded"
    limits = Limits(requests_per_second=2.0, burst=10)

    def __init__(self, name: str, options: TiingoOptions, context: SourceContext) -> None:
        """Nothing is asked yet.

        Raises:
            ConfigError: the key is not set.
        """
        client = HttpClient(
            "Tiingo",
            name,
            options.endpoint or ENDPOINT,
            context,
            timeout=options.timeout_seconds,
            key=ApiKey.of(options.key_variable, header=("Authorization", "Token {}")),
            notice=notice,
        )
        super().__init__(name, options, context, client, EXCHANGES)

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> TiingoSource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, TiingoOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def answer(self, question: Question) -> tuple[Rows, str, Mapping[str, Any] | None]:
        """See `BySymbolSource.answer`."""
        path = f"/tiingo/daily/{question.symbol}"
        about = question.named

        def facts(document: Any) -> dict[str, Any]:
            return _facts(document, question)

        security = self.client.ask(Call(path, {}, f"{about}, facts"), facts)
        if security["first_session"] > question.sessions[-1]:
            return Rows(), CURRENCY, security  # not listed yet: nothing to ask for

        def prices(first: dt.date, last: dt.date) -> Rows:
            dates = {"startDate": first.isoformat(), "endDate": last.isoformat()}
            return self.client.ask(
                Call(
                    f"{path}/prices",
                    {**dates, "format": "json", "resampleFreq": "daily"},
                    f"{about}, {first} to {last}",
                    keep=self.context.keeps(question.ref.exchange, last),
                    splittable=True,
                ),
                _rows,
            )

        return self.bars(question, prices), CURRENCY, security


def notice(about: str, text: str) -> MarketError | None:
    """Tiingo's refusals by text. A spent allocation comes back by the hour, day or month: it rests for an hour."""
    if "request allocation" in text or "bandwidth allocation" in text:
        return RateLimited(f"Tiingo: {about}: the plan's requests are used up: {text[:200]!r}. Ask later.", HOUR)
    return None


def _facts(document: Any, question: Question) -> dict[str, Any]:
    """Row of the securities frame. Tiingo's endDate is that of its last price, which says nothing of a delisting."""
    require_symbol("Tiingo", question.symbol, document["ticker"])
    first = document["startDate"]
    return {
        "name": str(document.get("name") or question.ref.symbol),
        "first_session": pd.NaT if first is None else pd.Timestamp(day_of(first)),
        "last_session": pd.NaT,
    }


def _rows(document: Any) -> Rows:
    records, actions = [], []
    for row in document:
        day, cash, ratio = day_of(row["date"]), number(row["divCash"]), number(row["splitFactor"])
        records.append((day.isoformat(), [row[name] for name in VALUES]))
        if ratio > 0 and ratio != 1.0:
            actions.append(Action(day, "split", ratio))
        if cash > 0:
            actions.append(Action(day, "cash_dividend", cash))
    return Rows.of(records, tuple(actions), [row.get("adjClose") for row in document])
