"""Column lineage of SQL by sqlglot. Imported only where SQL is analysed, because loading sqlglot takes its time.

Belongs here: parsing, qualifying with the real catalog (every `*` expanded, every column tied to its table), and
following each output column through subqueries, common table expressions and set operations down to tables of the
catalog. What the result means is in `lineage.columns`.
"""

from __future__ import annotations

from typing import Any, Final, cast

from sqlglot import exp, parse_one
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope, walk_in_scope

from lineage.columns import (
    AGGREGATION,
    CONDITIONAL,
    DIALECT,
    DIRECT,
    FILTER,
    GROUP_BY,
    IDENTITY,
    JOIN,
    SORT,
    TRANSFORMATION,
    WINDOW,
    Catalog,
    ColumnSource,
    SqlLineage,
)
from lineage.errors import ColumnLineageError

# The strongest use on the way from source to output names the whole way.
_STRENGTH: Final = {IDENTITY: 0, TRANSFORMATION: 1, AGGREGATION: 2}

# sqlglot counts these as aggregates, but their value is that of one row.
_ONE_ROW: Final = (exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue)

# What an ORDER BY makes of its columns, by the expression around it; SORT elsewhere.
_ORDERED: Final[dict[type | None, str]] = {exp.WithinGroup: AGGREGATION, exp.Window: WINDOW}


def analyse(sql: str, catalog: Catalog) -> SqlLineage:
    """See `lineage.columns.analyse_sql`."""
    unknown: set[str] = set()

    def note_unknown(table: exp.Table) -> None:
        if isinstance(table.this, exp.Identifier) and _name(table) not in catalog:
            unknown.add(_name(table))

    try:
        query = parse_one(sql, dialect=DIALECT)
        if not isinstance(query, exp.Query):
            raise ColumnLineageError(f"not a query but {query.key.upper()}: {_start(sql)}")
        database, schema = _defaults(catalog)
        # Columns are checked while they are followed: sqlglot's own check refuses `from unnest(a) as value`.
        qualified = qualify(
            query,
            dialect=DIALECT,
            schema=_nested(catalog),
            catalog=database,
            db=schema,
            identify=False,
            validate_qualify_columns=False,
            on_qualify=note_unknown,
        )
    except ParseError as error:
        detail = error.errors[0] if error.errors else {"description": str(error), "line": 1, "col": 0}
        raise ColumnLineageError(
            f"{detail['description']}, line {detail['line']}, column {detail['col']}; in: {_start(sql)}"
        ) from error
    except SqlglotError as error:
        raise ColumnLineageError(f"{' '.join(str(error).split())}; in: {_start(sql)}") from error
    if unknown:
        raise ColumnLineageError(f"not in the catalog: {', '.join(sorted(unknown))}; in: {_start(sql)}")
    # a query always has a scope
    return _Walk(catalog, _start(sql)).lineage(cast("Scope", build_scope(qualified)))


class _Walk:
    """Follows columns through scopes. One instance per query: it remembers what each scope's columns come from."""

    def __init__(self, catalog: Catalog, text: str) -> None:
        self._catalog = catalog
        self._text = text
        self._columns: dict[tuple[int, int], frozenset[ColumnSource]] = {}
        self._rows: dict[int, frozenset[ColumnSource]] = {}
        self._scopes: dict[int, Scope] = {}

    def lineage(self, scope: Scope) -> SqlLineage:
        """Sources of every output column of the outermost scope, and of its rows."""
        self._scopes = {id(each.expression): each for each in scope.traverse()}
        names = _outputs(scope)
        return SqlLineage(
            columns={name: tuple(sorted(self._column(scope, place))) for place, name in enumerate(names)},
            rows=tuple(sorted(self._deciding(scope))),
        )

    def _column(self, scope: Scope, place: int) -> frozenset[ColumnSource]:
        """Sources of the output column at `place` of `scope`."""
        key = (id(scope), place)
        if key not in self._columns:
            self._columns[key] = frozenset()  # a recursive common table expression meets itself here, and adds nothing
            parts = [self._column(branch, place) for branch in _branches(scope)] or [
                self._sources(scope, expression, aliases=False) for expression in _expressions(scope, place)
            ]
            self._columns[key] = frozenset().union(*parts)
        return self._columns[key]

    def _sources(self, scope: Scope, root: exp.Expr, *, aliases: bool = True) -> frozenset[ColumnSource]:
        """Sources of every column and subquery below `root`, an expression of `scope`.

        Args:
            aliases: whether `root` may name output columns of `scope`, as in `order by alias`.
        """
        found: set[ColumnSource] = set()
        subqueries = {id(child.expression): child for child in scope.subquery_scopes}
        for node in walk_in_scope(root):
            if isinstance(node, exp.TableColumn) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
                found |= self._whole_row(scope, node, _use(node, root))
            elif isinstance(node, exp.Column):
                found |= self._resolve(scope, node, _use(node, root), aliases=aliases)
            elif isinstance(node, exp.Window) and node.alias:
                found |= self._named_window(scope, node.alias)
            elif child := subqueries.get(id(node)):
                use = _stronger(TRANSFORMATION, _use(node, root))
                for place in range(len(_outputs(child))):
                    found |= {_as(source, use) for source in self._column(child, place)}
                found |= self._deciding(child)
        return frozenset(found)

    def _resolve(self, scope: Scope, column: exp.Column, use: str, *, aliases: bool = False) -> frozenset[ColumnSource]:
        """Where a column that is named in `scope` comes from."""
        # `from unnest(a) as value` makes a column named like its table
        source = self._source(scope, column.table or column.name)
        if source is None and aliases and not column.table and column.name in _outputs(scope):
            return frozenset(_as(origin, use) for origin in self._column(scope, _outputs(scope).index(column.name)))
        if source is None:
            raise ColumnLineageError(f"{column.sql(DIALECT)} cannot be resolved; in: {self._text}")
        if isinstance(source, exp.Table):
            if not isinstance(source.this, exp.Identifier):
                return self._arguments(scope, source, use)
            return frozenset({ColumnSource(_name(source), column.name, use)})
        names = source.outer_columns or _outputs(source)
        if column.name not in names:
            return self._arguments(source, source.expression, use)
        return frozenset(_as(origin, use) for origin in self._column(source, names.index(column.name)))

    def _whole_row(self, scope: Scope, row: exp.Expr, use: str) -> frozenset[ColumnSource]:
        """A row as a value, as in `count(b)` or `to_jsonb(b)`: every column of its source."""
        source = self._source(scope, row.text("table") or row.name)
        use = _stronger(TRANSFORMATION, use)
        if isinstance(source, exp.Table):
            columns = self._catalog.get(_name(source), ())
            return frozenset(ColumnSource(_name(source), column, use) for column in columns)
        found: set[ColumnSource] = set()
        for place in range(len(_outputs(source)) if source is not None else 0):
            found |= {_as(origin, use) for origin in self._column(cast("Scope", source), place)}
        return frozenset(found)

    def _source(self, scope: Scope, name: str) -> exp.Table | Scope | None:
        """The table or scope called `name`, in this scope or in one around it (correlated subquery), else None."""
        around: Scope | None = scope
        while around is not None:
            if source := around.sources.get(name):
                # the inside of a recursive expression sees a copy of its first branch, without that branch's sources
                return source if isinstance(source, exp.Table) else self._scopes.get(id(source.expression), source)
            around = around.parent
        return None

    def _named_window(self, scope: Scope, name: str) -> frozenset[ColumnSource]:
        """Columns of a window that is defined once per query (`window w as ...`)."""
        found: set[ColumnSource] = set()
        for window in scope.expression.args.get("windows") or ():
            if window.name == name:
                found |= {_as(source, WINDOW) for source in self._sources(scope, window)}
        return frozenset(found)

    def _arguments(self, scope: Scope, function: exp.Expr, use: str) -> frozenset[ColumnSource]:
        """A function or VALUES in FROM: its columns come from the columns among its arguments."""
        found: set[ColumnSource] = set()
        for column in function.find_all(exp.Column):
            found |= self._resolve(scope, column, _stronger(TRANSFORMATION, use))
        return frozenset(found)

    def _deciding(self, scope: Scope) -> frozenset[ColumnSource]:
        """Columns that decide which rows `scope` has, those of its sources included."""
        if id(scope) not in self._rows:
            self._rows[id(scope)] = frozenset()  # as above: a recursive scope adds nothing to itself
            found: set[ColumnSource] = set()
            for clause, use in _row_clauses(scope.expression):
                found |= {_as(source, use) for source in self._sources(scope, clause)}
            for child in (*_branches(scope), *scope.table_scopes, *scope.cte_scopes):
                found |= self._deciding(child)
            self._rows[id(scope)] = frozenset(found)
        return self._rows[id(scope)]


def _branches(scope: Scope) -> list[Scope]:
    """Scopes that stand for `scope` column by column: sides of a set operation, the inside of a parenthesis."""
    if isinstance(scope.expression, (exp.Subquery, exp.Lateral)):
        return list(scope.subquery_scopes)
    return list(scope.set_operation_scopes)


def _outputs(scope: Scope) -> list[str]:
    """Names of the output columns of `scope`."""
    query = scope.expression
    if isinstance(query, exp.Lateral) and scope.subquery_scopes:
        return _outputs(scope.subquery_scopes[0])
    if isinstance(query, exp.UDTF):
        return query.alias_column_names
    return cast("exp.Selectable", query).named_selects


def _expressions(scope: Scope, place: int) -> list[exp.Expr]:
    """Expressions that make the output column at `place`: one of a SELECT, one a row of VALUES."""
    query = scope.expression
    if isinstance(query, exp.Values):
        return [row.expressions[place] for row in query.expressions]
    return [query] if isinstance(query, exp.UDTF) else [cast("exp.Selectable", query).selects[place]]


def _row_clauses(query: exp.Expr) -> list[tuple[exp.Expr, str]]:
    """Clauses of a query that decide which rows there are, each with the use of the columns in it."""
    uses = {"where": FILTER, "having": FILTER, "group": GROUP_BY, "order": SORT, "distinct": GROUP_BY}
    clauses = [(query.args[name], use) for name, use in uses.items() if isinstance(query.args.get(name), exp.Expr)]
    conditions = [join.args.get("on") for join in query.args.get("joins") or ()]
    return clauses + [(condition, JOIN) for condition in conditions if condition]


def _use(node: exp.Expr, root: exp.Expr) -> str:
    """How the value of `node` enters `root`: read off the expressions between the two."""
    use = IDENTITY
    child = node
    while child is not root and (parent := child.parent) is not None:
        step = _step(child, parent)
        if step not in DIRECT:
            return step
        use = _stronger(step, use)
        child = parent
    return use


def _step(child: exp.Expr, parent: exp.Expr) -> str:
    """How `child` enters the expression directly around it."""
    main = child is parent.this
    use = IDENTITY if isinstance(parent, (exp.Alias, exp.Paren)) else TRANSFORMATION
    if isinstance(parent, exp.Order):  # array_agg(value order by key), within group (order by value), over (order by)
        use = IDENTITY if main else _ORDERED.get(type(parent.parent), SORT)
    elif isinstance(parent, exp.Window) and not main:
        use = WINDOW
    elif isinstance(parent, exp.Filter):
        use = AGGREGATION if main else FILTER
    elif isinstance(parent, (exp.If, exp.Case)) and main:
        use = CONDITIONAL
    elif isinstance(parent, exp.AggFunc) and not isinstance(parent, _ONE_ROW):
        use = AGGREGATION
    return use


def _stronger(outer: str, inner: str) -> str:
    """The use that names two steps together: an indirect step makes the whole way indirect."""
    for use in (outer, inner):
        if use not in DIRECT:
            return use
    return max(outer, inner, key=_STRENGTH.__getitem__)


def _as(source: ColumnSource, use: str) -> ColumnSource:
    return source._replace(use=_stronger(use, source.use))


def _name(table: exp.Table) -> str:
    return ".".join(part.name for part in table.parts)


def _nested(catalog: Catalog) -> dict[str, Any]:
    """The catalog as sqlglot wants it: one level for each part of a table's name, identifiers quoted as they are."""
    nested: dict[str, Any] = {}
    for table, columns in catalog.items():
        level = nested
        *parents, last = table.split(".")
        for part in parents:
            level = level.setdefault(part, {})
        level[last] = dict(columns)
    return nested


def _defaults(catalog: Catalog) -> tuple[str | None, str | None]:
    """Database and schema for table names that come without: the only database there is, and PostgreSQL's public."""
    parts = [table.split(".") for table in catalog]
    databases = {name[0] for name in parts if len(name) == 3}
    database = next(iter(databases)) if len(databases) == 1 else None
    return database, "public" if any(len(name) > 1 for name in parts) else None


def _start(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= 120 else f"{text[:117]}..."
