"""Which sessions a correction reopens."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from index_markets import definition

from market_assets.domain.indices.restatement import recalculation_start

SESSIONS = np.array(["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"], "datetime64[D]")


@pytest.mark.parametrize(
    ("open_sessions", "corrected", "start"),
    [
        (2, date(2020, 1, 7), "2020-01-07"),
        (2, date(2020, 1, 2), "2020-01-06"),
        (2, date(2020, 1, 4), "2020-01-06"),
        (9, date(2020, 1, 4), "2020-01-06"),
        (9, date(1999, 1, 4), "2020-01-02"),
        (0, date(2020, 1, 2), None),
        (2, date(2020, 1, 8), None),
    ],
)
def test_a_correction_reopens_only_what_the_policy_allows(
    open_sessions: int, corrected: date, start: str | None
) -> None:
    found = recalculation_start(definition(open_sessions=open_sessions), SESSIONS, corrected)
    assert (None if found is None else str(found)) == start


def test_an_index_without_levels_has_nothing_to_reopen() -> None:
    assert recalculation_start(definition(), SESSIONS[:0], date(2020, 1, 2)) is None
