"""What corporate actions do to the index portfolio before the open of their ex-date.

Sources: S&P DJI "Index Mathematics Methodology" and "Equity Indices Policies & Practices" (treatment by
weighting type).

| action | shares | price of the close before | divisor |
|---|---|---|---|
| split, stock dividend | x ratio | / ratio | stays; price-weighted: shares stay, so it is rescaled |
| special dividend, spin-off not held | stay | - amount | rescaled: the amount is reinvested across the
index | | spin-off held | new name: x shares per share | new name: 0 | stays |
| rights below the price | market cap: x (1 + r); notional: x P / TERP | TERP | market cap and
price-weighted: rescaled | | stock merger | market cap: acquirer + target x ratio | stay | rescaled: the
target leaves |

TERP, the theoretical ex-rights price, is (P + r x subscription price) / (1 + r).
"""

from __future__ import annotations

import numpy as np

from market_assets.domain.indices.book import Book
from market_assets.domain.indices.events import PerShare
from market_assets.domain.indices.run import Run
from market_assets.errors import InputError


def rename(run: Run, book: Book, position: int) -> None:
    """Carry positions over to new symbols.

    Raises:
        InputError: the new symbol has no column, or is held already.
    """
    for change in run.market.events.symbol_changes.get(position, ()):
        if change.column not in book.columns:
            continue
        if change.to < 0 or change.to in book.columns:
            raise InputError(
                f"index {book.index_id}: {run.market.symbols[change.column]} changes its symbol on "
                f"{run.recorder.day(position)}, but the new one is "
                + ("a constituent already." if change.to >= 0 else "not in the universe or its bars; add it.")
            )
        book.rename(change.column, change.to)


def apply(run: Run, book: Book, position: int) -> dict[int, float]:
    """Apply the session's actions.

    Returns:
        prices to use at this session's close where the market has none: column -> price, for new companies
        that have not traded yet.
    """
    _stock_mergers(run, book, position)
    _splits(run, book, position)
    _rights(run, book, position)
    estimates = _spin_offs(run, book, position)
    specials = run.market.events.specials.get(position)
    if specials is not None:
        _distribute(run, book, position, "special_dividend", specials)
    return estimates


def _splits(run: Run, book: Book, position: int) -> None:
    change = _held(book, run.market.events.ratios.get(position))
    if change is None:
        return
    places = book.places(change.columns)
    before = book.market_value()
    book.price[places] /= change.values
    if run.definition.weighting.kind != "price":
        book.shares[places] *= change.values
        return
    book.revalue(run.recorder, position, "split", before, _described(run, change))


def _rights(run: Run, book: Book, position: int) -> None:
    kind = run.definition.weighting.kind
    for offer in run.market.events.rights.get(position, ()):
        if offer.column not in book.columns:
            continue
        place = int(book.places(np.array([offer.column]))[0])
        price = float(book.price[place])
        if offer.price >= price:
            continue  # nobody subscribes above the market
        before = book.market_value()
        ex_rights = (price + offer.shares * offer.price) / (1.0 + offer.shares)
        book.price[place] = ex_rights
        if run.definition.weighting.is_notional:
            book.shares[place] *= price / ex_rights
            continue
        if kind == "market_cap":
            book.shares[place] *= 1.0 + offer.shares
        detail = f"{run.market.symbols[offer.column]} {offer.shares:g} at {offer.price:g}"
        book.revalue(run.recorder, position, "rights", before, detail)


def _spin_offs(run: Run, book: Book, position: int) -> dict[int, float]:
    estimates = {}
    hold = run.definition.spin_offs == "hold" and run.definition.weighting.kind != "price"
    for spin_off in run.market.events.spin_offs.get(position, ()):
        if spin_off.column not in book.columns:
            continue
        if not hold or spin_off.to in book.columns:
            worth = PerShare(np.array([spin_off.column]), np.array([spin_off.value]))
            _distribute(run, book, position, "spin_off", worth)
            continue
        place = book.places(np.array([spin_off.column]))
        before = book.market_value()
        book.add(np.array([spin_off.to]), book.shares[place] * spin_off.shares, np.zeros(1), book.fx[place])
        parent, child = run.market.symbols[spin_off.column], run.market.symbols[spin_off.to]
        book.revalue(run.recorder, position, "spin_off", before, f"+{child} from {parent} {spin_off.shares:g}, at zero")
        estimates[spin_off.to] = spin_off.value / spin_off.shares
    return estimates


def _stock_mergers(run: Run, book: Book, position: int) -> None:
    for merger in run.market.events.stock_mergers.get(position, ()):
        if merger.column not in book.columns:
            continue
        before = book.market_value()
        target = int(book.places(np.array([merger.column]))[0])
        detail = f"-{run.market.symbols[merger.column]}"
        if run.definition.weighting.kind == "market_cap" and merger.to in book.columns:
            acquirer = int(book.places(np.array([merger.to]))[0])
            book.shares[acquirer] += book.shares[target] * merger.shares
            detail += f" into {run.market.symbols[merger.to]} {merger.shares:g}"
        book.keep(np.arange(len(book.columns)) != target)
        book.revalue(run.recorder, position, "merger", before, detail)


def _distribute(run: Run, book: Book, position: int, reason: str, paid: PerShare) -> None:
    """Take a distribution out of the price before the ex-date and rescale, so that the level keeps it."""
    change = _held(book, paid)
    if change is None:
        return
    places = book.places(change.columns)
    over = np.flatnonzero(change.values >= book.price[places])
    if len(over):
        place = places[over[0]]
        raise InputError(
            f"{run.market.symbols[book.columns[place]]}: {reason} of {change.values[over[0]]:g} a share on "
            f"{run.recorder.day(position)} out of a previous close of {book.price[place]:g}; a distribution must be "
            "below the price. Check its amount, currency and unit at the source."
        )
    before = book.market_value()
    book.price[places] -= change.values
    book.revalue(run.recorder, position, reason, before, _described(run, change))


def _held(book: Book, change: PerShare | None) -> PerShare | None:
    """The part of an event that concerns constituents; None if there is none."""
    if change is None:
        return None
    held = book.holds(change.columns)
    return PerShare(change.columns[held], change.values[held]) if held.any() else None


def _described(run: Run, change: PerShare) -> str:
    return " ".join(
        f"{run.market.symbols[column]} {value:g}"
        for column, value in zip(change.columns.tolist(), change.values.tolist(), strict=True)
    )
