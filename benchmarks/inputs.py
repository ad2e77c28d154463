"""The markets the benchmarks work on: random walks from a fixed seed, and a folder of CSV files as vendors send."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
SHARED_DATA = PROJECT.parent / "shared" / "data"
SP500 = SHARED_DATA / "sp500_5yr"

FIRST_SESSION, LAST_SESSION = "2013-02-08", "2018-02-07"
SYMBOLS, SESSIONS = 505, 1259


def names(count: int) -> list[str]:
    """Sorted symbols."""
    return [f"S{number:04d}" for number in range(count)]


def closes(symbols: int, sessions: int, seed: int = 1) -> npt.NDArray[np.float64]:
    """Closes (sessions, symbols) in cents."""
    random = np.random.default_rng(seed)
    start = random.uniform(20, 200, symbols)
    steps = random.normal(0.0003, 0.015, (sessions, symbols))
    return np.round(start * np.exp(np.cumsum(steps, axis=0)), 2)


def sessions_of(count: int, start: str = FIRST_SESSION) -> pd.DatetimeIndex:
    """Weekdays: no calendar is needed to measure arithmetic."""
    return pd.bdate_range(start, periods=count)


def bars(symbols: int, sessions: int, seed: int = 1) -> pd.DataFrame:
    """symbol, session, open, high, low, close, volume, sorted by (symbol, session)."""
    random = np.random.default_rng(seed + 1)
    close = closes(symbols, sessions, seed).T
    open_ = np.round(close * np.exp(random.normal(0, 0.004, close.shape)), 2)
    wick = np.abs(random.normal(0, 0.004, (2, *close.shape)))
    high = np.round(np.maximum(open_, close) * (1 + wick[0]), 2)
    low = np.round(np.minimum(open_, close) * (1 - wick[1]), 2)
    volume = random.integers(10_000, 10_000_000, close.shape).astype(np.float64)
    return pd.DataFrame(
        {
            "symbol": pd.array(np.repeat(names(symbols), sessions), dtype="str"),
            "session": np.tile(sessions_of(sessions).to_numpy(), symbols),
            "open": open_.ravel(),
            "high": high.ravel(),
            "low": low.ravel(),
            "close": close.ravel(),
            "volume": volume.ravel(),
        }
    )


def vendor_folder(target: Path, symbols: int) -> str:
    """Fill `target` with one CSV file per symbol, the first `symbols` of 505 x 5 years.

    Returns:
        where they come from: the real files when this machine has them, else a random market of the same size.
    """
    target.mkdir()
    if SP500.is_dir():
        for file in sorted(SP500.glob("*_data.csv"))[:symbols]:
            (target / file.name).symlink_to(file)
        return "sp500_5yr"
    from exchange_calendars import get_calendar

    sessions = get_calendar("XNYS", start=FIRST_SESSION, end=LAST_SESSION).sessions
    frame = bars(symbols, len(sessions))
    frame["session"] = np.tile(sessions.strftime("%Y-%m-%d"), symbols)
    for symbol, own in frame.groupby("symbol"):
        renamed = own.rename(columns={"session": "date", "symbol": "Name"})
        columns = ["date", "open", "high", "low", "close", "volume", "Name"]
        renamed[columns].to_csv(target / f"{symbol}_data.csv", index=False)
    return "random market of the same size"
