"""Small pictures for materialization metadata. matplotlib is imported only when one is drawn.

Assets have them drawn by the companion, which has imported it: `call(plots.png, plots.levels, values)`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from dagster import MetadataValue
    from matplotlib.figure import Figure

SIZE = (7.2, 2.8)
DPI = 72


def _figure(layout: Literal["constrained"] | None = "constrained") -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=SIZE, dpi=DPI, layout=layout)


def png(plot: Callable[..., Figure], *arguments: object) -> bytes:
    """What `plot` draws of `arguments`, as a PNG."""
    buffer = io.BytesIO()
    plot(*arguments).savefig(buffer, format="png")
    return buffer.getvalue()


def plot_metadata(picture: bytes) -> dict[str, MetadataValue]:
    """A PNG inside markdown, under the key `plot`."""
    from dagster import MetadataValue

    encoded = base64.b64encode(picture).decode("ascii")
    return {"plot": MetadataValue.md(f"![plot](data:image/png;base64,{encoded})")}


def coverage(bars_by_month: pd.DataFrame) -> Figure:
    """Heat map of how many of the expected bars are there.

    Args:
        bars_by_month: index = symbol or group, columns = month, values = share of expected bars, 0 to 1; NaN = none
            expected.
    """
    figure = _figure()
    axes = figure.subplots()
    image = axes.imshow(
        np.ma.masked_invalid(bars_by_month.to_numpy(dtype=float)),
        aspect="auto",
        vmin=0,
        vmax=1,
        cmap="RdYlGn",
        interpolation="nearest",
    )
    columns = [str(column) for column in bars_by_month.columns]
    step = max(1, len(columns) // 8)
    axes.set_xticks(range(0, len(columns), step), columns[::step], fontsize=7)
    rows = [str(row) for row in bars_by_month.index]
    if len(rows) <= 25:
        axes.set_yticks(range(len(rows)), rows, fontsize=7)
    else:
        axes.set_ylabel(f"{len(rows)} symbols", fontsize=8)
    axes.set_title("bars present / bars expected", fontsize=9)
    figure.colorbar(image, ax=axes)
    return figure


def levels(values: pd.DataFrame) -> Figure:
    """Index levels over time.

    Args:
        values: index_id, session, price_return, total_return, net_total_return.
    """
    figure = _figure()
    axes = figure.subplots()
    for index_id, rows in values.groupby("index_id"):
        for column, style in (("price_return", "-"), ("total_return", "--"), ("net_total_return", ":")):
            axes.plot(
                rows["session"],
                rows[column],
                style,
                linewidth=1,
                marker="." if len(rows) == 1 else None,
                label=f"{index_id} {column.replace('_', ' ')}",
            )
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)
    return figure


def distributions(values: pd.DataFrame, columns: list[str]) -> Figure:
    """Histograms of some columns across symbols.

    Args:
        values: one row per symbol.
        columns: up to four of its columns.
    """
    # Drawn every day: a layout that is found by drawing twice costs as much as the picture.
    figure = _figure(layout=None)
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.1, top=0.9, wspace=0.25)
    for axes, column in zip(np.atleast_1d(figure.subplots(1, len(columns))), columns, strict=True):
        present = values[column].dropna()
        axes.hist(present, bins=min(40, max(5, len(present) // 4)))
        axes.set_title(column, fontsize=9)
        axes.tick_params(labelsize=7)
    return figure
