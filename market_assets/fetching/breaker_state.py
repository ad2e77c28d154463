"""Breaker states in the warehouse, so that the next run, the daemon and `market status` see the same circuit.

Belongs here: reading and changing ingest.source_state. Does not belong here: what a state means (`breaker.py`).

Without the warehouse a state lives on in this process: a vendor is not asked more because PostgreSQL restarts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import psycopg

from market_assets.errors import WarehouseUnavailable
from market_assets.fetching.breaker import BreakerState, Change, MemoryStore
from market_assets.warehouse.connection import connect

logger = logging.getLogger(__name__)

_COLUMNS: Final = "source, state, since, failures, next_try, error"
_LOST: Final = (WarehouseUnavailable, psycopg.OperationalError, psycopg.InterfaceError)


class WarehouseStore:
    """States in ingest.source_state. A connection is opened for each change: changes are rare, and runs are long.

    Args:
        url: gives the libpq URL of a migrated warehouse; called when a state is first needed.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._memory = MemoryStore()

    def read(self, source: str) -> BreakerState | None:
        """See `StateStore.read`."""
        try:
            with connect(self._url(), autocommit=True) as connection:
                return _state(connection, source)
        except _LOST as error:
            self._tell(source, error)
            return self._memory.read(source)

    def change(self, initial: BreakerState, change: Change) -> BreakerState:
        """See `StateStore.change`. The row is locked meanwhile, so that of several processes one sends the probe."""
        try:
            with connect(self._url()) as connection:
                connection.execute(
                    f"insert into ingest.source_state ({_COLUMNS}) values (%s, %s, %s, %s, %s, %s) "  # noqa: S608 - own names
                    "on conflict (source) do nothing",
                    _row(initial),
                )
                state = change(_state(connection, initial.source, lock=True) or initial)
                connection.execute(
                    "update ingest.source_state set state = %s, since = %s, failures = %s, next_try = %s, error = %s "
                    "where source = %s",
                    (*_row(state)[1:], state.source),
                )
        except _LOST as error:
            self._tell(initial.source, error)
            return self._memory.change(initial, change)
        self._memory.change(state, lambda _: state)
        return state

    def _tell(self, source: str, error: Exception) -> None:
        logger.warning("circuit of source %s is kept in this process only: %s", source, str(error).strip())


def read_states(connection: psycopg.Connection) -> list[BreakerState]:
    """States of all sources that ever failed, by name."""
    rows = connection.execute(f"select {_COLUMNS} from ingest.source_state order by source")  # noqa: S608 - own names
    return [BreakerState(*row) for row in rows]


def _state(connection: psycopg.Connection, source: str, *, lock: bool = False) -> BreakerState | None:
    query = f"select {_COLUMNS} from ingest.source_state where source = %s"  # noqa: S608 - own names
    row = connection.execute(query + (" for update" if lock else ""), (source,)).fetchone()
    return None if row is None else BreakerState(*row)


def _row(state: BreakerState) -> tuple[Any, ...]:
    # An error may quote a vendor's body, and text in PostgreSQL holds no NUL.
    error = state.error.replace("\x00", "")
    return state.source, state.state, state.since, state.failures, state.next_try, error
