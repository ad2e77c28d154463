"""Dagster as one would write it first. Arguments: folder of files, work folder, URL of PostgreSQL, sessions.

Two daily-partitioned assets, one run per partition, stock storage. In one process, in favour of the peer: launched by a
daemon, each run would start a process of its own.
"""

import sys
import time
from pathlib import Path

import dagster as dg
import pandas as pd
import pandas_ta_classic as ta
import sqlalchemy

vendor, work, url, count = sys.argv[1:]
LOOKBACK = 60
engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
everything = pd.concat(
    [pd.read_csv(file, parse_dates=["date"]) for file in sorted(Path(vendor).glob("*.csv"))], ignore_index=True
).rename(columns={"Name": "symbol", "date": "session"})
sessions = sorted(everything["session"].unique())[: int(count)]
by_session = dict(list(everything.groupby("session")))
partitions = dg.DailyPartitionsDefinition("2013-01-01")


@dg.asset(partitions_def=partitions)
def bars(context: dg.AssetExecutionContext) -> None:
    """The bars of a session."""
    by_session[pd.Timestamp(context.partition_key)].to_sql("bar", engine, index=False, if_exists="append")


@dg.asset(partitions_def=partitions, deps=[bars])
def indicators(context: dg.AssetExecutionContext) -> None:
    """Three indicators of a session, from the bars before it."""
    history = pd.read_sql(
        sqlalchemy.text("select symbol, session, close from bar where session > :first and session <= :last"),
        engine,
        params={
            "first": pd.Timestamp(context.partition_key) - pd.Timedelta(days=LOOKBACK * 1.5),
            "last": pd.Timestamp(context.partition_key),
        },
    ).sort_values(["symbol", "session"])
    rows = []
    for symbol, own in history.groupby("symbol"):
        close = own["close"]
        found = [ta.sma(close, 20), ta.ema(close, 20), ta.rsi(close, 14)]
        rows.append((symbol, context.partition_key, *(None if one is None else one.iloc[-1] for one in found)))
    frame = pd.DataFrame(rows, columns=["symbol", "session", "sma_20", "ema_20", "rsi_14"])
    frame.to_sql("indicator", engine, index=False, if_exists="append")


with dg.DagsterInstance.local_temp(work) as instance:
    started = time.perf_counter()
    for session in sessions:
        key = pd.Timestamp(session).date().isoformat()
        if not dg.materialize([bars, indicators], partition_key=key, instance=instance).success:
            raise SystemExit(f"{key} failed")
    elapsed = time.perf_counter() - started
print(elapsed)
