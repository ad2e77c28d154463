"""Ingestion from a vendor: what it asks, what it costs beside yfinance alone, and what asking again costs.

The vendor is the stand-in for Yahoo in a process of its own, which answers after 50 ms as if it were far away. Beside
`source.fetch` the same questions are asked by yfinance alone, with the same number of threads, in turn. Whole
ingestions go through `ingest` into an empty warehouse, and then again with nothing new.
"""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import yaml

from benchmarks.measure import Beside, Figure, Scale, Spread, Target, alternate, processor_seconds, seconds
from benchmarks.server import checkpoint, fresh_database, temporary_folder, temporary_server
from market_assets.warehouse.server import EmbeddedServer

SYMBOLS, YEARS, THREADS, LATENCY = 60, 20, 4, 0.05
END = date(2023, 12, 29)
START = date(END.year - YEARS + 1, 1, 2)
NOW = datetime(2023, 12, 30, tzinfo=UTC)
RECENT = date(2023, 1, 3)
"""Start of the range that one question covers, so that yfinance alone can be asked the same."""

NO_LIMITS = {"requests_per_second": 1000, "burst": 1000}


def run(scale: Scale) -> list[Figure]:
    """Ask for all symbols with and without the platform, load them, and load them again."""
    symbols = scale.of(SYMBOLS, least=6)
    with (
        temporary_folder() as folder,
        vendor(symbols) as stand_in,
        temporary_server(folder) as server,
        patch.dict(os.environ),
    ):
        names = stand_in.names()
        (source,) = _platform(folder / "fetch", stand_in, cache=False).sources()
        alone = _Alone(stand_in.url)
        source.fetch(_request(names[:4]))  # imports, cookie and crumb are paid once in a process
        alone.fetch(names[:4])
        request = _request(names)
        fetches = alternate(
            scale.repeats,
            lambda: seconds(lambda: source.fetch(request)),
            lambda: seconds(lambda: alone.fetch(names)),
            lambda: processor_seconds(lambda: source.fetch(request)),
            lambda: processor_seconds(lambda: alone.fetch(names)),
        )
        rounds = [_load(folder / f"load-{number}", server, stand_in) for number in range(scale.repeats)]
    return [_requests(symbols, rounds), _fetch(symbols, fetches), _again(symbols, rounds)]


def _requests(symbols: int, rounds: list[_Round]) -> Figure:
    per_thousand = 1000 / (symbols * YEARS)
    return Figure(
        name="ingestion.requests",
        what=f"requests for {symbols} symbols x {YEARS} years, cookie and crumb included",
        unit="requests per 1,000 symbol-years",
        ours=Spread(tuple(one.requests * per_thousand for one in rounds)),
        facts={"requests_again": rounds[-1].requests_again, "symbols": symbols, "years": YEARS},
    )


def _fetch(symbols: int, fetches: list[Spread]) -> Figure:
    """Wall time, and what the platform's own work costs: processor time does not depend on what else is running."""
    ours, alone, ours_busy, alone_busy = (spread.scaled(1000 / symbols) for spread in fetches)
    return Figure(
        name="ingestion.fetch",
        what=f"one year of {symbols} symbols from a vendor {LATENCY * 1000:.0f} ms away, {THREADS} threads",
        unit="ms per symbol",
        ours=ours,
        floor=Beside("yfinance alone: the same questions, session and threads", alone),
        target=Target(facts={"overhead_ms_per_symbol": 3.0}),
        facts={
            "overhead_ms_per_symbol": ours_busy.median - alone_busy.median,
            "processor_ms_per_symbol": ours_busy.median,
            "processor_ms_per_symbol_alone": alone_busy.median,
            "symbols_per_second": 1000 / ours.median,
            "latency_over_threads_ms": LATENCY / THREADS * 1000,
        },
    )


def _again(symbols: int, rounds: list[_Round]) -> Figure:
    bars = rounds[-1].bars
    return Figure(
        name="ingestion.nothing_new",
        what=f"{symbols} symbols x {YEARS} years asked for and compared again: {bars} bars, none new",
        unit="s",
        ours=Spread(tuple(one.again for one in rounds)),
        floor=Beside("the first ingestion of them", Spread(tuple(one.first for one in rounds))),
        target=Target(floors=0.2),
        facts={
            "bars": bars,
            "bars_per_second_first": bars / Spread(tuple(one.first for one in rounds)).median,
            "symbols_per_second_first": symbols / Spread(tuple(one.first for one in rounds)).median,
        },
    )


class _Round:
    """A first ingestion and the same again."""

    def __init__(self, first: float, again: float, requests: int, requests_again: int, bars: int) -> None:
        self.first, self.again, self.bars = first, again, bars
        self.requests, self.requests_again = requests, requests_again


def _load(folder: Path, server: EmbeddedServer, stand_in: StandIn) -> _Round:
    """Ingest everything into an empty warehouse with an empty cache, twice."""
    from market_assets.ingestion import ingest
    from market_assets.warehouse.migrate import migrate

    url = fresh_database(server, "market")
    migrate(url)
    times: list[float] = []
    asked: list[int] = []
    reports: list[Any] = []
    for number in range(2):
        platform = _platform(folder, stand_in)  # a new one each time, as in a process of its own
        platform.warehouse_url = url  # without dbt's views, which ingestion does not read
        checkpoint(url)
        stand_in.count()
        work = partial(ingest, platform, START, END, run_id=f"bench-{number}")
        times.append(seconds(partial(_note, work, reports)))
        asked.append(stand_in.count())
    if reports[1].bars.versions_written or reports[1].received != reports[0].received:
        raise RuntimeError(f"the second ingestion is not the first again: {reports[1].bars}")
    return _Round(times[0], times[1], asked[0], asked[1], reports[0].received)


def _note(work: Callable[[], Any], results: list[Any]) -> None:
    results.append(work())


def _platform(folder: Path, stand_in: StandIn, *, cache: bool = True) -> Any:
    """A platform whose one source is the stand-in, asked as fast as its threads allow."""
    from market_assets.config import load_config
    from market_assets.resources import Platform

    folder.mkdir(exist_ok=True)
    settings = {
        "partitions": {"start": START, "end": END},
        "sources": [
            {"kind": "yahoo", "options": {"endpoint": stand_in.url, "threads": THREADS}, "fetch": NO_LIMITS},
        ],
        "ingest": {"http_cache": {"enabled": cache}},
    }
    rows = [(name, "XNYS", name, "USD", START, None) for name in stand_in.names()]
    columns = ["symbol", "exchange", "name", "currency", "member_from", "member_to"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "universe.csv", index=False)
    (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
    (folder / "market.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    os.environ["MARKET_HOME"] = str(folder)  # where the cache is
    return Platform(load_config(folder / "market.yaml", {}), now=lambda: NOW)


def _request(names: list[str]) -> Any:
    from market_assets.sources.base import FetchRequest, SecurityRef

    return FetchRequest(tuple(SecurityRef(name, "XNYS", "USD") for name in names), RECENT, END)


class _Alone:
    """yfinance as a script uses it: one Ticker for each symbol, in threads."""

    def __init__(self, url: str) -> None:
        from market_assets.sources.yahoo_client import _routed_session

        warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning, module="yfinance")
        self._session = _routed_session(url)

    def fetch(self, names: list[str]) -> None:
        """Ask for each of `names`."""
        with ThreadPoolExecutor(THREADS) as pool:
            frames = list(pool.map(self._history, names))
        if any(frame.empty for frame in frames):
            raise RuntimeError("yfinance alone got an empty frame")

    def _history(self, name: str) -> pd.DataFrame:
        import yfinance

        ticker = yfinance.Ticker(name, session=self._session)
        ticker._tz = "America/New_York"  # noqa: SLF001 - as the platform: it would cost another request
        frame: pd.DataFrame = ticker.history(
            start=RECENT, interval="1d", auto_adjust=False, actions=True, keepna=True, timeout=20
        )
        return frame


class StandIn:
    """The vendor's process, seen from here."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url: str = pipe.recv()

    def names(self) -> list[str]:
        """Symbols it knows."""
        self._pipe.send("names")
        found: list[str] = self._pipe.recv()
        return found

    def count(self) -> int:
        """Requests since the last call."""
        self._pipe.send("count")
        return int(self._pipe.recv())


@contextmanager
def vendor(symbols: int) -> Iterator[StandIn]:
    """The stand-in in a process of its own, so that it takes no time of the interpreter that is measured."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(symbols, theirs), daemon=True)
    process.start()
    try:
        yield StandIn(ours)
    finally:
        ours.send("stop")
        process.join()


def serve(symbols: int, pipe: Connection) -> None:
    """Body of the vendor's process. An answer that was given once is given again without being made again."""
    from chaos.market import Market, listings
    from chaos.yahoo_server import YahooServer

    class Remembering(YahooServer):
        @cache  # noqa: B019 - ends with the process
        def _chart(self, symbol: str, query: tuple[tuple[str, str], ...]) -> tuple[int, Any]:
            return super().chart(symbol, {name: [value] for name, value in query})

        def chart(self, symbol: str, query: dict[str, list[str]], _fault: str = "") -> tuple[int, Any]:
            # The end of a range that reaches to the present moves with the clock.
            rounded = ((name, self._rounded(name, values[0])) for name, values in query.items())
            return self._chart(symbol, tuple(sorted(rounded)))

        def _rounded(self, name: str, value: str) -> str:
            return str(int(value) // 86_400 * 86_400 + 86_400) if name == "period2" else value

    with Remembering(listings(Market(symbols, START, END)), latency=LATENCY) as server:
        pipe.send(server.url)
        while (word := pipe.recv()) != "stop":
            if word == "names":
                pipe.send(sorted(server.listings))
            else:
                pipe.send(server.requests.total())
                server.forget()
