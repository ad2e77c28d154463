"""The dbt marts: one `dbt build` per run, each model an asset and each data test an asset check."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AutomationCondition,
    BackfillPolicy,
    Failure,
    MaterializeResult,
    ResourceParam,
    multi_asset,
)

from lineage.catalog import read_catalog
from lineage.columns import Catalog, analyse_sql
from lineage.errors import ColumnLineageError
from lineage.facts import TABLE_NAME, sql_metadata, statistics_metadata
from market_assets.dbt.project import full_sql, invoke
from market_assets.dbt.specs import DbtModel, DbtTest
from market_assets.policy import classified_errors
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunResult

PASSED = {"pass", "success"}
FAILED = {"fail", "error", "runtime error"}


def build_marts(models: Sequence[DbtModel], automation: AutomationCondition[Any]) -> AssetsDefinition:
    """The models that are tables, as one subsettable asset function.

    Args:
        models: every model of the project.
        automation: condition under which a model is built by itself.
    """
    marts = {model.spec.key: model for model in models if not model.is_view}

    @multi_asset(
        name="marts",
        specs=[model.spec.replace_attributes(automation_condition=automation) for model in marts.values()],
        check_specs=[test.spec for model in marts.values() for test in model.tests],
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
        pool="dbt",
    )
    def marts_assets(
        context: AssetExecutionContext, platform: ResourceParam[Platform]
    ) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
        selected = [marts[key] for key in sorted(context.selected_asset_keys)]
        names = [model.spec.key.path[-1] for model in selected]
        with classified_errors(context), connect(platform.warehouse_url, autocommit=True) as connection:
            # A run of the daemon and `market backfill` may build at the same time; the lock ends with the connection.
            connection.execute("select pg_advisory_lock(hashtextextended('market_assets.marts', 0))")
            outcome = invoke(
                ["build", "--select", *names, "--exclude-resource-type", "unit_test"],
                platform.warehouse_url,
                run_id=context.run.run_id,
                on_event=_progress(platform, len(names)),
            )
            catalog, full = read_catalog(connection), full_sql(platform.warehouse_url)
        results = {result.node.unique_id: result for result in outcome}
        sources = _Sources(full, catalog, {str(model.spec.metadata[TABLE_NAME]): model.spec.key for model in models})
        yield from _results(selected, results, sources, set(context.selected_asset_check_keys))
        failed = [model.spec.key.path[-1] for model in selected if _status(results.get(model.unique_id)) not in PASSED]
        if failed:
            reasons = "; ".join(
                f"{result.node.name}: {result.message}" for result in outcome if _status(result) in FAILED
            )
            raise Failure(
                f"dbt built {len(names) - len(failed)} of {len(names)} models, not {', '.join(failed)}. {reasons}",
                allow_retries=False,
            )

    return marts_assets


class _Sources(NamedTuple):
    """What column lineage is found with: each model's SQL, columns of every table, the asset of each table."""

    sql: Mapping[str, str]
    catalog: Catalog
    assets: Mapping[str, AssetKey]


def _results(
    models: Sequence[DbtModel], results: Mapping[str, "RunResult"], sources: _Sources, wanted: set[AssetCheckKey]
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    for model in models:
        result = results.get(model.unique_id)
        if result is not None and _status(result) in PASSED:
            yield MaterializeResult(asset_key=model.spec.key, metadata=_metadata(result, sources))
        for test in model.tests:
            if test.spec.key in wanted:
                yield _check(test, results.get(test.unique_id))


def _metadata(result: "RunResult", sources: _Sources) -> dict[str, Any]:
    rows = int(result.adapter_response.get("rows_affected", 0) or 0)
    sql = sources.sql.get(result.node.unique_id, "")
    try:
        lineage = analyse_sql(sql, sources.catalog)
    except ColumnLineageError:
        lineage = None  # SQL that the parser does not know; the table's lineage is still complete
    return {
        "rows_written": rows,
        "seconds": round(result.execution_time, 3),
        **statistics_metadata(rows),
        **sql_metadata(sql, lineage, sources.assets),
    }


def _check(test: DbtTest, result: "RunResult | None") -> AssetCheckResult:
    status = _status(result)
    metadata: dict[str, Any] = {"status": status or "not run: a model before it failed"}
    if result is not None:
        metadata |= {"failing_rows": int(result.failures or 0), "seconds": round(result.execution_time, 3)}
        if result.message:
            metadata["message"] = str(result.message)
        if status not in PASSED:
            metadata["sql"] = str(getattr(result.node, "compiled_code", ""))
    return AssetCheckResult(
        asset_key=test.spec.asset_key,
        check_name=test.spec.name,
        passed=status in PASSED,
        severity=test.severity,
        description=None if status in PASSED else str(metadata.get("message", metadata["status"])),
        metadata=metadata,
    )


def _status(result: "RunResult | None") -> str:
    return "" if result is None else str(result.status)


def _progress(platform: Platform, models: int) -> Any:
    done = 0

    def count(event: Any) -> None:
        nonlocal done
        if event.info.name == "LogModelResult":
            done += 1
            platform.progress("marts: models", done, models)

    return count
