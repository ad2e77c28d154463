"""pandas to_sql and pandas-ta-classic. Arguments: folder of files, work folder, URL of PostgreSQL, sessions."""

import sys
import time
from pathlib import Path

import pandas as pd
import pandas_ta_classic as ta
import sqlalchemy

vendor, _, url, count = sys.argv[1:]
engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
started = time.perf_counter()
frames = []
for file in sorted(Path(vendor).glob("*.csv")):
    bars = pd.read_csv(file, parse_dates=["date"])[: int(count)].rename(columns={"Name": "symbol", "date": "session"})
    close, high, low, volume = bars["close"], bars["high"], bars["low"], bars["volume"]
    columns = {f"return_{length}": close.pct_change(length) for length in (1, 5, 21, 252)}
    columns |= {f"sma_{length}": ta.sma(close, length) for length in (20, 50, 200)}
    columns |= {f"ema_{length}": ta.ema(close, length) for length in (12, 26)}
    columns |= {"rsi_14": ta.rsi(close, 14), "atr_14": ta.atr(high, low, close, 14), "obv": ta.obv(close, volume)}
    columns |= {"high_252": high.rolling(252).max(), "low_252": low.rolling(252).min()}
    columns |= {"mfi_14": ta.mfi(high, low, close, volume, 14), "natr_14": ta.natr(high, low, close, 14)}
    columns |= {f"volatility_{length}": close.pct_change().rolling(length).std() for length in (20, 60)}
    wide = [ta.macd(close), ta.adx(high, low, close), ta.stoch(high, low, close), ta.bbands(close, 20)]
    found = pd.concat([bars, pd.DataFrame(columns), *(table for table in wide if table is not None)], axis=1)
    frames.append(found)
everything = pd.concat(frames, ignore_index=True)
bars = everything[["symbol", "session", "open", "high", "low", "close", "volume"]]
bars.to_sql("bar", engine, index=False, chunksize=20_000)
everything.drop(columns=["open", "high", "low", "close", "volume"]).to_sql(
    "indicator", engine, index=False, chunksize=20_000
)
print(time.perf_counter() - started)
