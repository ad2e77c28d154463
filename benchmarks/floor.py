"""The data work of the pipeline as one plain script: files, binary COPY, TA-Lib, index arithmetic, SQL marts.

What it leaves out: versions and history, corporate actions, the calendar, universe and gaps, checks, quarantine,
lineage, run records, plots, and any second source. It is what one would write on a Friday afternoon, and the least the
pipeline can cost.

    python -m benchmarks.floor FOLDER URL LAST              every session up to LAST, into an empty database
    python -m benchmarks.floor FOLDER URL LAST increment    only LAST, on that
"""

from __future__ import annotations

import itertools
import sys
from datetime import date
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import numpy as np
import numpy.typing as npt
import pandas as pd
import psycopg
import pyarrow as pa
from pyarrow import csv

from benchmarks import talib_alone

LOOKBACK = 260
SQL = Path(__file__).with_suffix(".sql")
PRICES = ("open", "high", "low", "close", "volume")
Array = npt.NDArray[np.float64]


def load(folder: Path, url: str, last: date) -> None:
    """Everything up to `last`."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(schema().encode())
    bars = read(folder)
    bars = bars[bars["session"] <= pd.Timestamp(last)].reset_index(drop=True)
    copy(url, "price_bar", bars)
    copy(url, "indicator", compute(bars))
    values, constituents = index(closes(bars))
    copy(url, "index_constituent", constituents)
    copy(url, "index_value", values)
    marts(url, bars["session"].min().date())


def increment(folder: Path, url: str, session: date) -> None:
    """One more session."""
    bars = read(folder)
    copy(url, "price_bar", bars[bars["session"] == pd.Timestamp(session)])
    history = lookback(url, session)
    indicators = compute(history)
    copy(url, "indicator", indicators[indicators["session"] == pd.Timestamp(session)])
    level, shares = stored_index(url)
    close = closes(history).iloc[-2:]
    values, constituents = index(close, level, np.array([shares.get(symbol, np.nan) for symbol in close.columns]))
    copy(url, "index_constituent", constituents)
    copy(url, "index_value", values)
    marts(url, session)


def read(folder: Path) -> pd.DataFrame:
    """Bars of every file, sorted by (symbol, session)."""
    types = csv.ConvertOptions(column_types={name: pa.float64() for name in PRICES})
    table: pa.Table = pa.concat_tables(
        csv.read_csv(file, convert_options=types) for file in sorted(folder.glob("*.csv"))
    )
    bars: pd.DataFrame = table.to_pandas().rename(columns={"date": "session", "Name": "symbol"}).dropna()
    bars["session"] = pd.to_datetime(bars["session"])
    return bars.sort_values(["symbol", "session"], ignore_index=True)[["symbol", "session", *PRICES]]


def schema() -> str:
    """The tables that Python fills."""
    columns = ", ".join(f"{name} float8" for name in indicator_columns())
    return f"""
        create table price_bar (symbol text, session date, {", ".join(f"{name} float8" for name in PRICES)},
            primary key (symbol, session));
        create table indicator (symbol text, session date, {columns}, primary key (symbol, session));
        create table index_value (session date primary key, level float8, divisor float8, market_value float8);
        create table index_constituent (session date, symbol text, shares float8, weight float8, price float8,
            contribution float8, primary key (session, symbol));
    """


def copy(url: str, table: str, frame: pd.DataFrame) -> None:
    """Binary COPY, one transaction."""
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    rows = rows.set_column(rows.schema.get_field_index("session"), "session", rows["session"].cast(pa.date32()))
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(table, rows, mode="append")
        connection.commit()


def lookback(url: str, session: date) -> pd.DataFrame:
    """The latest bars of each symbol, those of the session last."""
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"select * from price_bar where session > $1::date - {LOOKBACK * 3 // 2} and session <= $1::date "  # noqa: S608
            "order by symbol, session",
            (session,),
        )
        bars: pd.DataFrame = cursor.fetch_arrow_table().to_pandas()
    return bars.assign(session=pd.to_datetime(bars["session"]))


def indicator_columns() -> list[str]:
    """Those of TA-Lib and the three that are arithmetic on them."""
    return [*talib_alone.COLUMNS, "drawdown_252", "bollinger_percent_b", "bollinger_bandwidth"]


def compute(bars: pd.DataFrame) -> pd.DataFrame:
    """One row per bar, one column per indicator."""
    arrays = {name: bars[name].to_numpy(np.float64) for name in PRICES}
    arrays["benchmark"] = bars.groupby("session")["close"].transform("mean").to_numpy(np.float64)
    out = np.full((len(talib_alone.COLUMNS), len(bars)), np.nan)
    for start, stop in spans(bars):
        own = talib_alone.inputs({name: values[start:stop] for name, values in arrays.items()})
        for row, values in zip(out, talib_alone.indicators(own), strict=True):
            row[start:stop] = values
    found = pd.DataFrame(out.T, columns=list(talib_alone.COLUMNS))
    upper, middle, lower = (found[f"bollinger_{band}"] for band in ("upper", "middle", "lower"))
    found["drawdown_252"] = bars["close"] / found["high_252"] - 1
    found["bollinger_percent_b"] = (bars["close"] - lower) / (upper - lower)
    found["bollinger_bandwidth"] = (upper - lower) / middle
    return pd.concat([bars[["symbol", "session"]], found], axis=1)


def spans(bars: pd.DataFrame) -> list[tuple[int, int]]:
    """First row of each symbol and the row after its last."""
    codes = pd.factorize(bars["symbol"])[0]
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(bars)]
    return list(itertools.pairwise(edges))


def closes(bars: pd.DataFrame) -> pd.DataFrame:
    """Closes, sessions x symbols; a gap carries the last one."""
    return bars.pivot_table(index="session", columns="symbol", values="close").ffill()


def stored_index(url: str) -> tuple[float, dict[str, float]]:
    """Level and shares after the last stored session."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select level from index_value order by session desc limit 1").fetchone()
        held = connection.execute(
            "select symbol, shares from index_constituent where session = (select max(session) from index_constituent)"
        ).fetchall()
    if row is None:
        raise SystemExit(f"{url} holds no index: load the history first")
    return row[0], dict(held)


def index(close: pd.DataFrame, level: float = 1000.0, shares: Array | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Equal weight, rebalanced after the close of each third Friday; the first row is the base."""
    prices, days = close.to_numpy(np.float64), pd.DatetimeIndex(close.index)
    rebalanced = (days.day_of_week == 4) & (days.day >= 15) & (days.day <= 21)
    shares = 1.0 / prices[0] if shares is None else shares
    values, rows = [], []
    stops = [0, *(int(at) for at in np.flatnonzero(rebalanced) if 0 < at < len(days) - 1), len(days) - 1]
    for start, stop in itertools.pairwise(stops):
        if rebalanced[start]:
            shares = 1.0 / prices[start]
        held = prices[start : stop + 1] * shares
        worth = np.nansum(held, axis=1)
        divisor = worth[0] / level
        sessions = days[start + 1 : stop + 1]
        values.append(
            pd.DataFrame(
                {"session": sessions, "level": worth[1:] / divisor, "divisor": divisor, "market_value": worth[1:]}
            )
        )
        rows.append(
            pd.DataFrame(
                {
                    "session": np.repeat(sessions.to_numpy(), len(close.columns)),
                    "symbol": np.tile(close.columns.to_numpy(), stop - start),
                    "shares": np.tile(shares, stop - start),
                    "weight": (held[1:] / worth[1:, None]).ravel(),
                    "price": prices[start + 1 : stop + 1].ravel(),
                    "contribution": (np.diff(held, axis=0) / worth[:-1, None]).ravel(),
                }
            ).dropna()
        )
        level = float(worth[-1] / divisor)
    return pd.concat(values), pd.concat(rows)


def marts(url: str, since: date) -> None:
    """The tables readers use, for the sessions from `since` on."""
    with psycopg.connect(url) as connection:
        connection.execute(SQL.read_text(encoding="utf-8").replace(":since", f"date '{since}'").encode())


if __name__ == "__main__":
    _work = increment if sys.argv[4:] == ["increment"] else load
    _work(Path(sys.argv[1]), sys.argv[2], date.fromisoformat(sys.argv[3]))
