"""`market index backtest`: an index definition that is not in the configuration, on the warehouse's bars, into files.

Nothing is written to the warehouse: the definition can become a configured index once its numbers convince.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from market_assets.commands.console import console, table
from market_assets.commands.index import percent, plain
from market_assets.domain.indices import IndexDefinition, IndexResult, Market, calculate, parse_definition
from market_assets.domain.indices.performance import Performance, Tracking
from market_assets.domain.indices.statistics import SESSIONS_PER_YEAR
from market_assets.errors import ConfigError, InputError
from market_assets.resources import Platform
from market_assets.settings import market_home
from market_assets.warehouse import inputs
from market_assets.warehouse.connection import read_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RETURNS = ("price_return", "total_return", "net_total_return")


@dataclass(frozen=True, eq=False)
class Backtest:
    """What came of a definition.

    Attributes:
        definition: as calculated, with the base date that was used.
        result: levels, constituents and rebalances.
        performance: return type -> figures.
        turnover_per_year: one-way turnover of all rebalances after the base date, per 252 sessions.
        against: name of what it is compared with; empty = nothing.
        benchmark: its total return levels by session.
        tracking: the comparison of total returns.
    """

    definition: IndexDefinition
    result: IndexResult
    performance: dict[str, Performance]
    turnover_per_year: float
    against: str = ""
    benchmark: pd.Series | None = None
    tracking: Tracking | None = None


def backtest(file: Path, start: date | None, end: date | None, against: str | None, output: Path | None) -> None:
    """Calculate the definition in `file`, print what it did and write levels, rebalances and a picture.

    Args:
        file: YAML of one definition, as under `indices` in market.yaml.
        start: base date instead of the definition's; the first session on or after it.
        end: last session; None = the last one with bars.
        against: a stored index, or else a symbol.
        output: folder of the files; None = `backtests/<id>` under MARKET_HOME.
    """
    platform = Platform()
    raw = _read(file, start)
    definition = parse_definition(raw, file=str(file), key="")
    made = run(platform, definition, start, end, against)
    folder = output or market_home() / "backtests" / definition.id
    _write(made, folder)
    _print(made)
    console.print(f"levels.csv, rebalances.csv, summary.json and levels.png are in {folder}", highlight=False)


def run(
    platform: Platform, definition: IndexDefinition, start: date | None, end: date | None, against: str | None
) -> Backtest:
    """Calculate `definition` on the warehouse's bars; see `backtest` for the arguments.

    Raises:
        ConfigError: the definition names an exchange that is not configured.
        InputError: there are no bars, the range is empty, or `against` is neither an index nor a symbol.
    """
    unknown = sorted(set(definition.universe.exchanges) - set(platform.calendars))
    if unknown:
        raise ConfigError(
            "no configured exchange",
            file=definition.id,
            key="universe.exchanges",
            value=unknown,
            allowed=platform.calendars,
        )
    url = platform.warehouse_url
    sessions = platform.index_sessions(definition)
    last = _last_session(url, sessions, end)
    if start is not None:
        later = sessions[(sessions >= pd.Timestamp(start)) & (sessions <= last)]
        if later.empty:
            raise InputError(f"no session between {start} and {last:%Y-%m-%d}, the last one with bars or asked for")
        definition = replace(definition, base_date=later[0].date())
    if pd.Timestamp(definition.base_date) > last:
        raise InputError(
            f"index {definition.id} starts at {definition.base_date}, after {last:%Y-%m-%d}, the last session with "
            "bars or asked for; give an earlier base_date, or --from"
        )
    first = max(0, int(sessions.searchsorted(pd.Timestamp(definition.base_date))) + 1 - definition.lookback_sessions)
    window = sessions[first : int(sessions.searchsorted(last)) + 1]
    frames = inputs.index_market(url, window)
    market = Market.from_frames(frames, definition.currency, definition.missing_price.limit)
    result = calculate(definition, market)
    levels = result.values.set_index("session")
    made = Backtest(
        definition,
        result,
        {name: Performance.of(levels[name]) for name in RETURNS},
        _turnover_per_year(result),
    )
    if against is None:
        return made
    benchmark = _benchmark(url, against, definition.base_date, last.date())
    return replace(made, against=against, benchmark=benchmark, tracking=Tracking.of(levels["total_return"], benchmark))


def _read(file: Path, start: date | None) -> dict[str, Any]:
    import yaml

    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the definition: {error.strerror}", file=str(file)) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {' '.join(str(error).split())}", file=str(file)) from error
    if not isinstance(raw, dict):
        raise ConfigError("must be a mapping: one definition, as under `indices` in market.yaml", file=str(file))
    return raw if start is None else {"base_date": start, **raw}


def _last_session(url: str, sessions: pd.DatetimeIndex, end: date | None) -> pd.Timestamp:
    """The last session with a bar, and not after `end`."""
    latest = read_frame(url, "select max(session) as session from raw.price_bar where known_to is null")[
        "session"
    ].iloc[0]
    if pd.isna(latest):
        raise InputError("the warehouse holds no bars to test an index on; load some with `market backfill`")
    wanted = latest if end is None else min(latest, pd.Timestamp(end))
    held = sessions[sessions <= wanted]
    if held.empty:
        raise InputError(f"no session of the index calendar lies at or before {wanted:%Y-%m-%d}")
    last: pd.Timestamp = held[-1]
    return last


def _turnover_per_year(result: IndexResult) -> float:
    sessions = len(result.values) - 1
    return float(result.rebalances["turnover"].sum()) * SESSIONS_PER_YEAR / sessions if sessions else 0.0


def _benchmark(url: str, name: str, start: date, end: date) -> pd.Series:
    """Total return levels of a stored index, or of a symbol: its close adjusted for splits and distributions."""
    levels = read_frame(
        url,
        "select session, total_return as level from indices.index_value "
        "where known_to is null and index_id = $1 and session between $2 and $3 order by 1",
        (name, start, end),
    )
    if levels.empty:
        levels = read_frame(
            url,
            "select session, adj_close as level from intermediate.int_adjusted_bar "
            "where symbol = $1 and session between $2 and $3 order by 1",
            (name, start, end),
        )
    if levels.empty:
        raise InputError(
            f"nothing to compare with: {name} is neither an index nor a symbol with levels between {start} and {end}"
        )
    series: pd.Series = levels.set_index("session")["level"]
    return series


def _print(made: Backtest) -> None:
    levels, rebalances = made.result.values, made.result.rebalances.iloc[1:]
    console.print(
        f"{made.definition.id} ({made.definition.name}), {made.definition.currency}: "
        f"{levels['session'].iloc[0]:%Y-%m-%d} to {levels['session'].iloc[-1]:%Y-%m-%d}, {len(levels)} sessions, "
        f"{levels['constituents'].min()} to {levels['constituents'].max()} constituents",
        highlight=False,
    )
    console.print()
    table(
        "levels",
        ("return", "first", "last", "total", "per year", "volatility", "deepest fall"),
        [
            (
                name.replace("_", " "),
                one.first,
                one.last,
                *map(percent, (one.total, one.annual, one.volatility, one.drawdown)),
            )
            for name, one in made.performance.items()
        ],
    )
    added, deleted = (int(rebalances[name].map(len).sum()) for name in ("additions", "deletions"))
    mean = rebalances["turnover"].mean() if len(rebalances) else 0.0
    console.print(
        f"{len(rebalances)} rebalances: turnover {mean:.2%} each, {made.turnover_per_year:.2%} a year; "
        f"{added} additions, {deleted} deletions",
        highlight=False,
    )
    if made.tracking is not None:
        tracked = made.tracking
        console.print(
            f"total return against {made.against} over {tracked.sessions} sessions: "
            f"tracking difference {tracked.difference:+.2%} a year ({tracked.annual:.2%} against "
            f"{tracked.benchmark_annual:.2%}), tracking error {tracked.error:.2%}, "
            f"correlation {tracked.correlation:.4f}",
            highlight=False,
        )


def _write(made: Backtest, folder: Path) -> None:
    """Levels, rebalances, figures and a picture, each replacing that of an earlier backtest.

    Raises:
        InputError: the folder cannot be written.
    """
    rebalances = made.result.rebalances
    named = {name: rebalances[name].map(" ".join) for name in ("additions", "deletions")}
    levels = made.result.values
    if made.benchmark is not None:
        levels = levels.assign(benchmark=levels["session"].map(made.benchmark))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        levels.to_csv(folder / "levels.csv", index=False)
        rebalances.assign(**named).to_csv(folder / "rebalances.csv", index=False)
        (folder / "summary.json").write_text(json.dumps(_summary(made), indent=2) + "\n", encoding="utf-8")
        picture(made).savefig(folder / "levels.png")
    except OSError as error:
        raise InputError(f"cannot write the backtest to {folder}: {error.strerror}") from error


def _summary(made: Backtest) -> dict[str, Any]:
    levels = made.result.values
    return {
        "index_id": made.definition.id,
        "from": levels["session"].iloc[0].date().isoformat(),
        "to": levels["session"].iloc[-1].date().isoformat(),
        "performance": {name: plain(pd.DataFrame([asdict(one)]))[0] for name, one in made.performance.items()},
        "rebalances": len(made.result.rebalances) - 1,
        "turnover_per_year": made.turnover_per_year,
        "against": made.against or None,
        "tracking": None if made.tracking is None else plain(pd.DataFrame([asdict(made.tracking)]))[0],
    }


def picture(made: Backtest) -> Figure:
    """Levels with the benchmark, fall from the last high, and turnover, over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), dpi=110, layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1, 1])
    levels = made.result.values.set_index("session")
    for name, style in zip(RETURNS, ("-", "--", ":"), strict=True):
        above.plot(levels.index, levels[name], style, linewidth=1.2, label=name.replace("_", " "))
    if made.benchmark is not None:
        common = levels.index.intersection(made.benchmark.index)
        scale = levels.loc[common[0], "total_return"] / made.benchmark.loc[common[0]]
        above.plot(
            common, made.benchmark.loc[common] * scale, color="grey", linewidth=1, label=f"{made.against}, total return"
        )
    above.set_title(f"{made.definition.name} ({made.definition.currency})", loc="left")
    above.legend()
    total = levels["total_return"].to_numpy(np.float64)
    middle.fill_between(levels.index, 100 * (total / np.maximum.accumulate(total) - 1), 0, alpha=0.4)
    middle.set_ylabel("% below the high")
    rebalances = made.result.rebalances.iloc[1:]
    below.vlines(rebalances["session"], 0, 100 * rebalances["turnover"], linewidth=1.2)
    below.set_ylabel("% turnover")
    for axes in (above, middle, below):
        axes.grid(alpha=0.3)
    return figure
