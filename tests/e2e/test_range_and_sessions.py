"""A range loaded in one run and the same sessions loaded one run a day make the same warehouse.

The market of `vendor_folder` has splits both ways, ordinary and special dividends, a listing, and a rebalance of two
indices on the third Friday of March; the sessions loaded one by one lie around the last dividend and the rebalance.
"""

from __future__ import annotations

from datetime import date

import pytest
from market_project import COMPUTED, assert_same_tables
from vendor_folder import INDICATOR_TABLES

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("chaos")]

ONE_BY_ONE = ["2024-03-13", "2024-03-14", "2024-03-15", "2024-03-18", "2024-03-19"]


def test_daily_runs_equal_one_range_run(project, vendor, loaded):
    assert project.run(end=date(2024, 3, 12), selection=COMPUTED).success
    for session in map(date.fromisoformat, ONE_BY_ONE):
        outcome = project.run(session, session, selection=COMPUTED)
        assert outcome.success, outcome.errors
        assert project.query("select max(session) from indices.index_value") == [(session,)]
    assert project.run(start=date(2024, 3, 20)).success

    daily, ranged = project.tables(), loaded.tables()
    exact = ranged.keys() - INDICATOR_TABLES
    assert_same_tables({name: daily[name] for name in exact}, {name: ranged[name] for name in exact})
    assert_same_tables(
        {name: daily[name] for name in INDICATOR_TABLES},
        {name: ranged[name] for name in INDICATOR_TABLES},
        tolerance=1e-10,
    )


def test_the_market_holds_what_the_comparison_is_about(loaded):
    """The reference run saw each kind of event: an equality between empty tables would prove nothing."""
    reasons = {reason for (reason,) in loaded.query("select distinct reason from indices.divisor_change")}
    assert {"rebalance", "split"} <= reasons
    assert loaded.query("select index_id, session::text from indices.rebalance order by 1, 2") == [
        ("EQUAL", "2024-01-02"),
        ("EQUAL", "2024-03-18"),
        ("PRICE", "2024-01-02"),
        ("PRICE", "2024-03-18"),
    ]
    assert loaded.count("raw.corporate_action") == 6
    assert loaded.count("indices.index_value", "total_return > net_total_return") > 0
