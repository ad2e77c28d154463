"""`market index explain`: one stored session of an index taken apart. The backtest is backtest.py."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from market_assets.commands.console import console, table
from market_assets.domain.indices.explanation import RETURNS, Explanation, explain_session
from market_assets.errors import InputError
from market_assets.warehouse.connection import connect
from market_assets.warehouse.server import database_urls
from market_assets.warehouse.tables import (
    DIVISOR_CHANGE,
    INDEX_CONSTITUENT,
    INDEX_RECALCULATION,
    INDEX_VALUE,
    REBALANCE,
    REBALANCE_TARGET,
    VersionedTable,
)
from market_assets.warehouse.versions import as_of

LONGEST_CLOSURE_DAYS = 150
"""Days to look back for the session before: the New York Stock Exchange was once closed for four months (1914)."""


def explain(index_id: str, session: date | None, known_at: datetime | None, top: int, *, as_json: bool) -> None:
    """Print level, divisor, constituents and changes of an index at a session.

    Args:
        index_id: the index.
        session: None = the last one stored.
        known_at: as it was known then; None = now. Without a time zone it is UTC.
        top: constituents to show, half of them the largest contributions, half the smallest; 0 = all.
        as_json: everything as JSON instead.

    Raises:
        InputError: no such index, or no level at that session; the message says which there are.
    """
    url = database_urls().market
    moment = known_at if known_at is None or known_at.tzinfo else known_at.replace(tzinfo=UTC)
    day = session or _last_session(url, index_id, moment)
    near = "session between $3::date - $4::int and $3::date"
    values = _rows(url, INDEX_VALUE, index_id, moment, near, day, LONGEST_CLOSURE_DAYS).tail(2)
    if values.empty or values["session"].iloc[-1] != pd.Timestamp(day):
        raise InputError(_no_level(url, index_id, day, moment))
    first = values["session"].iloc[0].date()
    constituents = _rows(url, INDEX_CONSTITUENT, index_id, moment, "session in ($3::date, $4::date)", day, first)
    made = explain_session(values, constituents)
    at_session = {
        name: _rows(url, table_, index_id, moment, "session = $3::date", day)
        for name, table_ in (
            ("divisor_changes", DIVISOR_CHANGE),
            ("rebalances", REBALANCE),
            ("targets", REBALANCE_TARGET),
            ("recalculation", INDEX_RECALCULATION),
        )
    }
    if as_json:
        print(json.dumps(_as_dict(made, at_session), indent=2))  # noqa: T201 - machine-readable output
    else:
        _print(made, at_session, top)


def _rows(
    url: str, source: VersionedTable, index_id: str, moment: datetime | None, where: str, *parameters: object
) -> pd.DataFrame:
    """Rows of an index as known at `moment`, ordered by key; in `where` the parameters are $3, $4, ..."""
    rows: pd.DataFrame = as_of(url, source, moment, f"index_id = $2 and {where}", (index_id, *parameters))
    return rows


def _last_session(url: str, index_id: str, moment: datetime | None) -> date:
    values = _rows(url, INDEX_VALUE, index_id, moment, "true")
    if values.empty:
        raise InputError(_no_level(url, index_id, None, moment))
    last: date = values["session"].max().date()
    return last


def _no_level(url: str, index_id: str, day: date | None, moment: datetime | None) -> str:
    with connect(url) as connection:
        stored = connection.execute(
            "select index_id, min(session), max(session) from indices.index_value "
            "where known_from <= %(at)s and (known_to is null or known_to > %(at)s) group by 1 order by 1",
            {"at": moment or datetime.now(UTC)},
        ).fetchall()
    there = "; ".join(f"{name} from {first} to {last}" for name, first, last in stored)
    asked = f"index {index_id}" if day is None else f"index {index_id} at {day}"
    known = "" if moment is None else f" as known at {moment:%Y-%m-%d %H:%M %Z}"
    return f"no level of {asked}{known}; stored are {there or 'no indices yet: run `market backfill`'}"


def _print(made: Explanation, at_session: dict[str, pd.DataFrame], top: int) -> None:
    before = "its base date" if made.previous is None else f"after {made.previous:%Y-%m-%d}"
    console.print(f"{made.index_id} at {made.session:%Y-%m-%d}, {before}", highlight=False)
    console.print(
        f"divisor {made.divisor:.10g}, market value {made.market_value:,.2f}, {len(made.holdings)} constituents, "
        f"dividends of {_points(made.dividend_points).strip() or 'no'} index points",
        highlight=False,
    )
    console.print()
    table(
        "levels",
        ("return", "session before", "level", "change"),
        [
            (name.replace("_", " "), _points(row["previous"]), _points(row["level"]), percent(row["change"]))
            for name, row in zip(RETURNS, made.levels.to_dict("records"), strict=True)
        ],
    )
    for row in at_session["recalculation"].to_dict("records"):
        levels = ", ".join(f"{name.replace('_', ' ')} {_points(row[name]).strip()}" for name in RETURNS)
        console.print(f"these levels are frozen; with what is known now: {levels} ({row['reason']})\n", highlight=False)
    _print_changes(made, at_session)
    rows = made.holdings
    if 0 < top < len(rows):
        rows = pd.concat([rows.head(top - top // 2), rows.tail(top // 2)])
    shown = f"constituents: {len(rows)} of {len(made.holdings)}, by contribution"
    foreign = bool((made.holdings["fx_rate"] != 1).any())
    table(
        shown,
        (
            "symbol",
            "shares",
            "price",
            *(["rate"] if foreign else []),
            "weight at open",
            "return",
            "contribution",
            "weight",
            "price is old by",
        ),
        [
            (
                row["symbol"],
                f"{row['shares']:14.6g}",
                f"{row['price']:10.6g}",
                *([f"{row['fx_rate']:10.6g}"] if foreign else []),
                percent(row["opening_weight"]),
                percent(row["symbol_return"]),
                percent(row["contribution"]),
                percent(row["weight"]),
                f"{row['carried_sessions']} sessions" if row["carried_sessions"] else "",
            )
            for row in rows.to_dict("records")
        ],
    )
    console.print(
        f"contributions sum to {percent(made.holdings['contribution'].sum()).strip()}; "
        f"{made.unexplained:.1e} of the price return is rounding",
        highlight=False,
    )


def _print_changes(made: Explanation, at_session: dict[str, pd.DataFrame]) -> None:
    """What is different from the session before; nothing when nothing is."""
    divisor, rebalances = at_session["divisor_changes"], at_session["rebalances"]
    if len(divisor):
        table(
            "divisor changes before the open",
            ("reason", "divisor before", "divisor after", "market value before", "market value after", "detail"),
            [
                (
                    row["reason"],
                    _points(row["divisor_before"]),
                    _points(row["divisor_after"]),
                    _points(row["market_value_before"]),
                    _points(row["market_value_after"]),
                    row["detail"],
                )
                for row in divisor.to_dict("records")
            ],
        )
    for row in rebalances.to_dict("records"):
        turnover = "" if np.isnan(row["turnover"]) else f", turnover {row['turnover']:.2%}"
        console.print(
            f"rebalance after the close of {row['effective_close']:%Y-%m-%d}, data of "
            f"{row['reference_session']:%Y-%m-%d}{turnover}; "
            f"added: {row['additions'] or 'none'}; deleted: {row['deletions'] or 'none'}",
            highlight=False,
        )
    changes = made.changes
    resized = changes["change"] == "resized"
    if len(rebalances):  # every weight was set anew; the names are what is left to say
        console.print(f"{int(resized.sum())} constituents have other shares than before\n", highlight=False)
        changes = changes[~resized]
    if len(changes):
        table(
            "changed constituents",
            ("symbol", "change", "shares before", "shares"),
            [
                (row["symbol"], row["change"], _points(row["shares_before"]), _points(row["shares"]))
                for row in changes.to_dict("records")
            ],
        )


def percent(value: float) -> str:
    """A ratio as percent with four decimals, padded; empty when it is not known."""
    return "" if np.isnan(value) else f"{value:10.4%}"


def _points(value: float) -> str:
    return "" if np.isnan(value) else f"{value:16,.4f}"


def _as_dict(made: Explanation, at_session: dict[str, pd.DataFrame]) -> dict[str, Any]:
    return {
        "index_id": made.index_id,
        "session": made.session.date().isoformat(),
        "previous_session": None if made.previous is None else made.previous.date().isoformat(),
        "levels": {name: plain(made.levels.loc[[name]])[0] for name in RETURNS},
        "divisor": made.divisor,
        "market_value": made.market_value,
        "dividend_points": None if np.isnan(made.dividend_points) else made.dividend_points,
        "unexplained": made.unexplained,
        "constituents": plain(made.holdings),
        "changes": plain(made.changes),
        **{name: plain(rows.drop(columns=["index_id", "session"])) for name, rows in at_session.items()},
    }


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON takes them: dates as text, unknown numbers as null."""
    texts = {
        name: frame[name].dt.strftime("%Y-%m-%d")
        for name in frame.columns
        if pd.api.types.is_datetime64_any_dtype(frame[name])
    }
    rows = frame.assign(**texts).astype(object)
    return [
        {str(name): value for name, value in row.items()} for row in rows.where(rows.notna(), None).to_dict("records")
    ]
