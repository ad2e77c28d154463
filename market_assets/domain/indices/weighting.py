"""Target weights and index shares of a composition at its reference session.

Sources: S&P DJI "Index Mathematics Methodology" (Equal Weighted Indices; Capped Market Capitalization
Indices; Price Weighted Indices), with AWF the additional weight factor that turns a target weight into
shares. Capping is capping.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from market_assets.domain.indices.arrays import FloatArray, IntArray
from market_assets.domain.indices.capping import capped_weights
from market_assets.domain.indices.definition import IndexDefinition
from market_assets.domain.indices.market import Market
from market_assets.domain.indices.statistics import volatility
from market_assets.errors import InputError


class Reference(NamedTuple):
    """What a weighting reads of the chosen names at the reference session.

    price is in the symbol's currency, fx turns it into index currency, size is what the weights are
    proportional to before capping (1 for equal, market cap, 1 / volatility, fixed weight, factor score).
    """

    price: FloatArray
    fx: FloatArray
    size: FloatArray


def measure(definition: IndexDefinition, market: Market, reference: int, columns: IntArray) -> Reference:
    """Prices and sizes of the columns; a NaN or a size that is not positive means: cannot be weighted.

    Raises:
        InputError: the scores of a factor weighting are not there.
    """
    price = market.price_at(reference, columns, definition.missing_price.limit)
    fx = market.fx_at(reference, columns)
    return Reference(price, fx, _size(definition, market, reference, columns, price * fx))


def target_weights(definition: IndexDefinition, reference: Reference) -> FloatArray:
    """Weights at the reference session, summing to 1.

    Raises:
        InputError: caps that this number of names cannot meet.
    """
    rule = definition.weighting
    if rule.kind == "price":
        worth = reference.price * reference.fx
        return worth / math.fsum(worth.tolist())
    free = reference.size / math.fsum(reference.size.tolist())
    return capped_weights(free, cap=rule.cap, threshold=rule.group_threshold, limit=rule.group_limit)


def index_shares(definition: IndexDefinition, reference: Reference, weights: FloatArray) -> FloatArray:
    """Shares that have these weights at the reference prices.

    price: 1 each. market_cap: free-float shares x AWF, AWF = capped weight / free weight. Others: weight x
    notional / price, with the notional of the definition in index currency.
    """
    if definition.weighting.kind == "price":
        return np.ones(len(weights))
    worth = reference.price * reference.fx
    if definition.weighting.kind == "market_cap":
        total = math.fsum(reference.size.tolist())
        factor = weights / (reference.size / total)
        return reference.size / worth * factor
    return weights * definition.notional / worth


def _size(
    definition: IndexDefinition, market: Market, reference: int, columns: IntArray, worth: FloatArray
) -> FloatArray:
    rule = definition.weighting
    if rule.kind == "market_cap":
        return market.free_float_shares(reference, columns, free_float=rule.free_float) * worth
    if rule.kind == "inverse_volatility":
        return 1.0 / volatility(market, reference, rule.lookback, columns)
    if rule.kind == "fixed":
        return np.array([rule.weights.get(market.symbols[column], np.nan) for column in columns.tolist()], np.float64)
    if rule.kind == "factor":
        if rule.factor not in market.scores:
            raise InputError(
                f"index {definition.id}: there are no scores named {rule.factor!r} (weighting.factor) up to "
                f"{market.sessions[-1]}; there are {', '.join(sorted(market.scores)) or 'none'}. They come from the "
                "file that reference.factor_scores names."
            )
        scores: FloatArray = market.scores[rule.factor][reference, columns]
        return scores
    return np.ones(len(columns))
