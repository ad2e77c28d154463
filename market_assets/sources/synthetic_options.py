"""Options of source `synthetic`: size and habits of the invented market.

Belongs here: the options. Does not belong here: the model (`synthetic_market.py`), faults (`synthetic_faults.py`).
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal, TypeAlias, get_args

from pydantic import Field, field_validator

from market_assets.sources.options import SourceOptions

FaultKind: TypeAlias = Literal[
    "duplicate_row",
    "foreign_bar",
    "inverted_range",
    "missing_bar",
    "nan_row",
    "negative_volume",
    "phantom_session",
    "split_applied_twice",
    "split_not_applied",
    "stale_repeat",
    "unit_100x",
    "wrong_currency",
    "zero_price",
]

FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)


class MarketOptions(SourceOptions):
    """One exchange of the market and the currency it quotes in.

    Attributes:
        exchange: exchange_calendars name.
        currency: ISO 4217 code of every price on it.
    """

    exchange: str = "XNYS"
    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")


class SyntheticOptions(SourceOptions):
    """Options of the invented market.

    Attributes:
        seed: same seed, same market.
        symbols: number of companies, PREFIX00001 and on.
        prefix: start of every symbol.
        start: first day of the market; the platform's calendar has to reach back to it.
        markets: exchanges; symbol number i is on the i-th in turn.
        late_listings: share of the companies that list after the start, three years later on average.
        delistings_per_year, suspensions_per_year: expected number for each company.
        dividend_payers: share of the companies that pay every quarter.
        vintage: number of times the vendor has rewritten history; 0: never.
        restatement_rate: share of the bars that each rewriting changes.
        faults: kinds of fault that are planted.
        fault_rate: share of the bars that carry one; faults of splits hit half of the split sessions.
    """

    seed: int = 0
    symbols: int = Field(default=100, ge=1, le=99_999)
    prefix: str = Field(default="SYN", pattern="^[A-Z]{1,6}$")
    start: dt.date = dt.date(2015, 1, 2)
    markets: tuple[MarketOptions, ...] = Field(default=(MarketOptions(),), min_length=1)
    late_listings: float = Field(default=0.2, ge=0, le=1)
    delistings_per_year: float = Field(default=0.03, ge=0, le=10)
    suspensions_per_year: float = Field(default=0.05, ge=0, le=50)
    dividend_payers: float = Field(default=0.6, ge=0, le=1)
    vintage: int = Field(default=0, ge=0, le=100)
    restatement_rate: float = Field(default=0.03, ge=0, le=1)
    faults: tuple[FaultKind, ...] = ()
    fault_rate: float = Field(default=0.001, ge=0, le=1)

    @field_validator("faults")
    @classmethod
    def _sorted(cls, value: tuple[FaultKind, ...]) -> tuple[FaultKind, ...]:
        # The order in which kinds are listed must not change which bar gets which.
        return tuple(sorted(set(value)))
