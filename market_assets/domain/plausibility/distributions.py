"""Dividends that the prices, or the vendor's own adjusted closes, contradict.

    dividend_above_price   at least the close before: no company pays that; proposed a hundredth, if that is below it
    dividend_100x          the vendor's adjusted closes took a hundredth of it; a hundredth is proposed
    repeated_dividend      nearly the same amount was paid days before, and the price fell for one of both only
    dividend_not_adjusted  a warning: the vendor's adjusted closes ignore it. The bars are right, and so may the
                           dividend be: the platform makes its own adjustment

An adjusted close is only evidence here: it is never stored, and nothing is calculated from it. It is none where

- it is missing, zero or negative, or so small that the vendor's rounding is a part of it that counts (COARSE);
- the dividend is in another currency than the prices;
- the price itself moves by a factor of SCALE at the ex-date: then a bar is in doubt, and the dividend cannot be told.

At the last bar of a symbol, adjusted closes that ignore the dividend are no finding yet: vendors may bring them up to
date after the ex-date, and the next answer has a bar after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.domain.plausibility.series import CASH, DAYS, BarSeries, BoolArray, FloatArray, IntArray, days_of

ACTION_RULES: Final[Mapping[str, str]] = {
    "dividend_above_price": "the dividend is not below the close before its ex-date",
    "dividend_100x": "the vendor's adjusted closes took a hundredth of the dividend: pence against pounds",
    "repeated_dividend": "nearly the same dividend went ex days before, and the price fell for one of both only",
}
"""Rule that holds an action back -> what it means, in the order in which they are tried."""

ACTION_WARNINGS: Final[Mapping[str, str]] = {
    "dividend_not_adjusted": "the vendor's adjusted closes ignore the dividend",
}

TELLING: Final = 0.005
"""Part of the price from which a dividend that adjusted closes ignore can be told from the vendor's rounding."""

IGNORED: Final = 0.1
"""Part of a dividend up to which adjusted closes have ignored it."""

COARSE: Final = 0.05
"""Adjusted close below which rounding to four decimals, as EODHD and Alpha Vantage do, hides a dividend of TELLING: two
of them are off by up to 0.1 % each."""

SCALE: Final = 3.0
"""Factor between the closes at an ex-date beyond which one of them is on another scale."""

HUNDREDTH: Final = (0.005, 0.02)
"""Part of a dividend that adjusted closes took when its unit is wrong."""

REPEATED_DAYS: Final = 5
"""Days within which nobody pays twice; some funds pay every seven days."""

REPEATED_ALIKE: Final = 0.15
"""Part by which two statements of one dividend differ at most: by the day's exchange rate, for example."""

REPEATED_YIELD: Final = 0.02
"""Part of the price from which the fall at the ex-date stands out from the market's noise."""

BOTH_FELL: Final = 1.5
"""Falls at both ex-dates, in dividends, from which both were paid."""


@dataclass(frozen=True)
class DividendFindings:
    """What was found in the dividends of one answer.

    Attributes:
        rule: rule each action is held back under, "" for none; on the index of the actions.
        warning: rule each stored action is warned of, "" for none; on the same index.
        proposals: column value, for the actions a known repair exists for; on their index.
    """

    rule: pd.Series
    warning: pd.Series
    proposals: pd.DataFrame


def examine_dividends(bars: pd.DataFrame, actions: pd.DataFrame, adjusted: pd.DataFrame) -> DividendFindings:
    """Find faulty dividends.

    Args:
        bars: as traded, by symbol and session, one row each: symbol, session, close and the other values of a bar,
            currency.
        actions: ACTION_COLUMNS; values as traded on the ex-date.
        adjusted: symbol, session, adjusted_close: the vendor's fully adjusted closes; may be empty.
    """
    rule = pd.Series("", index=actions.index, dtype="str")
    warning = rule.copy()
    value = pd.Series(np.nan, index=actions.index)
    cash = actions[actions["kind"].isin(CASH) & (actions["value"] > 0)].sort_values(
        ["symbol", "ex_date"], kind="stable"
    )
    if len(cash) and len(bars):
        paid = _Paid.of(cash, bars, actions, adjusted)
        broken = {
            "dividend_above_price": paid.amount >= paid.before,
            "dividend_100x": paid.alone
            & (paid.amount > TELLING * paid.before)
            & (paid.taken > HUNDREDTH[0] * paid.amount)
            & (paid.taken < HUNDREDTH[1] * paid.amount),
            "repeated_dividend": _repeated(paid),
        }
        for name in reversed(list(ACTION_RULES)):
            rule[paid.index[broken[name]]] = name
        hundredth = broken["dividend_100x"] | (broken["dividend_above_price"] & (paid.amount / 100 < paid.before))
        value[paid.index[hundredth]] = paid.amount[hundredth] / 100
        ignored = paid.alone & (paid.amount > TELLING * paid.before) & (np.abs(paid.taken) < IGNORED * paid.amount)
        ignored &= ~paid.latest
        warning[paid.index[ignored]] = "dividend_not_adjusted"
        warning = warning.mask(rule != "", "")
    return DividendFindings(rule, warning, value.dropna().to_frame("value"))


@dataclass(frozen=True)
class _Paid:
    """Cash distributions that fall between two bars; arrays of shape (distributions,), by symbol and ex-date.

    Attributes:
        index: of each in the frame of actions.
        symbol: code of its symbol.
        day: ex-date as days since 1970.
        kind: its kind.
        amount: cash per share.
        before, close: close before the ex-date on the share basis of the ex-date, and close at it.
        taken: cash per share that the vendor's adjusted closes took off, NaN where they are no evidence.
        alone: no other cash leaves at the same session.
        latest: it takes effect at the last bar of its symbol.
    """

    index: pd.Index
    symbol: IntArray
    day: IntArray
    kind: npt.NDArray[np.object_]
    amount: FloatArray
    before: FloatArray
    close: FloatArray
    taken: FloatArray
    alone: BoolArray
    latest: BoolArray

    @classmethod
    def of(cls, cash: pd.DataFrame, bars: pd.DataFrame, actions: pd.DataFrame, adjusted: pd.DataFrame) -> _Paid:
        nothing = bars.iloc[:0]
        series = BarSeries.build(bars, actions, nothing)
        code = series.symbols.get_indexer(pd.Index(cash["symbol"])).astype(np.int64)
        day = days_of(cash["ex_date"])
        keys = series.code * DAYS + series.day
        row = np.searchsorted(keys, code * DAYS + day)
        inside = (code >= 0) & (np.append(series.code, -1)[row] == code) & np.append(series.follows, False)[row]
        cash, code, day, row = cash[inside], code[inside], day[inside], row[inside]
        before = series.close[row - 1] / series.ratio[row]
        shown = _adjusted_closes(bars, adjusted, np.unique(np.concatenate([row - 1, row])))
        taken = before - shown[row - 1] / shown[row] * series.close[row]
        foreign = cash["currency"].to_numpy(object) != bars["currency"].to_numpy(object)[row]
        taken[foreign | (np.abs(np.log(series.close[row] / before)) > np.log(SCALE))] = np.nan
        amount = cash["value"].to_numpy(np.float64)
        return cls(
            cash.index,
            code,
            day,
            cash["kind"].to_numpy(object),
            amount,
            before,
            series.close[row],
            taken,
            np.isclose(series.cash[row], amount),
            ~np.append(series.follows, False)[row + 1],
        )


def _adjusted_closes(bars: pd.DataFrame, adjusted: pd.DataFrame, rows: npt.NDArray[np.intp]) -> FloatArray:
    """The vendor's adjusted close of each of `rows`, NaN elsewhere and where it gave none that tells anything."""
    shown = np.full(len(bars), np.nan)
    if len(adjusted) and len(rows):
        key = ["symbol", "session"]
        told = bars[key].iloc[rows].assign(row=rows).merge(adjusted[adjusted["adjusted_close"] >= COARSE], on=key)
        first = told.drop_duplicates("row")
        shown[first["row"].to_numpy()] = first["adjusted_close"].to_numpy(np.float64)
    return shown


def _repeated(paid: _Paid) -> BoolArray:
    """Of two nearly equal distributions within days, the one at whose ex-date the price fell less."""
    found = np.zeros(len(paid.amount), bool)
    near = (np.diff(paid.symbol) == 0) & (np.diff(paid.day) <= REPEATED_DAYS) & (paid.kind[1:] == paid.kind[:-1])
    near &= np.abs(np.diff(np.log(paid.amount))) <= REPEATED_ALIKE
    fell = (paid.before - paid.close) / paid.amount
    high = paid.amount >= REPEATED_YIELD * paid.before
    for first in np.flatnonzero(near & high[1:] & high[:-1]):
        if fell[first] + fell[first + 1] < BOTH_FELL:
            found[first if fell[first] < fell[first + 1] else first + 1] = True
    return found
