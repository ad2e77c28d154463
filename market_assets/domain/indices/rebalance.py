"""A new composition: from the reference session's data to index shares that count from the next open.

S&P DJI "Index Mathematics Methodology": target weights are set with the prices of the reference session,
the shares that follow from them take effect after the close of the rebalance, and the divisor is rescaled
at that close's prices. Until then weights drift, so with a reference session before the effective close the
opening weights differ from the targets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from market_assets.domain.indices.arrays import BoolArray, FloatArray, IntArray
from market_assets.domain.indices.book import Book
from market_assets.domain.indices.rates import require_rates
from market_assets.domain.indices.results import DivisorChange, Rebalance
from market_assets.domain.indices.run import Run
from market_assets.domain.indices.selection import eligible, select
from market_assets.domain.indices.weighting import Reference, index_shares, measure, target_weights
from market_assets.errors import InputError


class Composition(NamedTuple):
    """Chosen columns, increasing, with the data they were chosen on; shares are on the effective close's basis."""

    columns: IntArray
    weights: FloatArray
    shares: FloatArray
    reference: Reference


def found_index(run: Run) -> Book:
    """The first composition, at the close of the base date, with the level at the base value."""
    definition, base = run.definition, run.base
    chosen = compose(run, base, base, np.empty(0, np.int64), run.member[base])
    price, fx = run.market.close[base, chosen.columns], run.market.fx_at(base, chosen.columns)
    level = definition.base_value
    book = Book(
        definition.id,
        chosen.columns,
        chosen.shares.copy(),
        price,
        fx,
        np.zeros(len(price), np.int64),
        divisor=np.nan,
        price_return=level,
        total_return=level,
        net_total_return=level,
    )
    worth = book.market_value()
    book.divisor = worth / level
    names = run.recorder.names(chosen.columns)
    run.recorder.divisor_change(DivisorChange(base, "base", np.nan, book.divisor, np.nan, worth, _listed("+", names)))
    run.recorder.rebalance(_record(base, base, base, chosen, names, (), np.nan))
    return book


def renew(run: Run, book: Book, position: int, leaving: BoolArray) -> None:
    """Replace the composition before the open of `position`, at the prices of the close before it.

    Args:
        leaving: (N,) names known at this open to leave the market or the universe; they are not chosen.

    Raises:
        InputError: no name can be chosen.
    """
    effective = position - 1
    reference = max(0, effective - run.definition.rebalance.reference_offset)
    candidates = run.member[reference] & run.member[position] & ~leaving
    candidates[book.columns[book.price <= 0]] = False
    chosen = compose(run, reference, effective, book.columns, candidates)
    held, places = book.find(chosen.columns)
    price, fx = run.market.close[effective, chosen.columns], run.market.fx_at(effective, chosen.columns)
    price[held], fx[held] = book.price[places], book.fx[places]
    carried = np.zeros(len(price), np.int64)
    carried[held] = book.carried[places]

    before = book.market_value()
    change = np.zeros(len(run.market.symbols))
    change[book.columns] = -book.values() / before
    gone = book.columns[~np.isin(book.columns, chosen.columns)]
    book.columns, book.shares = chosen.columns, chosen.shares.copy()
    book.price, book.fx, book.carried = price, fx, carried
    change[book.columns] += book.values() / book.market_value()
    turnover = 0.5 * math.fsum(np.abs(change).tolist())
    additions, deletions = run.recorder.names(chosen.columns[~held]), run.recorder.names(gone)
    detail = " ".join(
        part
        for part in (
            f"reference {run.recorder.day(reference)}, turnover {turnover:.4f}",
            _listed("+", additions),
            _listed("-", deletions),
        )
        if part
    )
    book.revalue(run.recorder, position, "rebalance", before, detail)
    run.recorder.rebalance(_record(position, effective, reference, chosen, additions, deletions, turnover))


def compose(run: Run, reference: int, effective: int, held: IntArray, candidates: BoolArray) -> Composition:
    """Choose, weight and size.

    Args:
        reference, effective: positions of the reference session and of the close the shares are for.
        held: columns held now. They may be chosen at a carried price; others must have traded at both
            sessions.
        candidates: (N,) universe members that may be chosen.

    Raises:
        InputError: no candidate passes, one has no exchange rate, or caps that this number of names cannot meet.
    """
    definition, market = run.definition, run.market
    columns = np.flatnonzero(candidates)
    traded = np.isfinite(market.close[reference, columns]) & np.isfinite(market.close[effective, columns])
    columns = columns[traded | np.isin(columns, held)]
    for position in (reference, effective):
        require_rates(run, position, columns)
    columns = columns[eligible(definition, market, reference, columns)]
    columns = columns[_measurable(measure(definition, market, reference, columns))]
    columns = select(definition, market, reference, columns, np.isin(columns, held))
    if not len(columns):
        raise InputError(
            f"index {definition.id}: no universe member can be a constituent at {run.recorder.day(effective)} "
            f"(reference {run.recorder.day(reference)}). Of {int(candidates.sum())} candidates none has the price, "
            "history and data that eligibility, selection and weighting ask for; check base_date, the universe and "
            "the inputs."
        )
    data = measure(definition, market, reference, columns)
    weights = target_weights(definition, data)
    shares = index_shares(definition, data, weights)
    if definition.weighting.kind != "price":
        shares = shares * market.events.ratio_between(reference, effective, columns)
    return Composition(columns, weights, shares, data)


def _measurable(data: Reference) -> BoolArray:
    known = np.isfinite(data.price) & np.isfinite(data.fx) & np.isfinite(data.size)
    return known & (np.nan_to_num(data.size) > 0)


def _record(
    position: int,
    effective: int,
    reference: int,
    chosen: Composition,
    additions: tuple[str, ...],
    deletions: tuple[str, ...],
    turnover: float,
) -> Rebalance:
    data = chosen.reference
    return Rebalance(
        position,
        effective,
        reference,
        chosen.columns,
        additions,
        deletions,
        turnover,
        chosen.weights,
        chosen.shares,
        data.price,
        data.fx,
        data.size,
    )


def _listed(sign: str, names: tuple[str, ...]) -> str:
    return " ".join(f"{sign}{name}" for name in names)
