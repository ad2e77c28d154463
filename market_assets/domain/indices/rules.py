"""The rules an index definition is made of, each with its defaults and what makes a value impossible.

Belongs here: dataclasses of one rule each and `DefinitionError`. The definition that holds them is definition.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

Frequency = Literal["daily", "monthly", "quarterly", "semi_annual", "annual", "never"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("monday", "tuesday", "wednesday", "thursday", "friday")
SelectionKind = Literal["all", "market_cap", "momentum", "low_volatility"]
WeightingKind = Literal["equal", "price", "market_cap", "inverse_volatility", "fixed", "factor"]

_MONTHS: Final[Mapping[Frequency, tuple[int, ...]]] = MappingProxyType(
    {
        "monthly": tuple(range(1, 13)),
        "quarterly": (3, 6, 9, 12),
        "semi_annual": (6, 12),
        "annual": (12,),
        "daily": (),
        "never": (),
    }
)
_MONTHS_EXPECTED: Final[Mapping[Frequency, int]] = MappingProxyType({"quarterly": 4, "semi_annual": 2, "annual": 1})


class DefinitionError(ValueError):
    """A value no index can have.

    Attributes:
        key: dotted path of the value inside the definition.
        value: what was given.
        reason: why it cannot be.
    """

    def __init__(self, key: str, value: object, reason: str) -> None:
        self.key = key
        self.value = value
        self.reason = reason
        super().__init__(f"{key} = {value!r}: {reason}")


def check(holds: bool, key: str, value: object, reason: str) -> None:
    """Raise DefinitionError unless the condition holds."""
    if not holds:
        raise DefinitionError(key, value, reason)


@dataclass(frozen=True, kw_only=True)
class UniverseFilter:
    """Which universe members may be constituents; an empty tuple does not restrict."""

    exchanges: tuple[str, ...] = ()
    currencies: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Eligibility:
    """What a universe member must show at the reference session.

    Attributes:
        minimum_history: sessions of history: it had a price, at most `missing_price.limit` sessions old, this many
            sessions ago, the reference session being the first.
        minimum_price: as-traded close, in the security's currency.
        median_traded_value: close x volume in the index currency, median over `traded_value_sessions`.
        traded_value_sessions: sessions in that median.
    """

    minimum_history: int = 1
    minimum_price: float = 0.0
    median_traded_value: float = 0.0
    traded_value_sessions: int = 63

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check(self.minimum_history >= 1, "eligibility.minimum_history", self.minimum_history, "at least 1 session")
        check(self.minimum_price >= 0, "eligibility.minimum_price", self.minimum_price, "must not be negative")
        value = self.median_traded_value
        check(value >= 0, "eligibility.median_traded_value", value, "must not be negative")
        sessions = self.traded_value_sessions
        check(sessions >= 1, "eligibility.traded_value_sessions", sessions, "at least 1 session")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which eligible members become constituents.

    Ranks count from 1, best first: largest free-float market cap, highest momentum, lowest volatility. With
    buffers, every member ranked at or above `entry` enters, then constituents ranked at or above `exit`
    stay, then the best of the rest fill up to `count` (S&P DJI, buffer rules such as 80/120 for 100 names).

    Attributes:
        kind: `all` takes every eligible member.
        count: names wanted; all eligible ones when fewer.
        entry: rank of automatic entry; 0 = count, that is: no buffer.
        exit: rank a constituent may fall to; 0 = count.
        lookback: sessions of the momentum or volatility window (252 = one year).
        skip: latest sessions left out of momentum (21 gives the usual 12-1).
    """

    kind: SelectionKind = "all"
    count: int = 0
    entry: int = 0
    exit: int = 0
    lookback: int = 252
    skip: int = 21

    def __post_init__(self) -> None:
        """Refuse impossible values; fill the buffers."""
        if self.kind == "all":
            check(self.count == 0, "selection.count", self.count, "selection `all` takes no count")
            return
        check(self.count >= 1, "selection.count", self.count, f"selection `{self.kind}` needs a count of at least 1")
        object.__setattr__(self, "entry", self.entry or self.count)
        object.__setattr__(self, "exit", self.exit or self.count)
        check(0 < self.entry <= self.count, "selection.entry", self.entry, f"1 to count ({self.count})")
        check(self.exit >= self.count, "selection.exit", self.exit, f"at least count ({self.count})")
        check(self.lookback >= 2, "selection.lookback", self.lookback, "at least 2 sessions")
        check(0 <= self.skip < self.lookback, "selection.skip", self.skip, f"0 to lookback - 1 ({self.lookback - 1})")


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """How much of each constituent the index holds after a rebalance.

    Attributes:
        kind: `price` holds one share of each; `market_cap` the free-float shares; the others a notional
            portfolio.
        free_float: market_cap only: multiply shares outstanding by the free-float factor.
        cap: largest weight of one constituent, 1 = none. 0.10 with the group limits below is 5/10/40.
        group_threshold: weights above it are large; 0 = no group limit.
        group_limit: largest sum of the large weights.
        lookback: sessions of the window of inverse_volatility.
        weights: symbol -> weight, for `fixed`; scaled to 1 over the names present.
        factor: name of the score in the market, for `factor`; weight is proportional to the positive score.
    """

    kind: WeightingKind = "equal"
    free_float: bool = True
    cap: float = 1.0
    group_threshold: float = 0.0
    group_limit: float = 1.0
    lookback: int = 252
    weights: Mapping[str, float] = field(default_factory=dict)
    factor: str = ""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check(0 < self.cap <= 1, "weighting.cap", self.cap, "above 0, up to 1 (a share, not per cent)")
        capped = self.cap < 1 or self.group_threshold > 0
        check(not capped or self.kind != "price", "weighting.cap", self.cap, "a price-weighted index has no caps")
        limit = self.group_limit
        check(0 < limit <= 1, "weighting.group_limit", limit, "above 0, up to 1 (a share, not per cent)")
        if self.group_threshold:
            threshold = self.group_threshold
            check(0 < threshold < self.cap, "weighting.group_threshold", threshold, f"above 0, below cap ({self.cap})")
            check(limit < 1, "weighting.group_limit", limit, "needed with group_threshold")
        else:
            check(limit == 1, "weighting.group_limit", limit, "needs group_threshold")
        check(self.lookback >= 2, "weighting.lookback", self.lookback, "at least 2 sessions")
        check(
            (self.kind == "fixed") == bool(self.weights),
            "weighting.weights",
            dict(self.weights),
            "given exactly when kind is `fixed`",
        )
        for symbol, weight in self.weights.items():
            check(0 < weight <= 1, f"weighting.weights.{symbol}", weight, "above 0, up to 1")
        total = sum(self.weights.values())
        check(not self.weights or abs(total - 1) < 1e-9, "weighting.weights", total, "weights must sum to 1")
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        check((self.kind == "factor") == bool(self.factor), "weighting.factor", self.factor, "given for `factor` only")

    @property
    def is_notional(self) -> bool:
        """Whether shares are those of a notional portfolio, not a count that exists in the market."""
        return self.kind not in {"price", "market_cap"}


@dataclass(frozen=True, kw_only=True)
class RebalanceSchedule:
    """When the composition is renewed, always after a close: the new shares count from the next session.

    Attributes:
        frequency: how often; `daily` is every session, `never` keeps the composition of the base date.
        months: months of the year, of a quarterly, semi-annual or annual schedule; empty = the usual ones.
        weekday: with `nth`, the day in the month; None = the last session of the month.
        nth: 1 to 5, or -1 for the last such weekday. A day without a session gives the session before it.
        reference_offset: sessions between the reference session, whose data decide, and the effective close.
    """

    frequency: Frequency = "quarterly"
    months: tuple[int, ...] = ()
    weekday: Weekday | None = None
    nth: int = 0
    reference_offset: int = 0

    def __post_init__(self) -> None:
        """Refuse impossible values; fill the usual months."""
        months = self.months or _MONTHS[self.frequency]
        check(all(1 <= month <= 12 for month in months), "rebalance.months", self.months, "1 to 12")
        check(len(set(months)) == len(months), "rebalance.months", self.months, "a month appears twice")
        expected = _MONTHS_EXPECTED.get(self.frequency)
        check(
            not self.months or len(months) == expected,
            "rebalance.months",
            self.months,
            f"a {self.frequency} schedule takes {expected} months" if expected else f"not for {self.frequency}",
        )
        object.__setattr__(self, "months", tuple(sorted(months)))
        dated = bool(months)
        check(self.weekday is None or dated, "rebalance.weekday", self.weekday, f"not for {self.frequency}")
        check(self.weekday is None or self.weekday in WEEKDAYS, "rebalance.weekday", self.weekday, ", ".join(WEEKDAYS))
        check((self.nth != 0) == (self.weekday is not None), "rebalance.nth", self.nth, "given together with weekday")
        check(self.nth in {-1, 0, 1, 2, 3, 4, 5}, "rebalance.nth", self.nth, "1 to 5, or -1 for the last")
        offset = self.reference_offset
        check(offset >= 0, "rebalance.reference_offset", offset, "sessions before the effective close, 0 or more")


@dataclass(frozen=True, kw_only=True)
class WithholdingTax:
    """Tax on regular dividends in the net total return: a rate by country of the security, else the default."""

    default: float = 0.0
    by_country: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for key, rate in (("default", self.default), *self.by_country.items()):
            name = "withholding_tax.default" if key == "default" else f"withholding_tax.by_country.{key}"
            check(0 <= rate <= 1, name, rate, "a share from 0 to 1, not per cent")
        object.__setattr__(self, "by_country", MappingProxyType(dict(self.by_country)))


@dataclass(frozen=True, kw_only=True)
class MissingPrice:
    """A constituent without a price keeps its last one for `limit` sessions in a row; then the rule applies.

    `delete_at_last` takes it out at the carried price, `delete_at_zero` lets it fall to zero in the level
    first, `keep` carries on until the next rebalance, which does not choose a name without a price,
    `refuse` raises.
    """

    limit: int = 20
    then: Literal["delete_at_last", "delete_at_zero", "keep", "refuse"] = "delete_at_last"

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check(self.limit >= 0, "missing_price.limit", self.limit, "sessions, 0 or more")


@dataclass(frozen=True, kw_only=True)
class Restatement:
    """How long a level may still be changed by a correction of what it was calculated from.

    Attributes:
        open_days: trading days of the index, the latest ones, whose levels a correction recalculates. Older levels
            are frozen as published, and what they would be is stored beside them. None = no level is ever frozen.
    """

    open_days: int | None = None

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        days = self.open_days
        check(days is None or days >= 0, "restatement.open_days", days, "trading days, 0 or more")


@dataclass(frozen=True, kw_only=True)
class FastEntry:
    """A new universe member enters between rebalances once it has been a member for `after` sessions.

    `rank` requires a free-float market cap among the largest so many of the universe; 0 = no requirement.
    """

    after: int = 5
    rank: int = 0

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check(self.after >= 1, "fast_entry.after", self.after, "at least 1 session")
        check(self.rank >= 0, "fast_entry.rank", self.rank, "0 or more")
