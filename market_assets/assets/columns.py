"""What each column of a table that Python writes means, in which unit, and which columns it is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from lineage.facts import UNIT_TAG, column_lineage
from market_assets.warehouse import tables

if TYPE_CHECKING:
    from dagster import TableColumnLineage, TableSchema

    from market_assets.warehouse.tables import VersionedTable

Meaning = tuple[str, str]
"""Description and unit ("" where the value has none)."""

BENCHMARK: Final = "index_values.total_return"
"""Column that is the input `benchmark` of an indicator."""

_VERSION: Final[Mapping[str, Meaning]] = {
    "known_from": ("when this version became known", "UTC"),
    "known_to": ("when a newer version replaced it; null = current", "UTC"),
    "run_id": ("Dagster run that wrote it", ""),
    "changed_xid": ("transaction that last touched this version", ""),
}

MEANINGS: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "raw.price_bar": {
        "symbol": ("ticker as the universe names it", ""),
        "session": ("trading session", "date of the exchange"),
        "source": ("vendor the bar came from", ""),
        "open": ("first price, as traded", "currency per share"),
        "high": ("highest price, as traded", "currency per share"),
        "low": ("lowest price, as traded", "currency per share"),
        "close": ("last price, as traded", "currency per share"),
        "volume": ("shares traded, as traded", "shares"),
        "currency": ("quotation currency", "ISO 4217"),
    },
    "raw.corporate_action": {
        "symbol": ("ticker as the universe names it", ""),
        "ex_date": ("first day on which the price is without the entitlement", "date of the exchange"),
        "kind": ("split, cash_dividend and so on: ACTION_KINDS of sources/frames.py", ""),
        "source": ("vendor or publication of the fact", ""),
        "value": ("new shares per old share, or amount as traded", "ratio, or currency per share"),
        "currency": ("currency of an amount", "ISO 4217"),
        "detail": ("what the value cannot say, such as the new symbol", ""),
    },
    "raw.security": {
        "symbol": ("ticker as the universe names it", ""),
        "exchange": ("exchange_calendars name of the listing", ""),
        "name": ("name of the company", ""),
        "currency": ("quotation currency", "ISO 4217"),
        "first_session": ("first session of the listing", "date of the exchange"),
        "last_session": ("last session of the listing; null while it trades", "date of the exchange"),
        "source": ("vendor of the facts", ""),
    },
    "indices.index_value": {
        "index_id": ("index of config/market.yaml", ""),
        "session": ("trading session", "date of the exchange"),
        "price_return": ("level without dividends", "index points"),
        "total_return": ("level with dividends reinvested on the ex-date", "index points"),
        "net_total_return": ("total return after withholding tax", "index points"),
        "divisor": ("market value per index point", "currency"),
        "market_value": ("sum of price x shares x FX of the constituents", "currency"),
        "constituents": ("constituents at the close", "count"),
    },
    "indices.index_constituent": {
        "index_id": ("index of config/market.yaml", ""),
        "session": ("trading session", "date of the exchange"),
        "symbol": ("constituent", ""),
        "shares": ("index shares at the close", "shares"),
        "weight": ("share of the index market value at the close", "fraction"),
        "price": ("close used, carried when suspended", "currency per share"),
        "contribution": ("part of the session's price return", "fraction"),
        "fx_rate": ("index currency per unit of the quotation currency at the close", "ratio"),
        "carried_sessions": ("sessions since the bar the price is from; 0 = of this session", "sessions"),
    },
    "quality.result": {
        "asset": ("asset that was checked", ""),
        "check_name": ("check of that asset", ""),
        "session": ("session the result speaks for; 0001-01-01 = the table as a whole", "date of the exchange"),
        "severity": ("critical, error or warning", ""),
        "passed": ("whether the check holds", ""),
        "failed_rows": ("rows that fail it", "count"),
        "detail": ("the first failing rows, or why nothing was looked at", ""),
    },
}


def column_schema(table: VersionedTable) -> TableSchema:
    """Dagster's description of the columns of `table`, version columns included."""
    from dagster import TableColumn, TableSchema

    meanings = {**_meanings(table), **_VERSION}
    types = {**table.columns, "known_from": tables.TIMESTAMP, "known_to": tables.TIMESTAMP}
    return TableSchema(
        [
            TableColumn(
                name,
                types.get(name, "xid8" if name == "changed_xid" else tables.TEXT),
                description=description,
                tags={UNIT_TAG: unit} if unit else {},
            )
            for name, (description, unit) in meanings.items()
        ]
    )


def _meanings(table: VersionedTable) -> Mapping[str, Meaning]:
    if table.qualified != "analytics.indicator":
        return MEANINGS[table.qualified]
    from market_assets.domain.indicators import output_columns

    keys = {name: MEANINGS["raw.price_bar"][name] for name in ("symbol", "session")}
    return {**keys, **{column.name: (column.description, column.unit) for column in output_columns()}}


def indicator_lineage() -> TableColumnLineage:
    """Each indicator column with the adjusted bar columns its function reads; all depend on the adjustment."""
    from market_assets.domain.indicators import REGISTRY

    view = "int_adjusted_bar"
    sources = {"symbol": [f"{view}.symbol"], "session": [f"{view}.session"]}
    for entry in REGISTRY.values():
        columns = [BENCHMARK if name == "benchmark" else f"{view}.{name}" for name in entry.inputs]
        if "volume" in entry.inputs:
            columns.append(f"{view}.forward_split_factor")
        if set(entry.inputs) != {"volume"}:
            columns.append(f"{view}.forward_price_factor")
        for output in entry.outputs:
            sources[output.name] = columns
    return column_lineage(sources)


def verify_lineage(url: str, table: VersionedTable, declared: TableColumnLineage) -> None:
    """Check declared column lineage against the columns that the table really has.

    Raises:
        SchemaMismatch: a column without a declaration, or a declaration without a column.
    """
    from lineage.columns import verify
    from lineage.errors import ColumnLineageError
    from market_assets.errors import SchemaMismatch
    from market_assets.warehouse.connection import connect

    with connect(url) as connection:
        rows = connection.execute(
            "select column_name from information_schema.columns where table_schema = %s and table_name = %s",
            (table.schema, table.name),
        ).fetchall()
    try:
        verify(table.qualified, declared.deps_by_column, {name for (name,) in rows} - set(tables.VERSION_COLUMNS))
    except ColumnLineageError as error:
        raise SchemaMismatch(str(error)) from error


def index_lineage(asset: str) -> TableColumnLineage:
    """Columns of index_values or index_constituents with what they are computed from."""
    price, action = ["int_golden_bar.close"], ["int_golden_action.value"]
    session, symbol = ["int_golden_bar.session"], ["int_golden_bar.symbol"]
    member = ["securities.symbol"]
    level = price + action + member
    if asset == "index_values":
        return column_lineage(
            {
                "index_id": [],
                "session": session,
                "price_return": level,
                "total_return": level,
                "net_total_return": level,
                "divisor": level,
                "market_value": level,
                "constituents": member,
            }
        )
    return column_lineage(
        {
            "index_id": [],
            "session": session,
            "symbol": symbol,
            "shares": level,
            "weight": level,
            "price": price,
            "contribution": level,
            "fx_rate": [],
            "carried_sessions": price,
        }
    )
