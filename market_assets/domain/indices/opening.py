"""Everything that changes an index before a session opens, in the order it is applied.

1. Symbol changes. 2. The rebalance, if the close before was one. 3. Names that leave: delisted or merged
away, out of the universe, or without a price for too long. 4. Fast entries. 5. Corporate actions with this
ex-date. All of it happens at the prices of the close before, so that the level does not move; what flows
through the level (a delisting at zero) is the price of the session that follows.
"""

from __future__ import annotations

import numpy as np

from market_assets.domain.indices import corporate_actions
from market_assets.domain.indices.arrays import BoolArray, FloatArray, IntArray
from market_assets.domain.indices.book import Book
from market_assets.domain.indices.rates import require_rates
from market_assets.domain.indices.rebalance import renew
from market_assets.domain.indices.run import Run
from market_assets.errors import InputError


def open_session(run: Run, book: Book, position: int) -> dict[int, float]:
    """Bring the book to the open of a session.

    Returns:
        prices that override the market's at this session's close: column -> price in the symbol's currency.

    Raises:
        InputError: see the functions of each step.
    """
    corporate_actions.rename(run, book, position)
    leaving = _leaving_market(run, position)
    if run.renews[position] and position - 1 != run.base:
        renew(run, book, position, leaving)
    _delete(run, book, position, "delisting", leaving[book.columns] | (book.price <= 0))
    if run.definition.membership_end == "immediate":
        _delete(run, book, position, "deletion", ~run.member[position, book.columns])
    prices = _without_price(run, book, position) | _last_worth(run, book, position)
    _fast_entries(run, book, position, leaving)
    estimates = corporate_actions.apply(run, book, position)
    untraded = {name: price for name, price in estimates.items() if np.isnan(run.market.close[position, name])}
    return prices | untraded


def _leaving_market(run: Run, position: int) -> BoolArray:
    """Names (N,) whose last session was the one before: delisted at the last price, or past their stated last worth."""
    leaving = np.zeros(len(run.market.symbols), np.bool_)
    now, before = run.market.events.exits.get(position), run.market.events.exits.get(position - 1)
    if now is not None:
        leaving[now.columns[np.isnan(now.values)]] = True
    if before is not None:
        leaving[before.columns[np.isfinite(before.values)]] = True
    return leaving


def _last_worth(run: Run, book: Book, position: int) -> dict[int, float]:
    """Stated last worth of names that leave after this session."""
    exits = run.market.events.exits.get(position)
    if exits is None:
        return {}
    stated = np.isfinite(exits.values) & book.holds(exits.columns)
    return dict(zip(exits.columns[stated].tolist(), exits.values[stated].tolist(), strict=True))


def _without_price(run: Run, book: Book, position: int) -> dict[int, float]:
    """Apply the definition's rule to names carried for longer than its limit."""
    rule = run.definition.missing_price
    if rule.then == "keep":
        return {}
    late = (book.carried >= rule.limit) & np.isnan(run.market.close[position, book.columns])
    if not late.any():
        return {}
    if rule.then == "refuse":
        raise InputError(
            f"index {book.index_id}: {', '.join(run.recorder.names(book.columns[late]))} had no price for more than "
            f"{rule.limit} sessions at {run.recorder.day(position)}. Load the missing bars, add a delisting or end "
            "the membership, or choose another missing_price rule."
        )
    if rule.then == "delete_at_zero":
        return dict.fromkeys(book.columns[late].tolist(), 0.0)
    _delete(run, book, position, "missing_price", late)
    return {}


def _delete(run: Run, book: Book, position: int, reason: str, leaving: BoolArray) -> None:
    """Take constituents out at the last price; the others keep their shares."""
    if not leaving.any():
        return
    names = run.recorder.names(book.columns[leaving])
    before = book.market_value()
    book.keep(~leaving)
    book.revalue(run.recorder, position, reason, before, " ".join(f"-{name}" for name in names))


def _fast_entries(run: Run, book: Book, position: int, leaving: BoolArray) -> None:
    """Add universe members that have been so for `after` sessions, at the last close."""
    rule = run.definition.fast_entry
    if rule is None or position - rule.after - 1 < 0:
        return
    joined = run.member[position - rule.after] & ~run.member[position - rule.after - 1]
    new = joined & run.member[position - rule.after : position + 1].all(axis=0) & ~leaving
    new &= np.isfinite(run.market.close[position - 1])
    new[book.columns] = False
    columns = np.flatnonzero(new)
    require_rates(run, position - 1, columns)
    price, fx = run.market.close[position - 1, columns], run.market.fx_at(position - 1, columns)
    shares = _entry_shares(run, book, position - 1, columns, price * fx)
    entering = np.isfinite(shares) & _large_enough(run, position - 1, columns)
    if not entering.any():
        return
    columns, before = columns[entering], book.market_value()
    book.add(columns, shares[entering], price[entering], fx[entering])
    names = " ".join(f"+{name}" for name in run.recorder.names(columns))
    book.revalue(run.recorder, position, "fast_entry", before, names)


def _entry_shares(run: Run, book: Book, close: int, columns: IntArray, worth: FloatArray) -> FloatArray:
    kind = run.definition.weighting.kind
    if kind == "price":
        return np.ones(len(columns))
    if kind == "market_cap":
        return run.market.free_float_shares(close, columns, free_float=run.definition.weighting.free_float)
    return book.market_value() / len(book.columns) / worth


def _large_enough(run: Run, close: int, columns: IntArray) -> BoolArray:
    """Whether each column's free-float market cap is among the largest `rank` of the universe."""
    rule, market = run.definition.fast_entry, run.market
    if rule is None or rule.rank == 0:
        return np.ones(len(columns), np.bool_)
    every = np.arange(len(market.symbols))
    shares = market.free_float_shares(close, every, free_float=run.definition.weighting.free_float)
    size = np.nan_to_num(shares * market.close[close] * market.fx_at(close, every)) * run.member[close]
    rank = (size[None, :] > size[columns, None]).sum(axis=1) + 1
    return np.asarray(rank <= rule.rank)
