"""The Dagster instance's storage: runs, events and schedules in one PostgreSQL database, over one pool of connections.

dagster.yaml names MarketStorage and configures nothing: the database is found when an instance is built, so that no
file and no argument of a run worker holds its password. Tests and tools build an instance on any database with
`instance_for`. How events are written is event_log.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as db
from dagster import DagsterInstance, Field, IntSource, StringSource
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.base_storage import DagsterStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import PostgresRunStorage, PostgresScheduleStorage

from market_assets.instance.connections import pooled_engine
from market_assets.instance.event_log import DEFAULT_BATCH_SIZE, BatchedPostgresEventLogStorage
from market_assets.settings import project_root
from market_assets.warehouse.server import dagster_url

if TYPE_CHECKING:
    from dagster._config.config_schema import UserConfigSchema
    from sqlalchemy.engine import Engine

_CREATION_LOCK = 0x6D61726B6574  # "market" in ASCII: the advisory lock of whoever creates Dagster's tables

_MAIN_TABLES = frozenset({"event_logs", "runs", "instance_info", "jobs"})


class PooledRunStorage(PostgresRunStorage):
    """PostgresRunStorage on a pool of connections that it shares."""

    def __init__(self, postgres_url: str, engine: Engine, should_autocreate_tables: bool) -> None:
        super().__init__(postgres_url, should_autocreate_tables)
        self._engine = engine

    def dispose(self) -> None:
        """Close the idle connections."""
        super().dispose()
        self._engine.dispose()


class PooledScheduleStorage(PostgresScheduleStorage):
    """PostgresScheduleStorage on a pool of connections that it shares."""

    def __init__(self, postgres_url: str, engine: Engine, should_autocreate_tables: bool) -> None:
        super().__init__(postgres_url, should_autocreate_tables)
        self._engine = engine


class MarketStorage(DagsterStorage[DagsterInstance], ConfigurableClass):
    """Everything Dagster remembers, in one database.

    In dagster.yaml::

        storage:
          custom: {module: market_assets.instance.storage, class: MarketStorage, config: {}}

    Args:
        postgres_url: libpq URL of the database, which exists; Dagster's tables are created when they are missing.
        event_batch_size: events per batch, see BatchedPostgresEventLogStorage.
        inst_data: where the instance found this class and its configuration.
    """

    def __init__(
        self,
        postgres_url: str,
        event_batch_size: int = DEFAULT_BATCH_SIZE,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._inst_data = inst_data
        engine = pooled_engine(postgres_url)
        with _table_creation(engine) as missing:
            self._runs = PooledRunStorage(postgres_url, engine, should_autocreate_tables=missing)
            self._events = BatchedPostgresEventLogStorage(
                postgres_url, should_autocreate_tables=missing, event_batch_size=event_batch_size, engine=engine
            )
            self._schedules = PooledScheduleStorage(postgres_url, engine, should_autocreate_tables=missing)
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster's base class is not annotated

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Where the instance found this class and its configuration."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Both keys may be left out: `postgres_url` (the platform's database) and `event_batch_size`."""
        return {
            "postgres_url": Field(StringSource, is_required=False),
            "event_batch_size": Field(IntSource, is_required=False, default_value=DEFAULT_BATCH_SIZE),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> MarketStorage:
        """The storage on the configured database; without one, on the platform's, which is started on demand.

        Raises:
            ConfigError: MARKET_DATABASE_URL cannot be used.
            WarehouseUnavailable: the embedded server does not start.
        """
        return cls(
            config_value.get("postgres_url") or dagster_url(),
            config_value.get("event_batch_size", DEFAULT_BATCH_SIZE),
            inst_data,
        )

    @property
    def run_storage(self) -> PooledRunStorage:
        """Runs, their tags and snapshots, backfills, heartbeats of the daemons."""
        return self._runs

    @property
    def event_log_storage(self) -> BatchedPostgresEventLogStorage:
        """Events, asset keys, check executions, concurrency slots."""
        return self._events

    @property
    def schedule_storage(self) -> PooledScheduleStorage:
        """States and ticks of sensors and schedules."""
        return self._schedules


def instance_for(postgres_url: str, home: Path) -> DagsterInstance:
    """A DagsterInstance with the settings of the project's dagster.yaml, on another database and folder.

    Args:
        postgres_url: libpq URL of a database that exists; it becomes part of the instance's reference, which run
            workers get as an argument: no password in it.
        home: folder for artifacts and logs, created when something is written.
    """
    module = "market_assets.instance.artifacts"
    folder = {"base_dir": str(home)}
    overrides: dict[str, Any] = {
        "storage": {"custom": {"module": __name__, "class": "MarketStorage", "config": {"postgres_url": postgres_url}}},
        "local_artifact_storage": {"module": module, "class": "MarketArtifactStorage", "config": folder},
        "compute_logs": {"module": module, "class": "MarketComputeLogManager", "config": folder},
    }
    return DagsterInstance.from_ref(
        InstanceRef.from_dir(str(home), config_dir=str(project_root()), overrides=overrides)
    )


@contextmanager
def _table_creation(engine: Engine) -> Iterator[bool]:
    """Whether Dagster's tables are missing; if they are, no other process can create them inside the context.

    Webserver, daemon and code server start together on an empty database, and each would create every table.
    """
    if _tables_exist(engine):
        yield False
        return
    with engine.connect() as connection:
        connection.execute(db.select(db.func.pg_advisory_lock(_CREATION_LOCK)))
        try:
            yield True
        finally:
            connection.execute(db.select(db.func.pg_advisory_unlock(_CREATION_LOCK)))


def _tables_exist(engine: Engine) -> bool:
    return set(db.inspect(engine).get_table_names()) >= _MAIN_TABLES
