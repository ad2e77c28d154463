"""The index calculation: from a definition and a market to levels, constituents and divisor changes.

Belongs here: the loop over sessions and the choice between starting at the base date and continuing from a
stored state. Each session is opened (opening.py: everything that changes the portfolio, at the prices of
the close before) and closed (closing.py: levels and contributions). Closes between two changes are valued
together; the numbers do not depend on how many, so a daily run gives the very bits of a full recomputation.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from market_assets.domain.indices.closing import close_sessions, record_base
from market_assets.domain.indices.definition import IndexDefinition
from market_assets.domain.indices.market import Market
from market_assets.domain.indices.opening import open_session
from market_assets.domain.indices.rebalance import found_index
from market_assets.domain.indices.results import IndexResult
from market_assets.domain.indices.run import Run
from market_assets.domain.indices.state import IndexState
from market_assets.errors import InputError


def calculate(
    definition: IndexDefinition,
    market: Market,
    state: IndexState | None = None,
    upto: date | None = None,
) -> IndexResult:
    """Calculate an index over the sessions after `state`, or from its base date.

    Args:
        definition: the index.
        market: inputs. With a state they must reach `definition.lookback_sessions` sessions back from the
            first new one (or to the base date), and hold every constituent. Nothing after `upto` is read.
        state: the index after an earlier close; None = start at the base date.
        upto: last session to calculate; None = the market's last. Calculating nothing new is not an error.

    Returns:
        frames of the new sessions, and the state after the last one: the given state when there is no new
        session, None before the base date.

    Raises:
        InputError: an input that leaves no meaningful level; the message names index, symbol and session.
    """
    last = _last_position(market, upto)
    run = Run.of(definition, market, last)
    if state is None:
        if np.datetime64(definition.base_date, "D") > market.sessions[last]:
            return run.recorder.result(None)
        if run.base < 0:
            raise InputError(
                f"index {definition.id}: the market begins at {_first_day(market)}, after the base date "
                f"{definition.base_date}. Load bars from the base date, or continue from a stored state."
            )
        book = found_index(run)
        record_base(run, book)
        position = run.base + 1
    else:
        _refuse_short_history(run, state)
        book = state.book(market)
        position = market.position(state.session) + 1
    if position > last:
        return run.recorder.result(state or IndexState.of(book, market, last))
    stops = iter(run.breaks(position, last))
    stop = position
    while position <= last:
        prices = open_session(run, book, position)
        while stop <= position:
            stop = next(stops)
        position = close_sessions(run, book, position, stop, prices)
    return run.recorder.result(IndexState.of(book, market, last))


def _last_position(market: Market, upto: date | None) -> int:
    if upto is None:
        return len(market.sessions) - 1
    return int(np.searchsorted(market.sessions, np.datetime64(upto, "D"), side="right")) - 1


def _first_day(market: Market) -> str:
    return str(market.sessions[0]) if len(market.sessions) else "no session"


def _refuse_short_history(run: Run, state: IndexState) -> None:
    """A window too short for the rules would give other numbers than a full calculation, silently."""
    definition, market = run.definition, run.market
    if state.index_id != definition.id:
        raise InputError(f"index {definition.id} cannot continue from a state of {state.index_id}.")
    at = market.position(state.session)
    needed = definition.lookback_sessions
    if at < 0 or (run.base < 0 and at + 1 < needed):
        raise InputError(
            f"index {definition.id}: to continue after {state.session} the market must hold that session and reach "
            f"{needed} sessions back from the next one; it begins at {_first_day(market)}."
        )
