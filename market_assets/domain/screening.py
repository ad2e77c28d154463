"""Rules that decide, row by row, whether a vendor's bar can be stored. Pure functions on frames.

A row that breaks a rule is not dropped: the caller puts it into quarantine with the name of the rule. Rules here are
for rows that cannot be a bar at all; whether a bar fits those around it is for `domain.plausibility`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

RULES: Mapping[str, str] = {
    "not_a_session": "the exchange was closed on that day",
    "session_not_closed": "the session had not closed when the row was read",
    "missing_price": "open, high, low or close is missing or infinite",
    "non_positive_price": "open, high, low or close is zero or negative",
    "missing_volume": "volume is missing or infinite",
    "negative_volume": "volume is negative",
    "wrong_currency": "the currency is not the one the universe names",
    "duplicate_row": "an earlier row of the answer says the same of this symbol and session",
    "conflicting_duplicate": "another row of the answer says something else of this symbol and session",
}
"""Rule name -> what it means, in the order in which they are tried; a row is held under the first that it breaks."""

PRICES = ["open", "high", "low", "close"]


def screen(
    bars: pd.DataFrame,
    *,
    exchange_of: Mapping[str, str],
    currency_of: Mapping[str, str],
    sessions_of: Mapping[str, pd.DatetimeIndex],
    closed_through: Mapping[str, pd.Timestamp],
) -> pd.Series:
    """Name of the first rule each row breaks.

    Args:
        bars: BAR_COLUMNS as the vendor sent them, duplicates included.
        exchange_of: symbol -> exchange.
        currency_of: symbol -> currency of the universe.
        sessions_of: exchange -> sessions of the frame's date range.
        closed_through: exchange -> last session that has closed.

    Returns:
        str per row, on the index of `bars`; empty for a row that can be stored.
    """
    verdict = pd.Series("", index=bars.index, dtype="str")
    exchange = bars["symbol"].map(exchange_of)
    prices = bars[PRICES].to_numpy(dtype=float)
    broken: dict[str, np.ndarray] = {
        "not_a_session": np.zeros(len(bars), dtype=bool),
        "session_not_closed": np.zeros(len(bars), dtype=bool),
        "missing_price": ~np.all(np.isfinite(prices), axis=1),
        "non_positive_price": np.any(prices <= 0, axis=1),
        "missing_volume": ~np.isfinite(bars["volume"].to_numpy(dtype=float)),
        "negative_volume": (bars["volume"] < 0).to_numpy(),
        "wrong_currency": (bars["currency"] != bars["symbol"].map(currency_of)).to_numpy(),
    }
    for name in exchange.dropna().unique():
        here = (exchange == name).to_numpy()
        days = bars["session"][here]
        broken["not_a_session"][here] = ~days.isin(sessions_of[name]).to_numpy()
        broken["session_not_closed"][here] = (days > closed_through[name]).to_numpy()
    for rule in reversed(list(broken)):
        verdict[broken[rule]] = rule
    return _twice(bars, verdict)


def _twice(bars: pd.DataFrame, verdict: pd.Series) -> pd.Series:
    """Hold repeated rows: of equal ones all but the first, of different ones all, since nobody knows which is right.

    A row that breaks another rule casts no doubt on one that does not.
    """
    passed = bars[verdict == ""]
    key = ["symbol", "session"]
    if not passed.duplicated(key).any():
        return verdict
    repeated = passed.duplicated([*key, *PRICES, "volume", "currency"])
    conflicting = passed[~repeated].duplicated(key, keep=False)
    verdict.loc[repeated.index[repeated]] = "duplicate_row"
    verdict.loc[conflicting.index[conflicting]] = "conflicting_duplicate"
    return verdict
