"""What happened to each asset of a run, read off the rows of its event log. Pure: rows in, outcomes out.

Belongs here: the rules that turn Dagster's events into a start and an end. Does not belong here: any reading or any
OpenLineage class.

An asset starts with its step. It ends, at the first of these rows,
    step succeeded      COMPLETE, or ABORT when the step did not materialize it
    step failed         COMPLETE when all its partitions were materialized all the same (one model of a dbt build that
                        failed elsewhere), else FAIL; ABORT when the run was being cancelled
    run ended           for assets whose step never ended, because the process died or the step never ran: COMPLETE when
                        all partitions were materialized, FAIL when it had started, ABORT when not or when cancelled
An asset that never started gets its start together with its end, so that every planned asset is accounted for.

Only rows up to the end count. So what a run becomes is a function of its log, whenever and however often it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from lineage.eventlog import LogRow

State = Literal["COMPLETE", "FAIL", "ABORT"]

PLANNED: Final = "ASSET_MATERIALIZATION_PLANNED"
MATERIALIZED: Final = "ASSET_MATERIALIZATION"
CHECK_PLANNED: Final = "ASSET_CHECK_EVALUATION_PLANNED"
CHECK_EVALUATED: Final = "ASSET_CHECK_EVALUATION"
STEP_START: Final = "STEP_START"
STEP_SUCCESS: Final = "STEP_SUCCESS"
STEP_FAILURE: Final = "STEP_FAILURE"
RUN_START: Final = "PIPELINE_START"
RUN_SUCCESS: Final = "PIPELINE_SUCCESS"
RUN_FAILURE: Final = "PIPELINE_FAILURE"
RUN_CANCELING: Final = "PIPELINE_CANCELING"
RUN_CANCELED: Final = "PIPELINE_CANCELED"

_RUN_STATES: Final[dict[str, State]] = {RUN_SUCCESS: "COMPLETE", RUN_FAILURE: "FAIL", RUN_CANCELED: "ABORT"}
_STEP_ENDS: Final = (STEP_SUCCESS, STEP_FAILURE)


@dataclass(frozen=True)
class End:
    """How something ended.

    Attributes:
        row: the event that ended it.
        state: OpenLineage's word for it.
    """

    row: LogRow
    state: State


@dataclass(frozen=True)
class AssetHistory:
    """One asset in one run.

    Attributes:
        key: asset key as user string.
        start: the event that started it, or ended it when it never started; None while it waits.
        started: whether its step ran.
        end: None while it runs.
        planned: partition keys it was to materialize, in the order planned; empty when unpartitioned.
        materializations: its materializations up to the end, ascending.
    """

    key: str
    start: LogRow | None
    started: bool
    end: End | None
    planned: tuple[str, ...]
    materializations: tuple[LogRow, ...]

    @property
    def partitions(self) -> tuple[str, ...]:
        """Partition keys that were materialized, sorted."""
        return tuple(sorted({row.partition for row in self.materializations if row.partition is not None}))


@dataclass(frozen=True)
class RunHistory:
    """One run.

    Attributes:
        start: the event that started it, or ended it when it never started; None while it is queued.
        end: None while it runs.
        assets: every planned or materialized asset, in the order of its first event.
        checks_planned: planned check evaluations.
        evaluations: check evaluations up to the end.
        step_starts: first start of each step.
    """

    start: LogRow | None = None
    end: End | None = None
    assets: tuple[AssetHistory, ...] = ()
    checks_planned: tuple[LogRow, ...] = ()
    evaluations: tuple[LogRow, ...] = ()
    step_starts: dict[str, LogRow] = field(default_factory=dict)


def read_history(rows: Sequence[LogRow]) -> RunHistory:
    """History of one run.

    Args:
        rows: all of its rows so far, ascending by id.
    """
    by_kind: dict[str, list[LogRow]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    run_end = next((row for row in rows if row.kind in _RUN_STATES), None)
    step_starts = _first_by_step(_before(by_kind.get(STEP_START, ()), run_end))
    step_ends = _first_by_step(row for row in rows if row.kind in _STEP_ENDS)
    canceling = next(iter(by_kind.get(RUN_CANCELING, ())), None)
    planned, materialized = _by_asset(by_kind.get(PLANNED, ())), _by_asset(by_kind.get(MATERIALIZED, ()))
    assets = []
    for key in dict.fromkeys((*planned, *materialized)):
        wanted, done = planned.get(key, []), materialized.get(key, [])
        step = min((*wanted, *done), key=lambda row: row.id).step or ""
        end = _first(step_ends.get(step), run_end)
        start = _first(step_starts.get(step), end)
        assets.append(_asset_history(key, wanted, done, start=start, end=end, canceling=canceling))
    return RunHistory(
        start=_first(next(iter(by_kind.get(RUN_START, ())), None), run_end),
        end=End(run_end, _RUN_STATES[run_end.kind]) if run_end is not None else None,
        assets=tuple(assets),
        checks_planned=tuple(_before(by_kind.get(CHECK_PLANNED, ()), run_end)),
        evaluations=tuple(_before(by_kind.get(CHECK_EVALUATED, ()), run_end)),
        step_starts=step_starts,
    )


def _asset_history(
    key: str,
    wanted: Sequence[LogRow],
    done: Sequence[LogRow],
    *,
    start: LogRow | None,
    end: LogRow | None,
    canceling: LogRow | None,
) -> AssetHistory:
    """History of one asset from its planned and its actual materializations, and the rows that frame them."""
    planned = tuple(row.partition for row in _before(wanted, start) if row.partition is not None)
    materializations = tuple(_before(done, end))
    started = start is not None and start is not end
    ended: End | None = None
    if end is not None:
        cancelled = end.kind == RUN_CANCELED or (canceling is not None and canceling.id < end.id)
        ended = End(end, _asset_state(end, planned, materializations, started=started, cancelled=cancelled))
    return AssetHistory(
        key=key,
        start=start,
        started=started,
        end=ended,
        planned=planned,
        materializations=materializations,
    )


def _asset_state(
    end: LogRow, planned: Sequence[str], done: Sequence[LogRow], *, started: bool, cancelled: bool
) -> State:
    if done and set(planned) <= {row.partition for row in done}:
        return "COMPLETE"
    if end.kind in (STEP_SUCCESS, RUN_SUCCESS):
        return "COMPLETE" if done else "ABORT"
    return "FAIL" if started and not cancelled else "ABORT"


def _first(*rows: LogRow | None) -> LogRow | None:
    """The earliest of some rows, None when there are none."""
    return min((row for row in rows if row is not None), key=lambda row: row.id, default=None)


def _before(rows: Iterable[LogRow], end: LogRow | None) -> list[LogRow]:
    return [row for row in rows if end is None or row.id < end.id]


def _first_by_step(rows: Iterable[LogRow]) -> dict[str, LogRow]:
    first: dict[str, LogRow] = {}
    for row in rows:
        if row.step is not None:
            first.setdefault(row.step, row)
    return first


def _by_asset(rows: Iterable[LogRow]) -> dict[str, list[LogRow]]:
    grouped: dict[str, list[LogRow]] = {}
    for row in rows:
        if row.asset is not None:
            grouped.setdefault(row.asset, []).append(row)
    return grouped
