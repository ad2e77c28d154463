"""The lineage graph: what each dataset and column is made of, and what is made of them.

Belongs here: reading the newest completed event of each job, finding a name in it, and walking up and down. Printing is
in `lineage.render`.

Names: an asset key, or a table as database.schema.table, schema.table or table, each with an optional .column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lineage.errors import AmbiguousNode, NodeNotFound

if TYPE_CHECKING:
    import psycopg

DIRECT: Final = "DIRECT"
INPUT: Final = "INPUT"
"""Use of a dataset as a whole: the job reads it."""

_SUGGESTIONS: Final = 5


class DatasetId(NamedTuple):
    """Physical identity of a dataset."""

    namespace: str
    name: str


class Place(NamedTuple):
    """A column of a dataset, or the dataset as a whole when `column` is None."""

    dataset: DatasetId
    column: str | None = None


@dataclass(frozen=True)
class Node:
    """A place in a lineage tree.

    Attributes:
        name: asset key or table, with .column for a column.
        table: full name of the dataset.
        uses: how it enters its child, or how its parent enters it: IDENTITY, TRANSFORMATION, ..., FILTER, JOIN, ...
        children: next places, sorted by name.
        repeated: the same place stands elsewhere in the tree with its children.
    """

    name: str
    table: str
    uses: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()
    repeated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The tree as JSON."""
        return {
            "name": self.name,
            "table": self.table,
            "uses": list(self.uses),
            "repeated": self.repeated,
            "children": [child.to_dict() for child in self.children],
        }

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Affected:
    """A dataset that is wrong when something upstream is.

    Attributes:
        name: asset key or table.
        table: full name of the dataset.
        columns: affected columns, sorted; empty when all of it is (rows are filtered or joined by what is wrong).
        checks: names of the checks that guard it.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    checks: tuple[str, ...]


@dataclass(frozen=True)
class Impact:
    """What breaks: the tree of everything reached, and the same by dataset, nearest first."""

    tree: Node
    affected: tuple[Affected, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "tree": self.tree.to_dict(),
            "affected": [
                {"name": item.name, "table": item.table, "columns": list(item.columns), "checks": list(item.checks)}
                for item in self.affected
            ],
        }


Edges = dict[Place, dict[Place, set[str]]]


@dataclass
class _Facts:
    """What the events say, collected."""

    asset: dict[DatasetId, str] = field(default_factory=dict)
    table: dict[str, DatasetId] = field(default_factory=dict)  # asset -> its own table, the first of those it writes
    columns: dict[DatasetId, set[str]] = field(default_factory=dict)
    checks: dict[str, set[str]] = field(default_factory=dict)
    sources: Edges = field(default_factory=dict)  # place -> places it is made of


class LineageGraph:
    """Datasets and columns with their edges.

    Args:
        events: OpenLineage events, one of each job.
    """

    def __init__(self, events: Iterable[Mapping[str, Any]]) -> None:
        self._facts = _Facts()
        for event in events:
            _read_event(self._facts, event)
        self._uses: Edges = {}
        for place, sources in self._facts.sources.items():
            for source, uses in sources.items():
                self._uses.setdefault(source, {}).setdefault(place, set()).update(uses)
        self._names = _index(self._facts)

    @classmethod
    def load(cls, connection: psycopg.Connection, assets: Collection[str] | None = None) -> LineageGraph:
        """The graph of the newest completed event of each job in the outbox.

        Args:
            connection: to the database with the `lineage` schema; only read.
            assets: keys of the assets that exist today; None takes every asset that was ever collected.
        """
        rows = connection.execute(
            """
            select job_name, payload from lineage.current_job join lineage.outbox using (event_id, job_name)
            order by job_name
            """
        )
        kept = (
            payload
            for name, payload in rows
            if assets is None or name in assets or name.removesuffix(".checks") in assets
        )
        return cls(json.loads(payload) for payload in kept)

    def upstream(self, name: str) -> Node:
        """What a dataset or column is made of. For a column: the columns whose values go into it.

        Raises:
            NodeNotFound: with suggestions.
            AmbiguousNode: with the full names.
        """
        return self._tree(self._find(name), lambda place: self._next(self._facts.sources, place, direct=True))

    def downstream(self, name: str) -> Node:
        """What is made of a dataset or column. For a column: the columns its value goes into. Raises as `upstream`."""
        return self._tree(self._find(name), lambda place: self._next(self._uses, place, direct=True))

    def impact(self, name: str) -> Impact:
        """Everything that may be wrong when a dataset or column is.

        Beyond `downstream`: a column that filters, joins or groups affects all of what is made with it, and so does a
        column of a dataset that is read by an asset without column lineage. Raises as `upstream`.
        """
        starts = self._find(name)
        tree = self._tree(starts, self._affected_by)
        found: dict[DatasetId, set[str | None]] = {}
        queue, seen = list(starts), set(starts)
        for place in queue:
            for target in self._affected_by(place):
                if target not in seen:
                    seen.add(target)
                    queue.append(target)
                    found.setdefault(target.dataset, set()).add(target.column)
        return Impact(tree, tuple(self._affected(dataset, columns) for dataset, columns in found.items()))

    def names(self) -> list[str]:
        """Names of all datasets, sorted."""
        return sorted({self._label(Place(dataset)) for dataset in self._facts.columns})

    def _affected(self, dataset: DatasetId, columns: set[str | None]) -> Affected:
        asset = self._facts.asset.get(dataset, "")
        return Affected(
            name=self._label(Place(dataset)),
            table=dataset.name,
            columns=() if None in columns else tuple(sorted(column for column in columns if column)),
            checks=tuple(sorted(self._facts.checks.get(asset, ()))),
        )

    def _affected_by(self, place: Place) -> dict[Place, set[str]]:
        """Next places when `place` is wrong: columns, and whole datasets where its use is indirect or unknown."""
        targets = self._next(self._uses, place, direct=False)
        if place.column is None:
            return targets
        for target, uses in self._uses.get(Place(place.dataset), {}).items():
            if not self._has_column_lineage(target.dataset):
                targets.setdefault(target, set()).update(uses)
        return targets

    def _has_column_lineage(self, dataset: DatasetId) -> bool:
        return any(Place(dataset, column) in self._facts.sources for column in self._facts.columns.get(dataset, ()))

    @staticmethod
    def _next(edges: Edges, place: Place, *, direct: bool) -> dict[Place, set[str]]:
        """Neighbours of `place`: datasets of a dataset, columns of a column (and datasets, unless `direct`)."""
        return {
            target: set(uses)
            for target, uses in edges.get(place, {}).items()
            if target.dataset != place.dataset
            and (place.column is None) <= (target.column is None)
            and (not direct or place.column is None or (target.column is not None and not uses.isdisjoint(_DIRECT)))
        }

    def _tree(self, starts: list[Place], neighbours: Callable[[Place], dict[Place, set[str]]]) -> Node:
        expanded: set[Place] = set()

        def grow(place: Place, uses: Iterable[str]) -> Node:
            name, table = self._label(place), place.dataset.name
            ordered = tuple(sorted(uses))
            targets = neighbours(place)
            if place in expanded:
                return Node(name, table, ordered, repeated=bool(targets))
            expanded.add(place)
            children = sorted(targets.items(), key=lambda item: (self._label(item[0]), item[0]))
            return Node(name, table, ordered, tuple(grow(target, how) for target, how in children))

        trees = [grow(place, ()) for place in starts]
        if len(trees) == 1:
            return trees[0]
        # an asset that writes several tables: one root with a branch for each
        return Node(
            self._facts.asset[starts[0].dataset], ", ".join(tree.table for tree in trees), children=tuple(trees)
        )

    def _label(self, place: Place) -> str:
        """Asset key for the asset's own table, name of the table for its further ones and for those of no asset."""
        asset = self._facts.asset.get(place.dataset, "")
        name = asset if self._facts.table.get(asset) == place.dataset else place.dataset.name
        return name if place.column is None else f"{name}.{place.column}"

    def _find(self, name: str) -> list[Place]:
        """The place or places that `name` stands for; several only for an asset with several tables."""
        whole = [Place(dataset) for dataset in self._datasets(name)]
        head, _, column = name.rpartition(".")
        owners = [dataset for dataset in self._datasets(head) if column in self._facts.columns[dataset]] if head else []
        # Of an asset with several tables its own one goes before the others that have the column too.
        own = [dataset for dataset in owners if self._facts.table.get(self._facts.asset.get(dataset, "")) == dataset]
        places = [*whole, *(Place(dataset, column) for dataset in own or owners)]
        one_asset = len({self._facts.asset.get(place.dataset, place) for place in whole}) == 1
        if len(places) == 1 or (places == whole and whole and one_asset):
            return places
        if places:
            raise AmbiguousNode(name, sorted(self._full_name(place) for place in places))
        if head and (datasets := self._datasets(head)):
            known = sorted({other for dataset in datasets for other in self._facts.columns[dataset]})
            close = get_close_matches(column, known, _SUGGESTIONS) or known[:_SUGGESTIONS]
            raise NodeNotFound(name, [f"{head}.{other}" for other in close], f"names no column of {head}")
        choices = sorted({alias for level in self._names for alias in level})
        raise NodeNotFound(name, get_close_matches(name, choices, _SUGGESTIONS))

    def _datasets(self, name: str) -> list[DatasetId]:
        """Datasets of that name: by asset key, else by full table name, else by ever shorter ones."""
        return next((sorted(level[name]) for level in self._names if name in level), [])

    @staticmethod
    def _full_name(place: Place) -> str:
        return place.dataset.name if place.column is None else f"{place.dataset.name}.{place.column}"


_DIRECT: Final = frozenset({DIRECT, "IDENTITY", "TRANSFORMATION", "AGGREGATION"})


def _read_event(facts: _Facts, event: Mapping[str, Any]) -> None:
    """Add one event: its datasets, the edges between them, and the checks it ran."""
    inputs = [_dataset(facts, document) for document in event.get("inputs", ())]
    for test in event["run"].get("facets", {}).get("test", {}).get("tests", ()):
        for dataset in inputs:
            facts.checks.setdefault(facts.asset.get(dataset, dataset.name), set()).add(test["name"])
    for document in event.get("outputs", ()):
        output = _dataset(facts, document)
        for source in inputs:
            _edge(facts, Place(source), Place(output), {INPUT})
        lineage = document.get("facets", {}).get("columnLineage", {})
        for column, entry in lineage.get("fields", {}).items():
            facts.columns[output].add(column)
            facts.sources.setdefault(Place(output, column), {})
            for source_field in entry["inputFields"]:
                _edge(facts, _source(facts, source_field), Place(output, column), _field_uses(source_field))
        for source_field in lineage.get("dataset", ()):
            _edge(facts, _source(facts, source_field), Place(output), _field_uses(source_field))


def _dataset(facts: _Facts, document: Mapping[str, Any]) -> DatasetId:
    dataset = DatasetId(document["namespace"], document["name"])
    columns = facts.columns.setdefault(dataset, set())
    columns.update(column["name"] for column in document.get("facets", {}).get("schema", {}).get("fields", ()))
    for link in document.get("facets", {}).get("symlinks", {}).get("identifiers", ()):
        facts.asset.setdefault(dataset, link["name"])
        facts.table.setdefault(link["name"], dataset)
    return dataset


def _source(facts: _Facts, source_field: Mapping[str, Any]) -> Place:
    dataset = DatasetId(source_field["namespace"], source_field["name"])
    facts.columns.setdefault(dataset, set()).add(source_field["field"])
    return Place(dataset, source_field["field"])


def _field_uses(source_field: Mapping[str, Any]) -> set[str]:
    return {step.get("subtype") or step["type"] for step in source_field.get("transformations", ())} or {DIRECT}


def _edge(facts: _Facts, source: Place, target: Place, uses: set[str]) -> None:
    facts.sources.setdefault(target, {}).setdefault(source, set()).update(uses)


def _index(facts: _Facts) -> list[dict[str, set[DatasetId]]]:
    """Names by rank: asset keys, then database.schema.table, schema.table and table."""
    ranks: list[dict[str, set[DatasetId]]] = [{}, {}, {}, {}]
    for dataset in facts.columns:
        if asset := facts.asset.get(dataset):
            ranks[0].setdefault(asset, set()).add(dataset)
        parts = dataset.name.split(".")
        for rank in range(min(len(parts), 3)):
            ranks[rank + 1].setdefault(".".join(parts[rank:]), set()).add(dataset)
    return ranks
