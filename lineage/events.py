"""OpenLineage events of one Dagster run, byte for byte the same whenever they are built.

Belongs here: which events a run becomes, their ids, times and run facets. Does not belong here: reading tables, or
dataset facets.

    Dagster                     OpenLineage job             run id
    the run                     <job name>                  the Dagster run id
    one asset of the run        <asset key>                 UUIDv5 of run id and asset key; parent: the Dagster run
    the checks of one asset     <asset key>.checks          UUIDv5 of run id and name; parent: the Dagster run
    an event without a run      <asset key>[.checks]        UUIDv5 of instance and storage id; no parent

Each OpenLineage run has two events, START (sequence 0) and its end (sequence 1), whose ids derive from the run id and
the sequence alone. START says what the definitions say; the end adds the facts of the materializations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

import dagster
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    error_message_run,
    job_type_job,
    ownership_job,
    parent_run,
    processing_engine_run,
    sql_job,
)
from openlineage.client.serde import Serde

from lineage.columns import DIALECT
from lineage.config import LineageConfig
from lineage.declared import AssetFacts, Declared
from lineage.eventlog import LogRow
from lineage.facets import Datasets

NAMESPACE: Final = UUID("5b3a6a3c-8c5f-5d0e-9f0a-3d6f2f6f7e11")
"""UUIDv5 namespace of every id. Changing it would deliver all history again under new ids."""

START: Final = 0
END: Final = 1


@dataclass(frozen=True)
class OutboxEvent:
    """One event, ready to be stored and sent.

    Attributes:
        event_id: derives from `run_id` and `sequence`.
        run_id: OpenLineage run.
        sequence: 0 for START, 1 for the end.
        dagster_run_id: Dagster run it stems from, empty for events without a run.
        position: storage id of the event-log row that caused it.
        job_namespace: of the OpenLineage job.
        job_name: of the OpenLineage job.
        event_type: START, COMPLETE, FAIL or ABORT.
        event_time: of that row, UTC.
        payload: the event as JSON.
    """

    event_id: UUID
    run_id: UUID
    sequence: int
    dagster_run_id: str
    position: int
    job_namespace: str
    job_name: str
    event_type: str
    event_time: datetime
    payload: str


@dataclass(frozen=True)
class DagsterRunFacts:
    """The run that events belong to.

    Attributes:
        run_id: Dagster run id, empty when there is none.
        job_name: Dagster job, empty when there is none.
        source: identity of the Dagster instance's storage.
        span: first and last partition key of a range run.
    """

    run_id: str
    job_name: str
    source: str
    span: tuple[str, str] | None = None

    @property
    def uuid(self) -> UUID:
        """The run id itself; derived from it when it is no UUID."""
        try:
            return UUID(self.run_id)
        except ValueError:
            return uuid5(NAMESPACE, self.run_id)


@dataclass(frozen=True)
class Failure:
    """Why something failed.

    Attributes:
        message: one line or a few.
        stack: stack trace, None when there is none.
    """

    message: str
    stack: str | None = None


class EventBuilder:
    """Builds the events of one run.

    Args:
        run: the Dagster run, or none.
        config: namespaces and producer.
        declared: definitions by asset key.
    """

    def __init__(self, run: DagsterRunFacts, config: LineageConfig, declared: Declared) -> None:
        self._run = run
        self._config = config
        self.producer = config.producer
        self.datasets = Datasets(config, declared)

    def run_event(self, row: LogRow, state: str, failure: Failure | None = None) -> OutboxEvent:
        """An event of the Dagster run itself: it has no datasets, but parents need an end too."""
        return self._event(
            row,
            state,
            run_id=self._run.uuid,
            job=self._job(self._run.job_name, "JOB"),
            run_facets=self._failure_facet(failure),
        )

    def asset_event(
        self,
        row: LogRow,
        state: str,
        facts: AssetFacts,
        *,
        partitions: Sequence[str] = (),
        whole_span: bool = False,
        rows_written: int | None = None,
        failure: Failure | None = None,
    ) -> OutboxEvent:
        """An event of one asset.

        Args:
            row: the event-log row that caused it.
            state: START, COMPLETE, FAIL or ABORT.
            facts: of the definitions for START, of the run for the end.
            partitions: keys to be written (START) or written (end), sorted.
            whole_span: whether they are every partition of the range run.
            rows_written: used when the facts hold no statistics.
            failure: for FAIL and ABORT.
        """
        subset = self.datasets.subset(partitions, self._run.span if whole_span else None)
        facets: dict[str, JobFacet] = {}
        if facts.sql:
            facets["sql"] = sql_job.SQLJobFacet(facts.sql, dialect=DIALECT, producer=self.producer)
        if facts.owners:
            facets["ownership"] = ownership_job.OwnershipJobFacet(
                [ownership_job.Owner(owner) for owner in facts.owners], producer=self.producer
            )
        return self._event(
            row,
            state,
            run_id=self._id(facts.key, row),
            job=self._job(facts.key, "ASSET", facets),
            run_facets={**self._parent_facet(), **self._failure_facet(failure)},
            inputs=self.datasets.inputs(facts),
            outputs=self.datasets.outputs(facts, subset=subset, rows_written=rows_written),
        )

    def checks_event(
        self,
        row: LogRow,
        state: str,
        asset: str,
        *,
        inputs: Sequence[InputDataset],
        facets: dict[str, RunFacet] | None = None,
        failure: Failure | None = None,
        time: datetime | None = None,
    ) -> OutboxEvent:
        """An event of the checks of one asset; `time` when it differs from the row's."""
        name = f"{asset}.checks"
        return self._event(
            row,
            state,
            run_id=self._id(name, row),
            job=self._job(name, "ASSET_CHECKS"),
            run_facets={**self._parent_facet(), **(facets or {}), **self._failure_facet(failure)},
            inputs=inputs,
            time=time,
        )

    def _id(self, name: str, row: LogRow) -> UUID:
        owner = self._run.run_id or f"event {row.id} of {self._run.source}"
        return uuid5(NAMESPACE, f"{owner}/{name}")

    def _job(self, name: str, kind: str, facets: dict[str, JobFacet] | None = None) -> Job:
        job_type = job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="DAGSTER", jobType=kind, producer=self.producer
        )
        return Job(self._config.job_namespace, name, facets={"jobType": job_type, **(facets or {})})

    def _parent_facet(self) -> dict[str, RunFacet]:
        if not self._run.run_id:
            return {}
        identity = str(self._run.uuid)
        namespace, name = self._config.job_namespace, self._run.job_name
        return {
            "parent": parent_run.ParentRunFacet(
                run=parent_run.Run(identity),
                job=parent_run.Job(namespace, name),
                root=parent_run.Root(run=parent_run.RootRun(identity), job=parent_run.RootJob(namespace, name)),
                producer=self.producer,
            )
        }

    def _failure_facet(self, failure: Failure | None) -> dict[str, RunFacet]:
        if failure is None:
            return {}
        return {
            "errorMessage": error_message_run.ErrorMessageRunFacet(
                failure.message, "Python", stackTrace=failure.stack, producer=self.producer
            )
        }

    def _event(
        self,
        row: LogRow,
        state: str,
        *,
        run_id: UUID,
        job: Job,
        run_facets: dict[str, RunFacet],
        inputs: Iterable[InputDataset] = (),
        outputs: Iterable[OutputDataset] = (),
        time: datetime | None = None,
    ) -> OutboxEvent:
        sequence = START if state == "START" else END
        moment = time or row.time
        engine = processing_engine_run.ProcessingEngineRunFacet(
            dagster.__version__, name="Dagster", producer=self.producer
        )
        event = RunEvent(
            eventTime=moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            eventType=RunState[state],
            run=Run(str(run_id), facets={"processing_engine": engine, **run_facets}),
            job=job,
            inputs=list(inputs),
            outputs=list(outputs),
            producer=self.producer,
        )
        return OutboxEvent(
            event_id=uuid5(NAMESPACE, f"{run_id}/{sequence}"),
            run_id=run_id,
            sequence=sequence,
            dagster_run_id=self._run.run_id,
            position=row.id,
            job_namespace=job.namespace,
            job_name=job.name,
            event_type=state,
            event_time=moment,
            payload=Serde.to_json(event),
        )
