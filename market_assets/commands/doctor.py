"""`market doctor`: looks at everything a run needs and says what to do about each fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from rich.markup import escape

from market_assets.commands.console import console
from market_assets.errors import MarketError

if TYPE_CHECKING:
    from market_assets.resources import Platform


CALENDAR_NOTICE = timedelta(days=30)
SECRETS = ("MARKET_ALERT_WEBHOOK", "MARKET_LINEAGE_API_KEY")


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
    """Look at configuration, secrets, its files, calendars, sources, indices, lineage, databases, dbt and the graph.

    What depends on something broken is not looked at.
    """
    config = _look("configuration", _configuration)
    yield config
    if not config.ok:
        return
    universe = _look("universe", _universe)
    yield universe
    if universe.ok:
        yield _look("reference files", _reference_files)
        yield _look("calendars", _calendars)
        yield _look("sources", _sources)
        yield _look("indices", _indices)
    yield _look("secrets", _secrets)
    yield _look("lineage transport", _lineage_transport)
    database = _look("database", _database)
    yield database
    if database.ok:
        yield _look("migrations", _migrations)
        yield _look("dagster storage", _dagster_storage)
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


def _reference_files() -> str:
    from market_assets.reference_files import load_reference_files
    from market_assets.resources import Platform

    platform = Platform()
    read = load_reference_files(platform.config, platform.universe)
    rows = {name.replace("_", " "): len(frame) for name, frame in vars(read).items() if len(frame)}
    return ", ".join(f"{count} {name}" for name, count in rows.items()) or "none configured"


def _calendars() -> str:
    from market_assets.errors import TerminalError
    from market_assets.resources import Platform

    platform = Platform()
    ending = calendars_ending_soon(platform)
    if ending:
        raise TerminalError(
            f"sessions after {', '.join(f'{day} of {name}' for name, day in ending.items())} are unknown and will not "
            "be loaded. Install a newer exchange-calendars, or add them to the file of calendars.overrides"
        )
    keys = platform.partitions.get_partition_keys()
    closed = ", ".join(f"{name} closed through {platform.closed_through(name)}" for name in platform.calendars)
    return f"{len(keys)} sessions{f', {keys[0]} to {keys[-1]}' if keys else ''}; {closed}"


def calendars_ending_soon(platform: Platform) -> dict[str, date]:
    """Exchange -> last known day, of calendars that end within `CALENDAR_NOTICE` while the partitions go on."""
    if platform.config.partitions.end is not None:
        return {}
    soon = (platform.now() + CALENDAR_NOTICE).date()
    last = {name: calendar.last_day.date() for name, calendar in platform.calendars.items()}
    return {name: day for name, day in last.items() if day < soon}


def _sources() -> str:
    from market_assets.resources import Platform

    return ", ".join(f"{source.name} ({source.basis})" for source in Platform().sources())


def _indices() -> str:
    from market_assets.resources import Platform

    return ", ".join(definition.id for definition in Platform().indices) or "none configured"


def _secrets() -> str:
    from market_assets.settings import secret

    found = [name for name in SECRETS if secret(name) is not None]
    return f"{', '.join(found)} set" if found else f"none set; {', '.join(SECRETS)} are optional"


def _lineage_transport() -> str:
    """A folder that takes the events, or a receiver that answers; what it answers is its own business."""
    import os

    import requests

    from market_assets.config import HttpTransport, load_config
    from market_assets.errors import ConfigError, SourceUnavailable

    config = load_config()
    transport, file = config.lineage.transport, config.lineage_file
    if file is not None:
        there = next(path for path in (file.parent, *file.parents) if path.exists())
        if not os.access(there, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
            raise ConfigError("cannot be written", file=str(config.file), key="lineage.transport.path", value=str(file))
        return f"file {file}"
    if not isinstance(transport, HttpTransport):
        return "none; events stay in the warehouse"
    try:
        answer = requests.get(transport.url, timeout=min(transport.timeout_seconds, 5))
    except requests.RequestException as error:
        raise SourceUnavailable(
            f"{transport.url} does not answer ({type(error).__name__}); events wait in the warehouse until it does. "
            "Start the receiver or correct lineage.transport.url"
        ) from error
    return f"{transport.url} answers (HTTP {answer.status_code})"


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


def _dagster_storage() -> str:
    from market_assets.warehouse.connection import connect
    from market_assets.warehouse.migrate import create_database
    from market_assets.warehouse.server import database_urls, masked

    url = database_urls().dagster
    create_database(url)
    with connect(url) as connection:
        made = connection.execute("select to_regclass('event_logs') is not null").fetchone()
    return f"{masked(url)}{'' if made and made[0] else ', still empty: the first run fills it'}"


def _dbt() -> str:
    from market_assets.dbt.project import manifest

    kinds = [node["resource_type"] for node in manifest()["nodes"].values()]
    return f"{kinds.count('model')} models, {kinds.count('test')} data tests"


def _assets() -> str:
    from market_assets.definitions import build_definitions

    graph = build_definitions().resolve_asset_graph()
    return f"{len(graph.executable_asset_keys)} assets, {len(graph.asset_check_keys)} checks"
