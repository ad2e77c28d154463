"""What stays fixed during one calculation: the definition, the market, and what they imply together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market_assets.domain.indices.arrays import BoolArray, FloatArray
from market_assets.domain.indices.definition import IndexDefinition
from market_assets.domain.indices.market import Market
from market_assets.domain.indices.results import Recorder
from market_assets.domain.indices.schedule import opens_new_composition
from market_assets.domain.indices.selection import in_universe
from market_assets.errors import InputError


@dataclass(frozen=True, eq=False)
class Run:
    """One calculation.

    Attributes:
        member: (T, N) membership of the index's own universe: that of the market, filtered.
        renews: (T,) whether a session opens with a new composition.
        kept_share: (N,) 1 - withholding tax.
        base: position of the base date, -1 when it lies before the market's sessions.
    """

    definition: IndexDefinition
    market: Market
    recorder: Recorder
    member: BoolArray
    renews: BoolArray
    kept_share: FloatArray
    base: int

    @classmethod
    def of(cls, definition: IndexDefinition, market: Market, last: int) -> Run:
        """Work out what the definition and the market imply for a calculation through position `last`.

        Raises:
            InputError: no session at all, or a base date that lies between two of them.
        """
        if last < 0:
            raise InputError(f"index {definition.id}: the market holds no session up to the one asked for.")
        base_day = np.datetime64(definition.base_date, "D")
        base = market.position(base_day)
        if base < 0 and market.sessions[0] < base_day < market.sessions[last]:
            after = market.sessions[market.sessions > base_day][0]
            raise InputError(f"index {definition.id}: base_date {base_day} is not a session; the next one is {after}.")
        tax = definition.withholding_tax
        return cls(
            definition=definition,
            market=market,
            recorder=Recorder(definition.id, market.sessions, market.symbols),
            member=market.member & in_universe(definition.universe, market),
            renews=opens_new_composition(definition.rebalance, market.sessions),
            kept_share=np.array([1.0 - tax.by_country.get(name, tax.default) for name in market.country], np.float64),
            base=base,
        )

    def breaks(self, begin: int, end: int) -> list[int]:
        """Positions in (begin, end] at whose open the composition, shares or divisor may change, and end + 1.

        More than those that do: an event of a name that is not held ends a block early and changes nothing.
        """
        events = self.market.events
        found = set(events.positions())
        # A stated last worth is the price of its session, and the name goes at the next open; so does a new
        # company that is no universe member, after the first session it is held.
        found.update(position + 1 for position in (*events.exits, *events.spin_offs))
        found.update(np.flatnonzero(self.renews[: end + 1]).tolist())
        fast = self.definition.fast_entry.after if self.definition.fast_entry else 0
        first = max(0, begin - fast)
        rows = self.member[first : end + 1]
        changed = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1)) + first + 1
        found.update(changed.tolist())
        if fast:
            found.update((changed + fast).tolist())
        return [*sorted(position for position in found if begin < position <= end), end + 1]
