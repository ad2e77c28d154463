"""A whole installation to measure: its own configuration, MARKET_HOME and server, `market` in processes of its own."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks.inputs import PROJECT, vendor_folder
from benchmarks.process import Finished, market
from market_assets.warehouse.server import EmbeddedServer

EXAMPLE = PROJECT / "config" / "examples" / "files.yaml"


class Installation:
    """Commands and database of one MARKET_HOME.

    Attributes:
        loads: what was loaded into it, by name.

    Args:
        folder: where everything of it is; the user PostgreSQL runs as must be able to enter it.
        settings: content of market.yaml; None = `files_settings` over `folder`/vendor.
    """

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.server = EmbeddedServer(self.home / "postgres")
        self.loads: dict[str, Finished] = {}
        file = folder / "market.yaml"
        file.write_text(yaml.safe_dump(settings or files_settings(folder), sort_keys=False), encoding="utf-8")
        self.environment = {
            "MARKET_HOME": str(self.home),
            "MARKET_CONFIG": str(file),
            "DAGSTER_HOME": str(PROJECT),
        }

    @property
    def url(self) -> str:
        """libpq URL of the warehouse."""
        return self.server.url("market")

    def market(self, *arguments: str) -> Finished:
        """A `market` command."""
        return market(arguments, self.environment)

    def prepare(self) -> None:
        """Write the universe unless it is there, and set the databases up."""
        universe = self.folder / "universe.csv"
        if not universe.exists():
            self.market("universe", "--source", "files", "-o", str(universe))
        self.market("setup")

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop(immediate=True)


def files_settings(folder: Path) -> dict[str, Any]:
    """The example of a folder of files, with the paths of `folder`."""
    loaded: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    loaded["sources"][0]["options"]["folder"] = str(folder / "vendor")
    loaded["calendars"]["overrides"] = str(PROJECT / "config" / "calendar_overrides.csv")
    loaded["universe"] = str(folder / "universe.csv")
    return loaded


def synthetic_settings(folder: Path, symbols: int, start: str, end: str) -> dict[str, Any]:
    """An invented market without gaps: its size is symbols x sessions. The index holds 500 of them at most.

    Its universe is written into `folder`.
    """
    names = [f"SYN{number:05}" for number in range(1, symbols + 1)]
    rows = [f"{name},XNYS,{name} Inc.,USD,{start}," for name in names]
    header = "symbol,exchange,name,currency,member_from,member_to"
    (folder / "universe.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    steady = {"late_listings": 0, "delistings_per_year": 0, "suspensions_per_year": 0}
    options = {"seed": 1, "symbols": symbols, "start": start, **steady}
    return {
        "partitions": {"start": start, "end": end},
        "universe": str(folder / "universe.csv"),
        "calendars": {"overrides": str(PROJECT / "config" / "calendar_overrides.csv")},
        "sources": [{"kind": "synthetic", "options": options}],
        "indices": [
            {
                "id": "EW",
                "base_date": start,
                "base_value": 1000,
                "weighting": "equal",
                "universe": {"symbols": names[:500]},
                "rebalance": {"frequency": "monthly", "weekday": "friday", "nth": 3},
            }
        ],
    }


@contextmanager
def temporary_installation(settings: Any = None) -> Iterator[Installation]:
    """An installation in a folder of its own, stopped and deleted afterwards.

    Args:
        settings: makes the content of market.yaml from the folder; None = a folder of files.
    """
    folder = Path(tempfile.mkdtemp(prefix="market-bench-"))
    folder.chmod(0o755)
    installation = Installation(folder, settings(folder) if settings else None)
    try:
        yield installation
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)


@cache
def loaded_market(symbols: int) -> Installation:
    """`symbols` of 505 x 5 years through every asset, for benchmarks that only read. Kept until this process ends."""
    context = temporary_installation()
    installation = context.__enter__()
    atexit.register(context.__exit__, None, None, None)
    vendor_folder(installation.folder / "vendor", symbols)
    installation.prepare()
    installation.loads["backfill"] = installation.market("backfill")
    return installation
