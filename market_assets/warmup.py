"""Imports of heavy packages while a run waits for vendors and the database, so that its later steps find them there.

Loading the code location imports none of them. A run that reaches checks and marts needs Great Expectations and dbt,
four seconds of imports that would follow the data work; here they happen in a thread beside it. Of two threads in one
interpreter only one imports or computes, so it is begun when the run begins to wait: for a vendor over a network, or
for the database while it stores the constituents of a long range. Python lets a second importer of a package wait for
the first, so the steps need not know about the thread.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

    from market_assets.resources import Platform

CHECKS = ("great_expectations",)
MARTS = ("dbt.cli.main", "dbt.adapters.postgres")

LOCAL_SOURCES = frozenset({"sample", "files", "synthetic"})
"""Kinds of source that wait for no network."""

_log = logging.getLogger(__name__)


def waits_for_vendors(platform: Platform) -> bool:
    """Whether any source is asked over a network."""
    return any(source.kind not in LOCAL_SOURCES for source in platform.config.sources)


def needed_later(context: AssetExecutionContext) -> list[str]:
    """Heavy packages of the run's steps, in the order in which they are reached."""
    steps = context.job_def.graph.node_names()
    checks = any(step.endswith("_checks") for step in steps)
    return [*(CHECKS if checks else ()), *(MARTS if "marts" in steps else ())]


def warm_up(modules: Sequence[str]) -> threading.Thread:
    """Start importing `modules` in order, in a thread that does not keep the process alive.

    What they share with the steps is imported first, here: two threads inside one package could meet half of it.
    """
    import matplotlib.figure  # noqa: F401 - shared with plots
    import pandas as pd  # noqa: F401 - as above
    import pyarrow as pa  # noqa: F401 - as above
    import sqlalchemy.orm  # noqa: F401 - shared with the instance storage

    thread = threading.Thread(target=_import, args=(tuple(modules),), name="warm-up", daemon=True)
    thread.start()
    return thread


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:
            # The step that needs it imports it again and fails with the same error, where it is reported.
            _log.exception("cannot import %s ahead of its use", module)
            return
