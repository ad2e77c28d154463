"""Frames are typed and ordered at the boundary, never cleaned."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.errors import SchemaMismatch
from market_assets.sources.frames import ACTIONS, BAR_COLUMNS, BARS, SECURITIES, SHARES


def bars(*rows: tuple[str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["symbol", "session", "close"])
    values = {"open": 1, "high": 1, "low": 1, "volume": 1, "source": "s", "currency": "USD"}
    return frame.assign(session=pd.to_datetime(frame["session"]), **values)


@pytest.mark.parametrize("schema", [BARS, ACTIONS, SECURITIES, SHARES])
def test_an_empty_frame_conforms(schema: type(BARS)) -> None:  # type: ignore[valid-type] - the class is not exported
    pd.testing.assert_frame_equal(schema.conform(schema.empty(), "test"), schema.empty())


def test_columns_are_put_in_order_and_typed() -> None:
    typed = BARS.conform(bars(("A", "2020-01-02", 1)), "test")
    assert tuple(typed.columns) == BAR_COLUMNS
    assert typed.dtypes.astype(str).tolist() == ["str", "datetime64[us]", "str", *["float64"] * 5, "str"]


@given(st.lists(st.tuples(st.sampled_from("CAB"), st.integers(1, 5), st.integers(0, 9)), max_size=25))
def test_rows_are_sorted_by_key_and_none_is_lost(rows: list[tuple[str, int, int]]) -> None:
    frame = bars(*((symbol, f"2020-01-{day:02}", float(close)) for symbol, day, close in rows))
    typed = BARS.conform(frame, "test") if rows else BARS.empty()
    got = list(zip(typed["symbol"], typed["session"].dt.day, typed["close"], strict=True))
    # sorted() is stable: rows of one key keep the vendor's order, and duplicates stay.
    assert got == sorted(rows, key=lambda row: row[:2])
    assert BARS.duplicates(typed) == len(rows) - len({row[:2] for row in rows})


def test_missing_and_impossible_prices_pass_as_evidence() -> None:
    frame = bars(("A", "2020-01-02", np.nan), ("A", "2020-01-03", -1.0), ("A", "2020-01-04", np.inf))
    closes = BARS.conform(frame, "test")["close"].to_numpy()
    np.testing.assert_array_equal(closes, [np.nan, -1.0, np.inf])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": "ten"}, r"vendor x: bars row 1 of 1: close is not a number \(.*close='ten'"),
        ({"session": "soon"}, "session is not a date"),
        ({"session": pd.Timestamp("2020-01-02 16:00")}, "session has a time of day"),
        ({"session": pd.NaT}, "session is missing"),
        ({"symbol": None}, "symbol is missing"),
        ({"currency": np.nan}, "currency is missing"),
        ({"adj": 1.0}, "unknown: adj"),
    ],
)
def test_what_cannot_be_typed_is_refused_with_its_row(change: dict[str, object], message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        BARS.conform(bars(("A", "2020-01-02", 1)).assign(**change), "vendor x")


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="missing: volume; unknown: none"):
        BARS.conform(bars(("A", "2020-01-02", 1)).drop(columns="volume"), "vendor x")


def test_a_time_zone_is_refused() -> None:
    zoned = pd.to_datetime(["2020-01-02"]).tz_localize("America/New_York")
    with pytest.raises(SchemaMismatch, match="has a time zone"):
        BARS.conform(bars(("A", "2020-01-02", 1)).assign(session=zoned), "vendor x")


def test_optional_columns_may_be_empty() -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["A"],
            "exchange": "XNYS",
            "name": "A",
            "currency": "USD",
            "first_session": pd.NaT,
            "last_session": pd.NaT,
            "source": "s",
        }
    )
    typed = SECURITIES.conform(frame, "test")
    assert str(typed["last_session"].dtype) == "datetime64[us]"
    assert typed["first_session"].isna().all()
