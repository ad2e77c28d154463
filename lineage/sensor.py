"""The two ways in: a sensor for the daemon, and one call for the end of a command.

Both do the same pass (views, collect, deliver) and may run at the same time in different processes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import DefaultSensorStatus, SensorDefinition, SensorEvaluationContext, SkipReason, sensor

if TYPE_CHECKING:
    import psycopg
    from dagster import DagsterInstance

    from lineage.config import LineageConfig
    from lineage.declared import Declared
    from lineage.relay import Delivery


@dataclass(frozen=True)
class LineagePass:
    """What one pass did.

    Attributes:
        collected: events built from the event log.
        delivery: what the relay did, None when no transport is configured.
    """

    collected: int
    delivery: Delivery | None

    def __str__(self) -> str:
        """One line for a log or a tick."""
        text = f"collected {self.collected} events"
        if self.delivery is None:
            return f"{text}; no transport, they stay in the warehouse"
        if self.delivery.busy:
            return f"{text}; another relay is delivering"
        text = f"{text}, delivered {self.delivery.delivered}, waiting {self.delivery.pending}"
        if self.delivery.dead:
            text += f", given up {self.delivery.dead}"
        if self.delivery.waiting_until is not None:
            text += f"; the receiver fails, next attempt {self.delivery.waiting_until:%H:%M:%S} UTC"
        return text


def collect_and_deliver(
    instance: DagsterInstance, connection: psycopg.Connection, config: LineageConfig, declared: Declared
) -> LineagePass:
    """Tell Dagster about new views, collect everything that is in the event log, and deliver what is due.

    Args:
        instance: whose event log is read.
        connection: to the database with the `lineage` schema, used by nobody else meanwhile: it is committed often.
        config: see `LineageConfig`.
        declared: from `lineage.declared.declared_assets`.
    """
    from lineage.collector import collect
    from lineage.relay import Relay
    from lineage.transports import open_transport
    from lineage.views import report_views

    report_views(instance, connection, declared)
    connection.commit()
    collected = collect(instance, connection, config, declared)
    transport = open_transport(config.transport)
    if transport is None:
        return LineagePass(collected, None)
    with closing(transport):
        return LineagePass(collected, Relay(transport, config.policy).deliver(connection))


def build_lineage_sensor(
    connect: Callable[[], psycopg.Connection],
    config: Callable[[], LineageConfig],
    *,
    name: str = "lineage_sensor",
    interval_seconds: int = 30,
    default_status: DefaultSensorStatus = DefaultSensorStatus.RUNNING,
) -> SensorDefinition:
    """A sensor that keeps the lineage of its code location up to date. It launches nothing.

    Args:
        connect: opens a connection to the database with the `lineage` schema; closed after each tick.
        config: read at each tick, so that a code location loads without settings or secrets.
        name: of the sensor.
        interval_seconds: shortest time between ticks.
        default_status: whether it runs without being switched on.
    """

    @sensor(
        name=name,
        minimum_interval_seconds=interval_seconds,
        default_status=default_status,
        description="Turns new events of the event log into OpenLineage events and delivers them.",
    )
    def lineage_sensor(context: SensorEvaluationContext) -> SkipReason:
        from lineage.declared import declared_assets

        declared = declared_assets(context.repository_def) if context.repository_def else {}
        with closing(connect()) as connection:
            return SkipReason(str(collect_and_deliver(context.instance, connection, config(), declared)))

    return lineage_sensor
