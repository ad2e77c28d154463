"""Every benchmark runs, at a size that takes a moment, and the runner keeps what it measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as runner
from benchmarks import bookkeeping, growth, index, indicators, peers, pipeline, queries, report, startup, ui, writes
from benchmarks.measure import FULL, Figure, Scale, Skipped, Spread, Target

TINY = Scale("tiny", 0.005, 1)


def checked(figures: list[Figure]) -> dict[str, Figure]:
    """Figures by name, each a positive cost that results.json can hold."""
    for figure in figures:
        assert min(figure.ours.runs) > 0
        assert figure.target.facts or figure.target.at_most or figure.target.floors or figure.target.faster
        assert figure.met() in {True, False}
        json.dumps(figure.as_dict(TINY))
    return {figure.name: figure for figure in figures}


@pytest.mark.slow
def test_indicators_are_measured_beside_talib_alone() -> None:
    figures = checked(indicators.run(TINY))
    assert figures.keys() == {"indicators.bulk", "indicators.increment"}
    assert figures["indicators.bulk"].floors is not None


@pytest.mark.slow
def test_index_is_measured_beside_plain_arithmetic_and_bt() -> None:
    figures = checked(index.run(TINY))
    assert figures["index.history"].floors is not None
    assert figures["index.beside_bt"].faster is not None
    assert float(figures["index.beside_bt"].facts["largest_relative_difference_of_levels"]) < 1e-9


@pytest.mark.slow
def test_writes_are_measured_beside_a_bare_copy() -> None:
    figures = checked(writes.run(TINY))
    assert figures["writes.first"].floors is not None
    assert figures["writes.nothing_new"].floors is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "benchmark", [startup, bookkeeping, pipeline, queries, growth], ids=lambda module: module.__name__
)
def test_processes_are_measured(benchmark: object) -> None:
    checked(benchmark.run(TINY))  # type: ignore[attr-defined]  # modules, by contract


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", [ui, peers], ids=lambda module: module.__name__)
def test_what_needs_other_programs_is_measured_or_skipped(benchmark: object) -> None:
    try:
        figures = benchmark.run(TINY)  # type: ignore[attr-defined]  # modules, by contract
    except Skipped as reason:
        pytest.skip(str(reason))
    for figure in figures:
        assert min(figure.ours.runs) > 0
        assert figure.floors is not None or figure.faster is not None


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark `indicators` that takes no time, and `ui` that cannot run on this machine."""

    def refuse(_: Scale) -> list[Figure]:
        raise Skipped("no browser here")

    figure = Figure(name="indicators.bulk", what="nothing", unit="s", ours=Spread((1.0,)), target=Target(at_most=0.5))
    monkeypatch.setitem(sys.modules, "benchmarks.indicators", SimpleNamespace(run=lambda _: [figure]))
    monkeypatch.setitem(sys.modules, "benchmarks.ui", SimpleNamespace(run=refuse))


@pytest.mark.usefixtures("measured")
def test_the_runner_keeps_results_of_other_benchmarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "results.json"
    other = {"benchmark": "writes", "what": "earlier", "unit": "s", "met": True, "target": "", "load_average": BUSY}
    older = {**other, "benchmark": "indicators"}
    figures = {"writes.first": {**other, "ours": SPREAD}, "indicators.gone": {**older, "ours": SPREAD}}
    report.save({"machine": {}, "figures": figures}, kept)
    assert runner.measure(["indicators", "ui"], TINY, kept) == 0, "targets are judged at full size only"
    results = json.loads(kept.read_text())
    assert results["figures"].keys() == {"writes.first", "indicators.bulk"}
    assert results["figures"]["indicators.bulk"]["met"] is None
    assert results["machine"]["cores"] >= 1
    shown = capsys.readouterr()
    assert "indicators.bulk" in shown.out
    assert "ui ... skipped: no browser here" in shown.err
    assert runner.main(["--show", "-o", str(kept)]) == 0
    assert "the machine was busy before writes.first" in capsys.readouterr().out


@pytest.mark.usefixtures("measured")
def test_a_missed_target_is_the_exit_code(tmp_path: Path) -> None:
    assert runner.main(["--only", "indicators", "-o", str(tmp_path / "results.json")]) == 1
    assert runner.main(["--only", "indicators", "--quick"]) == 0


def test_the_committed_results_are_those_of_a_full_run() -> None:
    results = report.load()
    assert results["figures"], "make bench writes benchmarks/results.json"
    for name, entry in results["figures"].items():
        assert entry["scale"] == FULL.name, name
        assert entry["benchmark"] in (*runner.BENCHMARKS, *runner.LONG), name


BUSY = {"before": 1000.0, "after": 1000.0}
SPREAD = {"median": 1.0, "min": 1.0, "max": 1.0, "runs": [1.0]}
