"""Index calculation by the divisor method.

`calculate(definition, market)` gives levels, constituents, divisor changes and rebalances as frames of the
`indices` tables; `calculate(definition, market, state)` continues from a stored session. The modules, in
the order a reader needs
them: definition, parse (configuration), schedule (rebalance calendar), events, rates and market (inputs), selection,
statistics, weighting, capping (a composition), rebalance, corporate_actions, opening, closing, engine,
book, run (the calculation), state and results (its outputs), explanation and performance (what they say).
"""

from market_assets.domain.indices.definition import IndexDefinition
from market_assets.domain.indices.engine import calculate
from market_assets.domain.indices.market import Market, MarketFrames
from market_assets.domain.indices.parse import parse_definition
from market_assets.domain.indices.results import IndexResult
from market_assets.domain.indices.rules import DefinitionError
from market_assets.domain.indices.state import IndexState

__all__ = [
    "DefinitionError",
    "IndexDefinition",
    "IndexResult",
    "IndexState",
    "Market",
    "MarketFrames",
    "calculate",
    "parse_definition",
]
