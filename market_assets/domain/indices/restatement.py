"""What a correction of past inputs may still change in a published index.

The latest `open_sessions` sessions of a definition are open: a correction recalculates from there. Older levels stand
as published, and the recalculation continues from them; the difference a full recalculation would make is a new version
of the history, for whoever decides to publish one.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from market_assets.domain.indices.arrays import DayArray
from market_assets.domain.indices.definition import IndexDefinition


def recalculation_start(definition: IndexDefinition, calculated: DayArray, corrected: date) -> np.datetime64 | None:
    """First session to calculate again after a correction.

    Args:
        calculated: sessions of the index that have levels, datetime64[D], increasing.
        corrected: first session or ex-date whose inputs changed.

    Returns:
        the later of the corrected session and the first open one; None when every session that the correction reaches
        is frozen, or not calculated yet. Calculate from the state of the session before.
    """
    touched = calculated[calculated >= np.datetime64(corrected, "D")]
    open_ones = calculated[max(0, len(calculated) - definition.open_sessions) :]
    if not len(touched) or not len(open_ones):
        return None
    return np.datetime64(max(touched[0], open_ones[0]), "D")
