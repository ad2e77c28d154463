"""The dbt marts: one `dbt build` per run, each model an asset and each data test an asset check."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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
from market_assets.companion import call
from market_assets.dbt.project import NodeResult, full_sql, invoke
from market_assets.dbt.specs import DbtModel, DbtTest
from market_assets.policy import classified_errors
from market_assets.resources import Platform
from market_assets.warehouse.connection import connect

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
            outcome = call(
                invoke,
                ["build", "--select", *names, "--exclude-resource-type", "unit_test"],
                platform.warehouse_url,
                context.run.run_id,
                on_event=_progress(platform, len(names)),
            )
            catalog, full = read_catalog(connection), full_sql(platform.warehouse_url)
        results = {result.unique_id: result for result in outcome}
        sources = _Sources(full, catalog, {str(model.spec.metadata[TABLE_NAME]): model.spec.key for model in models})
        yield from _results(selected, results, sources, set(context.selected_asset_check_keys))
        failed = [model.spec.key.path[-1] for model in selected if _status(results.get(model.unique_id)) not in PASSED]
        if failed:
            reasons = "; ".join(f"{result.name}: {result.message}" for result in outcome if _status(result) in FAILED)
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
    models: Sequence[DbtModel], results: Mapping[str, NodeResult], sources: _Sources, wanted: set[AssetCheckKey]
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    for model in models:
        result = results.get(model.unique_id)
        if result is not None and _status(result) in PASSED:
            yield MaterializeResult(asset_key=model.spec.key, metadata=_metadata(result, sources))
        for test in model.tests:
            if test.spec.key in wanted:
                yield _check(test, results.get(test.unique_id))


def _metadata(result: NodeResult, sources: _Sources) -> dict[str, Any]:
    sql = sources.sql.get(result.unique_id, "")
    try:
        lineage = analyse_sql(sql, sources.catalog)
    except ColumnLineageError:
        lineage = None  # SQL that the parser does not know; the table's lineage is still complete
    return {
        "rows_written": result.rows,
        "seconds": round(result.seconds, 3),
        **statistics_metadata(result.rows),
        **sql_metadata(sql, lineage, sources.assets),
    }


def _check(test: DbtTest, result: NodeResult | None) -> AssetCheckResult:
    status = _status(result)
    metadata: dict[str, Any] = {"status": status or "not run: a model before it failed"}
    if result is not None:
        metadata |= {"failing_rows": result.failures, "seconds": round(result.seconds, 3)}
        if result.message:
            metadata["message"] = result.message
        if status not in PASSED:
            metadata["sql"] = result.sql
    return AssetCheckResult(
        asset_key=test.spec.asset_key,
        check_name=test.spec.name,
        passed=status in PASSED,
        severity=test.severity,
        description=None if status in PASSED else str(metadata.get("message", metadata["status"])),
        metadata=metadata,
    )


def _status(result: NodeResult | None) -> str:
    return "" if result is None else result.status


def _progress(platform: Platform, models: int) -> Callable[[int], None]:
    return lambda done: platform.progress("marts: models", done, models)
