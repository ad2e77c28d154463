"""A vendor's own adjusted closes, brought together from the stretches of an answer so that they may be compared.

Belongs here: what of them is evidence. Does not belong here: reading them (the vendors' modules), or what they say of a
dividend (`market_assets.domain.plausibility.distributions`).

The rules compare the adjusted closes of two neighbouring bars, so only their ratio counts: the day to which a vendor
adjusts, and what is paid or split after the range, cancel out. That holds within one answer. Two answers may differ by
a factor: a range that the cache kept knows nothing of the dividends since, and a vendor may adjust to the end of what
was asked. So where two stretches meet, the closes on both sides are left out: no bars are compared across a joint, not
even when the one beside it is held back. It costs the evidence on three sessions for each joint, one in five years.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.sources.frames import ADJUSTED_CLOSES

Days = npt.NDArray[np.datetime64]
Closes = npt.NDArray[np.float64]


def unshown(days: Days) -> Closes:
    """The adjusted closes of a vendor that shows none: NaN for each day."""
    return np.full(len(days), np.nan)


def without_joints(stretches: Sequence[tuple[Days, Closes]]) -> Closes:
    """The adjusted closes of all stretches, one after the other, NaN on both sides of each joint.

    Args:
        stretches: days and adjusted closes of each answer, days in any order; the stretches do not overlap.
    """
    parts = [(days, closes) for days, closes in stretches if len(days)]
    if len(parts) < 2:
        return parts[0][1] if parts else np.empty(0)
    ends = {day for days, _ in parts for day in (days.min(), days.max())} - {
        min(days.min() for days, _ in parts),
        max(days.max() for days, _ in parts),
    }
    every = np.concatenate([days for days, _ in parts])
    return np.where(np.isin(every, np.array(sorted(ends), every.dtype)), np.nan, np.concatenate([c for _, c in parts]))


def frame_of(source: str, answers: Sequence[tuple[str, Days, Closes]]) -> pd.DataFrame:
    """ADJUSTED_CLOSE_COLUMNS of the closes that a vendor showed.

    Args:
        source: label of the rows.
        answers: symbol, days and adjusted closes of each security.
    """
    shown = [(symbol, days, closes, ~np.isnan(closes)) for symbol, days, closes in answers]
    shown = [answer for answer in shown if answer[3].any()]
    if not shown:
        return ADJUSTED_CLOSES.empty()
    symbols = pd.Index([symbol for symbol, *_ in shown], dtype="str")
    return pd.DataFrame(
        {
            "symbol": symbols.repeat([int(given.sum()) for *_, given in shown]),
            "session": np.concatenate([days[given] for _, days, _, given in shown]).astype("datetime64[us]"),
            "source": source,
            "adjusted_close": np.concatenate([closes[given] for _, _, closes, given in shown]),
        }
    )
