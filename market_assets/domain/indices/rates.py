"""Exchange rates of an index: what one unit of each quotation currency is worth at each session.

Belongs here: how a rate follows from the pairs that are known (as given, inverse, through one common currency), how
old it may be, and the refusal of a session that has none. Rates of later days are never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.domain.indices.arrays import DayArray, FloatArray, IntArray
from market_assets.errors import InputError

if TYPE_CHECKING:
    from market_assets.domain.indices.run import Run

HUNDREDTHS: Final = {"GBp": "GBP", "ILa": "ILS", "ZAc": "ZAR"}
"""Quotation units that are a hundredth of a currency."""

_Series = tuple[FloatArray, npt.NDArray[np.int64]]
"""Rate in force at each session, NaN before the first, and how many sessions old it is."""


class Rates:
    """Rates of pairs at sessions.

    Args:
        fx: base, quote, session, rate: units of `quote` for one of `base`; a pair stands in one direction only.
        sessions: datetime64[D] (T,), increasing.
        limit: sessions in a row for which a rate is carried on.
    """

    def __init__(self, fx: pd.DataFrame | None, sessions: DayArray, limit: int) -> None:
        self._length, self._limit = len(sessions), limit
        self._pairs: dict[tuple[str, str], _Series] = {}
        for pair, own in () if fx is None else fx.groupby(["base", "quote"]):
            base, quote = map(str, pair)
            rate, age = _in_force(own.sort_values("session"), sessions)
            self._pairs[base, quote] = rate, age
            self._pairs[quote, base] = 1.0 / rate, age

    def of(self, currency: str, quote: str) -> FloatArray:
        """(T,) units of `quote` for one of `currency`; NaN at sessions without a rate that is young enough.

        The pair itself, in either direction, is preferred. Where it is missing or too old, the rate goes through the
        common currency whose older leg is the youngest, the first by name among equals.
        """
        unit = 0.01 if currency in HUNDREDTHS else 1.0
        base = HUNDREDTHS.get(currency, currency)
        if base == quote:
            return np.full(self._length, unit)
        none: FloatArray = np.full(self._length, np.nan)
        direct = self._pairs.get((base, quote))
        rate = none if direct is None else self._young(*direct)
        crossed, youngest = none.copy(), np.full(self._length, self._limit + 1)
        for common in sorted({to for start, to in self._pairs if start == base}):
            if (common, quote) in self._pairs:
                (first, age), (second, other) = self._pairs[base, common], self._pairs[common, quote]
                older = np.where(np.isnan(first * second), self._limit + 1, np.maximum(age, other))
                crossed = np.where(older < youngest, first * second, crossed)
                youngest = np.minimum(older, youngest)
        found: FloatArray = np.where(np.isnan(rate), crossed, rate) * unit
        return found

    def _young(self, rate: FloatArray, age: npt.NDArray[np.int64]) -> FloatArray:
        return np.where(age <= self._limit, rate, np.nan)


def _in_force(own: pd.DataFrame, sessions: DayArray) -> _Series:
    """The last rate on or before each session. A rate of a day between two sessions belongs to the one before."""
    day = own["session"].to_numpy("datetime64[D]")
    last = np.searchsorted(day, sessions, side="right") - 1
    rate = np.append(own["rate"].to_numpy(np.float64), np.nan)[last]
    position = np.searchsorted(sessions, day, side="right") - 1
    return rate, np.arange(len(sessions)) - np.append(position, -1)[last]


def require_rates(run: Run, position: int, columns: Iterable[int] | IntArray) -> None:
    """Refuse to go on without the rate of a column's currency at a session.

    Raises:
        InputError: it is missing; the message names pair, session and a symbol that needs it.
    """
    market, index = run.market, run.definition
    if market.fx is None:
        return
    places = np.asarray(columns, np.int64)
    missing = places[np.isnan(market.fx[position, places])]
    if len(missing):
        column = int(missing[0])
        currency = market.currency[column]
        limit = index.missing_price.limit
        raise InputError(
            f"index {index.id}: no rate of {HUNDREDTHS.get(currency, currency)}/{index.currency} at "
            f"{run.recorder.day(position)} nor in the {limit} sessions before (missing_price.limit), which "
            f"{market.symbols[column]} needs; add it, its inverse, or both legs through one common currency to the "
            "file that reference.fx_rates names."
        )
