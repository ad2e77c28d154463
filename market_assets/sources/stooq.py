"""Source `stooq`: daily history as CSV from Stooq.

Belongs here: its one question, its notices and what its answers say. Does not belong here: transport (`http.py`) or
what all vendors asked by symbol share (`by_symbol.py`).

Stooq adjusts prices and volume for splits and dividends unless told not to, and sends no list of either: what it has
adjusted cannot be undone. Its parameter `o` turns the adjustments off one by one (splits, dividends, pre-emptive
rights, ..., others); with o=1111111 prices are those quoted on the day, apart from noise of the last digits. An answer
that is adjusted all the same looks like any other; for US securities prices between the cents tell it, and it is
refused.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from pydantic import Field

from market_assets.domain.adjustments import PriceBasis
from market_assets.errors import AnswerCutOff, MarketError, RateLimited, SourceRejected, UnexpectedPayload
from market_assets.fetching.limits import Limits
from market_assets.sources.base import SecurityRef
from market_assets.sources.by_symbol import BySymbolSource, Question, Rows, VendorOptions
from market_assets.sources.http import Call, HttpClient
from market_assets.sources.keys import ApiKey
from market_assets.sources.options import SourceContext, SourceOptions

ENDPOINT: Final = "https://stooq.com"
EXCHANGES: Final[dict[str, tuple[str, str]]] = {
    "XBUD": (".hu", "HUF"),
    "XETR": (".de", "EUR"),
    "XHKG": (".hk", "HKD"),
    "XNAS": (".us", "USD"),
    "XNYS": (".us", "USD"),
    "XTKS": (".jp", "JPY"),
    "XWAR": ("", "PLN"),
}
"""Exchange -> suffix and currency. Not London (.uk): answers do not say whether a line trades in pence."""

UNADJUSTED: Final = "1111111"
DECIMALS: Final = 4

CENTS_SINCE: Final = dt.date(2001, 4, 9)
"""Since then US prices from a dollar up are in whole cents (SEC decimalization order; Regulation NMS, rule 612)."""
OFF_CENTS_AT_MOST: Final = 0.2
"""Share of closes between the cents that is still believed. Odd lots of trades make a few; a divisor makes most."""

HOUR: Final = 3600.0


class StooqOptions(VendorOptions):
    """Options of Stooq, besides those of every vendor.

    Attributes:
        key_variable: environment variable of the key; `<variable>_FILE` names a file that holds it.
    """

    key_variable: str = Field(default="MARKET_STOOQ_KEY", pattern=r"^[A-Z][A-Z0-9_]*$")


class StooqSource(BySymbolSource):
    """Stooq's unadjusted bars of closed sessions. It sends neither actions nor facts: another source has to."""

    basis: PriceBasis = "as_traded"
    limits = Limits(requests_per_second=1.0, burst=2)

    def __init__(self, name: str, options: StooqOptions, context: SourceContext) -> None:
        """Nothing is asked yet.

        Raises:
            ConfigError: the key is not set.
        """
        client = HttpClient(
            "Stooq",
            name,
            options.endpoint or ENDPOINT,
            context,
            timeout=options.timeout_seconds,
            key=ApiKey.of(options.key_variable, parameter="apikey"),
            notice=notice,
        )
        super().__init__(
            name, options, context, client, {exchange: suffix for exchange, (suffix, _) in EXCHANGES.items()}
        )

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> StooqSource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, StooqOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def vendor_symbol(self, ref: SecurityRef) -> str:
        """See `BySymbolSource.vendor_symbol`; Stooq writes small letters."""
        return super().vendor_symbol(ref).lower()

    def answer(self, question: Question) -> tuple[Rows, str, Mapping[str, Any] | None]:
        """See `BySymbolSource.answer`."""
        suffix, currency = EXCHANGES[question.ref.exchange]

        def prices(first: dt.date, last: dt.date) -> Rows:
            about = f"{question.named}, {first} to {last}"
            dates = {"d1": f"{first:%Y%m%d}", "d2": f"{last:%Y%m%d}"}
            return self.client.ask(
                Call(
                    "/q/d/l/",
                    {"s": question.symbol, **dates, "i": "d", "o": UNADJUSTED},
                    about,
                    form="text",
                    keep=self.context.keeps(question.ref.exchange, last),
                    splittable=True,
                ),
                lambda text: _rows(text, about),
            )

        rows = self.bars(question, prices)
        if suffix == ".us":
            _require_cents(rows, question.named)
        return rows, currency, None

    def without_history(self, question: Question) -> MarketError:
        """Stooq says "No data" of an unknown symbol as of an empty range."""
        return SourceRejected(
            f"Stooq: {question.named}: no data, neither from {question.first} nor in its whole history. Check symbol "
            "and exchange in the universe.",
            unknown=True,
        )


def notice(about: str, text: str) -> MarketError | None:
    """Stooq's refusals, which are plain text with status 200."""
    said = " ".join(text.split())[:120]
    if "Exceeded the daily hits limit" in text:
        return RateLimited(f"Stooq: {about}: {said!r}. Ask tomorrow, or use another key.", HOUR)
    if said.startswith("Get your apikey"):
        return SourceRejected(f"Stooq: {about}: the key was refused: {said!r}. Get one on its page and set it.")
    return None


def _rows(text: str, about: str) -> Rows:
    """Rows of a CSV answer.

    Raises:
        AnswerCutOff: the last row is not whole.
        ValueError: another header, or a row of another width.
    """
    if text.strip() == "No data":
        return Rows()
    header, *lines = list(csv.reader(text.strip().splitlines()))
    if header[:5] != ["Date", "Open", "High", "Low", "Close"] or header[5:] not in ([], ["Volume"]):
        raise ValueError(f"columns {','.join(header)}")
    # Each line ends with a newline, the last one too; a row cut within its last number looks whole otherwise.
    if not text.endswith("\n") or (lines and len(lines[-1]) < len(header)):
        raise AnswerCutOff(f"Stooq: {about}: the answer is cut off in row {len(lines)}. Ask again.")
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"a row without the columns {','.join(header)}")
    # Currencies and indices have no volume; NaN says so.
    rows = Rows.of([(line[0], [*line[1:], None][:5]) for line in lines])
    rows.bars[:, :4] = np.round(rows.bars[:, :4], DECIMALS)
    return rows


def _require_cents(rows: Rows, named: str) -> None:
    """Refuse US prices that were never quoted.

    Raises:
        UnexpectedPayload: too many closes lie between the cents.
    """
    close = rows.bars[(rows.days >= np.datetime64(CENTS_SINCE)) & (rows.bars[:, 3] >= 1.0), 3]
    off = int((np.abs(close * 100 - np.rint(close * 100)) > 1e-3).sum())
    if off > max(2, OFF_CENTS_AT_MOST * len(close)):
        raise UnexpectedPayload(
            f"Stooq: {named}: {off} of {len(close)} closes lie between the cents: the prices are adjusted, although "
            f"unadjusted ones were asked for (o={UNADJUSTED}), and Stooq sends no actions to undo it with. "
            "Use another source for it."
        )
