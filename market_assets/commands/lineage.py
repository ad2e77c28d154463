"""`market lineage`: upstream, downstream and impact of an asset or column, from the events in the warehouse."""

from __future__ import annotations

from lineage.errors import LineageError
from lineage.graph import LineageGraph
from lineage.render import as_json as render_json
from lineage.render import impact_text, tree_text
from market_assets.errors import InputError
from market_assets.warehouse.connection import connect
from market_assets.warehouse.server import database_urls


def answer(question: str, node: str, *, as_json: bool) -> None:
    """Print the answer to `upstream`, `downstream` or `impact`.

    Raises:
        InputError: no such asset or column, or an ambiguous name; the message suggests names.
    """
    with connect(database_urls().market) as connection:
        graph = LineageGraph.load(connection)
    try:
        if question == "impact":
            impact = graph.impact(node)
            text = render_json(impact) if as_json else impact_text(impact)
        else:
            tree = graph.upstream(node) if question == "upstream" else graph.downstream(node)
            text = render_json(tree) if as_json else tree_text(tree)
    except LineageError as error:
        raise InputError(str(error)) from error
    print(text)  # noqa: T201 - the answer, wherever it is piped
