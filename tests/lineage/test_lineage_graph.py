"""Questions about lineage: upstream, downstream and impact by asset, table and column; and how the answers look."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance
from lineage_world import CONFIG, DEFINITIONS, run

from lineage.collector import collect
from lineage.declared import declared_assets
from lineage.errors import AmbiguousNode, NodeNotFound
from lineage.graph import Affected, LineageGraph, Node
from lineage.render import as_json, impact_text, tree_text

NAMESPACE = "postgres://localhost:socket"
Source = tuple[str, str, str]


def dataset(table: str, asset: str | None = None, columns: tuple[str, ...] = ()) -> dict[str, Any]:
    facets: dict[str, Any] = {"schema": {"fields": [{"name": column} for column in columns]}}
    if asset:
        facets["symlinks"] = {"identifiers": [{"namespace": "market", "name": asset, "type": "DAGSTER_ASSET"}]}
    return {"namespace": NAMESPACE, "name": f"market.{table}", "facets": facets}


def field(source: Source) -> dict[str, Any]:
    table, column, use = source
    step = {"type": use} if use == "DIRECT" else {"type": "ANY", "subtype": use}
    return {"namespace": NAMESPACE, "name": f"market.{table}", "field": column, "transformations": [step]}


def job(
    output: dict[str, Any],
    inputs: list[dict[str, Any]],
    fields: dict[str, list[Source]] | None = None,
    rows: tuple[Source, ...] = (),
) -> dict[str, Any]:
    if fields is not None:
        output["facets"]["columnLineage"] = {
            "fields": {
                name: {"inputFields": [field(source) for source in sources]} for name, sources in fields.items()
            },
            "dataset": [field(source) for source in rows],
        }
    return {"run": {}, "inputs": inputs, "outputs": [output]}


def checks(asset: str, table: str, *names: str) -> dict[str, Any]:
    tests = {"test": {"tests": [{"name": name} for name in names]}}
    return {"run": {"facets": tests}, "inputs": [dataset(table, asset)], "outputs": []}


BARS = dataset("raw.bar", "bars", ("symbol", "close", "volume"))
VIEW = dataset("staging.stg_bar", "stg_bar")
REPORT = dataset("marts.report", "report")
EVENTS = [
    job(BARS, []),
    job(
        VIEW,
        [BARS],
        {"symbol": [("raw.bar", "symbol", "IDENTITY")], "price": [("raw.bar", "close", "TRANSFORMATION")]},
        rows=(("raw.bar", "volume", "FILTER"),),
    ),
    job(
        REPORT,
        [VIEW, BARS],
        {
            "name": [("staging.stg_bar", "symbol", "IDENTITY")],
            "mean": [("staging.stg_bar", "price", "AGGREGATION"), ("raw.bar", "close", "DIRECT")],
            "label": [],
        },
    ),
    job(dataset("exports.file", "export"), [REPORT]),
    checks("report", "marts.report", "not_null", "bounds"),
]
GRAPH = LineageGraph(EVENTS)


def names(node: Node) -> list[str]:
    return [each.name for each in node.walk()]


def test_upstream_of_a_dataset() -> None:
    assert names(GRAPH.upstream("report")) == ["report", "bars", "stg_bar", "bars"]


def test_upstream_of_a_column_holds_what_goes_into_its_value() -> None:
    tree = GRAPH.upstream("report.mean")
    assert names(tree) == ["report.mean", "bars.close", "stg_bar.price", "bars.close"]
    assert [child.uses for child in tree.children] == [("DIRECT",), ("AGGREGATION",)]
    assert names(GRAPH.upstream("report.label")) == ["report.label"]


def test_downstream_of_a_column() -> None:
    assert names(GRAPH.downstream("bars.close")) == [
        "bars.close",
        "report.mean",
        "stg_bar.price",
        "report.mean",
    ]
    assert names(GRAPH.downstream("bars.volume")) == ["bars.volume"], "a filter puts nothing into a value"
    assert names(GRAPH.downstream("stg_bar")) == ["stg_bar", "report", "export"]


def test_a_place_met_again_is_marked_and_not_repeated() -> None:
    tree = GRAPH.downstream("bars")
    repeated = [node for node in tree.walk() if node.repeated]
    assert [node.name for node in repeated] == ["report"]
    assert repeated[0].children == ()


def test_impact_counts_what_only_decides_and_what_says_nothing_about_columns() -> None:
    assert GRAPH.impact("bars.volume").affected == (
        Affected("stg_bar", "market.staging.stg_bar", (), ()),
        Affected("report", "market.marts.report", (), ("bounds", "not_null")),
        Affected("export", "market.exports.file", (), ()),
    )
    assert GRAPH.impact("stg_bar.symbol").affected == (
        Affected("report", "market.marts.report", ("name",), ("bounds", "not_null")),
        Affected("export", "market.exports.file", (), ()),
    )
    assert GRAPH.impact("export").affected == ()


@pytest.mark.parametrize("name", ["report", "market.marts.report", "marts.report"])
def test_a_dataset_goes_by_its_asset_key_and_its_table(name: str) -> None:
    assert GRAPH.upstream(name).table == "market.marts.report"
    assert GRAPH.upstream(f"{name}.mean").name == "report.mean"


def test_an_unknown_name_is_answered_with_suggestions() -> None:
    with pytest.raises(NodeNotFound, match=r"'reprot' is not in the collected lineage. Did you mean report") as caught:
        GRAPH.upstream("reprot")
    assert caught.value.suggestions[0] == "report"
    with pytest.raises(NodeNotFound, match=r"'report.maen' names no column of report. Did you mean report.mean"):
        GRAPH.upstream("report.maen")
    with pytest.raises(NodeNotFound, match=r"'report.zzz' names no column of report. Did you mean report.label"):
        GRAPH.upstream("report.zzz")
    with pytest.raises(NodeNotFound, match=r"^'x' is not in the collected lineage\.$"):
        LineageGraph([]).upstream("x")


def test_a_table_name_in_two_schemas_is_ambiguous() -> None:
    graph = LineageGraph([job(dataset("raw.bar", columns=("a",)), []), job(dataset("old.bar", columns=("a",)), [])])
    with pytest.raises(AmbiguousNode, match=r"Use one of market.old.bar, market.raw.bar") as caught:
        graph.upstream("bar")
    assert caught.value.candidates == ("market.old.bar", "market.raw.bar")
    with pytest.raises(AmbiguousNode, match=r"market.old.bar.a, market.raw.bar.a"):
        graph.upstream("bar.a")
    assert graph.upstream("raw.bar.a").name == "market.raw.bar.a"


def test_a_table_that_reads_like_a_column_is_ambiguous() -> None:
    graph = LineageGraph([job(dataset("a.b"), []), job(dataset("x.a", "a", ("b",)), [])])
    with pytest.raises(AmbiguousNode, match=r"market.a.b, market.x.a.b"):
        graph.upstream("a.b")


def test_an_asset_with_several_tables_is_one_answer_with_a_branch_for_each() -> None:
    two = job(dataset("raw.one", "both", ("x",)), [BARS])
    two["outputs"].append(dataset("raw.two", "both", ("y",)))
    graph = LineageGraph([two, job(REPORT, [dataset("raw.two", "both")])])
    tree = graph.downstream("both")
    assert names(tree) == ["both", "both", "market.raw.two", "report"]
    assert graph.downstream("both.y").name == "market.raw.two.y"
    assert [item.name for item in graph.impact("both").affected] == ["report"]


def test_a_column_of_an_asset_is_that_of_its_own_table_when_a_further_one_has_it_too() -> None:
    two = job(dataset("raw.one", "both", ("x",)), [BARS])
    two["outputs"].append(dataset("raw.two", "both", ("x",)))
    graph = LineageGraph([two])
    assert graph.upstream("both.x").name == "both.x"
    assert graph.upstream("raw.two.x").name == "market.raw.two.x"


def test_a_table_that_reads_itself_makes_no_circle() -> None:
    own = dataset("marts.own", "own")
    graph = LineageGraph(
        [job(own, [BARS, own], {"n": [("marts.own", "n", "IDENTITY"), ("raw.bar", "close", "IDENTITY")]})]
    )
    assert names(graph.upstream("own.n")) == ["own.n", "bars.close"]
    assert names(graph.upstream("own")) == ["own", "bars"]


def test_circles_end() -> None:
    left, right = dataset("x.left", "left"), dataset("x.right", "right")
    graph = LineageGraph([job(left, [right]), job(right, [left])])
    assert names(graph.upstream("left")) == ["left", "right", "left"]


def test_names_are_listed() -> None:
    assert GRAPH.names() == ["bars", "export", "report", "stg_bar"]


class TestText:
    def test_a_tree(self) -> None:
        assert tree_text(GRAPH.upstream("report.mean")) == "\n".join(
            [
                "report.mean  (market.marts.report)",
                "├── bars.close  (market.raw.bar)  [DIRECT]",
                "└── stg_bar.price  (market.staging.stg_bar)  [AGGREGATION]",
                "    └── bars.close  (market.raw.bar)  [TRANSFORMATION]",
            ]
        )

    def test_a_repeated_place(self) -> None:
        assert tree_text(GRAPH.downstream("bars")) == "\n".join(
            [
                "bars  (market.raw.bar)",
                "├── report  (market.marts.report)",
                "│   └── export  (market.exports.file)",
                "└── stg_bar  (market.staging.stg_bar)",
                "    └── report  (market.marts.report)  (see above)",
            ]
        )

    def test_an_impact(self) -> None:
        assert impact_text(GRAPH.impact("stg_bar.symbol")).splitlines()[-3:] == [
            "Affected: 2",
            "  report: name; checks: bounds, not_null",
            "  export: all columns; checks: none",
        ]
        assert impact_text(GRAPH.impact("export")).endswith("Nothing is made of it.")

    def test_json(self) -> None:
        document = json.loads(as_json(GRAPH.upstream("report.mean")))
        assert document["children"][1]["children"][0] == {
            "name": "bars.close",
            "table": "market.raw.bar",
            "uses": ["TRANSFORMATION"],
            "repeated": False,
            "children": [],
        }
        impact = json.loads(as_json(GRAPH.impact("stg_bar.symbol")))
        assert impact["affected"][0] == {
            "name": "report",
            "table": "market.marts.report",
            "columns": ["name"],
            "checks": ["bounds", "not_null"],
        }


def test_the_graph_of_collected_runs(instance: DagsterInstance, connection: psycopg.Connection) -> None:
    """The newest completed event of each job counts; failed runs and removed assets do not."""
    declared = declared_assets(DEFINITIONS)
    run(instance)
    run(instance, "sql")
    run(instance, config={"indicators": {"config": {"fail": True}}})
    collect(instance, connection, CONFIG, declared)
    started = time.perf_counter()
    graph = LineageGraph.load(connection)
    assert time.perf_counter() - started < 1
    assert names(graph.upstream("mart.mean_sma")) == ["mart.mean_sma", "indicators.sma", "prices.close"]
    assert [item.name for item in graph.impact("market.raw.prices.volume").affected] == ["mart"]
    by_table = {item.table: item.checks for item in graph.impact("prices").affected}
    assert set(by_table) == {"market.analytics.indicators", "market.marts.mart"}
    assert set(LineageGraph.load(connection, assets={"mart"}).names()) == {"mart", "indicators", "prices"}
    with pytest.raises(NodeNotFound):
        LineageGraph.load(connection, assets={"prices"}).upstream("mart")
