"""One session of an index taken apart: from its stored rows to who moved it and who changed.

Belongs here: what follows from rows of index_value and index_constituent alone. Nothing is calculated again from
prices, so the answer is about the level that was published, even after its inputs were corrected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from market_assets.errors import SchemaMismatch

HOLDING_COLUMNS: Final = (
    "symbol",
    "shares",
    "price",
    "fx_rate",
    "opening_weight",
    "symbol_return",
    "contribution",
    "weight",
    "carried_sessions",
)
CHANGE_COLUMNS: Final = ("symbol", "change", "shares_before", "shares")
ROUNDING: Final = 1e-12
RETURNS: Final = ("price_return", "total_return", "net_total_return")


@dataclass(frozen=True, eq=False)
class Explanation:
    """What made a level.

    Attributes:
        index_id: the index.
        session: the session explained.
        previous: the one before it; None at the base date.
        levels: level, previous level (NaN at the base date) and change of each return type, indexed by RETURNS.
        divisor, market_value: of the session.
        dividend_points: regular dividends of the session in index points, NaN at the base date.
        holdings: HOLDING_COLUMNS, the largest contribution first. fx_rate is index currency per unit of the price's;
            opening_weight is the share in the market value at the open, after the session's changes; symbol_return the
            return from there, in index currency, splits and special distributions adjusted for (NaN for a new company
            held at zero); opening_weight x symbol_return = contribution.
        changes: CHANGE_COLUMNS: `added`, `deleted`, or `resized` against the session before, by symbol.
        unexplained: price return minus the sum of contributions: rounding.
    """

    index_id: str
    session: pd.Timestamp
    previous: pd.Timestamp | None
    levels: pd.DataFrame
    divisor: float
    market_value: float
    dividend_points: float
    holdings: pd.DataFrame
    changes: pd.DataFrame
    unexplained: float


def explain_session(values: pd.DataFrame, constituents: pd.DataFrame) -> Explanation:
    """Take the last session of `values` apart.

    Args:
        values: rows of indices.index_value of one index, the session and, unless it is the base date, the one before.
        constituents: rows of indices.index_constituent of these sessions.

    Raises:
        SchemaMismatch: the rows are not those of one index, or constituents are missing.
    """
    if len(set(values["index_id"])) != 1:
        raise SchemaMismatch("an explanation needs the rows of one index: those of a session and the one before it")
    ordered = values.sort_values("session").tail(2)
    last, first = ordered.iloc[-1], len(ordered) == 1
    before = None if first else ordered.iloc[0]
    own = _constituents_of(last, constituents)
    opening_value = _opening_value(last, before)
    holdings = _holdings(own, opening_value)
    change = np.nan if before is None else last["price_return"] / before["price_return"] - 1.0
    return Explanation(
        index_id=str(last["index_id"]),
        session=pd.Timestamp(last["session"]),
        previous=None if before is None else pd.Timestamp(before["session"]),
        levels=_levels(last, before),
        divisor=float(last["divisor"]),
        market_value=float(last["market_value"]),
        dividend_points=np.nan if before is None else _dividend_points(last, before),
        holdings=holdings,
        changes=_changes(own, own if before is None else _constituents_of(before, constituents)),
        unexplained=0.0 if before is None else float(change - holdings["contribution"].sum()),
    )


def _constituents_of(value: pd.Series, constituents: pd.DataFrame) -> pd.DataFrame:
    own: pd.DataFrame = constituents[constituents["session"] == value["session"]]
    if len(own) != value["constituents"]:
        raise SchemaMismatch(
            f"index {value['index_id']} has {value['constituents']} constituents on {value['session']:%Y-%m-%d}, but "
            f"{len(own)} rows of index_constituent were given"
        )
    return own


def _levels(last: pd.Series, before: pd.Series | None) -> pd.DataFrame:
    level = last[list(RETURNS)].astype(np.float64)
    previous = level * np.nan if before is None else before[list(RETURNS)].astype(np.float64)
    return pd.DataFrame({"level": level, "previous": previous, "change": level / previous - 1.0})


def _dividend_points(last: pd.Series, before: pd.Series) -> float:
    """ID(t) from TR(t) = TR(t-1) x (PR(t) + ID(t)) / PR(t-1); zero where only rounding is left."""
    growth = last["total_return"] / before["total_return"]
    points = float(growth * before["price_return"] - last["price_return"])
    return points if abs(points) > ROUNDING * last["price_return"] else 0.0


def _opening_value(last: pd.Series, before: pd.Series | None) -> float:
    """Market value at the open: the divisor was set so that it gives the level of the close before."""
    return np.nan if before is None else float(last["divisor"] * before["price_return"])


def _holdings(own: pd.DataFrame, opening_value: float) -> pd.DataFrame:
    value = own["shares"] * own["price"] * own["fx_rate"]
    opened = value - own["contribution"] * opening_value
    # A company held at zero since its spin-off has no return; what remains of its value is rounding.
    worthless = opened.abs() <= ROUNDING * opening_value
    symbol_return = (value / opened.where(~worthless) - 1.0).where(~worthless)
    opening_weight = (opened / opening_value).where(~worthless, 0.0)
    found = own.assign(
        opening_weight=opening_weight if np.isfinite(opening_value) else np.nan, symbol_return=symbol_return
    )
    found = found.sort_values(["contribution", "weight", "symbol"], ascending=[False, False, True], ignore_index=True)
    return found[list(HOLDING_COLUMNS)]


def _changes(own: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    held = {"shares_before": before.set_index("symbol")["shares"], "shares": own.set_index("symbol")["shares"]}
    both = pd.DataFrame(held).rename_axis("symbol").sort_index()
    kind = np.select(
        [both["shares_before"].isna(), both["shares"].isna(), both["shares"] != both["shares_before"]],
        ["added", "deleted", "resized"],
        default="",
    )
    changed = both.assign(change=kind).reset_index()
    return changed[changed["change"] != ""].reset_index(drop=True)[list(CHANGE_COLUMNS)]
