"""How long a user waits before anything happens: loading the code location, and `market --help`.

Whole processes, from launch to exit, with bytecode cached and the dbt manifest built, as after the first use.
"""

from __future__ import annotations

from benchmarks.measure import Beside, Figure, Scale, Target, alternate
from benchmarks.process import market, python
from benchmarks.server import temporary_folder

LOAD = """
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import initialize_repository_def_from_pointer
initialize_repository_def_from_pointer(ModuleCodePointer("{module}", "defs", None)).load_all_definitions()
import sys
print(*sorted(set({heavy}) & set(sys.modules)))
"""
HEAVY = ("great_expectations", "yfinance", "dagster_dbt", "matplotlib")
"""Packages that take a second or more to import and that loading must not need."""

EMPTY = "from dagster import Definitions\n\ndefs = Definitions()\n"


def run(scale: Scale) -> list[Figure]:
    """Time both, `scale.repeats` times each."""
    with temporary_folder() as folder:
        environment = {"MARKET_HOME": str(folder / "home"), "PYTHONPATH": str(folder)}
        (folder / "empty_location.py").write_text(EMPTY, encoding="utf-8")
        ours_code = LOAD.format(module="market_assets.definitions", heavy=HEAVY)
        empty_code = LOAD.format(module="empty_location", heavy=HEAVY)
        imported = python(["-c", ours_code], environment).output.split()  # parses dbt, caches bytecode
        market(["--help"], environment)
        ours, floor, help_, bare, typer = alternate(
            scale.repeats,
            lambda: python(["-c", ours_code], environment).seconds,
            lambda: python(["-c", empty_code], environment).seconds,
            lambda: market(["--help"], environment).seconds,
            lambda: python(["-c", "pass"], environment).seconds,
            lambda: python(["-c", "import typer"], environment).seconds,
        )
    return [
        Figure(
            name="startup.code_location",
            what="load the code location in a new process, as a run or the webserver does",
            unit="s",
            ours=ours,
            floor=Beside("the same with an empty Definitions: Dagster's own import", floor),
            target=Target(at_most=3.0, facts={"heavy_packages_imported": 0}),
            facts={"heavy_packages_imported": len(imported), "which": " ".join(imported)},
        ),
        Figure(
            name="startup.help",
            what="market --help",
            unit="s",
            ours=help_,
            floor=Beside("a Python process that does nothing", bare),
            target=Target(at_most=0.6),
            facts={"seconds_to_import_typer": typer.median},
        ),
    ]
