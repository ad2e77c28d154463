"""The pictures of materializations: PNGs that are small, whatever they are drawn from."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import pytest

from market_assets import plots

MAXIMUM_BYTES = 60_000
"""A picture is stored with its event; that many are kept for each asset."""


def assert_small_png(figure) -> None:
    image = plots.png(lambda: figure)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(image) < MAXIMUM_BYTES


def test_a_picture_is_shown_inside_markdown():
    (markdown,) = plots.plot_metadata(b"png").values()
    text = str(markdown.value)
    assert text.startswith("![plot](data:image/png;base64,")
    assert base64.b64decode(text.removeprefix("![plot](data:image/png;base64,").removesuffix(")")) == b"png"


@pytest.mark.parametrize(("symbols", "months"), [(1, 1), (5, 157), (60, 12), (26, 3)])
def test_coverage(symbols, months):
    random = np.random.default_rng(1)
    table = pd.DataFrame(
        random.uniform(0.5, 1, (symbols, months)),
        index=[f"S{number}" for number in range(symbols)],
        columns=pd.period_range("2000-03", periods=months, freq="M").astype(str),
    )
    table.iloc[0, 0] = np.nan
    figure = plots.coverage(table)
    axes = figure.axes[0]
    assert axes.get_title() == "bars present / bars expected"
    assert axes.get_ylabel() == ("" if symbols <= 25 else f"{symbols} symbols")
    assert_small_png(figure)


@pytest.mark.parametrize("sessions", [1, 2, 3270])
def test_levels_show_each_return_of_each_index(sessions):
    days = pd.bdate_range("2000-03-01", periods=sessions)
    values = pd.concat(
        [
            pd.DataFrame(
                {"index_id": name, "session": days, "price_return": 1.0, "total_return": 1.1, "net_total_return": 1.05}
            )
            for name in ("EW", "CAP")
        ]
    )
    figure = plots.levels(values)
    lines = figure.axes[0].get_lines()
    assert {line.get_label() for line in lines} == {
        f"{name} {kind} return" for name in ("EW", "CAP") for kind in ("price", "total", "net total")
    }
    assert all((line.get_marker() == ".") == (sessions == 1) for line in lines), "one point needs a marker to be seen"
    assert_small_png(figure)


@pytest.mark.parametrize("symbols", [1, 5, 8000])
def test_distributions_of_some_columns(symbols):
    random = np.random.default_rng(1)
    values = pd.DataFrame({"rsi_14": random.uniform(0, 100, symbols), "return_21": np.nan})
    figure = plots.distributions(values, ["rsi_14", "return_21"])
    assert [axes.get_title() for axes in figure.axes] == ["rsi_14", "return_21"]
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == symbols
    assert_small_png(figure)
