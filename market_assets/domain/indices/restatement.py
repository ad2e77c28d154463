"""What a correction of past inputs may still change in a published index, and what it would have changed.

The latest `restatement.open_days` sessions of a definition are open: a correction recalculates them. Older levels stand
as published, whatever becomes known; the levels that a recalculation gives instead are a version of the history beside
the published one, for whoever decides about it. Calculating and storing both is index_calculation.py.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

LEVELS: Final = ("price_return", "total_return", "net_total_return")
ROUNDING: Final = 1e-12
"""Levels this close, relative to their size, are the same: other processors round some last digits otherwise."""


def departures(published: pd.DataFrame, recalculated: pd.DataFrame) -> pd.DataFrame:
    """Recalculated rows of the published sessions whose levels differ from those published.

    Args:
        published: rows of indices.index_value of one index.
        recalculated: rows of the same index; sessions that were never published are left out.

    Returns:
        rows of `recalculated`, by session. A published session that the recalculation no longer has is not among
        them: a level that was published is not taken back.
    """
    both = recalculated.merge(published[["session", *LEVELS]], on="session", suffixes=("", "_published"))
    differs = np.zeros(len(both), np.bool_)
    for level in LEVELS:
        was = both[f"{level}_published"]
        differs |= ((both[level] - was).abs() > ROUNDING * was.abs()).to_numpy()
    return both.loc[differs, list(recalculated.columns)].sort_values("session", ignore_index=True)
