"""Other packages on the same 505 x 5-year input, each in an environment of its own.

    <name>/requirements.in     what it is; requirements.lock pins it, with hashes (make bench-lock)
    <name>/work.py             the work; run by that environment's Python, it imports nothing of ours
    environments.py            makes the environments, kept under MARKET_HOME/bench

A work prints the seconds it took, without its imports and without bringing the files into the form it wants. None of
them does what the platform does; each figure says what is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.inputs import SESSIONS, SYMBOLS
from benchmarks.installation import Installation, loaded_market
from benchmarks.measure import Beside, Figure, Scale, Spread
from benchmarks.peers.environments import prepared, seconds_of
from benchmarks.server import fresh_database


@dataclass(frozen=True)
class Peer:
    """Another package.

    Attributes:
        name: its folder.
        does: the work, and what it leaves out of the platform's.
        repeats: whether it is quick enough to be measured more than once.
        needs_database: whether it is given an empty PostgreSQL database.
        sessions: sessions it works on and is extrapolated from; None = all of them.
    """

    name: str
    does: str
    repeats: bool = True
    needs_database: bool = False
    sessions: int | None = None


PEERS = (
    Peer(
        "zipline",
        "zipline-reloaded, csvdir ingest into bcolz and SQLite; no versions, checks, indicators, indices, SQL or "
        "lineage, and gaps must be filled before",
    ),
    Peer(
        "arcticdb",
        "ArcticDB, write and read of one frame per symbol on LMDB; versions by symbol; no checks, actions, indicators, "
        "indices, SQL or lineage",
    ),
    Peer(
        "pandas_ta",
        "pandas to_sql of bars and 29 indicator columns of pandas-ta-classic, once; no versions, checks, actions, "
        "indices, marts or lineage",
        repeats=False,
        needs_database=True,
    ),
    Peer(
        "plain_dagster",
        "Dagster as one would write it first, one run per partition: bars and 3 indicators by to_sql; 60 sessions "
        "measured once and EXTRAPOLATED to all; no versions, checks, actions, indices, marts or lineage",
        repeats=False,
        needs_database=True,
        sessions=60,
    ),
)


def run(scale: Scale) -> list[Figure]:
    """Each peer beside our own whole load of the same files."""
    installation = loaded_market(scale.of(SYMBOLS, least=5))
    return [_figure(installation, peer, scale) for peer in PEERS]


def _figure(installation: Installation, peer: Peer, scale: Scale) -> Figure:
    python = prepared(peer.name)
    sessions = min(peer.sessions or SESSIONS, scale.of(SESSIONS, least=5))
    factor = SESSIONS / sessions if peer.sessions else 1.0
    runs = []
    for number in range(scale.repeats if peer.repeats else 1):
        work = installation.folder / "peers" / f"{peer.name}-{number}"
        work.mkdir(parents=True)
        url = fresh_database(installation.server, "peer") if peer.needs_database else ""
        arguments = [str(installation.folder / "vendor"), str(work), url, str(sessions)]
        runs.append(seconds_of(python, peer.name, arguments) * factor)
    return Figure(
        name=f"peers.{peer.name}",
        what="files to checked marts with versions, actions, indicators, indices and lineage, beside a peer's work",
        unit="s",
        ours=Spread((installation.loads["backfill"].seconds,)),
        peer=Beside(peer.does, Spread(tuple(runs))),
        facts={"extrapolated_from_sessions": sessions} if peer.sessions else {},
    )
