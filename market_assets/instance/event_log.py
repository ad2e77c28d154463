"""Event storage that writes a batch of Dagster events in a few statements.

As shipped, PostgresEventLogStorage batches materializations alone, and stores every planned event over two connections
of its own: a run over thousands of partitions spends nearly all its time there. This class changes how the rows get in,
not what they are. It depends on dagster-postgres alone; how a batch is formed is Dagster's business
(`EventMethods.handle_new_event`), and where the database is belongs in storage.py.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import sqlalchemy as db
from dagster import Field, IntSource
from dagster import _check as check
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import ASSET_EVENTS, BATCH_WRITABLE_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_config, pg_url_from_config
from sqlalchemy.dialects.postgresql import ARRAY

from market_assets.instance.connections import pooled_engine

if TYPE_CHECKING:
    from dagster._config.config_schema import UserConfigSchema
    from dagster_postgres.auth import PgTokenProvider
    from sqlalchemy.engine import Connection, Engine

BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
"""How many events DagsterInstance collects before it calls `store_event_batch`; 0 or unset: it never does."""

DEFAULT_BATCH_SIZE = 500

_log = logging.getLogger(__name__)


class _Stored(NamedTuple):
    """An event that is in event_logs: its id there, and its other columns."""

    event: EventLogEntry
    event_id: int
    row: Mapping[str, Any]

    @property
    def kind(self) -> DagsterEventType:
        return DagsterEventType(self.row["dagster_event_type"])

    @property
    def asset_key(self) -> str | None:
        return cast("str | None", self.row["asset_key"])


class BatchedPostgresEventLogStorage(PostgresEventLogStorage):
    """PostgresEventLogStorage with batched writes and pooled connections.

    A batch is one transaction: it is stored whole or not at all. DagsterInstance stores the events of a batch that
    failed one by one, and because nothing of it was left behind, none is stored twice.

    In dagster.yaml::

        event_log_storage:
          module: market_assets.instance.event_log
          class: BatchedPostgresEventLogStorage
          config: {postgres_url: ..., event_batch_size: 500}

    Args:
        postgres_url: libpq or SQLAlchemy URL.
        should_autocreate_tables: create Dagster's tables when they are missing.
        inst_data: where the instance found this class and its configuration.
        token_provider: adds a short-lived password to each new connection.
        event_batch_size: events per batch, for every instance of this process. DAGSTER_EVENT_BATCH_SIZE, if set, wins.
        engine: a pool to share with other storages; by default one of its own.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: PgTokenProvider | None = None,
        event_batch_size: int = DEFAULT_BATCH_SIZE,
        engine: Engine | None = None,
    ) -> None:
        self._present_tables: set[str] = set()
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        self._engine = engine or pooled_engine(postgres_url, token_provider)
        # The instance decides on batching by the environment alone, so the storage that profits from it sets it there.
        os.environ.setdefault(BATCH_SIZE_VARIABLE, str(check.int_param(event_batch_size, "event_batch_size")))

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """The stock storage's configuration and `event_batch_size`."""
        stock = cast("dict[str, Any]", pg_config())
        return {**stock, "event_batch_size": Field(IntSource, is_required=False, default_value=DEFAULT_BATCH_SIZE)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedPostgresEventLogStorage:
        """An instance of this class; the stock method names the stock class."""
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
            event_batch_size=config_value.get("event_batch_size", DEFAULT_BATCH_SIZE),
        )

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Replace the pool by the webserver's, which has a statement timeout."""
        self._engine.dispose()
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)

    def dispose(self) -> None:
        """Stop watching runs and close the idle connections."""
        super().dispose()
        self._engine.dispose()

    def has_table(self, table_name: str) -> bool:
        """Whether the table exists; asked of the database until it does."""
        if table_name not in self._present_tables and super().has_table(table_name):
            self._present_tables.add(table_name)
        return table_name in self._present_tables

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of the kinds in BATCH_WRITABLE_EVENTS, all of them or none.

        Writes the rows that `store_event` would write for each event in turn.

        Args:
            events: any mix of kinds, assets and runs, in the order in which they happened.

        Raises:
            CheckError: an event is of another kind.
            sqlalchemy.exc.DBAPIError: the database refused the batch, and holds nothing of it.
        """
        check.sequence_param(events, "events", of_type=EventLogEntry)
        kinds = {event.get_dagster_event().event_type for event in events}
        check.invariant(
            kinds <= BATCH_WRITABLE_EVENTS, f"only {BATCH_WRITABLE_EVENTS} can be written in batches, not {kinds}"
        )
        # The stock storage has no place for failed materializations either.
        events = [event for event in events if not event.get_dagster_event().is_asset_failed_to_materialize]
        if not events:
            return
        rows = [self._event_to_row(event) for event in events]
        ids: list[int] = []
        try:
            with self.index_transaction() as connection:
                ids.extend(_insert_events(connection, rows))
                self._store_batch_index(connection, list(map(_Stored, events, ids, rows)))
        except db.exc.DBAPIError as error:
            if not (error.connection_invalidated and ids and self._is_stored(ids[-1])):
                raise
            _log.warning("the connection broke after a batch of %d events was committed: %s", len(events), error)

    def _store_batch_index(self, connection: Connection, batch: Sequence[_Stored]) -> None:
        """Write what `store_event` keeps beside an event: tags, the asset's latest event, planned checks."""
        of_assets = [stored for stored in batch if stored.kind in ASSET_EVENTS and stored.asset_key]
        self._store_asset_event_tags(
            connection, [stored.event for stored in of_assets], [stored.event_id for stored in of_assets]
        )
        for stored in _latest_of_each_asset(of_assets):
            self._store_asset_event(connection, stored.event, stored.event_id)
        for stored in batch:
            if stored.kind == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                self._store_planned_check(connection, stored)

    def _store_planned_check(self, connection: Connection, stored: _Stored) -> None:
        """Write one row for each partition that the check is to run on, or one without a partition."""
        check.invariant(
            self.supports_asset_checks,
            "Asset checks require a database schema migration. Run `dagster instance migrate`.",
        )
        table = AssetCheckExecutionsTable
        plan = cast("AssetCheckEvaluationPlanned", stored.event.get_dagster_event().event_specific_data)
        values = {
            "asset_key": plan.asset_key.to_string(),
            "check_name": plan.check_name,
            "run_id": stored.event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            # This text names the partitions of the run: it is sent once for all of them, not once for each.
            "evaluation_event": stored.row["event"],
            "evaluation_event_timestamp": stored.row["timestamp"],
            "evaluation_event_storage_id": stored.event_id,
        }
        if not plan.partitions_subset:
            connection.execute(table.insert().values(**values))
            return
        partitions = db.literal(list(plan.partitions_subset.get_partition_keys()), ARRAY(db.Text))
        row_of_each = db.select(
            *(db.literal(value, table.c[name].type) for name, value in values.items()), db.func.unnest(partitions)
        )
        connection.execute(table.insert().from_select([*values, "partition"], row_of_each))

    def _is_stored(self, event_id: int) -> bool:
        """Whether an event that this process wrote was committed; ids are never given out twice."""
        with self._connect() as connection:
            found = connection.execute(
                db.select(SqlEventLogStorageTable.c.id).where(SqlEventLogStorageTable.c.id == event_id)
            )
            return found.first() is not None


def _insert_events(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert rows of event_logs; their ids, in the order of the rows and ascending."""
    table = SqlEventLogStorageTable
    result = connection.execute(table.insert().returning(table.c.id, sort_by_parameter_order=True), list(rows))
    return list(result.scalars())


def _latest_of_each_asset(batch: Sequence[_Stored]) -> list[_Stored]:
    """The last event of each kind for each asset: what asset_keys holds after all of them were stored in turn.

    Sorted by asset, so that the batches of several runs lock the rows of asset_keys in one order and cannot deadlock.
    """
    latest: dict[str, dict[DagsterEventType, _Stored]] = {}
    for stored in batch:
        kind, of_asset = stored.kind, latest.setdefault(check.not_none(stored.asset_key), {})
        of_asset.pop(kind, None)  # so that the kinds stay in the order of their last events
        of_asset[kind] = stored
    return [stored for key in sorted(latest) for stored in latest[key].values()]
