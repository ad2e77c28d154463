"""What the events of a run say: datasets, facets, states and errors, for runs that succeed and runs that do not."""

from typing import Any

import pytest
from dagster import AssetExecutionContext, AssetMaterialization, BackfillPolicy, DagsterInstance, asset
from lineage_world import DAYS, MART_SQL, RANGE, Events, Observe, definitions, run
from openlineage_spec import check_event


@pytest.fixture(scope="module")
def events(observe: Observe) -> Events:
    """A range run of the Python assets, then a run of the SQL model."""

    def act(instance: DagsterInstance) -> None:
        run(instance)
        run(instance, "sql")

    return observe(act)


@pytest.fixture(scope="module")
def single(observe: Observe) -> Events:
    """A run of one partition."""
    return observe(lambda instance: run(instance, tags={"dagster/partition": "2024-01-03"}))


@pytest.fixture(scope="module")
def vendor_down(observe: Observe) -> Events:
    """A range run whose first asset fails."""
    return observe(lambda instance: run(instance, config={"prices": {"config": {"fail": True}}}))


@asset(partitions_def=DAYS, backfill_policy=BackfillPolicy.single_run())
def halfway(context: AssetExecutionContext) -> None:
    """Writes two of four partitions, then fails."""
    for key in context.partition_keys[:2]:
        context.log_event(AssetMaterialization("halfway", partition=key))
    raise ValueError("disk full")


@asset
def writer(context: AssetExecutionContext) -> None:
    """Reports a view it made beside itself."""
    context.log_event(AssetMaterialization("view", metadata={"dagster/table_name": "market.staging.view"}))


@asset(key_prefix="reports")
def pdf() -> None:
    """Writes no table."""


@asset(output_required=False)
def sometimes() -> Any:
    """Decides not to write."""
    yield from ()


@pytest.fixture(scope="module")
def odd(observe: Observe) -> Events:
    """Runs of assets that behave unusually."""
    defs = definitions(halfway, writer, pdf, sometimes)

    def act(instance: DagsterInstance) -> None:
        run(instance, "only_halfway", tags=RANGE, defs=defs)
        for name in ("writer", "pdf", "sometimes"):
            run(instance, f"only_{name}", defs=defs)

    return observe(act, defs)


def test_a_range_run_is_one_pair_for_the_run_for_each_asset_and_for_its_checks(events: Events) -> None:
    assert {key for key in events if key[0] not in ("sql", "mart")} == {
        (job, kind) for job in ("python", "prices", "indicators", "prices.checks") for kind in ("START", "COMPLETE")
    }


@pytest.mark.parametrize("scenario", ["events", "single", "vendor_down", "odd"])
def test_every_event_conforms_to_the_specification(scenario: str, request: pytest.FixtureRequest) -> None:
    built: Events = request.getfixturevalue(scenario)
    assert built
    for event in built.values():
        check_event(event)


def test_the_partition_set_is_in_the_subset_facet_and_in_no_name(events: Events) -> None:
    for kind in ("START", "COMPLETE"):
        output = events["prices", kind]["outputs"][0]
        condition = output["outputFacets"]["subset"]["outputCondition"]
        assert condition["operator"] == "AND"
        assert [
            (side["left"]["field"], side["comparison"], side["right"]["value"])
            for side in (condition["left"], condition["right"])
        ] == [
            ("session", "GREATER_EQUAL_THAN", "2024-01-02"),
            ("session", "LESS_EQUAL_THAN", "2024-01-05"),
        ]
        assert output["name"] == "market.raw.prices"


def test_a_single_partition_is_named(single: Events) -> None:
    subset = single["prices", "COMPLETE"]["outputs"][0]["outputFacets"]["subset"]
    assert subset["outputCondition"]["partitions"] == [
        {"dimensions": {"session": "2024-01-03"}, "identifier": "2024-01-03"}
    ]


def test_datasets_are_physical_and_the_asset_key_is_a_symlink(events: Events) -> None:
    event = events["indicators", "START"]
    (source,) = event["inputs"]
    assert (source["namespace"], source["name"]) == ("postgres://localhost:socket", "market.raw.prices")
    assert source["facets"]["symlinks"]["identifiers"] == [
        {"namespace": "market", "name": "prices", "type": "DAGSTER_ASSET"}
    ]
    assert event["outputs"][0]["name"] == "market.analytics.indicators"


def test_an_asset_may_write_several_tables(events: Events) -> None:
    outputs = events["prices", "COMPLETE"]["outputs"]
    assert [output["name"] for output in outputs] == ["market.raw.prices", "market.raw.actions"]
    assert "subset" in outputs[1]["outputFacets"]


def test_schema_units_owners_and_description(events: Events) -> None:
    event = events["prices", "COMPLETE"]
    facets = event["outputs"][0]["facets"]
    fields = {column["name"]: column for column in facets["schema"]["fields"]}
    assert (fields["close"]["type"], fields["close"]["description"]) == ("double precision", "Last price. Unit: USD.")
    assert fields["volume"]["description"] == "Unit: shares."
    assert facets["documentation"]["description"] == "Daily prices."
    assert facets["ownership"]["owners"] == event["job"]["facets"]["ownership"]["owners"] == [{"name": "team:data"}]


def test_statistics_come_from_the_run_or_from_the_sum_of_its_partitions(events: Events) -> None:
    declared = events["prices", "COMPLETE"]["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (declared["rowCount"], declared["restated"]) == (28, 2)
    summed = events["indicators", "COMPLETE"]["outputs"][0]["outputFacets"]["outputStatistics"]
    assert summed["rowCount"] == 10 + 11 + 12 + 13


def test_rows_of_one_partition(single: Events) -> None:
    output = single["indicators", "COMPLETE"]["outputs"][0]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 10


def test_a_model_carries_its_sql_its_size_and_its_column_lineage(events: Events) -> None:
    event = events["mart", "COMPLETE"]
    assert event["job"]["facets"]["sql"] | {"_producer": "", "_schemaURL": ""} == {
        "_producer": "",
        "_schemaURL": "",
        "query": MART_SQL,
        "dialect": "postgres",
    }
    assert [source["name"] for source in event["inputs"]] == ["market.analytics.indicators", "market.raw.prices"]
    facets = event["outputs"][0]["facets"]
    assert facets["dataQualityMetrics"]["rowCount"] == 99
    lineage = facets["columnLineage"]
    assert lineage["fields"]["mean_sma"]["inputFields"] == [
        {
            "namespace": "postgres://localhost:socket",
            "name": "market.analytics.indicators",
            "field": "sma",
            "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION"}],
        }
    ]
    filters = {
        (source["field"], step["subtype"]) for source in lineage["dataset"] for step in source["transformations"]
    }
    assert ("volume", "FILTER") in filters
    assert all(step["type"] == "INDIRECT" for source in lineage["dataset"] for step in source["transformations"])


def test_declared_column_lineage_is_on_start_too(events: Events) -> None:
    for kind in ("START", "COMPLETE"):
        fields = events["indicators", kind]["outputs"][0]["facets"]["columnLineage"]["fields"]
        assert fields["sma"]["inputFields"] == [
            {
                "namespace": "postgres://localhost:socket",
                "name": "market.raw.prices",
                "field": "close",
                "transformations": [{"type": "DIRECT"}],
            }
        ]


def test_checks_are_a_job_of_their_own(events: Events) -> None:
    event = events["prices.checks", "COMPLETE"]
    assert event["outputs"] == []
    assertions = event["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert assertions == [
        {
            "assertion": "fresh",
            "name": "fresh",
            "success": False,
            "severity": "warn",
            "description": "two days old",
            "params": {"blocking": False},
        },
        {
            "assertion": "positive",
            "name": "positive",
            "success": True,
            "severity": "error",
            "column": "close",
            "params": {"blocking": True},
        },
    ]
    tests = event["run"]["facets"]["test"]["tests"]
    assert [(test["name"], test["status"]) for test in tests] == [("fresh", "fail"), ("positive", "pass")]


def test_the_parent_is_the_dagster_run(events: Events) -> None:
    run_id = events["python", "COMPLETE"]["run"]["runId"]
    for job in ("prices", "indicators", "prices.checks"):
        parent = events[job, "START"]["run"]["facets"]["parent"]
        assert parent["run"]["runId"] == parent["root"]["run"]["runId"] == run_id
        assert parent["job"]["name"] == "python"


def test_a_failed_step_fails_its_asset_and_aborts_what_depends_on_it(vendor_down: Events) -> None:
    events = vendor_down
    failure = events["prices", "FAIL"]["run"]["facets"]["errorMessage"]
    assert failure["message"] == "ValueError: the vendor sent nothing (0 of 4 partitions were materialized)"
    assert "the vendor sent nothing" in failure["stackTrace"]
    never = events["indicators", "ABORT"]
    assert never["run"]["facets"]["errorMessage"]["message"].startswith("not started: ")
    assert never["inputs"][0]["name"] == "market.raw.prices"
    assert "outputStatistics" not in never["outputs"][0]["outputFacets"]
    assert ("indicators", "START") in events
    assert "errorMessage" in events["python", "FAIL"]["run"]["facets"]
    tests = events["prices.checks", "ABORT"]["run"]["facets"]["test"]["tests"]
    assert [test["status"] for test in tests] == ["skip", "skip"]


def test_what_a_failed_run_did_materialize_is_complete(observe: Observe) -> None:
    events = observe(lambda instance: run(instance, config={"indicators": {"config": {"fail": True}}}))
    assert ("prices", "COMPLETE") in events
    assert ("indicators", "FAIL") in events


def test_partitions_written_before_a_failure_are_named(odd: Events) -> None:
    event = odd["halfway", "FAIL"]
    assert "(2 of 4 partitions" in event["run"]["facets"]["errorMessage"]["message"]
    subset = event["outputs"][0]["outputFacets"]["subset"]["outputCondition"]["partitions"]
    assert [partition["identifier"] for partition in subset] == ["2024-01-02", "2024-01-03"]


def test_a_materialization_nobody_planned(odd: Events) -> None:
    assert odd["view", "COMPLETE"]["outputs"][0]["name"] == "market.staging.view"
    assert ("view", "START") in odd
    assert ("writer", "COMPLETE") in odd


def test_an_asset_without_a_table_is_named_after_its_key(odd: Events) -> None:
    output = odd["reports/pdf", "COMPLETE"]["outputs"][0]
    assert (output["namespace"], output["name"]) == ("market", "reports/pdf")


def test_an_asset_that_is_not_written_is_aborted(odd: Events) -> None:
    event = odd["sometimes", "ABORT"]
    assert event["run"]["facets"]["errorMessage"]["message"] == "the step succeeded without materializing this asset"
