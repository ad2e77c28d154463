"""Column lineage: found in SQL by sqlglot, or declared by hand and checked against the real columns.

Belongs here: what column lineage is, and the check of declarations. How SQL is analysed is in `lineage.sql`.

How a column is used follows the OpenLineage column lineage facet: a DIRECT use puts its value into the output
(IDENTITY as it is, TRANSFORMATION through an expression, AGGREGATION over several rows); an INDIRECT use only decides
(FILTER, JOIN, GROUP_BY, SORT, WINDOW, CONDITIONAL).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from lineage.errors import ColumnLineageError

Catalog = Mapping[str, Mapping[str, str]]
"""Tables as database.schema.table (all of them with the same number of parts) -> column -> PostgreSQL type."""

DIALECT: Final = "postgres"
"""sqlglot's and OpenLineage's name of the SQL that is analysed."""

IDENTITY: Final = "IDENTITY"
TRANSFORMATION: Final = "TRANSFORMATION"
AGGREGATION: Final = "AGGREGATION"
FILTER: Final = "FILTER"
JOIN: Final = "JOIN"
GROUP_BY: Final = "GROUP_BY"
SORT: Final = "SORT"
WINDOW: Final = "WINDOW"
CONDITIONAL: Final = "CONDITIONAL"

DIRECT: Final = frozenset({IDENTITY, TRANSFORMATION, AGGREGATION})
"""Uses that put a source value into the output value."""


class ColumnSource(NamedTuple):
    """A source column and how it is used: one of the nine uses above."""

    table: str
    column: str
    use: str


@dataclass(frozen=True)
class SqlLineage:
    """What a query makes of its sources.

    Attributes:
        columns: output column -> its sources, sorted; empty for a constant.
        rows: sources that decide which rows there are, whatever the column (filters, joins, grouping, order).
    """

    columns: Mapping[str, tuple[ColumnSource, ...]]
    rows: tuple[ColumnSource, ...] = ()

    def values(self, column: str) -> list[tuple[str, str]]:
        """Source columns (table, column) whose values go into an output column, each once, sorted."""
        return sorted({(source.table, source.column) for source in self.columns[column] if source.use in DIRECT})

    def to_dict(self) -> dict[str, Any]:
        """As JSON: {"columns": {column: [[table, column, use], ...]}, "rows": [[table, column, use], ...]}."""
        return {
            "columns": {name: [list(source) for source in sources] for name, sources in self.columns.items()},
            "rows": [list(source) for source in self.rows],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SqlLineage:
        """The reverse of `to_dict`."""
        return cls(
            columns={
                name: tuple(ColumnSource(*source) for source in sources) for name, sources in data["columns"].items()
            },
            rows=tuple(ColumnSource(*source) for source in data.get("rows", ())),
        )


def column_lineage_from_sql(sql: str, catalog: Catalog) -> dict[str, list[tuple[str, str]]]:
    """Source columns (table, column) whose values go into each output column of `sql`.

    Raises:
        ColumnLineageError: see `analyse_sql`.
    """
    found = analyse_sql(sql, catalog)
    return {column: found.values(column) for column in found.columns}


def analyse_sql(sql: str, catalog: Catalog) -> SqlLineage:
    """Column lineage of one PostgreSQL query, with the way in which each source column is used.

    Args:
        sql: a SELECT or a set operation, with or without common table expressions; compiled, without templates.
        catalog: columns of every table it reads. Names without quotes are lower case, as PostgreSQL folds them.

    Raises:
        ColumnLineageError: the text is not a query, reads a table that the catalog lacks, or names a column that none
            of its tables has. The message holds the names, or the position in the text.
    """
    from lineage.sql import analyse  # loads sqlglot, a quarter of a second

    return analyse(sql, catalog)


def verify(asset: str, declared: Iterable[str], real_columns: Collection[str]) -> None:
    """Check that declared column lineage covers exactly the columns that a table really has.

    Args:
        asset: name used in the message.
        declared: output columns with declared sources (columns without sources declare an empty list).
        real_columns: columns that the asset just wrote, bookkeeping columns left out by the caller.

    Raises:
        ColumnLineageError: names the asset, the columns that do not exist and the columns without a declaration.
    """
    stated = set(declared)
    unknown, missing = sorted(stated - set(real_columns)), sorted(set(real_columns) - stated)
    faults = [
        *([f"declares sources for columns that do not exist: {', '.join(unknown)}"] if unknown else []),
        *([f"says nothing about: {', '.join(missing)}"] if missing else []),
    ]
    if faults:
        raise ColumnLineageError(f"column lineage of asset {asset!r} {' and '.join(faults)}; correct the declaration.")


def verify_sources(asset: str, declared: Mapping[str, Iterable[tuple[str, str]]], catalog: Catalog) -> None:
    """Check that every declared source (table, column) exists.

    Raises:
        ColumnLineageError: names the asset, the output column and the first source that does not exist.
    """
    for column, sources in declared.items():
        for table, source in sources:
            if source not in catalog.get(table, {}):
                known = ", ".join(catalog.get(table, {})) or "no such table in the catalog"
                raise ColumnLineageError(
                    f"column lineage of {asset}.{column} names {table}.{source}, which does not exist ({known})."
                )
