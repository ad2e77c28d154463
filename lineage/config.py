"""Settings of the integration, as plain typed dataclasses with no file or framework behind them.

Belongs here: what a user can turn, its default, and the check of each value. Reading a configuration file does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from psycopg.conninfo import conninfo_to_dict

from lineage.errors import LineageConfigError

TransportKind = Literal["file", "http", "console", "none"]

DEFAULT_PORT = "5432"
SOCKET = "socket"


@dataclass(frozen=True)
class TransportConfig:
    """Where events go. `none` keeps them in the outbox until another transport is configured.

    Attributes:
        kind: file (JSON lines), http (an OpenLineage endpoint such as Marquez), console (standard output) or none.
        path: file that lines are appended to; for `file`.
        url: base of the receiver, such as http://localhost:5000; for `http`.
        endpoint: path below `url`.
        api_key: sent as a bearer token; read it from the environment. Never shown by repr, never logged.
        timeout_seconds: for connecting, and for each wait on the answer.
    """

    kind: TransportKind = "none"
    path: Path | None = None
    url: str | None = None
    endpoint: str = "api/v1/lineage"
    api_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(TransportKind):
            raise LineageConfigError(
                f"transport kind {self.kind!r} is unknown. Allowed: {', '.join(get_args(TransportKind))}."
            )
        if self.kind == "file" and self.path is None:
            raise LineageConfigError("transport `file` needs `path`, the file that events are appended to.")
        if self.kind == "http" and not (self.url or "").startswith(("http://", "https://")):
            raise LineageConfigError(f"transport `http` needs `url`: http://... or https://... (found {self.url!r}).")
        if self.timeout_seconds <= 0:
            raise LineageConfigError(f"transport timeout must be above 0 seconds (found {self.timeout_seconds}).")


@dataclass(frozen=True)
class DeliveryPolicy:
    """How patiently the relay delivers.

    Attributes:
        first_delay_seconds: wait after an event's first failure; doubles with each further one, with jitter.
        longest_delay_seconds: cap of that wait, and of the time the circuit breaker stays open.
        terminal_attempts: refusals of one event before it is put aside as dead.
        breaker_failures: transient failures in a row that open the circuit breaker.
        breaker_seconds: how long it stays open the first time; doubles while the receiver stays down.
        pass_seconds: a delivery pass stops starting new requests after this time.
    """

    first_delay_seconds: float = 2.0
    longest_delay_seconds: float = 900.0
    terminal_attempts: int = 3
    breaker_failures: int = 5
    breaker_seconds: float = 30.0
    pass_seconds: float = 60.0


@dataclass(frozen=True)
class LineageConfig:
    """Everything the collector and the relay need to know.

    Attributes:
        dataset_namespace: where tables live: postgres://host:port (see `postgres_names`).
        database: put before table names that come without their database.
        database_names: real name of each database that definitions call otherwise, such as {"market": "market_test"}.
        job_namespace: namespace of jobs, and of assets that have no table.
        producer: URI of the code that produces the events.
        partition_field: name of the partition dimension in subset facets, such as session.
        overlap: event-log ids behind the watermark that are read again, for transactions that committed late. Must
            exceed the number of events one statement inserts.
        window: event-log ids handled in one transaction, which bounds memory when years of history are collected.
        transport: where events go.
        policy: how patiently they are delivered.
    """

    dataset_namespace: str
    database: str | None = None
    database_names: Mapping[str, str] = field(default_factory=dict)
    job_namespace: str = "dagster"
    producer: str = "urn:lineage:dagster-event-log"
    partition_field: str = "partition"
    overlap: int = 50_000
    window: int = 200_000
    transport: TransportConfig = field(default_factory=TransportConfig)
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)


def postgres_names(url: str) -> tuple[str, str]:
    """OpenLineage namespace and database name of a libpq URL or connection string.

    `postgres://host:port` as the OpenLineage naming specification has it. A server on a Unix socket has no host that
    another machine could name: it is `postgres://localhost:socket`, whatever the folder of the socket.

    >>> postgres_names("postgresql://user:secret@db.example/market")
    ('postgres://db.example:5432', 'market')
    """
    parts = conninfo_to_dict(url)
    host = str(parts.get("host") or "")
    database = str(parts.get("dbname") or parts.get("user") or "postgres")
    if not host or host.startswith(("/", "@")):
        return f"postgres://localhost:{SOCKET}", database
    port = str(parts.get("port") or DEFAULT_PORT)
    return f"postgres://{host.partition(',')[0]}:{port.partition(',')[0]}", database
