"""What more data costs: more symbols, and more years. Bulk rows per second should not fall, nor a day take longer.

Invented markets of 500 and 2,000 symbols x 5 years, and 500 x 5, 20 and 40 years, each through `market backfill`
from an empty database to checked marts, then one more session three times. Not part of `make bench`: it takes longer
than all of it. The floor of each figure is the smallest market, measured in the same run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from benchmarks.installation import synthetic_settings, temporary_installation
from benchmarks.measure import Beside, Figure, Scale, Spread, Target
from benchmarks.process import Finished
from benchmarks.server import checkpoint
from market_assets.domain.calendars import build_calendar
from market_assets.warehouse.connection import connect

SMALLEST = (500, 5)
SIZES = (SMALLEST, (2000, 5), (500, 20), (500, 40))
"""Symbols and years; growth_wide.py has the widest market."""

LAST = "2024-12-31"
PEAK_MB = 2560


@dataclass(frozen=True)
class Grown:
    """One market.

    Attributes:
        rows: bars it holds.
        bulk: the load of all sessions but the last.
        daily: the last session, and that session again.
    """

    rows: int
    bulk: Finished
    daily: tuple[Finished, ...]

    @property
    def per_million(self) -> Spread:
        """Seconds of the load per million bars."""
        return Spread((self.bulk.seconds / self.rows * 1e6,))

    @property
    def day(self) -> Spread:
        """Seconds of one more session."""
        return Spread(tuple(one.seconds for one in self.daily))


def run(scale: Scale) -> list[Figure]:
    """Load each market of SIZES."""
    return measured(scale, SIZES)


def measured(scale: Scale, wanted: Sequence[tuple[int, int]]) -> list[Figure]:
    """Load each market once; it is large enough to be its own average. The others are compared with the first."""
    sizes = {(scale.of(symbols, least=5), max(1, round(years * scale.share))): None for symbols, years in wanted}
    grown = {size: _grow(*size, scale.repeats) for size in sizes}
    smallest = next(iter(grown.values()))
    return [figure for size, one in grown.items() for figure in _figures(size, one, smallest)]


def _grow(symbols: int, years: int, repeats: int) -> Grown:
    first = f"{int(LAST[:4]) - years + 1}-01-02"
    year = int(LAST[:4])
    sessions = build_calendar("XNYS", date(year - years, 1, 1), date(year + 1, 12, 31)).sessions()
    sessions = sessions[(sessions >= first) & (sessions <= LAST)]
    start, before, last = (day.date().isoformat() for day in (sessions[0], sessions[-2], sessions[-1]))
    with temporary_installation(lambda folder: synthetic_settings(folder, symbols, start, LAST)) as installation:
        installation.prepare()
        bulk = installation.market("backfill", "--to", before)
        checkpoint(installation.url)
        daily = tuple(installation.market("backfill", "--from", last, "--to", last) for _ in range(repeats))
        with connect(installation.url) as connection:
            row = connection.execute("select count(*) from raw.price_bar").fetchone()
    if row is None:
        raise RuntimeError("raw.price_bar cannot be counted")
    return Grown(int(row[0]), bulk, daily)


def _figures(size: tuple[int, int], one: Grown, smallest: Grown) -> list[Figure]:
    symbols, years = size
    name, what = f"{symbols}_symbols_{years}_years", f"{symbols} symbols x {years} years, {one.rows} bars"
    return [
        Figure(
            name=f"growth.bulk.{name}",
            what=f"market backfill of {what}",
            unit="s per million bars",
            ours=one.per_million,
            floor=Beside("the smallest market of this run", smallest.per_million),
            target=Target(floors=1.25, facts={"peak_mb": PEAK_MB}),
            facts={
                "peak_mb": one.bulk.peak_mb,
                "bars_per_second": round(one.rows / one.bulk.seconds),
                "seconds": one.bulk.seconds,
            },
        ),
        Figure(
            name=f"growth.daily.{name}",
            what=f"one more session on {what}",
            unit="s",
            ours=one.day,
            floor=Beside("the same on the smallest market of this run", smallest.day),
            # The same symbols on a longer history must cost the same; more symbols may cost more.
            target=Target(floors=1.2 if symbols == SMALLEST[0] else None, facts={"peak_mb": PEAK_MB}),
            facts={"peak_mb": max(day.peak_mb for day in one.daily)},
        ),
    ]
