"""The command line, `market`. Commands and options only; what they do is in market_assets/commands, imported on use."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from market_assets.commands.quarantine_options import quarantine_app

app = typer.Typer(
    name="market",
    help="Self-hosted market data on Dagster: versioned bars, adjusted prices, indicators and index values.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
lineage_app = typer.Typer(help="Where a number comes from and what depends on it.", no_args_is_help=True)
app.add_typer(lineage_app, name="lineage")
index_app = typer.Typer(
    help="Why an index stands where it does, and how a new one would have done.", no_args_is_help=True
)
app.add_typer(index_app, name="index")

app.add_typer(quarantine_app, name="quarantine")

DAY = ["%Y-%m-%d"]


class ExportFormat(StrEnum):
    """File formats of `market export`."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


From = Annotated[datetime | None, typer.Option("--from", formats=DAY, help="First session, YYYY-MM-DD.")]
To = Annotated[datetime | None, typer.Option("--to", formats=DAY, help="Last session, YYYY-MM-DD.")]
AsOf = Annotated[datetime | None, typer.Option("--as-of", help="As it was known then (UTC); versioned tables only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Node = Annotated[str, typer.Argument(metavar="ASSET[.COLUMN]", help="Such as index_values.price_return.")]


@app.command()
def backfill(
    start: From = None,
    end: To = None,
    assets: Annotated[
        str | None, typer.Option("--assets", help="Asset selection, such as 'raw_prices+' or 'group:marts'.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Ask only this one of the configured sources.")] = None,
    symbols: Annotated[
        str | None, typer.Option("--symbols", help="Ask only for these members of the universe, such as IBM,AAPL.")
    ] = None,
    provisional: Annotated[
        bool,
        typer.Option(
            "--provisional",
            help="Keep bars of the session in progress too, apart from final ones. Without other options: only that.",
        ),
    ] = False,
) -> None:
    """Materialize a range of sessions in one run, now, in this process. Without options: everything."""
    if assets is None:
        from market_assets.companion import start as start_companion

        start_companion()  # before Dagster is imported here
    from market_assets.commands.backfill import run

    raise typer.Exit(run(start and start.date(), end and end.date(), assets, source, symbols, provisional))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Per asset: partitions, rows, last session and failing checks. Per vendor: its circuit."""
    from market_assets.commands.status import show

    show(as_json=as_json)


@app.command()
def doctor() -> None:
    """Check configuration, database, migrations, sources, calendars and dbt; each fault with its remedy."""
    from market_assets.commands.doctor import examine

    raise typer.Exit(examine())


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """Dagster webserver and daemon over the same instance, sensors on. Ctrl-C stops both."""
    from market_assets.commands.ui import serve

    raise typer.Exit(serve(host, port))


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="A statement; without it, an interactive psql.")] = None,
) -> None:
    """psql on the warehouse."""
    from market_assets.commands.database import psql

    raise typer.Exit(psql(query))


@app.command()
def export(
    table: Annotated[str, typer.Argument(help="schema.table, such as marts.fct_index_value or raw.price_bar.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    file_format: Annotated[ExportFormat, typer.Option("--format", help="json: one object a line.")] = ExportFormat.CSV,
    start: From = None,
    end: To = None,
    symbols: Annotated[str | None, typer.Option(help="Comma-separated symbols.")] = None,
    as_of: AsOf = None,
) -> None:
    """Write a table to a file, as it is or as it was known."""
    from market_assets.commands.export import export_table

    export_table(
        table,
        output,
        file_format.value,
        start=start and start.date(),
        end=end and end.date(),
        symbols=[symbol.strip() for symbol in symbols.split(",")] if symbols else None,
        as_of=as_of,
    )


@app.command()
def universe(
    source: Annotated[str, typer.Option(help="Source that can list its securities, such as a folder of files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Universe file to write (.csv).")],
    start: From = None,
    end: To = None,
) -> None:
    """Write a universe file from what a source holds: each symbol from its first to its last session."""
    from market_assets.commands.universe import write_universe

    write_universe(source, output, start and start.date(), end and end.date())


@app.command()
def setup() -> None:
    """Start the server, create and migrate the databases, parse dbt and create its views. Safe to repeat."""
    from market_assets.commands.database import prepare

    prepare()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def dbt(context: typer.Context) -> None:
    """Run dbt on the warehouse, with the project's settings: market dbt build --select marts."""
    from market_assets.commands.database import run_dbt

    raise typer.Exit(run_dbt(context.args))


@app.command()
def env() -> None:
    """Print the variables dbt/profiles.yml reads, for tools beside dbt: eval "$(market env)"."""
    from market_assets.commands.database import print_environment

    print_environment()


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL."""
    from market_assets.commands.database import stop_server

    stop_server()


@lineage_app.command()
def upstream(node: Node, as_json: AsJson = False) -> None:
    """What a number is computed from."""
    _lineage("upstream", node, as_json=as_json)


@lineage_app.command()
def downstream(node: Node, as_json: AsJson = False) -> None:
    """What is computed from it."""
    _lineage("downstream", node, as_json=as_json)


@lineage_app.command()
def impact(node: Node, as_json: AsJson = False) -> None:
    """What is wrong when it is wrong: every asset and column that depends on it."""
    _lineage("impact", node, as_json=as_json)


def _lineage(question: str, node: str, *, as_json: bool) -> None:
    from market_assets.commands.lineage import answer

    answer(question, node, as_json=as_json)


@index_app.command()
def explain(
    index_id: Annotated[str, typer.Argument(metavar="INDEX", help="Such as SAMPLE_EW.")],
    session: Annotated[
        datetime | None, typer.Option("--session", formats=DAY, help="YYYY-MM-DD; the last one without it.")
    ] = None,
    as_of: AsOf = None,
    top: Annotated[int, typer.Option(min=0, help="Constituents to show, best and worst; 0 = all.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Level, divisor, constituents with weight, return and contribution, and what changed at a session."""
    from market_assets.commands.index import explain as explain_index

    explain_index(index_id, session and session.date(), as_of, top, as_json=as_json)


@index_app.command()
def backtest(
    definition: Annotated[
        Path, typer.Argument(metavar="DEFINITION.yaml", help="One definition, as under `indices` in market.yaml.")
    ],
    start: From = None,
    end: To = None,
    against: Annotated[str | None, typer.Option(help="Index or symbol to compare the total return with.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for levels, rebalances, picture.")
    ] = None,
) -> None:
    """Levels, turnover and tracking difference of a definition on the warehouse's bars; nothing is stored there."""
    from market_assets.commands.backtest import backtest as run_backtest

    run_backtest(definition, start and start.date(), end and end.date(), against, output)


GARBAGE_AFTER = (50_000, 20, 20)
"""Objects after which garbage is looked for. A command imports hundreds of thousands that stay; looking through them
after every 700, as Python does by itself, takes a sixth of the imports. Frames and arrays are freed without it."""


def main() -> None:
    """Entry point: errors of ours become one line on stderr and exit code 1, defects keep their traceback."""
    from market_assets.errors import MarketError

    gc.set_threshold(*GARBAGE_AFTER)

    try:
        app()
    except MarketError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        _leave(1)
    except SystemExit as done:
        _leave(done.code)


def _leave(code: str | int | None) -> NoReturn:
    """Exit with `code`.

    Where Arrow has read files, one exit in twenty aborted after the work was done: a reader's thread outlived the
    interpreter (apache/arrow issue 34314). So threads are joined and exit handlers run as at any exit, and what the
    interpreter would tear down after them is left.
    """
    if "pyarrow" not in sys.modules or not isinstance(code, int | None):
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - os._exit does neither
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    main()
