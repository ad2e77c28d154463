"""A second process beside a run, which has imported Great Expectations, matplotlib and dbt when the run needs them.

Loading the code location imports none of them. A run that reaches checks and marts needs all, five seconds of imports,
and a thread beside the data work would not hide them: of two threads in one interpreter only one imports or computes.
So a second interpreter imports them on another processor, and `call` has it run a suite, a plot or a dbt build. Whoever
is alone (one processor, a worker that may have no children, packages that are imported already) runs the function
itself; the outcome is the same.

The companion ends with the process it serves, whatever ends that, and so do the statements it had running.
"""

from __future__ import annotations

import gc
import importlib
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar, cast

from market_assets.errors import TransientError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from dagster import AssetExecutionContext

Result = TypeVar("Result")

HEAVY = (
    "quality.expectations",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "dbt.task.build",
)
"""What is imported ahead, in the order in which a daily run reaches it."""

GRACE_SECONDS = 10.0
"""How long a process that ends waits at most for its companion to end by itself."""

_log = logging.getLogger(__name__)


class CompanionLost(TransientError):
    """The companion ended while it worked; the step can be tried again, in its own process then."""


class _Request(NamedTuple):
    """What is sent to the companion: a function by its name, its arguments, and where it would have run."""

    function: Callable[..., Any]
    arguments: Sequence[Any]
    tells: bool
    environment: dict[str, str]


class _Told(NamedTuple):
    """What the function says on its way."""

    value: Any


class _Done(NamedTuple):
    """What it returned."""

    value: Any


class _Raised(NamedTuple):
    """What it raised."""

    error: Exception


class Companion:
    """The second process.

    Args:
        modules: imported in order, from now on and whenever nothing is asked.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        served = (theirs, tuple(modules), gc.get_threshold())
        self._process = context.Process(target=_serve, args=served, name="companion")
        self._process.start()
        theirs.close()
        self._one_at_a_time = threading.Lock()
        self._called = False

    def call(
        self, function: Callable[..., Result], *arguments: Any, on_event: Callable[[Any], None] | None = None
    ) -> Result:
        """As `call` below, in the companion.

        Raises:
            CompanionLost: it ended before it answered.
        """
        request = _Request(function, arguments, on_event is not None, dict(os.environ))
        with self._one_at_a_time:
            self._called = True
            try:
                self._pipe.send(request)
                while isinstance(answer := self._pipe.recv(), _Told):
                    if on_event is not None:
                        on_event(answer.value)
            except (EOFError, ConnectionError) as error:
                self.stop()
                raise CompanionLost(
                    f"process {self._process.pid} ended with {self._process.exitcode} while it ran "
                    f"{function.__name__} (-9: the system was short of memory); run it again"
                ) from error
            except BaseException:
                self.stop()  # interrupted: nobody waits for what it was doing
                raise
        if isinstance(answer, _Raised):
            raise answer.error
        result: Result = answer.value
        return result

    @property
    def runs(self) -> bool:
        """Whether it can be called."""
        return self._process.is_alive()

    def finish(self) -> None:
        """Let it end by itself, now that there will be no more calls. Waits for nothing."""
        self._pipe.close()

    def leave(self) -> None:
        """`finish` and wait for it; `stop` one that was never called: nobody waits for what it imports."""
        self.finish()
        if self._called:
            self._process.join(GRACE_SECONDS)
        self.stop()

    def stop(self) -> None:
        """End it, whatever it is doing, and wait until it has ended."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()


_companion: Companion | None = None


def start() -> None:
    """Have a companion, unless there is one or this process is better off alone."""
    global _companion  # noqa: PLW0603 - one for the process, as there is one for its imports
    if _companion is None and not _alone():
        _companion = Companion(HEAVY)
        # At its exit a process waits for those it started. A run of the daemon is itself one of multiprocessing, whose
        # finalizers come before that wait; functions of atexit would come after it.
        Finalize(None, _companion.leave, exitpriority=1)


def finish() -> None:
    """Let the companion end, if there is one: nothing of this run will call it any more."""
    global _companion  # noqa: PLW0603 - as above
    if _companion is not None:
        _companion.finish()
    _companion = None


def start_for(context: AssetExecutionContext) -> None:
    """As `start`, if the run of `context` reaches a step that would call it."""
    steps = context.job_def.graph.node_names()
    if any(step == "marts" or step.endswith("_checks") for step in steps):
        start()


def call(function: Callable[..., Result], *arguments: Any, on_event: Callable[[Any], None] | None = None) -> Result:
    """`function(*arguments)`, in the companion if there is one, else here.

    Args:
        function: found by its name in its module; what it takes, says, returns and raises can be pickled.
        arguments: of the function.
        on_event: called here with what the function says on its way; the function then gets its own `on_event`.
    """
    if _companion is not None and _companion.runs:
        return _companion.call(function, *arguments, on_event=on_event)
    return function(*arguments, on_event=on_event) if on_event is not None else function(*arguments)


def _alone() -> bool:
    return (
        (os.cpu_count() or 1) < 2
        or multiprocessing.current_process().daemon
        or all(name in sys.modules for name in HEAVY)
    )


def _serve(pipe: Connection, modules: Sequence[str], garbage_after: tuple[int, int, int]) -> None:
    """What the companion does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the other one decides what comes of it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.set_threshold(*garbage_after)
    ahead = deque(modules)
    while True:
        if ahead and not pipe.poll():
            _import(ahead.popleft())
            continue
        try:
            request: _Request = pipe.recv()
        except EOFError:
            return
        except Exception as error:  # a function that cannot be found here
            pipe.send(_Raised(_portable(error)))
            continue
        os.environ.clear()
        os.environ.update(request.environment)
        told = {"on_event": lambda value: pipe.send(_Told(value))} if request.tells else {}
        try:
            pipe.send(_Done(request.function(*request.arguments, **told)))
        except Exception as error:
            pipe.send(_Raised(_portable(error)))


def _end_with_parent() -> NoReturn:
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this is a child; tells the type checker
    parent.join()
    os._exit(1)


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:
        # The function that needs it imports it again and fails with the same error, where it is reported.
        _log.exception("cannot import %s ahead of its use", module)


def _portable(error: Exception) -> Exception:
    """`error` with its traceback as a note; its words alone if it cannot be sent itself."""
    trace = "".join(["in the companion:\n", *traceback.format_exception(error)])
    try:
        portable = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in the same expression
    except Exception:
        portable = RuntimeError(f"{type(error).__name__}: {error}")
    portable.add_note(trace)
    return cast("Exception", portable)
