"""The guard against regressions: by ratio to the floor, so that a slower machine is no regression."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare


def results(**figures: dict[str, Any]) -> dict[str, Any]:
    return {"machine": {}, "figures": {name: {"scale": "full", **entry} for name, entry in figures.items()}}


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """Writes baseline and results, and compares them as the command does."""

    def run(baseline: dict[str, Any], now: dict[str, Any]) -> int:
        (tmp_path / "baseline.json").write_text(json.dumps(baseline))
        (tmp_path / "results.json").write_text(json.dumps(now))
        options = ["--baseline", str(tmp_path / "baseline.json"), "--results", str(tmp_path / "results.json")]
        return compare.main(options)

    return run


@pytest.mark.parametrize(("now", "code"), [(2.0, 0), (2.49, 0), (2.51, 1), (1.0, 0)])
def test_a_figure_fails_past_a_quarter_more_of_its_floor(files, now, code, capsys):
    assert files(results(bulk={"ours_over_floor": 2.0}), results(bulk={"ours_over_floor": now})) == code
    assert ("TOO SLOW" in capsys.readouterr().out) is bool(code)


def test_a_figure_beside_a_peer_fails_when_its_lead_shrinks(files):
    assert files(results(x={"peer_over_ours": 30.0}), results(x={"peer_over_ours": 25.0})) == 0
    assert files(results(x={"peer_over_ours": 30.0}), results(x={"peer_over_ours": 23.0})) == 1


def test_a_figure_with_neither_is_listed_and_never_fails(files, capsys):
    assert files(results(x={}), results(x={})) == 0
    assert "x" in capsys.readouterr().out


def test_a_figure_that_was_not_measured_again_is_an_error(files):
    with pytest.raises(SystemExit, match="bulk is in the baseline and not in the results"):
        files(results(bulk={"ours_over_floor": 2.0}), results())
    quick = {"figures": {"bulk": {"scale": "quick", "ours_over_floor": 2.0}}}
    with pytest.raises(SystemExit, match="bulk was measured at scale quick"):
        files(results(bulk={"ours_over_floor": 2.0}), quick)


def test_keeping_makes_the_results_the_baseline(tmp_path):
    now, kept = tmp_path / "results.json", tmp_path / "baseline.json"
    now.write_text(json.dumps(results(bulk={"ours_over_floor": 2.0})))
    with pytest.raises(SystemExit, match="does not exist"):
        compare.main(["--baseline", str(kept), "--results", str(now)])
    assert compare.main(["--baseline", str(kept), "--results", str(now), "--keep"]) == 0
    assert compare.main(["--baseline", str(kept), "--results", str(now)]) == 0
