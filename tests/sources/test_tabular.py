"""One file in, typed columns and the place of each bad cell out."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import pandas as pd
import pytest

from market_assets.errors import InputError
from market_assets.sources.tabular import BadCell, TableFormat, read_table

PLAIN = TableFormat({"symbol": "symbol", "session": "date", "close": "close", "volume": "volume"})
HEADER = "symbol,date,close,volume\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows(path: Path, form: TableFormat = PLAIN) -> list[dict[str, object]]:
    table, bad = read_table(path, form)
    assert bad == []
    assert str(table.schema.field("session").type) == "timestamp[us]"
    return table.to_pylist()


def test_reads_mapped_columns_under_the_platforms_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "volume,Date,Adj,Last\n100,2020-01-02,1,10.5\n")
    form = TableFormat({"session": "Date", "close": "Last", "volume": "volume"})
    assert rows(path, form) == [{"session": pd.Timestamp("2020-01-02"), "close": 10.5, "volume": 100.0}]


def test_a_missing_number_is_kept_as_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER + "A,2020-01-02,,NaN\n")
    assert rows(path)[0] | {"session": None} == {"symbol": "A", "session": None, "close": None, "volume": None}


@pytest.mark.parametrize("ticker", ["NA", "NULL", "nan", "-"])
def test_a_ticker_that_looks_like_a_null_is_a_ticker(tmp_path: Path, ticker: str) -> None:
    path = write(tmp_path / "a.csv", HEADER + f"{ticker},2020-01-02,1,2\n")
    assert rows(path)[0]["symbol"] == ticker


def test_reads_gzip_semicolons_decimal_commas_and_foreign_dates(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"symbol;date;close;volume\nA;31.01.2020;10,25;1000\n"))
    form = TableFormat(PLAIN.columns, date_format="%d.%m.%Y", delimiter=";", decimal_point=",")
    assert rows(path, form) == [
        {"symbol": "A", "session": pd.Timestamp("2020-01-31"), "close": 10.25, "volume": 1000.0}
    ]


@pytest.mark.parametrize("dates", [["2020-01-02", "2020-01-03"], [dt.date(2020, 1, 2), dt.date(2020, 1, 3)]])
def test_reads_parquet_whatever_the_type_of_its_dates(tmp_path: Path, dates: list[object]) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"symbol": "A", "date": dates, "close": [1, 2], "volume": [5, None]}).to_parquet(path)
    assert [row["session"] for row in rows(path)] == [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03")]


def test_reads_parquet_timestamps_and_refuses_zoned_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"symbol": "A", "date": pd.to_datetime(["2020-01-02"]), "close": [1], "volume": [5]})
    frame.to_parquet(path)
    assert rows(path)[0]["session"] == pd.Timestamp("2020-01-02")
    frame.assign(date=frame["date"].dt.tz_localize("America/New_York")).to_parquet(path)
    table, bad = read_table(path, PLAIN)
    assert (len(table), [cell.column for cell in bad]) == (0, ["date"])


@pytest.mark.parametrize(
    ("line", "column", "value", "problem"),
    [
        ("B,2020-01-03,ten,5", "close", "ten", "is not a number"),
        ("B,03/01/2020,10,5", "date", "03/01/2020", "is not a date without a time"),
        ("B,2020-01-03,10,5 shares", "volume", "5 shares", "is not a number"),
        ("B,,10,5", "date", "", "is not a date without a time"),
        ("B,2020-13-01,10,5", "date", "2020-13-01", "is not a date without a time"),
    ],
)
def test_a_bad_cell_is_named_and_only_its_row_is_left_out(
    tmp_path: Path, line: str, column: str, value: str, problem: str
) -> None:
    path = write(tmp_path / "a.csv", HEADER + f"A,2020-01-02,10,5\n{line}\nC,2020-01-04,11,6\n")
    table, bad = read_table(path, PLAIN)
    assert bad == [BadCell(3, column, value, problem, "B")]
    assert table.column("symbol").to_pylist() == ["A", "C"]
    assert bad[0].describe(path).startswith(f"{path}: row 3: column {column} {problem} (found {value!r}).")


def test_every_bad_cell_of_a_file_is_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER + "A,2020-01-02,x,5\n,2020-01-03,10,5\nC,never,y,6\n")
    table, bad = read_table(path, PLAIN)
    assert len(table) == 0
    assert sorted((cell.row, cell.column, cell.symbol) for cell in bad) == [
        (2, "close", "A"),
        (3, "symbol", None),
        (4, "close", "C"),
        (4, "date", "C"),
    ]


def test_a_date_with_a_time_of_day_is_a_bad_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER + "A,2020-01-02 00:00,10,5\nB,2020-01-02 16:00,10,5\n")
    table, bad = read_table(path, TableFormat(PLAIN.columns, date_format="%Y-%m-%d %H:%M"))
    assert table.column("symbol").to_pylist() == ["A"]
    assert [(cell.row, cell.symbol) for cell in bad] == [(3, "B")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"symbol,date,close,volume\nA,2020-01-02,1\n", "Row #2: Expected 4 columns, got 3"),
        (b"", "Empty CSV file"),
        (b"symbol,date,price,volume\nA,2020-01-02,1,2\n", "The file has symbol, date, price, volume"),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.csv") as caught:
        read_table(path, PLAIN)
    assert message in str(caught.value)


def test_a_truncated_archive_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "A,2020-01-02,1,2\n" * 500).encode())[:60])
    with pytest.raises(InputError, match=r"cut\.csv\.gz: cannot be read"):
        read_table(path, PLAIN)


def test_a_parquet_file_without_a_mapped_column_or_not_parquet_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"symbol": ["A"], "date": ["2020-01-02"]}).to_parquet(path)
    with pytest.raises(InputError, match=r"missing: close, volume\. The file has symbol, date"):
        read_table(path, PLAIN)
    path.write_bytes(b"not parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(path, PLAIN)
