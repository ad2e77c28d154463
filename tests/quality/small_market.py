"""A small market that passes every check, so that each test plants one fault and sees one check find it.

The fixtures are in conftest.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql

from quality.suite import Scope, Suite
from quality.validation import Outcome, run_suite

KNOWN_FROM = datetime(2024, 6, 1, tzinfo=UTC)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")


def weekdays(first: date, count: int) -> tuple[date, ...]:
    """`count` days from `first` on, without Saturdays and Sundays."""
    days = (first + timedelta(offset) for offset in range(count * 2))
    return tuple(day for day in days if day.weekday() < 5)[:count]


SESSIONS = weekdays(date(2024, 1, 1), 10)


class Market:
    """Writes current rows into the warehouse and runs suites on it."""

    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self.url = url
        self.connection = connection

    def insert(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Insert current versions; `table` is schema.name."""
        rows = [{**row, "known_from": KNOWN_FROM, "run_id": "seed"} for row in rows]
        columns = list(rows[0])
        statement = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(*table.split(".")),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(map(sql.Placeholder, columns)),
        )
        with self.connection.cursor() as cursor:
            cursor.executemany(statement, rows)
        self.connection.commit()

    def execute(self, statement: str, *parameters: object) -> None:
        """Change the warehouse behind the platform's back."""
        self.connection.execute(statement, parameters)  # type: ignore[arg-type] # statements of tests are literals
        self.connection.commit()

    def set_bar(self, symbol: str, session: date, **values: object) -> None:
        """Overwrite values of a current bar."""
        changes = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(k), v) for k, v in values.items())
        self.connection.execute(
            sql.SQL("update raw.price_bar set {} where symbol = %s and session = %s").format(changes), (symbol, session)
        )
        self.connection.commit()

    def fill(
        self, sessions: Iterable[date] = SESSIONS, symbols: Iterable[str] = SYMBOLS, exchange: str = "XNYS"
    ) -> None:
        """Calendar, membership and bars that pass every check of the price bar suite."""
        sessions, symbols = list(sessions), list(symbols)
        hours = {"opens_at": KNOWN_FROM, "closes_at": KNOWN_FROM}
        self.insert("raw.trading_session", ({"exchange": exchange, "session": s, **hours} for s in sessions))
        self.insert(
            "raw.universe_member",
            (
                {"symbol": s, "member_from": sessions[0], "exchange": exchange, "name": s, "currency": "USD"}
                for s in symbols
            ),
        )
        self.insert(
            "raw.price_bar", (bar(s, day, i, j) for i, s in enumerate(symbols) for j, day in enumerate(sessions))
        )

    def run(self, suite: Suite, scope: Scope | None = None) -> dict[str, Outcome]:
        """Outcome by check name; by default of all SESSIONS."""
        return {outcome.check.name: outcome for outcome in run_suite(self.url, suite, scope or Scope(SESSIONS))}

    def failing(self, suite: Suite, scope: Scope | None = None) -> dict[str, list[date]]:
        """Check name -> failing sessions, of the checks that fail; none may fail to be evaluated."""
        outcomes = self.run(suite, scope)
        assert {name: o.error for name, o in outcomes.items() if o.error} == {}
        return {name: outcome.failing_sessions for name, outcome in outcomes.items() if not outcome.passed}


def bar(symbol: str, session: date, i: int = 0, j: int = 0) -> dict[str, object]:
    """A possible bar whose price depends on the positions of its symbol and session."""
    close = 100.0 + 10 * i + j * 0.5
    return {
        "symbol": symbol,
        "session": session,
        "source": "sample",
        "open": close - 0.25,
        "high": close + 1,
        "low": close - 1,
        "close": close,
        "volume": 1000.0 + j,
        "currency": "USD",
    }
