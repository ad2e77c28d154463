"""Runs dbt: where the project is, which database it works on, parsing when it changed, and one invocation at a time.

All artifacts go below MARKET_HOME/dbt, never into the checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from market_assets.errors import TerminalError
from market_assets.settings import dbt_project, market_home
from market_assets.warehouse.server import database_name

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunExecutionResult, RunResult
    from dbt.contracts.graph.manifest import Manifest


@dataclass(frozen=True)
class NodeResult:
    """What came of one node of the project. Plain values: a build may run in another process.

    Attributes:
        unique_id, name: dbt's.
        status: dbt's word: success, pass, warn, fail, error, skipped.
        message: what dbt or the database said, empty for nothing.
        seconds: how long it took.
        rows: rows written, 0 where the database does not say.
        failures: failing rows of a test.
        sql: the statement as it was compiled.
    """

    unique_id: str
    name: str
    status: str
    message: str
    seconds: float
    rows: int
    failures: int
    sql: str


MANIFEST, PARTIAL_PARSE = "manifest.json", "partial_parse.msgpack"


def target_folder() -> Path:
    """Folder of the parsed manifest."""
    return market_home() / "dbt" / "target"


def fingerprint() -> str:
    """Digest of every file of the project: changes when a model, test, macro or YAML changes."""
    digest = hashlib.sha256()
    root = dbt_project()
    for file in sorted(root.rglob("*")):
        if file.is_file() and file.suffix in {".sql", ".yml", ".yaml", ".csv", ".md"} and "target" not in file.parts:
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def manifest() -> dict[str, Any]:
    """The parsed project. Parses first, in a process of its own, when the project changed since the last parse.

    Raises:
        TerminalError: dbt cannot parse the project; the message quotes what it said.
    """
    target = target_folder()
    stamp, wanted = target / "fingerprint", f"{fingerprint()} {database_name()}"
    if not (target / MANIFEST).exists() or not stamp.exists() or stamp.read_text() != wanted:
        parse(wanted)
    loaded: dict[str, Any] = json.loads((target / MANIFEST).read_bytes())
    return loaded


def parse(stamp: str) -> None:
    """Parse the project and put the result into `target_folder()`, each file whole: other processes may be reading.

    Args:
        stamp: fingerprint of what is parsed, written last.

    Raises:
        TerminalError: dbt refuses the project.
    """
    target = target_folder()
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="parse-", dir=target.parent) as made:
        done = subprocess.run(  # noqa: S603 - our own interpreter with fixed arguments
            [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "parse", *folders(Path(made))],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **_quiet(), "MARKET_DBT_DBNAME": database_name()},
        )
        if done.returncode:
            raise TerminalError(f"dbt cannot parse {dbt_project()}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        (Path(made) / "fingerprint").write_text(stamp, encoding="utf-8")
        for name in (PARTIAL_PARSE, MANIFEST, "fingerprint"):
            (Path(made) / name).replace(target / name)


def connection_environment(url: str) -> dict[str, str]:
    """The variables dbt/profiles.yml reads, for the database at `url`; libpq's own for the rest, such as PGSSLMODE."""
    from psycopg import pq

    options = {option.keyword.decode(): option for option in pq.Conninfo.parse(url.encode())}

    def value(keyword: str, default: str = "") -> str:
        found = options.pop(keyword).val
        return found.decode() if found else default

    profile = {
        "MARKET_DBT_HOST": value("host", "localhost"),
        "MARKET_DBT_PORT": value("port", "5432"),
        "MARKET_DBT_USER": value("user", "postgres"),
        "MARKET_DBT_PASSWORD": value("password"),
        "MARKET_DBT_DBNAME": value("dbname", "market"),
    }
    others = {
        option.envvar.decode(): option.val.decode() for option in options.values() if option.val and option.envvar
    }
    return {**profile, **others}


def invoke(
    arguments: Sequence[str], url: str, run_id: str, *, on_event: Callable[[int], None] | None = None
) -> list[NodeResult]:
    """Run one dbt command in this process against the database at `url`.

    Args:
        arguments: command and options, such as ["build", "--select", "marts"].
        url: libpq URL of the warehouse.
        run_id: names the folder of this invocation's artifacts, so that two runs do not write over each other.
        on_event: called with how many models are done, after each of them.

    Returns:
        Every node's result, those of failed nodes included.

    Raises:
        TerminalError: dbt could not run at all.
    """
    from dbt.cli.main import dbtRunner

    target = market_home() / "dbt" / "runs" / run_id
    callbacks = [_counting(on_event)] if on_event else []
    try:
        with _environment({**connection_environment(url), **_quiet()}):
            result = dbtRunner(manifest=_parsed(), callbacks=callbacks).invoke(
                ["--quiet", "--log-level", "none", "--no-write-json", *arguments, *folders(target)]
            )
    finally:
        shutil.rmtree(target, ignore_errors=True)
    if result.exception is not None:
        raise TerminalError(f"dbt {' '.join(arguments)} did not run: {result.exception}") from result.exception
    if result.result is None or isinstance(result.result, bool):
        raise TerminalError(f"dbt {' '.join(arguments)} gave no results; run it by hand with `market dbt`")
    outcome: RunExecutionResult = result.result  # type: ignore[assignment]  # build, run and test return this one
    return [_plain(node) for node in outcome]


def _counting(on_event: Callable[[int], None]) -> Callable[[Any], None]:
    done = count(1)

    def look(event: Any) -> None:
        if event.info.name == "LogModelResult":
            on_event(next(done))

    return look


def _plain(result: RunResult) -> NodeResult:
    return NodeResult(
        unique_id=str(result.node.unique_id),
        name=str(result.node.name),
        status=str(result.status),
        message=str(result.message or ""),
        seconds=result.execution_time,
        rows=int(result.adapter_response.get("rows_affected", 0) or 0),
        failures=int(result.failures or 0),
        sql=str(getattr(result.node, "compiled_code", None) or ""),
    )


def _parsed() -> Manifest:
    """The manifest as dbt's own object, so that an invocation does not parse again (five seconds)."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    manifest()
    packed = (target_folder() / PARTIAL_PARSE).read_bytes()
    parsed: Manifest = Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
    parsed.build_flat_graph()  # type: ignore[no-untyped-call]  # what macros see as `graph`
    return parsed


def ensure_views(url: str) -> bool:
    """Create or replace the staging and intermediate views when the project changed. True when it did.

    Assets written in Python read these views before the run's `dbt build`, so they must exist first.
    """
    from psycopg import sql

    from market_assets.warehouse.connection import connect

    wanted = fingerprint()
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtextextended('market_assets.views', 0))")
        row = connection.execute("select obj_description('intermediate'::regnamespace, 'pg_namespace')").fetchone()
        if row is not None and row[0] == wanted:
            return False
        outcome = invoke(["run", "--select", "staging", "intermediate"], url, f"views-{os.getpid()}")
        failed = [f"{result.name}: {result.message}" for result in outcome if result.status == "error"]
        if failed:
            raise TerminalError(f"dbt cannot create the views: {'; '.join(failed)}")
        connection.execute(sql.SQL("comment on schema intermediate is {}").format(sql.Literal(wanted)))
    return True


def full_sql(url: str) -> dict[str, str]:
    """The SQL of each mart as a full refresh would run it, by dbt's unique id: what its columns are made of.

    What an incremental build runs reads a temporary table of changed keys instead, which has no lineage. Compiled once
    for each state of the project.
    """
    cache = target_folder() / "full_sql.json"
    wanted = fingerprint()
    if cache.exists():
        stored: dict[str, Any] = json.loads(cache.read_bytes())
        if stored["fingerprint"] == wanted:
            sql: dict[str, str] = stored["sql"]
            return sql
    outcome = invoke(["compile", "--full-refresh", "--select", "marts"], url, f"compile-{os.getpid()}")
    compiled = {result.unique_id: result.sql for result in outcome}
    temporary = cache.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"fingerprint": wanted, "sql": compiled}), encoding="utf-8")
    temporary.replace(cache)
    return compiled


def folders(target: Path) -> list[str]:
    """Options that point dbt at the project and keep its artifacts out of the checkout."""
    root = str(dbt_project())
    log = str(market_home() / "dbt" / "logs")
    return ["--project-dir", root, "--profiles-dir", root, "--target-path", str(target), "--log-path", log]


def _quiet() -> dict[str, str]:
    return {"DBT_SEND_ANONYMOUS_USAGE_STATS": "False", "DO_NOT_TRACK": "1"}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
