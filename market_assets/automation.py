"""Declarative automation: what follows when sessions have been ingested.

Belongs here: one automation condition for session-partitioned assets, one for the marts, and the sensor that evaluates
them. Does not belong here: what starts a day (sensors.py) and which asset carries which condition (definitions.py).

    ingestion of sessions  ->  one run: indicators and indices of these sessions  ->  one run: all marts

Both conditions differ from `AutomationCondition.eager()` where it would be wrong here:
- eager looks at the latest partition only. After downtime a range of sessions follows, and none is left out.
- eager ignores failed checks. Here a blocking check that failed, could not run or is still running holds what is
  downstream. Checks are declared without partitions (quality/checks.py), so their latest evaluation decides: a session
  that failed waits until they pass, for it or for a later one. Later sessions are computed from its bars as well, so
  holding it back on its own would protect nothing; its own result stays failed.
- eager lets an unpartitioned dependency that was updated (securities, actions) update every partition, which would
  compute twenty years again each evening. Only new bars count here; late actions are the restatement sensor's.
- eager starts a mart as soon as any of its own dependencies is updated, which builds the marts two or three times an
  evening. Here all marts wait for all of the analytics.
Runs that bring their own downstream (backfill, recomputation) carry COMPLETE_RUN_TAG, and what they write counts for
nothing here. `executed_with_root_target()` would not do: of a run over a range it knows the last partition only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from dagster import (
    AssetKey,
    AssetSelection,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    DefaultSensorStatus,
)

Condition = AutomationCondition[Any]

COMPLETE_RUN_TAG = "market/complete"
"""Tag of jobs that compute everything downstream of what they write; any value."""

# Written by a run that leaves the rest to automation.
_WRITTEN: Condition = AutomationCondition.newly_updated() & ~AutomationCondition.all_new_updates_have_run_tags(
    tag_keys={COMPLETE_RUN_TAG}
)


def session_condition(bars: AssetSelection) -> Condition:
    """Condition of an asset with one partition for each session: follow the sessions that `bars` has new data for.

    A session is requested once it was written, no dependency is missing or being written, and the blocking checks of
    all dependencies have passed. Until then the request waits: a check that is repeated and passes lets it go.

    Args:
        bars: the session-partitioned assets that start the evening, such as raw_prices. Virtual assets (dbt views)
            between them and the asset are looked through.
    """
    return (
        AutomationCondition.any_deps_match(_WRITTEN).allow(bars).resolve_through_virtual().since_last_handled()
        & ~AutomationCondition.any_deps_missing().resolve_through_virtual()
        & ~AutomationCondition.any_deps_in_progress().resolve_through_virtual()
        & AutomationCondition.all_deps_blocking_checks_passed().resolve_through_virtual()
        & ~AutomationCondition.in_progress()
    ).with_label("follow_sessions")


def marts_condition(analytics: Sequence[AssetKey]) -> Condition:
    """Condition of an unpartitioned mart: build once after all of `analytics` have followed, whatever the mart reads.

    The same condition on every mart makes them one request, hence one run.

    Args:
        analytics: session-partitioned assets whose new data the marts wait for, at least one.
    """
    written: list[Condition] = [AutomationCondition.asset_matches(key, _WRITTEN) for key in analytics]
    busy: list[Condition] = [
        AutomationCondition.asset_matches(key, AutomationCondition.in_progress()) for key in analytics
    ]
    return (
        reduce(or_, written).since_last_handled()
        & ~reduce(or_, busy)
        & ~AutomationCondition.any_deps_in_progress().resolve_through_virtual()
        & AutomationCondition.all_deps_blocking_checks_passed().resolve_through_virtual()
        & ~AutomationCondition.in_progress()
    ).with_label("follow_analytics")


def build_automation_sensor(
    target: AssetSelection,
    *,
    name: str = "automation_sensor",
    minimum_interval_seconds: int = 30,
    default_status: DefaultSensorStatus = DefaultSensorStatus.RUNNING,
) -> AutomationConditionSensorDefinition:
    """Evaluates the conditions of `target`; several sessions at once become one backfill, which is one run."""
    return AutomationConditionSensorDefinition(
        name=name,
        target=target,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        emit_backfills=True,
        description="Indicators and indices follow ingested sessions, marts follow indicators and indices; "
        "blocking checks hold both.",
    )
