"""Every command of the README runs: here, or where ELSEWHERE says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from market_project import ROOT, MarketProject

pytestmark = pytest.mark.xdist_group("sample")

ELSEWHERE = {
    "make run": ".ci/run",
    "make test": ".ci/run",
    "make test-long": ".ci/run",
    "make check": ".ci/run",
    "make ui": "tests/browser",
    "make bench": "tests/benchmarks",
    "make chaos": "tests/e2e/test_chaos.py",
    ".venv/bin/market index explain SAMPLE_EW --session 2005-02-28": "tests/e2e/test_sample_history.py",
    "export MARKET_CONFIG=config/examples/files.yaml": "tests/e2e/test_large_folder.py",
    ".venv/bin/market universe --source files -o config/examples/universe.csv": "tests/e2e/test_large_folder.py",
    ".venv/bin/market backfill --source files": "tests/e2e/test_large_folder.py",
}
"""Command -> what runs it."""


@pytest.fixture(scope="module")
def in_use(loaded: MarketProject) -> MarketProject:
    """An installation whose lineage has been collected, as at the end of every `market backfill`."""
    loaded.command("backfill", "--assets", "dim_session")
    return loaded


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line.split(" # ")[0].split("     #")[0].strip() for line in lines]


def test_what_runs_elsewhere_exists():
    missing = [place for place in ELSEWHERE.values() if not (ROOT / place).exists()]
    assert missing == []
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command, place in ELSEWHERE.items():
        assert place != ".ci/run" or command in script, f"{command} is in the README and not in .ci/run"


@pytest.mark.parametrize("command", [command for command in readme_commands() if command not in ELSEWHERE])
def test_command_of_the_readme(in_use: MarketProject, tmp_path: Path, command: str):
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/market", f"{command}: say in ELSEWHERE what runs it"
    if "-o" in arguments:
        place = arguments.index("-o") + 1
        arguments[place] = str(tmp_path / arguments[place])
    in_use.command(*arguments)
