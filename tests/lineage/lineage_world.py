"""A small code location for lineage tests: two partitioned Python assets, a table made by SQL, and their checks.

prices (daily)  ->  indicators (daily)  ->  mart (SQL over prices and indicators)
"""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    DagsterInstance,
    DailyPartitionsDefinition,
    Definitions,
    ExecuteInProcessResult,
    MaterializeResult,
    TableColumn,
    TableSchema,
    asset,
    define_asset_job,
)

from lineage.columns import analyse_sql
from lineage.config import LineageConfig
from lineage.facts import (
    COLUMN_LINEAGE,
    COLUMN_SCHEMA,
    PARTITION_ROW_COUNT,
    ROW_COUNT,
    TABLE_NAME,
    UNIT_TAG,
    column_lineage,
    sql_metadata,
    statistics_metadata,
    tables_metadata,
)

Events = dict[tuple[str, str], dict[str, Any]]
"""Events by (job, event type)."""
Observe = Callable[..., Events]

DAYS = DailyPartitionsDefinition("2024-01-01", end_date="2024-02-01")
RANGE = {"dagster/asset_partition_range_start": "2024-01-02", "dagster/asset_partition_range_end": "2024-01-05"}
CONFIG = LineageConfig(
    dataset_namespace="postgres://localhost:socket", job_namespace="market", partition_field="session"
)

MART_SQL = """
select p.symbol, p.session, p.close, avg(i.sma) as mean_sma
from market.raw.prices as p join market.analytics.indicators as i using (symbol, session)
where p.volume > 0
group by p.symbol, p.session, p.close
"""
CATALOG = {
    "market.raw.prices": {"symbol": "text", "session": "date", "close": "double precision", "volume": "bigint"},
    "market.analytics.indicators": {"symbol": "text", "session": "date", "sma": "double precision"},
}
ASSET_BY_TABLE = {
    "market.raw.prices": AssetKey("prices"),
    "market.analytics.indicators": AssetKey("indicators"),
}


class Behaviour(Config):
    """How an asset misbehaves."""

    fail: bool = False
    rows: int = 7


@asset(
    partitions_def=DAYS,
    backfill_policy=BackfillPolicy.single_run(),
    owners=["team:data"],
    description="Daily prices.",
    metadata={
        TABLE_NAME: "market.raw.prices",
        COLUMN_SCHEMA: TableSchema(
            [
                TableColumn("symbol", "text"),
                TableColumn("session", "date"),
                TableColumn("close", "double precision", description="Last price.", tags={UNIT_TAG: "USD"}),
                TableColumn("volume", "bigint", tags={UNIT_TAG: "shares"}),
            ]
        ),
        **tables_metadata(["market.raw.actions"]),
    },
    check_specs=[AssetCheckSpec("positive", asset="prices", blocking=True), AssetCheckSpec("fresh", asset="prices")],
)
def prices(context: AssetExecutionContext, config: Behaviour) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    if config.fail:
        raise ValueError("the vendor sent nothing")
    yield MaterializeResult(metadata=statistics_metadata(config.rows * len(context.partition_keys), restated=2))
    yield AssetCheckResult(check_name="positive", passed=True, metadata={"column": "close"})
    yield AssetCheckResult(
        check_name="fresh", passed=False, severity=AssetCheckSeverity.WARN, description="two days old"
    )


@asset(
    partitions_def=DAYS,
    backfill_policy=BackfillPolicy.single_run(),
    deps=[prices],
    metadata={
        TABLE_NAME: "market.analytics.indicators",
        COLUMN_SCHEMA: TableSchema([TableColumn(name, "text") for name in CATALOG["market.analytics.indicators"]]),
        COLUMN_LINEAGE: column_lineage(
            {"symbol": ["prices.symbol"], "session": ["prices.session"], "sma": ["prices.close"]}
        ),
    },
)
def indicators(context: AssetExecutionContext, config: Behaviour) -> MaterializeResult[Any]:
    if config.fail:
        raise ValueError("not enough history")
    for place, key in enumerate(context.partition_keys):
        context.add_asset_metadata({PARTITION_ROW_COUNT: 10 + place}, partition_key=key)
    return MaterializeResult()


@asset(deps=[prices, indicators], metadata={TABLE_NAME: "market.marts.mart"})
def mart() -> MaterializeResult[Any]:
    lineage = analyse_sql(MART_SQL, CATALOG)
    return MaterializeResult(metadata={ROW_COUNT: 99, **sql_metadata(MART_SQL, lineage, ASSET_BY_TABLE)})


def definitions(*more: AssetsDefinition) -> Definitions:
    return Definitions(
        assets=[prices, indicators, mart, *more],
        jobs=[
            define_asset_job("python", [prices, indicators]),
            define_asset_job("sql", [mart]),
            *(define_asset_job(f"only_{each.key.path[-1]}", [each]) for each in more),
            *([define_asset_job("more", [*more])] if more else []),
        ],
    )


DEFINITIONS = definitions()


def run(
    instance: DagsterInstance,
    job: str = "python",
    *,
    tags: dict[str, str] | None = None,
    config: dict[str, Any] | None = None,
    defs: Definitions = DEFINITIONS,
) -> ExecuteInProcessResult:
    """Execute a job in this process; a failing asset fails the run, not the test."""
    if tags is None:
        tags = RANGE if job == "python" else {}
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, tags=tags, raise_on_error=False, run_config={"ops": config or {}}
    )


def stored(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Every event as stored, in the order in which they happened."""
    return connection.execute(
        """
        select event_id, run_id, sequence, dagster_run_id, position, job_name, event_type, event_time, payload
        from lineage.outbox order by position, run_id, sequence
        """
    ).fetchall()
