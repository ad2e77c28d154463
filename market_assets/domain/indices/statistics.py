"""Return statistics that selection and weighting read: momentum and volatility over a window that ends at a
session.

Prices are total-return prices inside the window (splits and distributions, domain/adjustments.py). A gap
inside it carries the last price; a name without a price at the window's first session has no statistic (NaN).
"""

from __future__ import annotations

import numpy as np

from market_assets.domain.indices.arrays import FloatArray, IntArray
from market_assets.domain.indices.market import Market

SESSIONS_PER_YEAR = 252


def total_return_prices(market: Market, last: int, lookback: int, columns: IntArray) -> FloatArray:
    """Total-return price of each column over sessions last - lookback to last, on the first one's basis.

    Returns:
        (lookback + 1, n); all NaN when the market does not reach back that far.
    """
    begin = last - lookback
    if begin < 0:
        return np.full((lookback + 1, len(columns)), np.nan)
    shape = (lookback + 1, len(market.symbols))
    ratio, cash = np.ones(shape), np.zeros(shape)
    for position in range(begin + 1, last + 1):
        if position in market.events.ratios:
            change = market.events.ratios[position]
            ratio[position - begin, change.columns] *= change.values
        for paid in market.events.cash(position):
            cash[position - begin, paid.columns] += paid.values
    split = np.cumprod(ratio[:, columns], axis=0)
    price = _carried(market.close[begin : last + 1, columns] * split)
    step = np.ones_like(price)
    step[1:] = 1.0 - cash[1:, columns] * split[1:] / price[:-1]
    return price / np.cumprod(step, axis=0)


def momentum(market: Market, reference: int, lookback: int, skip: int, columns: IntArray) -> FloatArray:
    """Total return from `lookback` to `skip` sessions before the reference session."""
    prices = total_return_prices(market, reference, lookback, columns)
    earned: FloatArray = prices[lookback - skip] / prices[0] - 1.0
    return earned


def volatility(market: Market, reference: int, lookback: int, columns: IntArray) -> FloatArray:
    """Annualised standard deviation (n - 1) of the log total returns of the window; NaN where it is zero."""
    returns = np.diff(np.log(total_return_prices(market, reference, lookback, columns)), axis=0)
    deviation = returns.std(axis=0, ddof=1) * np.sqrt(SESSIONS_PER_YEAR)
    return np.where(deviation > 0, deviation, np.nan)


def _carried(values: FloatArray) -> FloatArray:
    """Last known value of each column; NaN before the first."""
    row = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    return np.take_along_axis(values, np.maximum.accumulate(row, axis=0), axis=0)
