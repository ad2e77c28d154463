"""Reference files: what is read, and the row and reason for which a file is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from market_assets.config import load_config
from market_assets.errors import ConfigError, InputError
from market_assets.reference_files import ReferenceData, load_reference_files
from market_assets.universe import load_universe

FX = "base,quote,session,rate\n"
FLOAT = "symbol,effective_date,factor\n"
SCORES = "score,symbol,effective_date,value\n"
FILES = {"fx_rates": "fx.csv", "free_float": "free_float.csv", "factor_scores": "factor_scores.csv"}


def loaded(folder: Path, **contents: str) -> ReferenceData:
    """The files of `contents` read as configured: fx_rates, free_float, factor_scores."""
    for name, text in contents.items():
        (folder / FILES[name]).write_text(text, encoding="utf-8")
    settings = {
        "partitions": {"start": "2024-01-02"},
        "sources": [{"kind": "sample"}],
        "reference": {name: FILES[name] for name in contents},
    }
    (folder / "market.yaml").write_text(yaml.safe_dump(settings))
    columns = "symbol,exchange,name,currency,member_from,member_to\n"
    (folder / "universe.csv").write_text(columns + "IBM,XNYS,IBM,USD,2024-01-02,\nVOD,XLON,VOD,GBP,2024-01-02,\n")
    config = load_config(folder / "market.yaml", {})
    return load_reference_files(config, load_universe(folder / "universe.csv", ["XNYS", "XLON"]))


def test_each_file_becomes_a_frame_of_its_table(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        fx_rates="\ufeff" + FX + "GBP,USD,2024-01-02,1.25\nGBP,USD,2024-01-03,1.26\n",
        free_float="symbol,factor,effective_date\nVOD,1,2023-12-31\n",
        factor_scores=SCORES + " quality , IBM ,2024-01-02,-0.5\nvalue,IBM,2024-01-02,3e-1\n",
    )
    day = pd.Timestamp("2024-01-02")
    assert found.fx_rates.to_numpy().tolist() == [
        ["GBP", "USD", day, 1.25],
        ["GBP", "USD", pd.Timestamp("2024-01-03"), 1.26],
    ]
    assert found.free_float.to_numpy().tolist() == [["VOD", pd.Timestamp("2023-12-31"), 1.0]]
    assert found.factor_scores.to_numpy().tolist() == [["quality", "IBM", day, -0.5], ["value", "IBM", day, 0.3]]
    assert [str(kind) for kind in found.fx_rates.dtypes] == ["str", "str", "datetime64[us]", "float64"]


def test_files_that_are_not_configured_have_no_rows(tmp_path: Path) -> None:
    found = loaded(tmp_path, free_float=FLOAT)
    for frame, columns in ((found.fx_rates, FX), (found.free_float, FLOAT), (found.factor_scores, SCORES)):
        assert frame.empty
        assert list(frame.columns) == columns.strip().split(",")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("fx_rates", "", r"fx\.csv row 1: the columns are none; they must be base, quote, session, rate"),
        ("fx_rates", "base,quote,day,rate\n", "row 1: the columns are base, quote, day, rate; they must be"),
        ("fx_rates", FX + "GBP,USD,2024-01-02,1.2,5\n", "row 2: must have 4 values"),
        ("fx_rates", FX + "GBP,USD,2024-01-02\n", "row 2: must have 4 values"),
        ("fx_rates", FX + 'GBP,"USD"x,2024-01-02,1\n', "row 2: not readable as CSV"),
        ("fx_rates", FX + "GBP,USD,2024-01-02,1.2\nGBp,USD,2024-01-02,1\n", "row 3: malformed currency 'GBp'"),
        ("fx_rates", FX + "GBP,Dollar,2024-01-02,1\n", "malformed currency 'Dollar'; use ISO 4217"),
        ("fx_rates", FX + "GBP,GBP,2024-01-02,1\n", "base and quote are both GBP"),
        ("fx_rates", FX + "GBP,USD,2.1.2024,1\n", "session '2.1.2024'; write the day as YYYY-MM-DD"),
        ("fx_rates", FX + "GBP,USD,2024-01-02,0\n", "rate 0 of GBP/USD; it must be above zero"),
        ("fx_rates", FX + "GBP,USD,2024-01-02,nan\n", "rate 'nan' is not a number"),
        ("fx_rates", FX + "GBP,USD,2024-01-02,\n", "rate '' is not a number"),
        (
            "fx_rates",
            FX + "GBP,USD,2024-01-02,1\nGBP,USD,2024-01-02,2\n",
            "row 3: GBP USD 2024-01-02 is in row 2 already",
        ),
        ("fx_rates", FX + "GBP,USD,2024-01-02,1\nUSD,GBP,2024-01-02,1\n", "row 3: USD/GBP .* is the inverse of row 2"),
        ("free_float", FLOAT + "IBM,2024-01-02,0\n", "row 2: factor 0 of IBM; it must be above 0 and at most 1"),
        ("free_float", FLOAT + "IBM,2024-01-02,1.01\n", "factor 1.01 of IBM"),
        ("free_float", FLOAT + "NOPE,2024-01-02,1\n", "row 2: NOPE is not in the universe"),
        ("free_float", FLOAT + ",2024-01-02,1\n", "row 2: the symbol is missing"),
        ("free_float", FLOAT + "IBM,2024-01-02,1\nIBM,2024-01-02,1\n", "row 3: IBM 2024-01-02 is in row 2 already"),
        ("factor_scores", SCORES + ",IBM,2024-01-02,1\n", "row 2: malformed score name ''"),
        ("factor_scores", SCORES + "value,IBM,2024-01-02,inf\n", "value 'inf' is not a number"),
        ("factor_scores", SCORES + "value,NOPE,2024-01-02,1\n", "NOPE is not in the universe"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_file_and_number(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as error:
        loaded(tmp_path, **{name: text})
    assert str(error.value).startswith(str(tmp_path / FILES[name]))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path, fx_rates=FX)
    config = load_config(tmp_path / "market.yaml", {})
    universe = load_universe(tmp_path / "universe.csv", ["XNYS", "XLON"])
    (tmp_path / "fx.csv").write_bytes(b"base,quote\xff")
    with pytest.raises(InputError, match="not UTF-8 at byte 10"):
        load_reference_files(config, universe)
    (tmp_path / "fx.csv").unlink()
    with pytest.raises(ConfigError, match=r"fx\.csv: cannot read the reference file: No such file"):
        load_reference_files(config, universe)
