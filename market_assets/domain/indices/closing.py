"""Levels, weights and contributions over consecutive closes with the same shares.

S&P DJI "Index Mathematics Methodology": level = sum(price x shares x fx) / divisor; index dividend =
sum(dividend x shares x fx) / divisor; total return level(t) = level(t-1) x (price level(t) + index
dividend(t)) / price level(t-1), net total return with the dividends after tax. Contribution of a
constituent = change of its market value over the session, against its value at the open, / market value at
the open; they sum to the price return.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from market_assets.domain.indices.arrays import FloatArray, IntArray
from market_assets.domain.indices.book import Book
from market_assets.domain.indices.rates import require_rates
from market_assets.domain.indices.results import Block, Level
from market_assets.domain.indices.run import Run
from market_assets.errors import InputError


def close_sessions(run: Run, book: Book, begin: int, end: int, prices: Mapping[int, float]) -> int:
    """Value the book at sessions begin to end - 1 and record them.

    Args:
        prices: column -> price that overrides the market's at `begin`; the block is then that session alone.

    Returns:
        the position after the last session valued: `end`, or earlier when a price has been missing for too
        long and the rule has to be applied before that session.
    """
    quotes = _quotes(run, book, begin, begin + 1 if prices else end, prices)
    opening = book.values()
    values = quotes.price * book.shares * quotes.fx
    worth = [math.fsum(row) for row in values.tolist()]
    if not min(worth) > 0:
        day = run.recorder.day(begin + worth.index(0.0))
        raise InputError(
            f"index {book.index_id}: its constituents are worth nothing at {day}. "
            "Check prices and delistings; an index that lost everything cannot go on."
        )
    before = np.array([math.fsum(opening.tolist()), *worth[:-1]])
    previous = np.concatenate([opening[None, :], values[:-1]])
    run.recorder.block(
        Block(
            begin,
            book.columns,
            book.shares.copy(),
            values / np.array(worth)[:, None],
            quotes.price,
            (values - previous) / before[:, None],
            quotes.fx,
            quotes.carried,
        )
    )
    for row, market_value in enumerate(worth):
        _chain(run, book, begin + row, market_value, quotes.fx[row])
    book.price, book.fx, book.carried = quotes.price[-1].copy(), quotes.fx[-1].copy(), quotes.carried[-1].copy()
    return begin + len(worth)


def record_base(run: Run, book: Book) -> None:
    """The rows of the base date: the base value, weights, no contribution."""
    values, worth = book.values(), book.market_value()
    row = (1, len(values))
    run.recorder.block(
        Block(
            run.base,
            book.columns,
            book.shares.copy(),
            (values / worth).reshape(row),
            book.price.copy().reshape(row),
            np.zeros(row),
            book.fx.copy().reshape(row),
            book.carried.copy().reshape(row),
        )
    )
    level = (book.price_return, book.total_return, book.net_total_return)
    run.recorder.level(Level(run.base, *level, book.divisor, worth, len(values)))


class _Quotes(NamedTuple):
    """(sessions, n) prices, rates and sessions carried."""

    price: FloatArray
    fx: FloatArray
    carried: IntArray


def _quotes(run: Run, book: Book, begin: int, end: int, prices: Mapping[int, float]) -> _Quotes:
    """The block's prices with gaps carried, cut before the first session whose gap exceeds the limit."""
    market, rule = run.market, run.definition.missing_price
    price = market.close[begin:end, book.columns]
    for column, value in prices.items():
        price[0, book.places(np.array([column]))] = value
    carried = np.zeros(price.shape, np.int64)
    if np.isnan(price).any():
        carried = _gap_lengths(price, book.carried)
        price = _filled(price, book.price)
        late = (carried > rule.limit).any(axis=1)
        if rule.then != "keep" and late.any():
            # The rule was applied to the first session before it opened; what it left there may stay.
            cut = max(1, int(np.argmax(late)))
            price, carried = price[:cut], carried[:cut]
    if market.fx is None:
        return _Quotes(price, np.ones(price.shape), carried)
    fx = market.fx[begin : begin + len(price), book.columns]
    missing = np.isnan(fx).any(axis=1)
    if missing.any():
        require_rates(run, begin + int(np.argmax(missing)), book.columns)
    return _Quotes(price, fx, carried)


def _filled(values: FloatArray, first: FloatArray) -> FloatArray:
    """Gaps take the last value above them, or `first`."""
    if not np.isnan(values).any():
        return values
    stacked = np.concatenate([first[None, :], values])
    row = np.where(np.isnan(stacked), 0, np.arange(len(stacked))[:, None])
    return np.take_along_axis(stacked, np.maximum.accumulate(row, axis=0), axis=0)[1:]


def _gap_lengths(values: FloatArray, before: IntArray) -> IntArray:
    """Sessions since the last value, continuing the counts `before` the first row."""
    number = np.arange(1, len(values) + 1)[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, number), axis=0)
    return np.where(last == 0, before + number, number - last)


def _chain(run: Run, book: Book, position: int, market_value: float, fx: FloatArray) -> None:
    """Levels of one session from those of the session before."""
    gross, net = _index_dividend(run, book, position, fx)
    level, before = market_value / book.divisor, book.price_return
    book.total_return *= (level + gross) / before
    book.net_total_return *= (level + net) / before
    book.price_return = level
    run.recorder.level(
        Level(
            position,
            level,
            book.total_return,
            book.net_total_return,
            book.divisor,
            market_value,
            len(book.columns),
        )
    )


def _index_dividend(run: Run, book: Book, position: int, fx: FloatArray) -> tuple[float, float]:
    """Regular dividends with this ex-date, in index points, before and after tax."""
    paid = run.market.events.dividends.get(position)
    if paid is None:
        return 0.0, 0.0
    held, places = book.find(paid.columns)
    gross = paid.values[held] * book.shares[places] * fx[places]
    net = gross * run.kept_share[paid.columns[held]]
    return math.fsum(gross.tolist()) / book.divisor, math.fsum(net.tolist()) / book.divisor
