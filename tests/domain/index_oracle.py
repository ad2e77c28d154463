"""A second calculation of a monthly rebalanced index, independent of the engine.

It knows no shares and no divisor: only the fraction of wealth in each name, moved from session to session by returns,
and scaled back to 1 whenever a name comes, goes or distributes. Slow, plain, one name at a time.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from market_assets.domain.indices import MarketFrames


def chained_returns(frames: MarketFrames, weighting: str, *, limit: int, to_zero: bool, tax: float) -> pd.DataFrame:
    """Price, total and net total return from 100, one row per session; `weighting` is equal, price or market_cap."""
    wealth = _Wealth(frames, weighting, limit, to_zero)
    level = np.array([100.0, 100.0, 100.0])
    rows = [level]
    for number in range(1, len(wealth.days)):
        growth, income = wealth.step(number)
        level = level * np.array([growth, growth + income, growth + income * (1 - tax)])
        rows.append(level)
    return pd.DataFrame(rows, columns=["price_return", "total_return", "net_total_return"])


class _Wealth:
    """Fractions of wealth, and what is known of each name so far."""

    def __init__(self, frames: MarketFrames, weighting: str, limit: int, to_zero: bool) -> None:
        self.days = list(frames.sessions)
        self.weighting, self.limit, self.to_zero = weighting, limit, to_zero
        self.actions: dict[tuple[str, int, str], list[float]] = {}
        for row in frames.actions.itertuples():
            number = int(np.searchsorted(frames.sessions, row.ex_date))
            self.actions.setdefault((row.symbol, number, row.kind), []).append(row.value)
        self.price = {(row.symbol, row.session): row.close for row in frames.bars.itertuples()}
        self.count = dict(zip(frames.shares["symbol"], frames.shares["shares"], strict=True))
        members = frames.members.set_index("symbol")
        self.begins, self.ends = members["member_from"], members["member_to"].fillna(pd.Timestamp("2100-01-01"))
        self.last: dict[str, float] = {}
        self.gap: dict[str, int] = {}
        self.finished: set[str] = set()
        self.held: dict[str, float] = {}
        for name in self.count:
            self.count[name] *= self._ratio(name, 0)
        self._look(0)
        self._rebalance([name for name in self.last if self._member(name, self.days[0])])

    def step(self, number: int) -> tuple[float, float]:
        """Growth of wealth and dividend income of one session, per unit of wealth at its open."""
        day, before = self.days[number], self.days[number - 1]
        if day.month != before.month and number > 1:
            self._rebalance([name for name in self.begins.index if self._may_enter(name, number)])
        self.held = {name: part for name, part in self.held.items() if not self._leaves(name, number)}
        start = self._adjust_for_actions(number)
        growth, income = {}, 0.0
        for name, part in self.held.items():
            end = self._close(name, number, start[name])
            income += part * sum(self._due(name, number, "cash_dividend")) / start[name]
            growth[name] = part * end / start[name]
            self.last[name] = end
        total = math.fsum(growth.values())
        self.held = {name: part / total for name, part in growth.items()}
        self._look(number)
        return total, income

    def _member(self, name: str, day: pd.Timestamp) -> bool:
        return bool(self.begins[name] <= day <= self.ends[name])

    def _due(self, name: str, number: int, *kinds: str) -> list[float]:
        """Values of one name's actions that take effect at a session."""
        return [value for kind in kinds for value in self.actions.get((name, number, kind), [])]

    def _ratio(self, name: str, number: int) -> float:
        stock = [1 + value for value in self._due(name, number, "stock_dividend")]
        return math.prod([*self._due(name, number, "split"), *stock])

    def _delisted(self, name: str, number: int) -> bool:
        """At the last price: the close before was the last session."""
        return any(math.isnan(worth) for worth in self._due(name, number, "delisting"))

    def _may_enter(self, name: str, number: int) -> bool:
        day, before = self.days[number], self.days[number - 1]
        known = self._member(name, before) and self._member(name, day) and name not in self.finished
        quoted = (name, before) in self.price or (name in self.held and self.gap[name] <= self.limit)
        return known and quoted and not self._delisted(name, number)

    def _leaves(self, name: str, number: int) -> bool:
        silent = (name, self.days[number]) not in self.price and self.gap[name] >= self.limit and not self.to_zero
        gone = name in self.finished or self._delisted(name, number)
        return gone or not self._member(name, self.days[number]) or silent

    def _rebalance(self, names: list[str]) -> None:
        size = dict.fromkeys(names, 1.0)
        if self.weighting != "equal":
            size = {
                name: self.last[name] * (self.count[name] if self.weighting == "market_cap" else 1) for name in names
            }
        self.held = {name: size[name] / math.fsum(size.values()) for name in names}

    def _adjust_for_actions(self, number: int) -> dict[str, float]:
        """Price each return of the session starts from; special distributions are spread over all names."""
        start = {}
        for name, before in list(self.last.items()):
            ratio = self._ratio(name, number)
            self.last[name] = before / ratio
            self.count[name] *= ratio
            if name not in self.held:
                continue
            if self.weighting == "price":
                self.held[name] /= ratio  # one share, whatever it was split into
            start[name] = self.last[name] - sum(self._due(name, number, "special_dividend", "spin_off"))
            self.held[name] *= start[name] / self.last[name]
        for name in self.count.keys() - self.last.keys():
            self.count[name] *= self._ratio(name, number)
        total = math.fsum(self.held.values())
        self.held = {name: part / total for name, part in self.held.items()}
        return start

    def _close(self, name: str, number: int, start: float) -> float:
        worth = self._due(name, number, "delisting")
        if worth:
            self.finished.add(name)
            return worth[0]
        if (name, self.days[number]) in self.price:
            return self.price[name, self.days[number]]
        if self.gap[name] >= self.limit and self.to_zero:
            self.finished.add(name)
            return 0.0
        return start

    def _look(self, number: int) -> None:
        """Take note of the session's prices, also of names that are not held."""
        for name in self.begins.index:
            if (name, self.days[number]) in self.price:
                self.last[name], self.gap[name] = self.price[name, self.days[number]], 0
                if name not in self.held:
                    self.finished.discard(name)
            elif name in self.gap:
                self.gap[name] += 1
