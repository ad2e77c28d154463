"""Source `eodhd`: daily history of most exchanges from EODHD.

Belongs here: its questions, its names and what its answers say. Does not belong here: transport (`http.py`) or what all
vendors asked by symbol share (`by_symbol.py`).

"OHLC values are raw - adjusted for neither splits nor dividends", adjusted_close for both, and "volume is adjusted for
splits" (https://eodhd.com/financial-apis/api-for-historical-data-and-volumes). So the volume alone is brought back to
as traded here, with EODHD's own splits; adjusted_close is only read to hold the dividends against. Dividends are taken
by unadjustedValue, in their own currency; a split of "4.000000/1.000000" is 4 new shares for 1 old
(https://eodhd.com/financial-apis/api-splits-dividends).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from pydantic import Field

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import MarketError, RateLimited, SourceRejected
from market_assets.fetching.limits import Limits
from market_assets.sources.by_symbol import VALUES, Action, BySymbolSource, Question, Rows, VendorOptions, number
from market_assets.sources.http import Call, HttpClient
from market_assets.sources.keys import ApiKey
from market_assets.sources.options import SourceContext, SourceOptions

ENDPOINT: Final = "https://eodhd.com"

EXCHANGES: Final[dict[str, tuple[str, str]]] = {
    "ASEX": ("AT", "EUR"),
    "BVMF": ("SA", "BRL"),
    "XAMS": ("AS", "EUR"),
    "XASX": ("AU", "AUD"),
    "XBKK": ("BK", "THB"),
    "XBRU": ("BR", "EUR"),
    "XBUD": ("BUD", "HUF"),
    "XBUE": ("BA", "ARS"),
    "XCSE": ("CO", "DKK"),
    "XDUB": ("IR", "EUR"),
    "XETR": ("XETRA", "EUR"),
    "XFRA": ("F", "EUR"),
    "XHEL": ("HE", "EUR"),
    "XHKG": ("HK", "HKD"),
    "XIDX": ("JK", "IDR"),
    "XIST": ("IS", "TRY"),
    "XJSE": ("JSE", ""),
    "XKLS": ("KLSE", "MYR"),
    "XKRX": ("KO", "KRW"),
    "XLIS": ("LS", "EUR"),
    "XLON": ("LSE", ""),
    "XMAD": ("MC", "EUR"),
    "XMEX": ("MX", "MXN"),
    "XNAS": ("US", "USD"),
    "XNYS": ("US", "USD"),
    "XOSL": ("OL", "NOK"),
    "XPAR": ("PA", "EUR"),
    "XPRA": ("PR", "CZK"),
    "XSGO": ("SN", "CLP"),
    "XSHG": ("SHG", "CNY"),
    "XSTO": ("ST", "SEK"),
    "XSWX": ("SW", "CHF"),
    "XTAE": ("TA", ""),
    "XTAI": ("TW", "TWD"),
    "XTSE": ("TO", "CAD"),
    "XWAR": ("WAR", "PLN"),
    "XWBO": ("VI", "EUR"),
}
"""Exchange -> EODHD's code and the currency of its lines; empty where lines trade in several units (pence and pounds in
London), which EODHD tells in the list of the exchange's symbols."""

MINOR_UNITS: Final[dict[str, tuple[str, float]]] = {
    "GBX": ("GBP", 0.01),
    "GBp": ("GBP", 0.01),
    "ILA": ("ILS", 0.01),
    "ZAC": ("ZAR", 0.01),
}
"""EODHD's unit -> currency, and how much of it one unit is."""

HOUR: Final = 3600.0


class EodhdOptions(VendorOptions):
    """Options of EODHD, besides those of every vendor.

    Attributes:
        key_variable: environment variable of the key; `<variable>_FILE` names a file that holds it.
    """

    key_variable: str = Field(default="MARKET_EODHD_KEY", pattern=r"^[A-Z][A-Z0-9_]*$")


class EodhdSource(BySymbolSource):
    """EODHD's bars of closed sessions as traded, with splits and dividends. Three requests a symbol."""

    basis: PriceBasis = "as_traded"
    limits = Limits(requests_per_second=10.0, burst=20)

    def __init__(self, name: str, options: EodhdOptions, context: SourceContext) -> None:
        """Nothing is asked yet.

        Raises:
            ConfigError: the key is not set.
        """
        client = HttpClient(
            "EODHD",
            name,
            options.endpoint or ENDPOINT,
            context,
            timeout=options.timeout_seconds,
            key=ApiKey.of(options.key_variable, parameter="api_token"),
            notice=notice,
        )
        super().__init__(
            name, options, context, client, {exchange: f".{code}" for exchange, (code, _) in EXCHANGES.items()}
        )
        self._lists: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> EodhdSource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, EodhdOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def answer(self, question: Question) -> tuple[Rows, str, Mapping[str, Any] | None]:
        """See `BySymbolSource.answer`."""
        currency, unit = MINOR_UNITS.get(quoted := self._unit(question), (quoted, 1.0))
        splits = self._splits(question)
        applied = hashlib.sha256(repr(splits).encode()).hexdigest()

        def prices(first: dt.date, last: dt.date) -> Rows:
            rows = self.client.ask(
                Call(
                    f"/api/eod/{question.symbol}",
                    {"from": first.isoformat(), "to": last.isoformat(), "period": "d", "fmt": "json"},
                    f"{question.named}, {first} to {last}",
                    keep=self.context.keeps(question.ref.exchange, last),
                    depends_on=applied,
                    splittable=True,
                ),
                _rows,
            )
            return _as_traded(rows, splits, unit)

        rows = self.bars(question, prices)
        events = (*splits, *self._dividends(question, currency, splits))
        return replace(rows, actions=events), currency, None

    def _unit(self, question: Question) -> str:
        """Unit of the security's prices: that of its exchange, or of its line in the exchange's list.

        Raises:
            SourceRejected: EODHD lists no such symbol.
        """
        code, unit = EXCHANGES[question.ref.exchange]
        if unit:
            return unit
        with self._lock:
            if code not in self._lists:
                self._lists[code] = self.client.ask(
                    Call(f"/api/exchange-symbol-list/{code}", {"fmt": "json"}, f"{question.named}, symbols of {code}"),
                    lambda document: {str(row["Code"]): str(row["Currency"]) for row in document},
                )
        known = self._lists[code].get(question.symbol.removesuffix(f".{code}"))
        if not known:
            raise SourceRejected(
                f"EODHD: {question.named}: not among the symbols of {code}. Check symbol and exchange in the universe.",
                unknown=True,
            )
        return known

    def _splits(self, question: Question) -> tuple[Action, ...]:
        """Splits from the first session to today: those after the range are in its volume. Later ones are not yet."""
        today = self.context.now().date()
        params = {"from": question.first.isoformat(), "to": today.isoformat(), "fmt": "json"}
        splits = self.client.ask(
            Call(f"/api/splits/{question.symbol}", params, f"{question.named}, splits"),
            lambda document: tuple(Action(_date(row), "split", _ratio(row["split"])) for row in document),
        )
        return tuple(split for split in splits if split.ex_date <= today and split.value != 1.0)

    def _dividends(self, question: Question, currency: str, splits: Sequence[Action]) -> list[Action]:
        params = {"from": question.first.isoformat(), "to": question.last.isoformat(), "fmt": "json"}
        keep = self.context.keeps(question.ref.exchange, question.last)
        call = Call(f"/api/div/{question.symbol}", params, f"{question.named}, dividends", keep=keep)
        return self.client.ask(call, lambda document: [_dividend(row, currency, splits) for row in document])


def notice(about: str, text: str) -> MarketError | None:
    """EODHD's refusals by text. The daily limit (status 402, lifted at midnight UTC) rests for an hour."""
    if "exceeded your daily API requests limit" in text:
        return RateLimited(f"EODHD: {about}: the plan's requests are used up: {text[:120]!r}. Ask later.", HOUR)
    return None


def _rows(document: Any) -> Rows:
    records = [(row["date"], [row[name] for name in VALUES]) for row in document]
    return Rows.of(records, adjusted=[row.get("adjusted_close") for row in document])


def _as_traded(rows: Rows, splits: Sequence[Action], unit: float) -> Rows:
    """Prices in the currency, volume divided by the splits after each session."""
    later = np.ones(len(rows.days))
    for split in splits:
        later[rows.days < np.datetime64(split.ex_date)] *= split.value
    bars = rows.bars.copy()
    bars[:, :4] *= unit
    # Shares are whole; EODHD rounds the adjusted number, so the last of the digits cannot be had back.
    bars[:, 4] = np.where(later == 1.0, bars[:, 4], np.rint(bars[:, 4] / later))
    return Rows(rows.days, bars, rows.actions, rows.adjusted_closes * unit)


def _dividend(row: Mapping[str, Any], currency: str, splits: Sequence[Action]) -> Action:
    """A dividend as paid; from the adjusted amount where EODHD has no other."""
    paid, day = number(row.get("unadjustedValue")), _date(row)
    if not paid > 0:
        paid = number(row["value"]) * float(np.prod([split.value for split in splits if split.ex_date > day]))
    stated = str(row.get("currency") or "")
    major, unit = MINOR_UNITS.get(stated, (stated or currency, 1.0))
    return Action(day, "cash_dividend", paid * unit, major)


def _date(row: Mapping[str, Any]) -> dt.date:
    return dt.date.fromisoformat(row["date"])


def _ratio(text: str) -> float:
    """New shares per old of a split.

    Raises:
        ValueError: it is no ratio above zero.
    """
    new, _, old = text.partition("/")
    ratio = float(new) / float(old)
    if not ratio > 0:
        raise ValueError(f"split {text!r} is no ratio")
    return ratio
