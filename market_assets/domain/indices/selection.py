"""Which universe members become constituents: universe filters, eligibility, ranking with buffers.

Everything here is measured at the reference session, from it and the sessions before it.
"""

from __future__ import annotations

import numpy as np

from market_assets.domain.indices.arrays import BoolArray, FloatArray, IntArray
from market_assets.domain.indices.definition import IndexDefinition
from market_assets.domain.indices.market import Market
from market_assets.domain.indices.rules import Selection, UniverseFilter
from market_assets.domain.indices.statistics import momentum, volatility


def in_universe(rule: UniverseFilter, market: Market) -> BoolArray:
    """Symbols (N,) whose fixed facts pass the universe filters."""
    passing = np.ones(len(market.symbols), np.bool_)
    for allowed, values in (
        (rule.exchanges, market.exchange),
        (rule.currencies, market.currency),
        (rule.symbols, market.symbols),
    ):
        if allowed:
            passing &= np.isin(np.array(values), allowed)
    return passing


def eligible(definition: IndexDefinition, market: Market, reference: int, columns: IntArray) -> BoolArray:
    """Whether each column has the history, price and liquidity asked for."""
    rule, limit = definition.eligibility, definition.missing_price.limit
    first = reference - rule.minimum_history + 1
    if first < 0:
        return np.zeros(len(columns), np.bool_)
    passing: BoolArray = np.isfinite(market.price_at(first, columns, limit))
    if rule.minimum_price > 0:
        # A gap at the reference session fails: an unknown price is not above the floor.
        passing &= market.close[reference, columns] >= rule.minimum_price
    if rule.median_traded_value > 0:
        passing &= _median_traded_value(market, reference, rule.traded_value_sessions, columns) >= (
            rule.median_traded_value
        )
    return passing


def select(definition: IndexDefinition, market: Market, reference: int, columns: IntArray, held: BoolArray) -> IntArray:
    """Chosen ones among eligible columns.

    Args:
        columns: eligible columns, increasing.
        held: which of them are constituents now, for the exit buffer.

    Returns:
        the chosen columns, increasing. Names for which the ranking cannot be measured are not chosen.
    """
    rule = definition.selection
    if rule.kind == "all":
        return columns
    score = _score(definition, market, reference, columns)
    order = np.argsort(-score, kind="stable")  # ties in symbol order; NaN sorts last
    order = order[np.isfinite(score[order])]
    return np.sort(columns[_with_buffers(rule, order, held)])


def _with_buffers(rule: Selection, order: IntArray, held: BoolArray) -> IntArray:
    """Positions chosen from `order`, best first: automatic entries, constituents inside the exit rank, the rest."""
    entering = order[: rule.entry]
    staying = order[rule.entry : rule.exit]
    staying = staying[held[staying]]
    chosen = np.concatenate([entering, staying])[: rule.count]
    rest = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, rest[: rule.count - len(chosen)]])


def _score(definition: IndexDefinition, market: Market, reference: int, columns: IntArray) -> FloatArray:
    """Higher is better; NaN where it cannot be measured."""
    rule = definition.selection
    if rule.kind == "momentum":
        return momentum(market, reference, rule.lookback, rule.skip, columns)
    if rule.kind == "low_volatility":
        return -volatility(market, reference, rule.lookback, columns)
    shares = market.free_float_shares(reference, columns, free_float=definition.weighting.free_float)
    price = market.price_at(reference, columns, definition.missing_price.limit)
    return shares * price * market.fx_at(reference, columns)


def _median_traded_value(market: Market, reference: int, sessions: int, columns: IntArray) -> FloatArray:
    """Median of close x volume in index currency over the window; a session without a trade counts as zero."""
    if market.volume is None:
        return np.full(len(columns), np.nan)
    rows = slice(max(0, reference - sessions + 1), reference + 1)
    value = market.close[rows, columns] * market.volume[rows, columns]
    if market.fx is not None:
        value = value * market.fx[rows, columns]
    return np.median(np.nan_to_num(value), axis=0)
