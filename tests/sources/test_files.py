"""A folder of files as a source: per symbol, per session, and per vintage."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from contract import SourceContract

from market_assets.errors import ConfigError, InputError, SchemaMismatch
from market_assets.sources.base import FetchRequest, PriceSource, SecurityRef
from market_assets.sources.options import SourceContext
from market_assets.sources.registry import build_source

HEADER = "date,open,high,low,close,volume"
SESSIONS = [day.date() for day in pd.bdate_range("2020-01-06", "2020-01-17")]
A, B = SecurityRef("A", "XNYS", "USD"), SecurityRef("BRK.B", "XNYS", "USD")


def bar(day: dt.date, close: float) -> str:
    return f"{day},{close},{close + 1},{close - 1},{close},1000"


def per_symbol(folder: Path, **options: Any) -> PriceSource:
    base = {
        "folder": folder,
        "file_name": "{symbol}_data.csv",
        "columns": {"session": "date"},
        "basis": "split_adjusted",
        "currency": "USD",
    }
    return build_source("files", options=base | options)


def per_date(folder: Path, **options: Any) -> PriceSource:
    base = {
        "folder": folder,
        "file_name": "{date}.csv",
        "columns": {"session": "date"},
        "basis": "as_traded",
        "currency": "USD",
    }
    return build_source("files", options=base | options)


def write_per_symbol(folder: Path) -> Path:
    for symbol, start in (("A", 10.0), ("BRK.B", 200.0)):
        lines = [bar(day, start + n) for n, day in enumerate(SESSIONS)]
        (folder / f"{symbol}_data.csv").write_text("\n".join([HEADER, *lines]))
    return folder


def write_vintages(folder: Path) -> Path:
    """Each evening shows the session and the one before; the evening after, A's close is 0.5 higher."""
    for n, day in enumerate(SESSIONS):
        lines = [f"symbol,{HEADER}"]
        for symbol, start in (("A", 10.0), ("BRK.B", 200.0)):
            lines.append(f"{symbol},{bar(day, start + n)}")
            if n:
                restated = start + n - 1 + (0.5 if symbol == "A" else 0)
                lines.append(f"{symbol},{bar(SESSIONS[n - 1], restated)}")
        (folder / f"{day:%Y%m%d}.csv").write_text("\n".join(lines))
    return folder


EVENING = {"time": "20:00", "timezone": "America/New_York"}


class TestPerSymbolContract(SourceContract):
    refs = (A, B)
    start, end = SESSIONS[0], SESSIONS[-1]

    @pytest.fixture
    def source(self, tmp_path: Path) -> PriceSource:
        actions = tmp_path / "actions.csv"
        actions.write_text("symbol,ex_date,kind,value\nA,2020-01-08,split,2\nA,2021-01-08,split,3\n")
        return per_symbol(write_per_symbol(tmp_path), actions_file=actions)


class TestPerSessionContract(SourceContract):
    refs = (A, B)
    start, end = SESSIONS[0], SESSIONS[-1]

    @pytest.fixture
    def source(self, tmp_path: Path) -> PriceSource:
        for n, day in enumerate(SESSIONS):
            frame = pd.DataFrame({"ticker": ["BRK.B", "A"], "close": [200.0 + n, 10.0 + n], "volume": 1000})
            frame.assign(open=frame["close"], high=frame["close"], low=frame["close"]).to_parquet(
                tmp_path / f"bars-{day}.parquet"
            )
        return per_date(
            tmp_path,
            file_name="bars-{date}.parquet",
            file_date_format="%Y-%m-%d",
            columns={"symbol": "ticker", "session": None},
        )


class TestVintagesContract(SourceContract):
    refs = (A, B)
    start, end = SESSIONS[0], SESSIONS[-1]

    @pytest.fixture
    def source(self, tmp_path: Path) -> PriceSource:
        return per_date(write_vintages(tmp_path), knowledge=EVENING)


def test_symbols_are_listed_by_their_file_names(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a price file")
    listed = per_symbol(write_per_symbol(tmp_path), exchange="XNAS").known_securities()
    assert listed == (SecurityRef("A", "XNAS", "USD"), SecurityRef("BRK.B", "XNAS", "USD"))


def test_actions_after_the_range_are_given_because_the_bars_carry_them(tmp_path: Path) -> None:
    actions = tmp_path / "actions.csv"
    actions.write_text("symbol,ex_date,kind,value\nA,2019-01-08,split,5\nA,2021-01-08,split,3\n")
    source = per_symbol(write_per_symbol(tmp_path), actions_file=actions)
    answer = source.fetch(FetchRequest((A, B), SESSIONS[0], SESSIONS[2]))
    assert answer.actions[["symbol", "value", "currency"]].values.tolist() == [["A", 3.0, "USD"]]


def test_share_counts_start_with_the_one_in_force(tmp_path: Path) -> None:
    shares = tmp_path / "shares.csv"
    shares.write_text(
        "symbol,effective_date,shares\nA,2018-01-02,80\nA,2019-12-30,90\nA,2020-01-08,95\nA,2020-02-03,99\n"
    )
    source = per_symbol(write_per_symbol(tmp_path), shares_file=shares)
    answer = source.fetch(FetchRequest((A, B), SESSIONS[0], SESSIONS[-1]))
    assert answer.shares["shares"].tolist() == [90.0, 95.0]


def test_a_bad_facts_file_names_its_row(tmp_path: Path) -> None:
    actions = tmp_path / "actions.csv"
    actions.write_text("symbol,ex_date,kind,value\nA,2020-01-08,split,two\n")
    source = per_symbol(write_per_symbol(tmp_path), actions_file=actions)
    with pytest.raises(SchemaMismatch, match=r"actions\.csv: actions row 1 of 1: value is not a number"):
        source.fetch(FetchRequest((A,), SESSIONS[0], SESSIONS[-1]))
    actions.unlink()
    with pytest.raises(InputError, match=r"actions\.csv: cannot be read"):
        per_symbol(tmp_path, actions_file=actions).fetch(FetchRequest((A,), SESSIONS[0], SESSIONS[-1]))


def test_a_bad_cell_fails_its_symbol_only_and_names_file_and_row(tmp_path: Path) -> None:
    write_per_symbol(tmp_path)
    path = tmp_path / "A_data.csv"
    path.write_text(path.read_text().replace(str(SESSIONS[3]), "soon"))
    answer = per_symbol(tmp_path).fetch(FetchRequest((A, B), SESSIONS[0], SESSIONS[-1]))
    assert set(answer.bars["symbol"]) == {"BRK.B"}
    assert [(failure.symbol, failure.error, failure.retryable) for failure in answer.failures] == [
        ("A", "InputError", False)
    ]
    assert f"{path}: row 5: column date" in answer.failures[0].cause


def test_a_file_with_another_symbols_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "A_data.csv").write_text(f"{HEADER},Name\n{bar(SESSIONS[0], 1)},A\n{bar(SESSIONS[1], 2)},AA\n")
    source = per_symbol(tmp_path, columns={"session": "date", "symbol": "Name"})
    answer = source.fetch(FetchRequest((A,), SESSIONS[0], SESSIONS[-1]))
    assert "row 3: column Name is not A (found 'AA')" in answer.failures[0].cause


def test_duplicates_are_kept_and_counted(tmp_path: Path) -> None:
    lines = [HEADER, bar(SESSIONS[1], 5), bar(SESSIONS[0], 7), bar(SESSIONS[0], 8), bar(SESSIONS[0], 7)]
    (tmp_path / "A_data.csv").write_text("\n".join(lines))
    answer = per_symbol(tmp_path).fetch(FetchRequest((A,), SESSIONS[0], SESSIONS[-1]))
    assert answer.bars["close"].tolist() == [7.0, 8.0, 7.0, 5.0]
    assert answer.duplicate_bars == 2


def test_a_bad_cell_in_a_file_of_many_symbols_fails_one_symbol(tmp_path: Path) -> None:
    write_vintages(tmp_path)
    path = tmp_path / f"{SESSIONS[4]:%Y%m%d}.csv"
    path.write_text(path.read_text().replace("BRK.B,", "BRK.B,x", 1))
    source = per_date(tmp_path, knowledge=EVENING)
    request = FetchRequest((A, B), SESSIONS[0], SESSIONS[-1])
    answer = source.fetch(request)
    assert set(answer.bars["symbol"]) == {"A"}
    assert [failure.symbol for failure in answer.failures] == ["BRK.B"]
    assert f"{path}: row 4: column date" in answer.failures[0].cause

    by_file = list(source.fetch_vintages(request))
    assert [len(result.failures) for result in by_file] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert "BRK.B" in set(by_file[5].bars["symbol"])


def test_a_row_without_symbol_condemns_the_file(tmp_path: Path) -> None:
    write_vintages(tmp_path)
    path = tmp_path / f"{SESSIONS[4]:%Y%m%d}.csv"
    path.write_text(path.read_text().replace("BRK.B,", ",", 1))
    with pytest.raises(InputError, match="row 4: column symbol is empty"):
        per_date(tmp_path, knowledge=EVENING).fetch(FetchRequest((A,), SESSIONS[0], SESSIONS[-1]))


def test_without_knowledge_a_file_of_a_session_holds_that_session_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 3: column date is not 2020-01-07.*needs `knowledge`"):
        per_date(write_vintages(tmp_path)).fetch(FetchRequest((A,), SESSIONS[1], SESSIONS[1]))


def test_only_files_of_the_range_are_read(tmp_path: Path) -> None:
    source = per_date(write_vintages(tmp_path), knowledge=EVENING)
    assert source.fetch(FetchRequest((A,), SESSIONS[-2], SESSIONS[-2])).requests_made == 2
    assert per_symbol(write_per_symbol(tmp_path)).fetch(FetchRequest((A,), *SESSIONS[:2])).requests_made == 1


def test_each_vintage_is_known_on_its_evening(tmp_path: Path) -> None:
    source = per_date(write_vintages(tmp_path), knowledge=EVENING)
    results = list(source.fetch_vintages(FetchRequest((A, B), SESSIONS[0], SESSIONS[-1])))
    assert [str(result.known_at) for result in results[:2]] == [
        "2020-01-06 20:00:00-05:00",
        "2020-01-07 20:00:00-05:00",
    ]
    assert [len(result.bars) for result in results] == [2] + [4] * 9
    assert results[1].origin.endswith("20200107.csv")


def test_the_latest_answer_is_the_last_statement_of_each_bar(tmp_path: Path) -> None:
    source = per_date(write_vintages(tmp_path), knowledge=EVENING)
    bars = source.fetch(FetchRequest((A,), SESSIONS[0], SESSIONS[-1])).bars
    assert bars["close"].tolist() == [10.5 + n for n in range(9)] + [19.0]


def test_the_vendors_adjusted_close_is_handed_over_beside_the_bars_when_it_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "A_data.csv").write_text(
        "date,open,high,low,close,volume,Adj Close\n2020-01-02,10,11,9,10.5,100,10.1\n2020-01-03,10,11,9,10.5,100,\n"
    )
    request = FetchRequest((A,), dt.date(2020, 1, 2), dt.date(2020, 1, 3))
    columns = {"session": "date", "adjusted_close": "Adj Close"}
    answer = per_symbol(tmp_path, columns=columns).fetch(request)
    assert "adjusted_close" not in answer.bars
    assert answer.adjusted_closes["adjusted_close"].tolist() == [10.1, pytest.approx(float("nan"), nan_ok=True)]
    assert per_symbol(tmp_path, columns={"session": "date"}).fetch(request).adjusted_closes.empty


def test_a_vintage_that_no_longer_shows_a_bar_does_not_withdraw_it(tmp_path: Path) -> None:
    write_vintages(tmp_path)
    path = tmp_path / f"{SESSIONS[1]:%Y%m%d}.csv"
    kept = [line for line in path.read_text().splitlines() if not line.startswith(f"A,{SESSIONS[0]}")]
    path.write_text("\n".join(kept))
    source = per_date(tmp_path, knowledge=EVENING)
    assert source.fetch(FetchRequest((A,), SESSIONS[0], SESSIONS[0])).bars["close"].tolist() == [10.0]


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ({"file_name": "prices.csv"}, "sources.0.file_name", "{symbol} or {date} exactly once"),
        ({"file_name": "{symbol}.xls"}, "sources.0.file_name", "must end in one of .csv"),
        ({"basis": "raw"}, "sources.0.basis", "'as_traded', 'split_adjusted' or 'adjusted'"),
        ({"currency": "dollars"}, "sources.0.currency", "pattern"),
        ({"folders": "x"}, "sources.0.folders", "unknown key"),
        ({"columns": {"closing": "x"}}, "sources.0.columns.closing", "'close'"),
        ({"knowledge": EVENING}, "sources.0", "knowledge needs {date}"),
        ({"columns": {"session": None}}, "sources.0", "columns.session is needed"),
        ({"file_name": "{date}.csv", "columns": {"symbol": None}}, "sources.0", "columns.symbol is needed"),
        (
            {"file_name": "{date}.csv", "knowledge": {"time": "20:00", "timezone": "New York"}},
            "sources.0.knowledge.timezone",
            "America/New_York",
        ),
    ],
)
def test_bad_options_are_refused_with_their_key(
    tmp_path: Path, options: dict[str, Any], key: str, message: str
) -> None:
    base = {"folder": tmp_path, "file_name": "{symbol}.csv", "basis": "as_traded", "currency": "USD"}
    with pytest.raises(ConfigError) as caught:
        build_source("files", options=base | options, file="market.yaml", key="sources.0")
    assert caught.value.key.startswith(key)
    assert caught.value.file == "market.yaml"
    assert message in str(caught.value)


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        per_symbol(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no file named like"):
        per_symbol(tmp_path)


def test_a_misnamed_file_of_a_date_is_refused(tmp_path: Path) -> None:
    (write_vintages(tmp_path) / "latest.csv").write_text("")
    with pytest.raises(InputError, match=r"latest\.csv: 'latest' is not a date of the form %Y%m%d"):
        per_date(tmp_path, knowledge=EVENING)


def test_relative_folders_start_at_the_project(tmp_path: Path) -> None:
    write_per_symbol(tmp_path)
    options = {"folder": ".", "file_name": "{symbol}_data.csv", "columns": {"session": "date"}}
    source = build_source(
        "files", options=options | {"basis": "as_traded", "currency": "USD"}, context=SourceContext(base_dir=tmp_path)
    )
    assert len(source.known_securities()) == 2


def test_505_symbols_of_five_years_load_in_two_seconds(shared_data: Path) -> None:
    source = per_symbol(
        shared_data / "sp500_5yr",
        columns={"session": "date", "symbol": "Name"},
    )
    started = time.process_time()
    answer = source.fetch(FetchRequest(source.known_securities(), dt.date(2013, 2, 8), dt.date(2018, 2, 7)))
    assert time.process_time() - started < 2
    assert len(answer.bars) == 619_040
    assert answer.bars["symbol"].nunique() == 505
    assert answer.failures == ()


def test_fifteen_vintages_of_the_whole_market_load_in_order(shared_data: Path) -> None:
    source = per_date(shared_data / "vintages_2015_07", file_name="{date}.csv.gz", knowledge=EVENING)
    netflix = SecurityRef("NFLX", "XNAS", "USD")
    request = FetchRequest((netflix,), dt.date(2015, 7, 14), dt.date(2015, 7, 14))
    volumes = [
        (f"{result.known_at:%m-%d}", result.bars["volume"].tolist()) for result in source.fetch_vintages(request)
    ]
    # What the vendor showed that evening, and after the 7:1 split of the next day.
    assert volumes[:3] == [("07-14", [2_811_200.0]), ("07-15", [19_736_500.0]), ("07-16", [])]
    assert source.fetch(request).bars["volume"].tolist() == [19_736_500.0]
