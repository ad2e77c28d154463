"""The universe file: three formats, one meaning, and every bad row named with its number."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import yaml

from market_assets.domain.calendars import known_exchanges
from market_assets.errors import ConfigError, InputError
from market_assets.universe import COLUMNS, Member, Universe, load_universe

ROOT = Path(__file__).resolve().parents[1]
KNOWN = ("XNYS", "XBOM", "XLON")
AAPL = ("AAPL", "XNYS", "Apple Inc.", "USD", "2000-03-01", "")
REJOINED = ("AAPL", "XNYS", "Apple Inc.", "USD", "2015-01-02", "2016-01-04")
TATA = ("TCS", "XBOM", "Tata Consultancy Services", "INR", "2004-08-25", "2020-06-30")


def write(folder: Path, kind: str, *rows: tuple[str, ...]) -> Path:
    file = folder / f"universe.{kind}"
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    if kind == "csv":
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(file, index=False)
    elif kind == "json":
        file.write_text(json.dumps(objects))
    else:
        file.write_text(yaml.safe_dump(objects))
    return file


def load(folder: Path, kind: str, *rows: tuple[str, ...]) -> Universe:
    return load_universe(write(folder, kind, *rows), KNOWN)


FORMATS = pytest.mark.parametrize("kind", ["csv", "json", "yaml", "yml"])


@FORMATS
def test_each_format_says_the_same(tmp_path, kind):
    universe = load(tmp_path, kind, TATA, AAPL)
    assert universe.members == (
        Member("AAPL", "XNYS", "Apple Inc.", "USD", date(2000, 3, 1), None),
        Member("TCS", "XBOM", "Tata Consultancy Services", "INR", date(2004, 8, 25), date(2020, 6, 30)),
    )
    assert universe.symbols == ("AAPL", "TCS")
    assert universe.exchanges == ("XBOM", "XNYS")


def test_the_file_of_the_project_is_accepted():
    universe = load_universe(ROOT / "config" / "universe.csv", known_exchanges())
    assert universe.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert {member.symbol: member.member_from for member in universe.members}["FB"] == date(2012, 5, 18)


def test_yaml_may_hold_dates_instead_of_text(tmp_path):
    file = tmp_path / "universe.yaml"
    file.write_text("- {symbol: A, exchange: XNYS, name: A, currency: USD, member_from: 2024-01-02}\n")
    assert load_universe(file, KNOWN).members[0].member_from == date(2024, 1, 2)
    file.write_text("- {symbol: A, exchange: XNYS, name: A, currency: USD, member_from: 2024-01-02 10:00:00}\n")
    assert load_universe(file, KNOWN).members[0].member_from == date(2024, 1, 2)


def test_a_spreadsheet_export_with_a_byte_order_mark_is_read(tmp_path):
    file = write(tmp_path, "csv", AAPL)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_universe(file, KNOWN).symbols == ("AAPL",)


def test_member_to_and_the_name_may_be_left_out(tmp_path):
    file = tmp_path / "universe.csv"
    file.write_text("symbol,exchange,name,currency,member_from\nBRK.B,XNYS,,USD,2010-02-16\n")
    assert load_universe(file, KNOWN).members == (Member("BRK.B", "XNYS", "BRK.B", "USD", date(2010, 2, 16), None),)


def test_a_symbol_may_leave_and_come_back(tmp_path):
    first = (*AAPL[:4], "2000-03-01", "2014-12-31")
    assert len(load(tmp_path, "csv", first, REJOINED).members) == 2


@FORMATS
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("aapl", *AAPL[1:]), "row 2: malformed symbol 'aapl'; use capitals"),
        (("", *AAPL[1:]), "row 2: malformed symbol ''"),
        (("A" * 21, *AAPL[1:]), "row 2: malformed symbol"),
        (("IBM", "XXXX", "IBM", "USD", "2000-03-01", ""), "row 2: IBM has unknown exchange 'XXXX'; use an exchange_"),
        (
            ("IBM", "XNYS", "IBM", "dollar", "2000-03-01", ""),
            "row 2: IBM has malformed currency 'dollar'; use ISO",
        ),
        (("IBM", "XNYS", "IBM", "USD", "", ""), "row 2: IBM has no member_from; give the first session"),
        (
            ("IBM", "XNYS", "IBM", "USD", "01.03.2000", ""),
            "row 2: IBM has member_from '01.03.2000'; write the day",
        ),
        (("IBM", "XNYS", "IBM", "USD", "2000-03-01", "2000-02-30"), "row 2: IBM has member_to '2000-02-30'"),
        (("IBM", "XNYS", "IBM", "USD", "2000-03-01", "2000-02-01"), "row 2: IBM ends 2000-02-01 before it begins"),
        (AAPL, "row 2: AAPL from 2000-03-01 overlaps row 1 (2000-03-01 to today); end one before the other begins"),
        (REJOINED, "row 2: AAPL from 2015-01-02 overlaps row 1 (2000-03-01 to today)"),
    ],
)
def test_a_bad_row_is_named_with_its_number(tmp_path, kind, row, message):
    with pytest.raises(InputError) as caught:
        load(tmp_path, kind, AAPL, row)
    # A CSV file has its header in row 1.
    expected = message.replace("row 1 ", "row 2 ").replace("row 2:", "row 3:") if kind == "csv" else message
    assert expected in str(caught.value)
    assert str(tmp_path / f"universe.{kind}") in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("2000-01-03", "2005-01-03"), ("2005-01-03", "2006-01-03")),
        (("2000-01-03", ""), ("1990-01-02", "2000-01-03")),
        (("2000-01-03", "2010-01-04"), ("2002-01-02", "2003-01-02")),
        (("2002-01-02", "2003-01-02"), ("2000-01-03", "2010-01-04")),
        (("2000-01-03", ""), ("2010-01-04", "")),
    ],
)
def test_intervals_that_share_a_day_overlap(tmp_path, first, second):
    with pytest.raises(InputError, match="overlaps row 2"):
        load(tmp_path, "csv", (*AAPL[:4], *first), (*AAPL[:4], *second))


@pytest.mark.parametrize("column", [1, 3])
def test_a_symbol_has_one_exchange_and_one_currency(tmp_path, column):
    other = [*AAPL[:4], "1990-01-02", "1999-01-04"]
    other[column] = {1: "XLON", 3: "GBP"}[column]
    with pytest.raises(InputError, match=r"row 3: AAPL is .* here and XNYS/USD in row 2; a symbol has one exchange"):
        load(tmp_path, "csv", AAPL, tuple(other))


def test_the_row_number_is_that_of_the_line_in_the_file(tmp_path):
    file = tmp_path / "universe.csv"
    file.write_text(
        'symbol,exchange,name,currency,member_from\nA,XNYS,"two\nlines",USD,2024-01-02\nb,XNYS,B,USD,2024-01-02\n'
    )
    with pytest.raises(InputError, match="row 4: malformed symbol 'b'"):
        load_universe(file, KNOWN)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.csv", "symbol,exchange\nA,XNYS\n", r"row 1: columns \['name', 'currency', 'member_from'\] are missing"),
        ("u.csv", ",".join(COLUMNS) + "\n", "no rows; list at least one symbol"),
        ("u.csv", "", "row 1: columns"),
        ("u.csv", ",".join(COLUMNS) + ",sector\nA,XNYS,A,USD,2024-01-02,,tech\n", r"unknown columns \['sector'\]"),
        ("u.csv", ",".join(COLUMNS) + "\nA,XNYS,A,USD,2024-01-02,,x,y\n", r"row 2: unknown columns \['\(extra\)'\]"),
        ("u.json", "[", "not readable as .json"),
        ("u.json", '{"symbol": "A"}', "must be a list of objects"),
        ("u.json", "[1, 2]", "must be a list of objects"),
        ("u.json", "[]", "no rows"),
        ("u.yaml", "- [1", "not readable as .yaml"),
        ("u.yaml", "just text", "must be a list of objects"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_universe(tmp_path / name, KNOWN)


def test_another_kind_of_file_is_refused_with_the_kinds_there_are(tmp_path):
    (tmp_path / "universe.xlsx").write_text("x")
    with pytest.raises(ConfigError, match=r"unknown kind of universe file \(found '.xlsx'\). Allowed: .csv, .json"):
        load_universe(tmp_path / "universe.xlsx", KNOWN)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"missing.csv: cannot read the universe: No such file"):
        load_universe(tmp_path / "missing.csv", KNOWN)


def test_a_file_in_another_encoding_is_refused(tmp_path):
    file = tmp_path / "universe.csv"
    file.write_bytes(",".join(COLUMNS).encode() + "\nA,XNYS,Société,EUR,2024-01-02,\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 at byte 63; save it as UTF-8"):
        load_universe(file, KNOWN)


def test_active_keeps_the_intervals_that_touch_the_range(tmp_path):
    universe = load(tmp_path, "csv", AAPL, TATA)
    assert universe.active(date(2020, 6, 30), date(2021, 1, 4)).symbols == ("AAPL", "TCS")
    assert universe.active(date(2020, 7, 1), date(2021, 1, 4)).symbols == ("AAPL",)
    assert universe.active(date(1990, 1, 2), date(2000, 3, 1)).symbols == ("AAPL",)
    assert universe.active(date(1990, 1, 2), date(2000, 2, 29)).symbols == ()


def test_the_frame_is_in_the_columns_of_the_warehouse(tmp_path):
    frame = load(tmp_path, "csv", AAPL, TATA).frame()
    assert list(frame.columns) == list(COLUMNS)
    assert frame["member_from"].tolist() == [pd.Timestamp("2000-03-01"), pd.Timestamp("2004-08-25")]
    assert pd.isna(frame["member_to"].iloc[0])
    assert frame["member_to"].iloc[1] == pd.Timestamp("2020-06-30")


def test_the_end_of_a_listing_and_a_new_symbol_may_be_named(tmp_path):
    file = tmp_path / "universe.csv"
    columns = ",".join([*COLUMNS, "last_session", "new_symbol"])
    file.write_text(
        f"{columns}\nFB,XNYS,Facebook,USD,2012-05-18,2022-06-08,,META\nLEH,XNYS,L,USD,2000-01-03,,2008-09-17,\n"
    )
    members = {member.symbol: member for member in load_universe(file, KNOWN).members}
    assert (members["FB"].new_symbol, members["FB"].last_session) == ("META", None)
    assert (members["LEH"].new_symbol, members["LEH"].last_session) == ("", date(2008, 9, 17))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "FB,XNYS,F,USD,2012-05-18,,,META",
            "FB becomes 'META'; give another symbol, and in member_to the last session",
        ),
        ("FB,XNYS,F,USD,2012-05-18,2022-06-08,,FB", "FB becomes 'FB'"),
        ("FB,XNYS,F,USD,2012-05-18,,2012-01-03,", "FB is delisted 2012-01-03 before its membership begins 2012-05-18"),
    ],
)
def test_an_event_that_cannot_be_is_refused(tmp_path, row, message):
    file = tmp_path / "universe.csv"
    file.write_text(",".join([*COLUMNS, "last_session", "new_symbol"]) + f"\n{row}\n")
    with pytest.raises(InputError, match=message):
        load_universe(file, KNOWN)
