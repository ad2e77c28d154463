"""How long a reader waits: the questions that the marts and the versioned tables are there for.

Each is asked with other parameters every time, over one open connection, until the rows are in Python. The floor is
the same rows from a table that holds nothing else: what sending them costs. The plans are kept in benchmarks/plans.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, LiteralString

import numpy as np
import psycopg

from benchmarks.inputs import SYMBOLS
from benchmarks.installation import loaded_market
from benchmarks.measure import Beside, Figure, Scale, Spread, Target
from market_assets.warehouse.connection import connect

PLANS = Path(__file__).with_name("plans")
ASKED = 60
"""Times each question is asked in one measurement."""


@dataclass(frozen=True)
class Question:
    """A query with what its parameters are drawn from.

    Attributes:
        name: of its figure.
        what: the question.
        statement: SQL.
        draw: parameters of one asking.
        at_most_ms: target for the median.
    """

    name: str
    what: str
    statement: LiteralString
    draw: Callable[[Keys], Sequence[object]]
    at_most_ms: float


@dataclass(frozen=True)
class Keys:
    """What can be asked for."""

    random: np.random.Generator
    symbols: list[str]
    sessions: list[date]
    known_at: datetime

    def symbol(self) -> str:
        """A symbol."""
        return self.symbols[int(self.random.integers(len(self.symbols)))]

    def session(self) -> date:
        """A session."""
        return self.sessions[int(self.random.integers(len(self.sessions)))]


QUESTIONS = (
    Question(
        "last_session",
        "the last session of every symbol",
        "select * from marts.fct_daily_bar where session = (select max(session) from marts.fct_daily_bar)",
        lambda _: (),
        10,
    ),
    Question(
        "history",
        "one symbol's full history",
        "select * from marts.fct_daily_bar where symbol = %s order by session",
        lambda keys: (keys.symbol(),),
        20,
    ),
    Question(
        "indicators",
        "one symbol's indicators of its last year",
        "select * from marts.fct_indicator where symbol = %s order by session desc limit 252",
        lambda keys: (keys.symbol(),),
        20,
    ),
    Question(
        "as_of",
        "one symbol's bars as they were known at a moment",
        "select symbol, session, source, open, high, low, close, volume from raw.price_bar "
        "where symbol = %s and known_from <= %s and (known_to is null or known_to > %s) order by session",
        lambda keys: (keys.symbol(), keys.known_at, keys.known_at),
        20,
    ),
    Question(
        "index_at_a_date",
        "an index with its constituents at a date",
        "select v.*, c.symbol, c.weight, c.price, c.contribution from marts.fct_index_value v "
        "join marts.fct_index_constituent c using (index_id, session) where v.index_id = 'EW' and v.session = %s",
        lambda keys: (keys.session(),),
        20,
    ),
)


def run(scale: Scale) -> list[Figure]:
    """Ask every question `scale.repeats` x ASKED times, and keep its plan."""
    installation = loaded_market(scale.of(SYMBOLS, least=5))
    with connect(installation.url, autocommit=True) as connection:
        connection.execute("set max_parallel_workers_per_gather = 0")  # a reader among many has no spare core
        keys = Keys(
            np.random.default_rng(1), _column(connection, "symbol"), _column(connection, "session"), datetime.now(UTC)
        )
        return [_figure(connection, question, keys, scale) for question in QUESTIONS]


def _column(connection: psycopg.Connection, name: LiteralString) -> list[Any]:
    table: LiteralString = "dim_security" if name == "symbol" else "dim_session"
    rows = connection.execute(
        psycopg.sql.SQL("select distinct {} from marts.{} order by 1").format(
            psycopg.sql.Identifier(name), psycopg.sql.Identifier(table)
        )
    )
    return [row[0] for row in rows]


def _figure(connection: psycopg.Connection, question: Question, keys: Keys, scale: Scale) -> Figure:
    plan = _plan(connection, question, keys)
    if scale.share == 1.0:
        PLANS.mkdir(exist_ok=True)
        (PLANS / f"{question.name}.txt").write_text(f"{question.statement}\n\n{plan}\n", encoding="utf-8")
    asked, floors = [], []
    for _ in range(scale.repeats):
        asked.append([_milliseconds(connection, question.statement, question.draw(keys)) for _ in range(ASKED)])
        with _only_the_rows(connection, question, keys):
            floors.append([_milliseconds(connection, "select * from only_these", ()) for _ in range(ASKED)])
    everything = [latency for latencies in asked for latency in latencies]
    return Figure(
        name=f"queries.{question.name}",
        what=question.what,
        unit="ms",
        ours=Spread(tuple(statistics.median(latencies) for latencies in asked)),
        floor=Beside(
            "the same rows from a table that holds nothing else",
            Spread(tuple(statistics.median(latencies) for latencies in floors)),
        ),
        target=Target(at_most=question.at_most_ms),
        facts={
            "p50_ms": float(np.percentile(everything, 50)),
            "p95_ms": float(np.percentile(everything, 95)),
            "asked": len(everything),
            "reads_a_whole_table": int("Seq Scan" in plan),
        },
    )


def _plan(connection: psycopg.Connection, question: Question, keys: Keys) -> str:
    statement = psycopg.sql.SQL("explain (analyze, buffers) {}").format(psycopg.sql.SQL(question.statement))
    return "\n".join(row[0] for row in connection.execute(statement, question.draw(keys)))


@contextmanager
def _only_the_rows(connection: psycopg.Connection, question: Question, keys: Keys) -> Iterator[None]:
    statement = psycopg.sql.SQL("create temporary table only_these as {}").format(psycopg.sql.SQL(question.statement))
    with psycopg.ClientCursor(connection) as cursor:  # create table takes no parameters of its own
        cursor.execute(statement, question.draw(keys))
    try:
        yield
    finally:
        connection.execute("drop table only_these")


def _milliseconds(connection: psycopg.Connection, statement: LiteralString, parameters: Sequence[object]) -> float:
    started = time.perf_counter()
    rows = connection.execute(statement, parameters).fetchall()
    elapsed = (time.perf_counter() - started) * 1000
    if not rows:
        raise RuntimeError(f"no rows: {statement} with {parameters}")
    return elapsed
