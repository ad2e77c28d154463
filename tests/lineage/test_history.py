"""What happened to each asset of a run, for every way in which a run can end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.eventlog import LogRow
from lineage.history import (
    CHECK_EVALUATED,
    MATERIALIZED,
    PLANNED,
    RUN_CANCELED,
    RUN_CANCELING,
    RUN_FAILURE,
    RUN_START,
    RUN_SUCCESS,
    STEP_FAILURE,
    STEP_START,
    STEP_SUCCESS,
    RunHistory,
    read_history,
)

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def log(*events: tuple[str, str | None, str | None]) -> list[LogRow]:
    """Rows of (kind, asset, partition); the step is named after the asset, ids ascend from 1."""
    return [
        LogRow(
            number,
            kind,
            asset,
            asset if kind in (PLANNED, MATERIALIZED) else None,
            partition,
            NOON + timedelta(seconds=number),
        )
        for number, (kind, asset, partition) in enumerate(events, start=1)
    ]


def outcome(history: RunHistory) -> dict[str, str | None]:
    return {asset.key: asset.end.state if asset.end else None for asset in history.assets}


PLAN = [(PLANNED, "a", "1"), (PLANNED, "a", "2"), (PLANNED, "b", None), (RUN_START, None, None)]
A_DONE = [(STEP_START, "a", None), (MATERIALIZED, "a", "1"), (MATERIALIZED, "a", "2"), (STEP_SUCCESS, "a", None)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(PLAN, {"a": None, "b": None}, id="queued"),
        pytest.param([*PLAN, *A_DONE[:2]], {"a": None, "b": None}, id="running"),
        pytest.param([*PLAN, *A_DONE], {"a": "COMPLETE", "b": None}, id="first step done"),
        pytest.param(
            [
                *PLAN,
                *A_DONE,
                (STEP_START, "b", None),
                (MATERIALIZED, "b", None),
                (STEP_SUCCESS, "b", None),
                (RUN_SUCCESS, None, None),
            ],
            {"a": "COMPLETE", "b": "COMPLETE"},
            id="success",
        ),
        pytest.param(
            [*PLAN, *A_DONE[:2], (STEP_FAILURE, "a", None), (RUN_FAILURE, None, None)],
            {"a": "FAIL", "b": "ABORT"},
            id="step fails after one of two partitions; the next never starts",
        ),
        pytest.param(
            [*PLAN, *A_DONE[:3], (STEP_FAILURE, "a", None)],
            {"a": "COMPLETE", "b": None},
            id="step fails after everything was materialized",
        ),
        pytest.param([*PLAN, *A_DONE[:2], (RUN_FAILURE, None, None)], {"a": "FAIL", "b": "ABORT"}, id="process killed"),
        pytest.param(
            [*PLAN, *A_DONE[:3], (RUN_FAILURE, None, None)],
            {"a": "COMPLETE", "b": "ABORT"},
            id="process killed after the last partition",
        ),
        pytest.param(
            [*PLAN, A_DONE[0], (RUN_CANCELING, None, None), (STEP_FAILURE, "a", None), (RUN_CANCELED, None, None)],
            {"a": "ABORT", "b": "ABORT"},
            id="cancelled",
        ),
        pytest.param(
            [*PLAN, A_DONE[0], (RUN_CANCELED, None, None)], {"a": "ABORT", "b": "ABORT"}, id="force-cancelled"
        ),
        pytest.param([*PLAN[:3], (RUN_FAILURE, None, None)], {"a": "ABORT", "b": "ABORT"}, id="never launched"),
        pytest.param(
            [*PLAN, A_DONE[0], (STEP_SUCCESS, "a", None)], {"a": "ABORT", "b": None}, id="step yields nothing"
        ),
        pytest.param(
            [*PLAN, *A_DONE[:2], (STEP_SUCCESS, "a", None)],
            {"a": "COMPLETE", "b": None},
            id="step succeeds with fewer partitions than planned",
        ),
        pytest.param(
            [(STEP_START, "a", None), (MATERIALIZED, "a", None), (STEP_SUCCESS, "a", None)],
            {"a": "COMPLETE"},
            id="materialized without a plan",
        ),
    ],
)
def test_every_planned_asset_is_accounted_for(
    events: list[tuple[str, str | None, str | None]], expected: dict[str, str | None]
) -> None:
    assert outcome(read_history(log(*events))) == expected


def test_an_asset_starts_with_its_step_and_ends_with_it() -> None:
    asset = read_history(log(*PLAN, *A_DONE)).assets[0]
    assert asset.start is not None
    assert asset.end is not None
    assert (asset.start.kind, asset.end.row.kind) == (STEP_START, STEP_SUCCESS)
    assert asset.started
    assert asset.planned == asset.partitions == ("1", "2")


def test_an_asset_that_never_started_starts_with_its_end() -> None:
    asset = read_history(log(*PLAN, (RUN_FAILURE, None, None))).assets[1]
    assert not asset.started
    assert asset.end is not None
    assert asset.start == asset.end.row


def test_what_follows_the_end_changes_nothing() -> None:
    before = log(*PLAN, *A_DONE[:2], (RUN_FAILURE, None, None))
    zombie = log(*PLAN, *A_DONE[:2], (RUN_FAILURE, None, None), A_DONE[2], A_DONE[3], (RUN_SUCCESS, None, None))
    assert read_history(zombie) == read_history(before)


def test_the_run_itself() -> None:
    history = read_history(log(*PLAN, *A_DONE, (CHECK_EVALUATED, "a", None), (RUN_SUCCESS, None, None)))
    assert history.start is not None
    assert history.end is not None
    assert (history.start.kind, history.end.state) == (RUN_START, "COMPLETE")
    assert len(history.evaluations) == 1
    assert read_history([]) == RunHistory()


KINDS = st.sampled_from(
    [
        PLANNED,
        MATERIALIZED,
        STEP_START,
        STEP_SUCCESS,
        STEP_FAILURE,
        RUN_START,
        RUN_SUCCESS,
        RUN_FAILURE,
        RUN_CANCELING,
        RUN_CANCELED,
    ]
)
EVENTS = st.lists(st.tuples(KINDS, st.sampled_from(["a", "b"]), st.sampled_from([None, "1", "2"])), max_size=14)


@given(EVENTS, st.integers(0, 14))
def test_an_end_once_known_never_changes(events: list[tuple[str, str | None, str | None]], seen: int) -> None:
    """Whatever the log, and wherever a pass stops reading it: later passes agree about everything that had ended."""
    rows = log(*events)
    early, late = read_history(rows[:seen]), read_history(rows)
    if early.end:
        assert late.end == early.end
        assert late.start == early.start
    final = {asset.key: asset for asset in late.assets}
    for asset in early.assets:
        if asset.start:
            assert final[asset.key].start == asset.start
            assert final[asset.key].planned == asset.planned
        if asset.end:
            assert final[asset.key] == asset
