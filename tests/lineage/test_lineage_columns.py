"""Column lineage of SQL: which sources, how they are used, and what is refused; and the check of declarations."""

from __future__ import annotations

import psycopg
import pytest
from sqlglot.lineage import lineage as sqlglot_lineage

from lineage.catalog import read_catalog
from lineage.columns import (
    DIRECT,
    ColumnSource,
    SqlLineage,
    analyse_sql,
    column_lineage_from_sql,
    verify,
    verify_sources,
)
from lineage.errors import ColumnLineageError

CATALOG = {
    "market.raw.bar": {
        "symbol": "text",
        "session": "date",
        "source": "text",
        "open": "float8",
        "close": "float8",
        "volume": "int8",
        "known_to": "timestamptz",
    },
    "market.raw.action": {"symbol": "text", "ex_date": "date", "kind": "text", "value": "float8"},
}


def sources(sql: str) -> dict[str, set[str]]:
    """`table.column:USE` of each output column, and of the rows under an empty name."""
    found = analyse_sql(sql, CATALOG)
    shown = {**found.columns, "": found.rows}
    return {
        name: {f"{source.table.removeprefix('market.raw.')}.{source.column}:{source.use}" for source in uses}
        for name, uses in shown.items()
    }


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        pytest.param(
            "select symbol, close as last from raw.bar",
            {"symbol": {"bar.symbol:IDENTITY"}, "last": {"bar.close:IDENTITY"}, "": set()},
            id="renamed",
        ),
        pytest.param("select 1 as one", {"one": set(), "": set()}, id="constant"),
        pytest.param(
            'select * from "market"."raw"."action"',
            {name: {f"action.{name}:IDENTITY"} for name in CATALOG["market.raw.action"]} | {"": set()},
            id="star",
        ),
        pytest.param(
            "select close * volume as turnover, close::numeric as exact from raw.bar where known_to is null",
            {
                "turnover": {"bar.close:TRANSFORMATION", "bar.volume:TRANSFORMATION"},
                "exact": {"bar.close:TRANSFORMATION"},
                "": {"bar.known_to:FILTER"},
            },
            id="expressions and a filter",
        ),
        pytest.param(
            "select symbol, max(close) as top from raw.bar group by 1 having count(*) > 3 order by top",
            {
                "symbol": {"bar.symbol:IDENTITY"},
                "top": {"bar.close:AGGREGATION"},
                "": {"bar.symbol:GROUP_BY", "bar.close:SORT"},
            },
            id="aggregate, order by an alias",
        ),
        pytest.param(
            "select product(value) filter (where kind = 'split') as factor from raw.action",
            {"factor": {"action.value:AGGREGATION", "action.kind:FILTER"}, "": set()},
            id="user-defined aggregate with a filter",
        ),
        pytest.param(
            "select avg(close) over (partition by symbol order by session) as mean, lag(close) over w as before "
            "from raw.bar window w as (partition by symbol order by session)",
            {
                "mean": {"bar.close:AGGREGATION", "bar.symbol:WINDOW", "bar.session:WINDOW"},
                "before": {"bar.close:TRANSFORMATION", "bar.symbol:WINDOW", "bar.session:WINDOW"},
                "": set(),
            },
            id="windows",
        ),
        pytest.param(
            "select (array_agg(close order by session))[1] as first_close, "
            "percentile_cont(0.5) within group (order by volume) as median from raw.bar",
            {
                "first_close": {"bar.close:AGGREGATION", "bar.session:SORT"},
                "median": {"bar.volume:AGGREGATION"},
                "": set(),
            },
            id="ordered aggregates",
        ),
        pytest.param(
            "select case when kind = 'split' then value else -value end as signed, "
            "case kind when 'x' then 1 end as coded from raw.action",
            {
                "signed": {"action.kind:CONDITIONAL", "action.value:TRANSFORMATION"},
                "coded": {"action.kind:CONDITIONAL"},
                "": set(),
            },
            id="case",
        ),
        pytest.param(
            "select b.symbol, coalesce(a.value, 1) as factor from raw.bar b "
            "left join raw.action a on a.symbol = b.symbol and a.ex_date = b.session",
            {
                "symbol": {"bar.symbol:IDENTITY"},
                "factor": {"action.value:TRANSFORMATION"},
                "": {"action.symbol:JOIN", "action.ex_date:JOIN", "bar.symbol:JOIN", "bar.session:JOIN"},
            },
            id="join",
        ),
        pytest.param(
            "with dear as (select symbol, close from raw.bar where close > 10), "
            "twice as (select symbol, 2 * close as double from dear) "
            "select symbol, sum(double) as total from twice group by 1",
            {
                "symbol": {"bar.symbol:IDENTITY"},
                "total": {"bar.close:AGGREGATION"},
                "": {"bar.close:FILTER", "bar.symbol:GROUP_BY"},
            },
            id="common table expressions",
        ),
        pytest.param(
            "select x.a, x.b from (select symbol, close from raw.bar) as x(a, b)",
            {"a": {"bar.symbol:IDENTITY"}, "b": {"bar.close:IDENTITY"}, "": set()},
            id="derived table with column names",
        ),
        pytest.param(
            "(select symbol, close as price from raw.bar) union all select symbol, value from raw.action",
            {
                "symbol": {"bar.symbol:IDENTITY", "action.symbol:IDENTITY"},
                "price": {"bar.close:IDENTITY", "action.value:IDENTITY"},
                "": set(),
            },
            id="set operation by position",
        ),
        pytest.param(
            "with recursive run(n, price) as (select 1, close from raw.bar union all "
            "select n + 1, price from run where n < 3) select n, price from run",
            {"n": set(), "price": {"bar.close:IDENTITY"}, "": set()},
            id="recursion",
        ),
        pytest.param(
            "select symbol, (select max(a.value) from raw.action a where a.symbol = b.symbol) as top from raw.bar b",
            {
                "symbol": {"bar.symbol:IDENTITY"},
                "top": {"action.value:AGGREGATION", "action.symbol:FILTER", "bar.symbol:FILTER"},
                "": set(),
            },
            id="correlated subquery",
        ),
        pytest.param(
            "select symbol from raw.bar where symbol in (select symbol from raw.action where kind = 'split')",
            {
                "symbol": {"bar.symbol:IDENTITY"},
                "": {"bar.symbol:FILTER", "action.symbol:FILTER", "action.kind:FILTER"},
            },
            id="subquery in a filter",
        ),
        pytest.param(
            "select symbol, name, price from raw.bar b "
            "cross join lateral (values ('open', b.open), ('close', b.close)) as t(name, price)",
            {
                "symbol": {"bar.symbol:IDENTITY"},
                "name": set(),
                "price": {"bar.open:IDENTITY", "bar.close:IDENTITY"},
                "": set(),
            },
            id="lateral values",
        ),
        pytest.param(
            "select b.symbol, t.top from raw.bar b cross join lateral "
            "(select max(a.value) as top from raw.action a where a.symbol = b.symbol) t",
            {
                "symbol": {"bar.symbol:IDENTITY"},
                "top": {"action.value:AGGREGATION"},
                "": {"action.symbol:FILTER", "bar.symbol:FILTER"},
            },
            id="lateral subquery",
        ),
        pytest.param(
            "select v.factor * close as scaled from raw.bar cross join (values (1.5, 'a')) as v(factor, name)",
            {"scaled": {"bar.close:TRANSFORMATION"}, "": set()},
            id="values",
        ),
        pytest.param(
            "select count(a) as n, to_jsonb(x) as row from raw.action a, (select close from raw.bar) x",
            {
                "n": {f"action.{name}:AGGREGATION" for name in CATALOG["market.raw.action"]},
                "row": {"bar.close:TRANSFORMATION"},
                "": set(),
            },
            id="whole rows",
        ),
        pytest.param(
            "select symbol from raw.bar except select symbol from raw.action",
            {"symbol": {"bar.symbol:IDENTITY", "action.symbol:IDENTITY"}, "": set()},
            id="except",
        ),
        pytest.param(
            "select price from raw.bar b, unnest(array[b.open, b.close]) as price",
            {"price": {"bar.open:TRANSFORMATION", "bar.close:TRANSFORMATION"}, "": set()},
            id="unnest",
        ),
        pytest.param(
            "select x.price from raw.bar b, unnest(array[b.open, b.close]) with ordinality as x(price, place)",
            {"price": {"bar.open:TRANSFORMATION", "bar.close:TRANSFORMATION"}, "": set()},
            id="unnest with named columns",
        ),
        pytest.param(
            "select day::date as session from generate_series(date '2024-01-01', date '2024-02-01', '1 day') as day",
            {"session": set(), "": set()},
            id="generate_series",
        ),
        pytest.param(
            "select distinct on (symbol) symbol, close from raw.bar order by symbol, session desc",
            {
                "symbol": {"bar.symbol:IDENTITY"},
                "close": {"bar.close:IDENTITY"},
                "": {"bar.symbol:GROUP_BY", "bar.symbol:SORT", "bar.session:SORT"},
            },
            id="distinct on",
        ),
    ],
)
def test_sources_and_their_uses(sql: str, expected: dict[str, set[str]]) -> None:
    assert sources(sql) == expected


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select nope from raw.bar", "nope cannot be resolved; in: select nope"),
        ("select b.nope from raw.bar b", "Unknown column: nope; in: select b.nope"),
        ("select x.nope from (select close from raw.bar) as x", "Unknown column: nope; in: select x.nope"),
        ('select "Symbol" from raw.bar', '"Symbol" cannot be resolved'),
        ("select close from raw.nothing", "not in the catalog: market.raw.nothing"),
        ("select close from bar", "not in the catalog: market.public.bar"),
        ("insert into x select 1", "not a query but INSERT"),
        ("selec close frm raw.bar", "line 1, column"),
        ("select close, from raw.bar where ((", "in: select close, from"),
        ("select " + "close, " * 30 + "nope from raw.bar", r"in: select close, .*\.\.\.$"),
    ],
)
def test_what_cannot_be_analysed_is_refused_with_its_reason(sql: str, message: str) -> None:
    with pytest.raises(ColumnLineageError, match=message):
        analyse_sql(sql, CATALOG)


def test_the_plain_answer_holds_what_goes_into_the_value() -> None:
    sql = "select sum(close) over (partition by symbol) as total, session from raw.bar"
    assert column_lineage_from_sql(sql, CATALOG) == {
        "total": [("market.raw.bar", "close")],
        "session": [("market.raw.bar", "session")],
    }


INDEPENDENT = [
    "select symbol, close * volume as turnover, coalesce(open, close) as price from raw.bar",
    """
    with a as (select symbol, close from raw.bar), b as (select symbol, value from raw.action)
    select a.symbol, a.close / b.value as adjusted from a join b on a.symbol = b.symbol
    """,
    "select symbol, close from raw.bar union all select symbol, value from raw.action",
    "select s.symbol, max(s.price) as top from (select symbol, open + close as price from raw.bar) s group by s.symbol",
]


@pytest.mark.parametrize("sql", INDEPENDENT)
def test_the_leaves_agree_with_sqlglots_own_lineage(sql: str) -> None:
    """sqlglot.lineage knows no uses, but for plain queries it finds the same columns by other code."""
    nested = {"market": {"raw": {table.split(".")[-1]: columns for table, columns in CATALOG.items()}}}
    for column, found in column_lineage_from_sql(sql, CATALOG).items():
        root = sqlglot_lineage(column, sql, schema=nested, dialect="postgres", catalog="market", db="raw")
        leaves = {node.name.split(".")[-1] for node in root.walk() if not node.downstream and "." in node.name}
        assert {source for _, source in found} == leaves


def test_a_database_without_its_own_name_in_the_catalog() -> None:
    found = analyse_sql("select close from bar", {"bar": {"close": "float8"}})
    assert found.columns == {"close": (ColumnSource("bar", "close", "IDENTITY"),)}


def test_lineage_survives_json() -> None:
    found = analyse_sql("select close from raw.bar where known_to is null", CATALOG)
    assert SqlLineage.from_dict(found.to_dict()) == found
    assert {source.use for source in found.rows} - DIRECT == {"FILTER"}


def test_the_real_catalog_of_the_warehouse(connection: psycopg.Connection) -> None:
    catalog = read_catalog(connection, ["raw", "no_such_schema"])
    database = connection.info.dbname
    assert catalog[f"{database}.raw.price_bar"]["close"] == "double precision"
    found = analyse_sql("select symbol, close from raw.price_bar where known_to is null", catalog)
    assert found.columns["close"] == (ColumnSource(f"{database}.raw.price_bar", "close", "IDENTITY"),)


class TestDeclarations:
    def test_a_complete_declaration_passes(self) -> None:
        verify("indicators", ["symbol", "sma"], ["sma", "symbol"])

    def test_a_wrong_declaration_names_asset_and_columns(self) -> None:
        with pytest.raises(ColumnLineageError) as caught:
            verify("indicators", ["symbol", "smaa"], ["symbol", "sma", "ema"])
        assert str(caught.value) == (
            "column lineage of asset 'indicators' declares sources for columns that do not exist: smaa "
            "and says nothing about: ema, sma; correct the declaration."
        )

    def test_sources_must_exist(self) -> None:
        verify_sources("x", {"a": [("market.raw.bar", "close")]}, CATALOG)
        with pytest.raises(
            ColumnLineageError, match=r"x\.a names market\.raw\.bar\.clos, which does not exist \(symbol"
        ):
            verify_sources("x", {"a": [("market.raw.bar", "clos")]}, CATALOG)
        with pytest.raises(ColumnLineageError, match="no such table in the catalog"):
            verify_sources("x", {"a": [("market.raw.none", "close")]}, CATALOG)
