"""The faults: how each is brought about in a real run, and what has to hold afterwards.

A fault is survived when no run under it stored a row that an undisturbed run would not have stored, and when the same
command, at most MOST_RUNS times in all, leaves the tables of an undisturbed run: every row, every version, none twice.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

from chaos.installation import Arena, Installation, Rows
from chaos.market import FALLBACK, PRIMARY
from chaos.yahoo_server import CRUMB
from market_assets.warehouse.connection import connect

MOST_RUNS = 3
DRAWS = 6
"""A moment that a faster run has not reached is drawn again so often, each time from the earlier part of the run."""
SHOWN_ROWS = 3


@dataclass(frozen=True)
class Outcome:
    """What came of one trial.

    Attributes:
        injected: times the fault hit.
        runs: runs of the command until the tables were right.
        problems: what was wrong; empty = survived.
    """

    injected: int
    runs: int
    problems: tuple[str, ...] = ()


Trial = Callable[[Arena, Random], Outcome]
"""Brings a fault about in a fresh installation, once or many times in one run."""


def _some(arena: Arena, random: Random, share: float = 0.5) -> list[str]:
    """Some of the securities."""
    symbols = sorted(arena.primary.listings)
    return random.sample(symbols, max(1, round(share * len(symbols))))


def vendor_fault(arena: Arena, random: Random, *, kind: str, retry_after: str | None = None) -> Outcome:
    """The first answers for half of the securities are of `kind`, once or twice for each."""
    with arena.installation() as installation:
        for symbol in _some(arena, random):
            arena.primary.inject(kind, times=random.choice((1, 2)), symbols={symbol}, retry_after=retry_after)
        return _until_right(arena, installation)


def refused_crumb(arena: Arena, random: Random) -> Outcome:
    """No crumb at first, and charts that call the crumb invalid."""
    with arena.installation() as installation:
        arena.primary.inject(random.choice(("401", "500", "html", "reset")), times=2, path=CRUMB)
        for symbol in _some(arena, random):
            arena.primary.inject("401", times=1, symbols={symbol})
        return _until_right(arena, installation)


def dead_source(arena: Arena, _random: Random) -> Outcome:
    """The first source answers nothing during the whole run; a second one is configured."""
    wanted = {
        table: Counter(
            {
                row.replace(f",{PRIMARY},", f",{FALLBACK},").replace(f",{PRIMARY})", f",{FALLBACK})"): count
                for row, count in rows.items()
            }
        )
        for table, rows in arena.undisturbed.items()
        if table != "raw.source_priority"  # here there are two
    }
    with arena.installation(fallback=True) as installation:
        arena.primary.inject("500")
        ended = installation.run()
        found = {table: rows for table, rows in installation.rows().items() if table in wanted}
        problems = [f"exit code {ended.code}: {ended.output[-500:]}"] if ended.code else []
        return Outcome(arena.primary.injected["500"], 1, (*problems, *differences(found, wanted)))


def dead_for_a_run(arena: Arena, _random: Random) -> Outcome:
    """The only source answers nothing during a whole run, and is well afterwards."""
    with arena.installation() as installation:
        arena.primary.inject("502")
        return _until_right(arena, installation)


def restarted_database(arena: Arena, random: Random) -> Outcome:
    """The server is killed while a transaction writes bars, and started again."""
    with arena.installation() as installation:
        process = installation.start()
        _wait_until_writing(arena, installation, process.is_alive, after=random.choice((0, 2, 4)))
        arena.restart_server()
        installation.finish(process)
        return _until_right(arena, installation, injected=1, runs=1)


def _wait_until_writing(arena: Arena, installation: Installation, alive: Callable[[], bool], after: int) -> None:
    """Return while a transaction of the run hangs in its insert into raw.price_bar, `after` symbols after the first."""
    with connect(installation.market_url) as connection:
        while alive() and sum(arena.primary.asked.values()) < after:
            time.sleep(0.005)
        connection.execute("lock table raw.price_bar in share mode")  # readers go on, writers wait
        while alive():
            row = connection.execute(
                "select count(*) from pg_locks where relation = 'raw.price_bar'::regclass and not granted"
            ).fetchone()
            if row and row[0]:
                return
            time.sleep(0.005)


def killed(arena: Arena, random: Random) -> Outcome:
    """kill -9 at a moment drawn uniformly over a run; afterwards nothing that was committed is asked for again."""
    for attempt in range(DRAWS):
        # Without the cache: it would hide questions that are asked again.
        with arena.installation(cache=False) as installation:
            process = installation.start()
            _wait_for(random.uniform(0, arena.seconds * 0.6**attempt), arena, process)
            process.kill()
            process.join()
            if installation.succeeded():
                continue  # it was faster than the undisturbed run: no moment of it
            committed = installation.symbols()
            arena.primary.forget()
            outcome = _until_right(arena, installation, injected=1, runs=1)
            again = sorted(committed & set(arena.primary.asked))
            asked = (f"asked again for what was committed: {', '.join(again)}",) if again else ()
            return Outcome(1, outcome.runs, (*outcome.problems, *asked))
    return Outcome(0, 0, ("every run ended before its kill",))


def _wait_for(moment: float, arena: Arena, process: BaseProcess) -> None:
    """Wait for what was `moment` seconds after the start of the undisturbed run.

    So that load on the machine does not move it, it is a place among the run's questions and not a delay.
    """
    before = [asked for asked in arena.requests if asked <= moment]
    while len(arena.primary.moments) < len(before) and process.is_alive():
        time.sleep(0.002)
    process.join(moment - (before[-1] if before else 0.0))


def full_disk(arena: Arena, _random: Random) -> Outcome:
    """The folder of the cache is a file system without a free byte."""
    with arena.installation() as installation, _full_file_system(installation.cache) as mounted:
        if not mounted:
            return Outcome(0, 0, ("not tried: mounting a full file system takes the rights of root",))
        return _until_right(arena, installation, injected=1)


@contextmanager
def _full_file_system(folder: Path) -> Iterator[bool]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["mount", "-t", "tmpfs", "-o", "size=16k", "chaos", str(folder)],  # noqa: S607
        check=False,
        capture_output=True,
    )
    if done.returncode:
        yield False
        return
    try:
        with (folder / "everything").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607


def _until_right(arena: Arena, installation: Installation, *, injected: int = 0, runs: int = 0) -> Outcome:
    """Run the command until the tables are right; after the first run the vendor is well."""
    problems: list[str] = []
    while runs < MOST_RUNS:
        ended = installation.run()
        runs += 1
        injected += sum(arena.primary.injected.values())
        found = installation.rows()
        problems += beyond(found, arena.undisturbed)
        if installation.doubled():
            problems.append(f"{installation.doubled()} keys have two current rows")
        wrong = differences(found, arena.undisturbed)
        if not wrong:
            break
        arena.primary.heal()
        arena.primary.injected.clear()
    else:
        problems += [*wrong, f"the last run ended with {ended.code}: {ended.output[-500:]}"]
    return Outcome(injected, runs, tuple(dict.fromkeys(problems)))


def beyond(found: Rows, wanted: Rows) -> list[str]:
    """Rows of bars, actions and securities that are there and should never be."""
    return [
        f"{table}: rows that an undisturbed run does not store: {_shown(rows - wanted[table])}"
        for table, rows in found.items()
        if table in {"raw.price_bar", "raw.corporate_action", "raw.security"} and rows - wanted[table]
    ]


def differences(found: Rows, wanted: Rows) -> list[str]:
    """Where tables differ, with the first rows; empty when they are equal."""
    return [
        f"{table}: {(wanted[table] - found[table]).total()} rows are missing {_shown(wanted[table] - found[table])}, "
        f"{(found[table] - wanted[table]).total()} are too many {_shown(found[table] - wanted[table])}"
        for table in wanted
        if found[table] != wanted[table]
    ]


def _shown(rows: Counter[str]) -> str:
    return " ".join(sorted(rows)[:SHOWN_ROWS])


def _vendor(kind: str, retry_after: str | None = None) -> Trial:
    return partial(vendor_fault, kind=kind, retry_after=retry_after)


FAULTS: Mapping[str, tuple[Trial, int]] = {
    "429 with Retry-After": (_vendor("429", retry_after="1"), 1),
    "429 without Retry-After": (_vendor("429"), 1),
    "500": (_vendor("500"), 1),
    "502": (_vendor("502"), 1),
    "connection reset": (_vendor("reset"), 1),
    "slow answer": (_vendor("slow"), 1),
    "slow body": (_vendor("slow_body"), 1),
    "body cut off": (_vendor("cut_body"), 1),
    "truncated JSON": (_vendor("truncated_json"), 1),
    "HTML instead of JSON": (_vendor("html"), 1),
    "empty frames": (_vendor("empty"), 1),
    "wrong symbol in the answer": (_vendor("wrong_symbol"), 1),
    "wrong time zone": (_vendor("wrong_timezone"), 1),
    "partial symbol lists": (_vendor("not_found"), 1),
    "half of the bars": (_vendor("partial"), 1),
    "crumb failure": (refused_crumb, 1),
    "source dead, with a fallback": (dead_source, 1),
    "source dead for a run": (dead_for_a_run, 1),
    "database restart in a write": (restarted_database, 3),
    "full disk under the cache": (full_disk, 1),
    "kill -9": (killed, 20),
}
"""Name -> trial, and how often it is tried with other choices."""
