"""Which recalculated levels depart from the published ones."""

from __future__ import annotations

import pandas as pd
import pytest

from market_assets.domain.indices.restatement import LEVELS, departures

DAYS = pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-06"])


def history(*levels: float, days: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    return pd.DataFrame({"session": days, **dict.fromkeys(LEVELS, levels), "divisor": 1.0})


@pytest.mark.parametrize("level", LEVELS)
def test_a_difference_in_any_return_type_departs(level: str) -> None:
    again = history(100.0, 101.0, 102.0)
    again.loc[1, level] = 101.5
    found = departures(history(100.0, 101.0, 102.0), again)
    pd.testing.assert_frame_equal(found, again.iloc[1:2].reset_index(drop=True))


def test_rounding_is_no_departure() -> None:
    assert departures(history(100.0, 101.0, 102.0), history(100.0, 101.0 * (1 + 5e-13), 102.0)).empty
    assert len(departures(history(100.0, 101.0, 102.0), history(100.0, 101.0 * (1 + 5e-12), 102.0))) == 1


def test_only_published_sessions_are_compared() -> None:
    again = history(100.0, 1.0, 1.0)
    assert departures(history(100.0, days=DAYS[:1]), again).empty
    assert departures(history(100.0, 101.0, 102.0), history(100.0, days=DAYS[:1])).empty
