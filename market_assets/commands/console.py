"""What commands show: tables, and progress on a terminal. Nothing moves when the output is not a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

if TYPE_CHECKING:
    from market_assets.resources import Progress

console = Console(soft_wrap=True)

_LONGEST_LINE = 10_000


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers to the right. Piped into a file or program it is as wide as its content."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    content = [list(row) for row in rows]
    for position, column in enumerate(columns):
        numeric = bool(content) and all(isinstance(row[position], int | float) for row in content)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in content:
        shown.add_row(*(_text(value) for value in row))
    if console.is_terminal:
        console.print(shown)
    else:
        unlimited = console.options.update(max_width=_LONGEST_LINE)
        width = Measurement.get(console, unlimited, shown).maximum
        Console(file=console.file, width=width).print(shown)
    console.print()


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A function that shows how far each kind of work is, with the time it will still take."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        tasks: dict[str, int] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=total)
            shown.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]  # TaskID is an int

        yield update
