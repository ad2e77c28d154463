"""Counting by trading session."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd


def rows_by_session(frame: pd.DataFrame) -> dict[date, int]:
    """Session -> number of rows of `frame`, which has a column session (datetime64)."""
    days, rows = np.unique(frame["session"].to_numpy("datetime64[D]"), return_counts=True)
    return dict(zip(days.tolist(), rows.tolist(), strict=True))
