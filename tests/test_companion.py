"""A second process: what it is asked, what it says on the way, what it raises, and that it never outlives the first."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from market_assets import companion
from market_assets.companion import Companion, CompanionLost
from market_assets.errors import ConfigError, InputError, TransientError

LOCKS: list[Any] = []


def where() -> int:
    return os.getpid()


def told(upto: int, *, on_event: Callable[[int], None]) -> str:
    for number in range(upto):
        on_event(number)
    return "done"


def setting(name: str) -> str | None:
    return os.environ.get(name)


def imported(name: str) -> bool:
    return name in sys.modules


def refuse(error: Exception) -> None:
    raise error


def refuse_with_more() -> None:
    raise ConfigError("cannot be used", file="market.yaml", key="universe", value=3, allowed=["a file"])


def unportable() -> Callable[[], None]:
    return lambda: None


def lock() -> bool:
    """Hold a lock until the process ends; True where that is another one."""
    LOCKS.append(multiprocessing.get_context("spawn").RLock())
    return multiprocessing.parent_process() is not None


def start_one() -> None:
    companion.HEAVY = ("no_such_module",)
    companion.start()
    assert companion.call(where) != os.getpid()


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def second() -> Iterator[Companion]:
    made = Companion(["colorsys", "no_such_module"])
    yield made
    made.stop()


@pytest.fixture
def none_running(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(companion, "_companion", None)
    yield
    if companion._companion is not None:
        companion._companion.stop()


def test_a_function_runs_in_another_process_with_its_arguments(second):
    assert second.call(where) not in {os.getpid(), os.getppid()}
    assert second.call(divmod, 7, 2) == (3, 1)


def test_modules_are_imported_ahead_and_a_missing_one_stops_nothing(second):
    for _ in range(100):
        if second.call(imported, "colorsys"):
            break
        time.sleep(0.05)  # what is asked comes first
    assert second.call(imported, "colorsys")
    assert not second.call(imported, "no_such_module")


def test_what_is_said_on_the_way_comes_in_order(second):
    heard: list[int] = []
    assert second.call(told, 4, on_event=heard.append) == "done"
    assert heard == [0, 1, 2, 3]


def test_the_environment_is_that_of_the_moment(second, monkeypatch):
    monkeypatch.setenv("MARKET_HOME", "/one")
    assert second.call(setting, "MARKET_HOME") == "/one"
    monkeypatch.delenv("MARKET_HOME")
    assert second.call(setting, "MARKET_HOME") is None


def test_an_error_keeps_its_type_and_says_where_it_was_raised(second):
    with pytest.raises(InputError, match="row 3") as caught:
        second.call(refuse, InputError("row 3"))
    assert "in refuse" in caught.value.__notes__[0]
    assert second.call(where), "an error ends nothing"


@pytest.mark.parametrize(
    ("function", "words"), [(refuse_with_more, r"ConfigError: market\.yaml: universe"), (unportable, "pickle")]
)
def test_what_cannot_be_sent_is_an_error_in_words(second, function, words):
    with pytest.raises(Exception, match=words) as caught:
        second.call(function)
    assert caught.value.__notes__[0].startswith("in the companion")
    assert second.call(where)


def test_one_that_is_killed_is_an_error_worth_another_try():
    lost = Companion([])
    with pytest.raises(CompanionLost, match="ended with -9 while it ran end"):
        lost.call(end)
    assert issubclass(CompanionLost, TransientError)
    assert not lost.runs


def test_an_interrupted_call_ends_it():
    """Ctrl-C while a suite runs: nobody would read the answer, and the next call would read it as its own."""
    slow = Companion([])
    pid = slow.call(where)
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        slow.call(time.sleep, 60)
    assert not psutil.pid_exists(pid)


def test_one_that_holds_locks_of_its_own_ends_in_silence():
    """As dbt does: locks that are still there when a process ends are complained of."""
    code = (
        "from market_assets import companion; import test_companion\n"
        "companion.HEAVY = ('colorsys',); companion.start(); print(companion.call(test_companion.lock))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert (done.stdout, done.stderr) == (f"{os.cpu_count() != 1}\n", "")


def test_nobody_waits_for_an_import_that_is_not_needed_any_more(tmp_path):
    """As when the configuration cannot be used: the error is said at once."""
    (tmp_path / "endless.py").write_text("import time; time.sleep(600)")
    code = "from market_assets import companion; companion.HEAVY = ('endless',); companion.start()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""


def test_a_process_of_multiprocessing_that_has_one_ends():
    """As a run does that the daemon launches."""
    run = multiprocessing.get_context("spawn").Process(target=start_one)
    run.start()
    run.join(30)
    assert run.exitcode == 0


def test_it_ends_with_the_process_that_was_killed():
    code = (
        "from market_assets.companion import Companion; import os, time\n"
        "c = Companion([]); print(c.call(os.getpid), flush=True)\n"
        "c.call(time.sleep, 60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        theirs = psutil.Process(int(first.stdout.readline()))
        first.kill()
        theirs.wait(10)


@pytest.mark.usefixtures("none_running")
def test_without_one_a_function_runs_here():
    heard: list[int] = []
    assert companion.call(where) == os.getpid()
    assert companion.call(told, 2, on_event=heard.append) == "done"
    assert heard == [0, 1]


@pytest.mark.usefixtures("none_running")
def test_one_is_started_once_and_called(monkeypatch):
    monkeypatch.setattr(companion, "HEAVY", ("no_such_module",))
    companion.start()
    companion.start()
    first = companion.call(where)
    assert first != os.getpid()
    assert companion.call(where) == first
    with pytest.raises(CompanionLost):
        companion.call(end)
    assert companion.call(where) == os.getpid(), "one that is gone is not missed"


@pytest.mark.usefixtures("none_running")
@pytest.mark.parametrize(
    ("processors", "packages"), [(1, ("no_such_module",)), (None, ("no_such_module",)), (2, ("sys", "os"))]
)
def test_nothing_is_started_where_it_would_not_help(monkeypatch, processors, packages):
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    monkeypatch.setattr(companion, "HEAVY", packages)
    companion.start()
    assert companion._companion is None


@pytest.mark.usefixtures("none_running")
@pytest.mark.parametrize(
    ("steps", "wanted"),
    [(["ingest", "raw_prices_checks"], True), (["indicators", "marts"], True), (["ingest", "indices"], False)],
)
def test_a_run_has_one_if_it_reaches_checks_or_marts(monkeypatch, steps, wanted):
    started: list[Any] = []
    monkeypatch.setattr(companion, "start", lambda: started.append(True))
    companion.start_for(SimpleNamespace(job_def=SimpleNamespace(graph=SimpleNamespace(node_names=lambda: steps))))
    assert bool(started) is wanted


def test_what_is_imported_ahead_is_there():
    assert [name for name in companion.HEAVY if importlib.util.find_spec(name) is None] == []
