"""The options of `market quarantine`. What the commands do is in quarantine.py, imported on use."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

quarantine_app = typer.Typer(
    help="Rows that a rule held back: look at them, store them after all, keep them out, try them again.",
    no_args_is_help=True,
)

DAY = ["%Y-%m-%d"]
From = Annotated[datetime | None, typer.Option("--from", formats=DAY, help="First session, YYYY-MM-DD.")]
To = Annotated[datetime | None, typer.Option("--to", formats=DAY, help="Last session, YYYY-MM-DD.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[NUMBER]...", help="Numbers of rows; filters choose them otherwise.")
]
OfStatus = Annotated[str, typer.Option("--status", help="open, accepted, rejected, replayed or all.")]
OfRule = Annotated[str | None, typer.Option("--rule", help="Such as unit_100x.")]
OfSymbol = Annotated[str | None, typer.Option("--symbol", help="Such as VOD.")]
OfSource = Annotated[str | None, typer.Option("--source", help="Such as yahoo.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; the user of the system without it.")]
Note = Annotated[str | None, typer.Option("--note", help="Why; kept in the audit trail.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before rows that filters chose are changed.")]


@quarantine_app.command("list")
def list_rows(
    status: OfStatus = "open",
    rule: OfRule = None,
    symbol: OfSymbol = None,
    source: OfSource = None,
    start: From = None,
    end: To = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show, the latest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Rows that a rule held back."""
    from market_assets.commands.quarantine import Filters, show_list

    show_list(Filters(status, rule, symbol, source, start and start.date(), end and end.date()), limit, as_json=as_json)


@quarantine_app.command("show")
def show(number: Annotated[int, typer.Argument(help="Of the row.")], as_json: AsJson = False) -> None:
    """One row: as it came, as it would be stored, the proposed repair, and its history."""
    from market_assets.commands.quarantine import show_one

    show_one(number, as_json=as_json)


@quarantine_app.command("accept")
def accept(  # noqa: PLR0913, PLR0917 - each is an option
    numbers: Numbers = None,
    proposed: Annotated[
        bool, typer.Option("--proposed", help="Store the proposed repair instead of the row as it came.")
    ] = False,
    status: OfStatus = "open",
    rule: OfRule = None,
    symbol: OfSymbol = None,
    source: OfSource = None,
    start: From = None,
    end: To = None,
    by: By = None,
    note: Note = None,
    yes: Yes = False,
) -> None:
    """Store rows after all, and let the same rows pass when they come again."""
    from market_assets.commands.quarantine import Filters, decide_accept

    filters = Filters(status, rule, symbol, source, start and start.date(), end and end.date())
    decide_accept(numbers or [], filters, by=by, note=note, proposed=proposed, yes=yes)


@quarantine_app.command("reject")
def reject(  # noqa: PLR0913, PLR0917 - each is an option
    numbers: Numbers = None,
    status: OfStatus = "open",
    rule: OfRule = None,
    symbol: OfSymbol = None,
    source: OfSource = None,
    start: From = None,
    end: To = None,
    by: By = None,
    note: Note = None,
    yes: Yes = False,
) -> None:
    """Keep rows out; what an earlier acceptance stored of them is withdrawn."""
    from market_assets.commands.quarantine import Filters, decide_reject

    filters = Filters(status, rule, symbol, source, start and start.date(), end and end.date())
    decide_reject(numbers or [], filters, by=by, note=note, yes=yes)


@quarantine_app.command("replay")
def replay(  # noqa: PLR0913, PLR0917 - each is an option
    numbers: Numbers = None,
    status: OfStatus = "open",
    rule: OfRule = None,
    symbol: OfSymbol = None,
    source: OfSource = None,
    start: From = None,
    end: To = None,
    by: By = None,
    note: Note = None,
    yes: Yes = False,
) -> None:
    """Let rows pass the rules again, after the configuration, the universe or a calendar was corrected."""
    from market_assets.commands.quarantine import Filters, send_again

    filters = Filters(status, rule, symbol, source, start and start.date(), end and end.date())
    send_again(numbers or [], filters, by=by, note=note, yes=yes)
