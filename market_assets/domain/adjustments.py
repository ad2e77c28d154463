"""Price adjustment for corporate actions: as-traded bars in, factors and adjusted bars out, and the way back.

Belongs here: which kinds of action move a price series, the session at which each takes effect, split and
total-return factors, and the conversion of a vendor's adjusted frame to as-traded. Does not belong here:
reading or storing bars, choosing between sources, index arithmetic.

Conventions (CRSP, "Data Description Guide", Adjusted Data; Yahoo help SLN28256, "What is the adjusted
close?"):

- An action takes effect at the first session of its symbol on or after the ex-date. At or before the symbol's
  first session it changes nothing: there is no earlier price to bring onto the new basis.
- Split factor of a session: 1 / product of the ratios that take effect later. A stock dividend of v new
  shares per old share is a split of ratio 1 + v.
- Dividend factor of one ex-date: 1 - D / P, with P the last as-traded close before it. D is per share as
  traded on the ex-date; where a split lies between that close and the ex-date (or on it), D is first
  multiplied by the ratio, to be on the share basis of P. Distributions that take effect at one session are
  added, then divided.
- Fully adjusted price = as-traded x split_factor x dividend_factor; both factors are 1 at the last session.
  Adjusted volume = as-traded / split_factor: dividends do not change share counts.
- The forward factors count the same events from the first session (1 there): forward-adjusted price =
  as-traded x forward_split_factor x forward_dividend_factor. A later event never changes an earlier value
  of them, and factor(t) = forward(t) / forward(last).
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.errors import InputError, SchemaMismatch

PriceBasis = Literal["as_traded", "split_adjusted", "adjusted"]

SPLIT_KINDS: Final = ("split", "stock_dividend")
CASH_KINDS: Final = ("cash_dividend", "special_dividend", "spin_off")
NEUTRAL_KINDS: Final = ("symbol_change", "delisting", "merger_cash", "merger_stock", "rights")
"""Kinds that leave the adjusted series as it is; index portfolios follow them (indices/events.py)."""
PRICE_COLUMNS: Final = ("open", "high", "low", "close")

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SMALL_PRICE: Final = 0.01

_DAYS_PER_SYMBOL: Final = 10_000_000  # above any day number, so that symbol code x this + day sorts by both


def adjustment_factors(bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """Factors that turn as-traded prices into adjusted prices, one row per bar.

    Args:
        bars: as-traded bars sorted by (symbol, session), unique; needs symbol, session, close. A missing
            close (NaN) is read as the last known one of its symbol.
        actions: symbol, ex_date, kind, value; one row per (symbol, ex_date, kind). Symbols without bars are
            ignored.

    Returns:
        symbol, session and float64 columns: split_ratio (new shares per old share that take effect at the
        session, 1.0 if none), cash_amount (cash per share on the share basis of the close before, 0.0 if
        none), split_factor, dividend_factor, forward_split_factor, forward_dividend_factor. Rows and index
        as in `bars`.

    Raises:
        InputError: an action of unknown kind, with an impossible value, or given twice; a distribution at or
            above the price it is paid from.
        SchemaMismatch: a missing column, or bars out of order.
    """
    keys, code = _bar_keys(bars)
    split, cash = _events(bars, actions)
    first = np.searchsorted(code, np.arange(code[-1] + 1 if len(code) else 0))

    row = np.searchsorted(keys, split["key"])
    live = _inside(row, split, code) & (row > first[split["code"]])
    ratio = np.ones(len(keys))
    np.multiply.at(ratio, row[live], split["value"].to_numpy()[live])

    row = np.searchsorted(keys, cash["key"])
    live = _inside(row, cash, code) & (row > first[cash["code"]])
    cash, row = cash[live], row[live]
    # D is per share of its ex-date: bring it onto the share basis of the close before.
    amount = cash["value"].to_numpy() * _splits_through(split, cash["key"]) / _splits_through(split, keys[row - 1])
    paid = np.zeros(len(keys))
    np.add.at(paid, row, amount)
    close = bars["close"].groupby(code).ffill().to_numpy(np.float64)
    _refuse_unpayable(cash, paid[row], close[row - 1])
    step = np.ones(len(keys))
    step[row] = 1.0 - paid[row] / close[row - 1]

    forward_split = pd.Series(ratio).groupby(code).cumprod()
    forward_dividend = 1.0 / pd.Series(step).groupby(code).cumprod()
    return pd.DataFrame(
        {
            "symbol": bars["symbol"].array,
            "session": bars["session"].array,
            "split_ratio": ratio,
            "cash_amount": paid,
            "split_factor": forward_split / forward_split.groupby(code).transform("last"),
            "dividend_factor": forward_dividend / forward_dividend.groupby(code).transform("last"),
            "forward_split_factor": forward_split,
            "forward_dividend_factor": forward_dividend,
        }
    ).set_axis(bars.index)


def adjust(bars: pd.DataFrame, actions: pd.DataFrame, *, dividends: bool = True) -> pd.DataFrame:
    """As-traded bars on the basis of each symbol's last session: splits and, with `dividends`, total return.

    Open, high, low and close are multiplied by the factors; volume is divided by the split factor only. Other
    columns are kept. Raises as `adjustment_factors`.
    """
    factors = adjustment_factors(bars, actions)
    split = factors["split_factor"].to_numpy()
    price = split * factors["dividend_factor"].to_numpy() if dividends else split
    return _scaled(bars, price=price, volume=1.0 / split)


def to_as_traded(
    bars: pd.DataFrame, actions: pd.DataFrame, basis: PriceBasis, *, decimals: int | None = None
) -> pd.DataFrame:
    """Undo a vendor's adjustment with the vendor's own list of events.

    Pass only events that the vendor has applied: those up to the day the frame was fetched, also where they
    lie after the frame's last bar (a split of 2014 is inside a split-adjusted bar of 2013).

    For `adjusted`, the dividend factor F is recovered from the adjusted closes A alone. With d a
    distribution on the share basis of the frame, e its ex-date and p the session before, F(p) = F(e) x (1 -
    d x F(p) / A(p)), so 1 / F(p) = 1 / F(e) + d / A(p), and 1 / F(t) = 1 + sum of d / A(p) over the
    ex-dates after t.

    Args:
        bars: vendor frame sorted by (symbol, session), unique. Price columns, and volume if present, are
            converted; other columns are kept.
        actions: symbol, ex_date, kind, value. Ratio for splits; cash per share as traded on the ex-date.
        basis: what the vendor's prices are. Volume is split-adjusted in both adjusted bases.
        decimals: round prices to this many decimals, those below 0.01 to six more, and volumes to whole
            shares. After each new split a vendor's adjusted floats differ in their last digits; rounded,
            they do not look like a restatement.

    Raises:
        InputError: as `adjustment_factors`; also, for `adjusted`, a distribution after a symbol's last bar:
            the close it was divided by is not in the frame.
        SchemaMismatch: as `adjustment_factors`.
        ValueError: unknown `basis`.
    """
    if basis not in get_args(PriceBasis):
        raise ValueError(f"unknown price basis {basis!r}; allowed: {', '.join(get_args(PriceBasis))}")
    keys, code = _bar_keys(bars)
    if basis == "as_traded":
        return bars.copy()
    split, cash = _events(bars, actions)
    splits = _splits_after(split, keys)
    if basis == "split_adjusted":
        return _scaled(bars, price=splits, volume=1.0 / splits, decimals=decimals)

    row = np.searchsorted(keys, cash["key"])
    late = ~_inside(row, cash, code)
    if late.any():
        raise InputError(
            f"{_named(cash[late].iloc[0])} lies after the last bar of a frame in basis 'adjusted': the close "
            "it was divided by is missing. Fetch bars through that date, or use the vendor's split-adjusted prices."
        )
    live = row > np.searchsorted(code, cash["code"])
    cash, row = cash[live], row[live]
    close = bars["close"].groupby(code).ffill().to_numpy(np.float64)
    term = np.zeros(len(keys))
    np.add.at(term, row - 1, cash["value"].to_numpy() / _splits_after(split, cash["key"]) / close[row - 1])
    dividends = 1.0 + pd.Series(term[::-1]).groupby(code[::-1]).cumsum().to_numpy()[::-1]
    return _scaled(bars, price=splits * dividends, volume=1.0 / splits, decimals=decimals)


def _bar_keys(bars: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Sortable (symbol, day) key and symbol code of each row; codes count symbols in order of appearance."""
    _require(bars, ("symbol", "session", "close"), "bars")
    code = pd.factorize(bars["symbol"])[0].astype(np.int64)
    keys = _key(code, bars["session"])
    wrong = np.flatnonzero(np.diff(keys) <= 0)
    if len(wrong):
        row = bars.iloc[int(wrong[0]) + 1]
        raise SchemaMismatch(
            f"bars are not sorted by (symbol, session) without duplicates: see {row['symbol']} "
            f"{row['session']:%Y-%m-%d}. Sort them and keep one source per bar."
        )
    return keys, code


def _events(bars: pd.DataFrame, actions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Checked splits and cash events of the symbols in `bars`, sorted by `key`; ratios and amounts in `value`."""
    _require(actions, ("symbol", "ex_date", "kind", "value"), "actions")
    symbols = pd.Index(bars["symbol"].unique())
    table = actions.loc[actions["symbol"].isin(symbols), ["symbol", "ex_date", "kind", "value"]]
    _refuse_bad_actions(table)
    code = symbols.get_indexer(pd.Index(table["symbol"])).astype(np.int64)
    ratio = table["value"].astype(np.float64) + (table["kind"] == "stock_dividend")
    table = table.assign(code=code, key=_key(code, table["ex_date"]), value=ratio)
    table = table.sort_values(["key", "kind"], ignore_index=True)
    return table[table["kind"].isin(SPLIT_KINDS)], table[table["kind"].isin(CASH_KINDS)]


def _splits_after(split: pd.DataFrame, keys: npt.ArrayLike) -> FloatArray:
    """Product of the ratios of the key's symbol with an ex-date later than the key's day."""
    product = split["value"][::-1].groupby(split["code"][::-1]).cumprod().to_numpy()[::-1]
    at = np.searchsorted(split["key"], np.asarray(keys, np.int64), side="right")
    return _product_at(product, split["code"], at, keys)


def _splits_through(split: pd.DataFrame, keys: npt.ArrayLike) -> FloatArray:
    """Product of the ratios of the key's symbol with an ex-date on or before the key's day."""
    product = split["value"].groupby(split["code"]).cumprod().to_numpy()
    at = np.searchsorted(split["key"], np.asarray(keys, np.int64), side="right") - 1
    return _product_at(product, split["code"], at, keys)


def _product_at(product: FloatArray, code: pd.Series, at: npt.NDArray[np.intp], keys: npt.ArrayLike) -> FloatArray:
    """The product at each split position; 1 where that position belongs to another symbol or to none."""
    same = np.append(code, -1)[at] == np.asarray(keys, np.int64) // _DAYS_PER_SYMBOL
    return np.where(same, np.append(product, 1.0)[at], 1.0)


def _inside(row: npt.NDArray[np.intp], events: pd.DataFrame, code: IntArray) -> npt.NDArray[np.bool_]:
    """Whether the row found for each event belongs to its symbol: the event is not after the last bar."""
    found: npt.NDArray[np.bool_] = np.append(code, -1)[row] == events["code"].to_numpy()
    return found


def _refuse_bad_actions(actions: pd.DataFrame) -> None:
    known = (*SPLIT_KINDS, *CASH_KINDS, *NEUTRAL_KINDS)
    value = actions["value"].astype(np.float64)
    for bad, problem in (
        (~actions["kind"].isin(known), f"is of a kind that has no rule; known kinds: {', '.join(known)}"),
        (
            ~actions["kind"].isin(NEUTRAL_KINDS) & ~(np.isfinite(value) & (value > 0)),
            "needs a value above zero",
        ),
        (actions.duplicated(["symbol", "ex_date", "kind"]), "is given twice; keep one source per event"),
    ):
        if bad.any():
            row = actions[bad].iloc[0]
            raise InputError(f"{_named(row)} and value {row['value']} {problem}.")


def _refuse_unpayable(cash: pd.DataFrame, paid: FloatArray, close: FloatArray) -> None:
    bad = np.flatnonzero(~(paid < close))
    if len(bad):
        i = int(bad[0])
        raise InputError(
            f"{_named(cash.iloc[i])} pays {paid[i]:g} a share out of a previous close of {close[i]:g}; a "
            "distribution must be below the price. Check its amount, currency and unit at the source."
        )


def _named(event: pd.Series) -> str:
    return f"{event['symbol']}: {event['kind']} with ex-date {pd.Timestamp(event['ex_date']):%Y-%m-%d}"


def _require(frame: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise SchemaMismatch(f"{name} lacks {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}.")


def _key(code: IntArray, dates: pd.Series) -> IntArray:
    return code * _DAYS_PER_SYMBOL + dates.to_numpy("datetime64[D]").astype(np.int64)


def _rounded(prices: FloatArray, decimals: int) -> FloatArray:
    """Prices in `decimals`, those below a cent in six more: before a 1:10000 reverse split a share cost little."""
    rounded: FloatArray = np.where(prices < SMALL_PRICE, np.round(prices, decimals + 6), np.round(prices, decimals))
    return rounded


def _scaled(bars: pd.DataFrame, *, price: FloatArray, volume: FloatArray, decimals: int | None = None) -> pd.DataFrame:
    out = bars.copy()
    for column in PRICE_COLUMNS:
        if column in out.columns:
            values = out[column].to_numpy(np.float64) * price
            out[column] = values if decimals is None else _rounded(values, decimals)
    if "volume" in out.columns:
        shares = out["volume"].to_numpy(np.float64) * volume
        out["volume"] = shares if decimals is None else np.rint(shares)
    return out
