"""`market doctor`: looks at everything a run needs and says what to do about each fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.markup import escape

from market_assets.commands.console import console
from market_assets.errors import MarketError


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        subject: what.
        ok: whether it is as it should be.
        detail: what was found, or what is wrong and what to do.
    """

    subject: str
    ok: bool
    detail: str


def examine() -> int:
    """Print every finding; exit code 1 when one is not ok."""
    findings = list(find())
    for finding in findings:
        mark = "[green]ok[/]   " if finding.ok else "[red]FAULT[/]"
        console.print(f"{mark} {finding.subject}: {escape(finding.detail)}", highlight=False)
    return 0 if all(finding.ok for finding in findings) else 1


def find() -> Iterator[Finding]:
    """Look at configuration, universe, calendars, sources, indices, database, migrations, dbt and Dagster's graph.

    What depends on something broken is not looked at.
    """
    config = _look("configuration", _configuration)
    yield config
    if not config.ok:
        return
    universe = _look("universe", _universe)
    yield universe
    if universe.ok:
        yield _look("calendars", _calendars)
        yield _look("sources", _sources)
        yield _look("indices", _indices)
    database = _look("database", _database)
    yield database
    if database.ok:
        yield _look("migrations", _migrations)
    dbt = _look("dbt", _dbt)
    yield dbt
    if universe.ok and dbt.ok:
        yield _look("assets", _assets)


def _look(subject: str, examine_it: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, examine_it())
    except MarketError as error:
        return Finding(subject, False, str(error))


def _configuration() -> str:
    from market_assets.config import load_config

    return str(load_config().file)


def _universe() -> str:
    from market_assets.resources import Platform

    universe = Platform().universe
    return f"{len(universe.symbols)} symbols on {', '.join(universe.exchanges)}"


def _calendars() -> str:
    from market_assets.resources import Platform

    platform = Platform()
    keys = platform.partitions.get_partition_keys()
    closed = ", ".join(f"{name} closed through {platform.closed_through(name)}" for name in platform.calendars)
    return f"{len(keys)} sessions{f', {keys[0]} to {keys[-1]}' if keys else ''}; {closed}"


def _sources() -> str:
    from market_assets.resources import Platform

    return ", ".join(f"{source.name} ({source.basis})" for source in Platform().sources())


def _indices() -> str:
    from market_assets.resources import Platform

    return ", ".join(definition.id for definition in Platform().indices) or "none configured"


def _database() -> str:
    from market_assets.warehouse.connection import connect
    from market_assets.warehouse.migrate import create_database
    from market_assets.warehouse.server import database_urls, masked

    urls = database_urls()
    create_database(urls.market)
    with connect(urls.market) as connection:
        version = connection.info.server_version
    return f"PostgreSQL {version // 10000}.{version % 10000}, {masked(urls.market)}"


def _migrations() -> str:
    from market_assets.errors import TerminalError
    from market_assets.warehouse.migrate import current_revision, head_revision, is_current
    from market_assets.warehouse.server import database_urls

    url = database_urls().market
    if not is_current(url):
        raise TerminalError(
            f"the warehouse is at revision {current_revision(url) or 'none'}, this code needs {head_revision()} "
            "and a column for each indicator; run `market setup`"
        )
    return f"revision {head_revision()}"


def _dbt() -> str:
    from market_assets.dbt.project import manifest

    kinds = [node["resource_type"] for node in manifest()["nodes"].values()]
    return f"{kinds.count('model')} models, {kinds.count('test')} data tests"


def _assets() -> str:
    from market_assets.definitions import build_definitions

    graph = build_definitions().resolve_asset_graph()
    return f"{len(graph.executable_asset_keys)} assets, {len(graph.asset_check_keys)} checks"
