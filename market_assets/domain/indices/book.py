"""The running index portfolio: what is held, at which prices, and the levels so far.

Belongs here: the mutable position the engine carries from session to session, its market value, and the one
way a divisor changes. Every sum is `math.fsum`: correctly rounded, so that no result depends on the order
of constituents or on how many sessions are computed at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from market_assets.domain.indices.arrays import BoolArray, FloatArray, IntArray
from market_assets.domain.indices.results import DivisorChange, Recorder
from market_assets.errors import InputError


@dataclass
class Book:
    """Constituents and levels after a close, or after the adjustments made before an open.

    Attributes:
        columns: (n,) market columns held, increasing.
        shares: (n,) index shares.
        price: (n,) last price, as traded, in the symbol's currency.
        fx: (n,) index currency per unit at that session; 1 in a market of one currency.
        carried: (n,) sessions since the price was real.
        divisor, price_return, total_return, net_total_return: of the last close; the divisor is renewed by
            changes.
    """

    index_id: str
    columns: IntArray
    shares: FloatArray
    price: FloatArray
    fx: FloatArray
    carried: IntArray
    divisor: float
    price_return: float
    total_return: float
    net_total_return: float

    def values(self) -> FloatArray:
        """Market value of each constituent in index currency."""
        return self.price * self.shares * self.fx

    def market_value(self) -> float:
        """Sum of the values, correctly rounded."""
        return math.fsum(self.values().tolist())

    def holds(self, columns: IntArray) -> BoolArray:
        """Which of these columns are constituents."""
        held, _ = self.find(columns)
        return held

    def find(self, columns: IntArray) -> tuple[BoolArray, IntArray]:
        """Which of these columns are constituents, and where those stand in the arrays."""
        at = np.minimum(np.searchsorted(self.columns, columns), len(self.columns) - 1)
        held = self.columns[at] == columns
        return held, at[held]

    def places(self, columns: IntArray) -> IntArray:
        """Where held columns stand in the arrays; every one must be held."""
        return np.searchsorted(self.columns, columns).astype(np.int64)

    def keep(self, kept: BoolArray) -> None:
        """Drop the constituents where `kept` is False."""
        self.columns, self.shares, self.price = self.columns[kept], self.shares[kept], self.price[kept]
        self.fx, self.carried = self.fx[kept], self.carried[kept]

    def add(self, columns: IntArray, shares: FloatArray, price: FloatArray, fx: FloatArray) -> None:
        """Add constituents that are not held yet."""
        order = np.argsort(np.concatenate([self.columns, columns]), kind="stable")
        self.columns = np.concatenate([self.columns, columns])[order]
        self.shares = np.concatenate([self.shares, shares])[order]
        self.price = np.concatenate([self.price, price])[order]
        self.fx = np.concatenate([self.fx, fx])[order]
        self.carried = np.concatenate([self.carried, np.zeros(len(columns), np.int64)])[order]

    def rename(self, old: int, new: int) -> None:
        """Move the position of one column to another that is not held."""
        columns = np.where(self.columns == old, new, self.columns)
        order = np.argsort(columns, kind="stable")
        self.columns, self.shares, self.price = columns[order], self.shares[order], self.price[order]
        self.fx, self.carried = self.fx[order], self.carried[order]

    def revalue(self, recorder: Recorder, position: int, reason: str, before: float, detail: str) -> None:
        """Rescale the divisor so that the level of the last close stands, and record the change.

        Args:
            before: market value before the change, at the same prices.

        Raises:
            InputError: nothing of value is left, so no divisor gives the level.
        """
        after = self.market_value()
        if not after > 0:
            raise InputError(
                f"index {self.index_id}: no constituent of value is left at {recorder.day(position)} after {reason} "
                f"({detail}). Check the universe's membership and prices around that session."
            )
        divisor = after / self.price_return if after != before else self.divisor
        recorder.divisor_change(DivisorChange(position, reason, self.divisor, divisor, before, after, detail))
        self.divisor = divisor
