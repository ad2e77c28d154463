"""`market backfill`: one run over a range of sessions, in this process, and the summary of what it did."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, Any

from dagster import DagsterEventType, DagsterInstance
from rich.markup import escape

from market_assets import companion
from market_assets.assets.ingest import PROVISIONAL_TAG, RAW_PRICES, SOURCE_TAG, SYMBOLS_TAG
from market_assets.commands.console import console, progress_bar, table
from market_assets.errors import ConfigError, InputError
from market_assets.ingestion.checkpoints import reopen
from market_assets.resources import Platform
from market_assets.runs import RunOutcome, close_abandoned, execute, partition_range, selected_assets
from market_assets.settings import dagster_home
from market_assets.warehouse.connection import connect
from market_assets.warehouse.sizes import Size, table_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagster import DagsterEvent, Definitions

SUMMARY_TABLES = (
    "raw.price_bar",
    "raw.corporate_action",
    "raw.security",
    "analytics.indicator",
    "indices.index_value",
    "indices.index_constituent",
    "quality.result",
    "quality.quarantine",
)


def run(
    start: date | None,
    end: date | None,
    assets: str | None,
    source: str | None,
    symbols: str | None = None,
    provisional: bool = False,
) -> int:
    """Materialize [start, end] and print a summary; exit code 0 when the run succeeded.

    Args:
        start: first session; None = the first partition.
        end: last session; None = the last partition.
        assets: asset selection; None = all.
        source: the one source to ask; None = the chain.
        symbols: members of the universe to ask for, separated by commas; None = all.
        provisional: keep bars of the session in progress. Without a range and a selection: those, and the newest
            session of raw_prices, which a session in progress has no partition beside.
    """
    began = time.monotonic()
    os.environ.setdefault("DAGSTER_HOME", str(dagster_home()))
    with progress_bar() as progress:
        platform = Platform(progress=progress)
        _require_source(platform, source)
        tags = {**({SOURCE_TAG: source} if source else {}), **({PROVISIONAL_TAG: "true"} if provisional else {})}
        if symbols:
            tags[SYMBOLS_TAG] = _members(platform, symbols)
        url = platform.warehouse_url
        from market_assets.definitions import build_definitions

        definitions = build_definitions(platform)
        first, last = partition_range(definitions, start, end)
        if provisional and start is end is None:
            first, assets = last, assets or RAW_PRICES
        with DagsterInstance.get() as instance:
            killed = close_abandoned(instance)
            reopen(url, killed)
            for run_id in killed:
                console.print(f"run {run_id[:8]} was killed before it ended; marked as failed")
            before = _sizes(url)
            console.print(f"materializing {first} to {last} ...")
            outcome = execute(
                definitions,
                instance,
                start=first,
                end=last,
                selection=assets,
                tags=tags,
                on_event=_step_progress(platform, definitions, assets),
            )
            companion.finish()
            with ThreadPoolExecutor(1) as beside:
                maintained = beside.submit(_maintain, url, before)
                delivered = _deliver_lineage(platform, definitions, instance)
                maintained.result()
    _summary(url, outcome, before, delivered, time.monotonic() - began)
    return 0 if outcome.success else 1


def _require_source(platform: Platform, name: str | None) -> None:
    labels = [source.label for source in platform.config.sources]
    if name is not None and name not in labels:
        raise ConfigError("no such source", file=str(platform.config.file), key="sources", value=name, allowed=labels)


def _members(platform: Platform, symbols: str) -> str:
    """The value of the run tag for `symbols`; refuses one that is not in the universe."""
    names = sorted({name.strip() for name in symbols.split(",") if name.strip()})
    unknown = sorted(set(names) - set(platform.universe.symbols))
    if unknown or not names:
        file = platform.config.beside(platform.config.universe)
        raise InputError(f"--symbols {symbols}: not in {file}: {', '.join(unknown) or 'no symbol is named'}")
    return ",".join(names)


def _step_progress(
    platform: Platform, definitions: Definitions, selection: str | None
) -> Callable[[DagsterEvent], None]:
    """Show finished steps; asset functions show their own work below."""
    total = len(selected_assets(definitions, selection))
    done = 0

    def count(event: DagsterEvent) -> None:
        nonlocal done, total
        if event.event_type is DagsterEventType.STEP_SUCCESS:
            done += 1
            total = max(total, done)
            platform.progress("steps", done, total)

    return count


def _sizes(url: str) -> dict[str, Size]:
    with connect(url) as connection:
        marts = connection.execute(
            "select 'marts.' || table_name from information_schema.tables where table_schema = 'marts' "
            "and table_type = 'BASE TABLE' order by 1"
        ).fetchall()
        return table_sizes(connection, (*SUMMARY_TABLES, *(str(row[0]) for row in marts)))


def _maintain(url: str, before: dict[str, Size]) -> None:
    """Let marts that grew by a tenth be read from their indexes alone; their statistics are those of the build.

    The writer sees to versioned tables itself.
    """
    after = _sizes(url)
    with connect(url, autocommit=True) as connection:
        for name, size in after.items():
            known = before[name].versions if name in before else 0
            if name.startswith("marts.") and size.versions > 1.1 * known:
                connection.execute(f"vacuum {name}")


def _deliver_lineage(platform: Platform, definitions: Definitions, instance: DagsterInstance) -> Any:
    from market_assets.tracing import collect_and_deliver_lineage

    return collect_and_deliver_lineage(platform, definitions, instance)


def _summary(url: str, outcome: RunOutcome, before: dict[str, Size], delivered: Any, seconds: float) -> None:
    after = _sizes(url)
    console.print()
    table(
        "rows",
        ("table", "current rows", "versions", "new versions", "counted"),
        [_growth(name, size, before.get(name, Size(0, 0, counted=True))) for name, size in after.items()],
    )
    with connect(url) as connection:
        levels = connection.execute(
            "select index_id, session, price_return, total_return, net_total_return from ("
            "select *, row_number() over (partition by index_id order by session) as first, "
            "row_number() over (partition by index_id order by session desc) as last "
            "from indices.index_value where known_to is null) v where first = 1 or last = 1 order by 1, 2"
        ).fetchall()
    if levels:
        table("index levels", ("index", "session", "price", "total return", "net total return"), levels)
    table("seconds per step", ("step", "seconds"), outcome.seconds.items())
    for check in outcome.failed_checks:
        console.print(f"[yellow]check failed[/] {escape(check)}", highlight=False)
    for step, error in outcome.errors.items():
        console.print(f"[red]step failed[/] {step}: {escape(error)}", highlight=False)
    console.print(
        f"checks: {outcome.checks_passed} passed, {outcome.checks_failed} failed; "
        f"lineage events: {delivered}; {seconds:.1f} s; run {outcome.run_id}"
    )
    if outcome.success:
        console.print("next: `make ui` opens Dagster on http://127.0.0.1:3000; `market status` shows what is there")
    else:
        console.print("[red]the run failed[/]; mend the cause above and run the same command again: nothing is lost")


def _growth(name: str, now: Size, before: Size) -> tuple[object, ...]:
    counted = now.counted and before.counted
    return name, now.current, now.versions, max(0, now.versions - before.versions), "yes" if counted else "estimated"
