"""The override file: what a row may say, and that every refusal names file and row."""

from __future__ import annotations

from datetime import date, time

import pytest

from market_assets.domain.calendar_overrides import parse_overrides
from market_assets.errors import InputError

HEADER = "exchange,session,kind,opens_at,closes_at,reason"


def test_a_row_becomes_a_typed_override_that_knows_where_it_stands() -> None:
    text = f'{HEADER}\nXBOM,2023-11-12,special_session,18:15,19:15,"Sunday, Muhurat"\nXNYS,2024-07-05,closed,,,outage\n'
    first, second = parse_overrides(text, file="a.csv", known_exchanges=["XBOM", "XNYS"])
    assert (first.exchange, first.session, first.kind) == ("XBOM", date(2023, 11, 12), "special_session")
    assert (first.opens_at, first.closes_at, first.reason) == (time(18, 15), time(19, 15), "Sunday, Muhurat")
    assert (second.opens_at, second.closes_at, second.origin) == (None, None, "a.csv row 3")


def test_a_file_with_only_the_header_is_empty() -> None:
    assert parse_overrides(HEADER, file="a.csv", known_exchanges=[]) == ()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("XNOP,2024-07-05,closed,,,outage", "row 2: unknown exchange 'XNOP'"),
        ("XNYS,05.07.2024,closed,,,outage", "row 2: session '05.07.2024' is not a date"),
        ("XNYS,2024-07-05,shut,,,outage", "row 2: unknown kind 'shut'; allowed are special_session, closed"),
        ("XNYS,2024-07-05,closed,,,", "row 2: give the reason"),
        ("XNYS,2024-07-05,closed,,13:00,outage", "row 2: closed takes no closes_at"),
        ("XNYS,2024-07-05,early_close,,,outage", "row 2: early_close needs closes_at"),
        ("XNYS,2024-07-05,late_open,,,outage", "row 2: late_open needs opens_at"),
        ("XNYS,2024-07-05,early_close,,1 pm,outage", "row 2: closes_at '1 pm' is not a time"),
        ("XNYS,2024-07-05,early_close,,13:00+05:30,outage", "row 2: closes_at .* must be local"),
        ("XNYS,2024-07-06,special_session,18:15,17:15,outage", "row 2: opens at 18:15, not before"),
        ("XNYS,2024-07-05,closed,,,outage, and more", "row 2: needs 6 fields"),
        ("XNYS,2024-07-05,closed", "row 2: needs 6 fields"),
        ('XNYS,2024-07-05,closed,,,"outage', "row 2: not readable as CSV"),
    ],
)
def test_refused_rows(row: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"a\.csv {problem}"):
        parse_overrides(f"{HEADER}\n{row}", file="a.csv", known_exchanges=["XNYS"])


def test_a_doubled_day_names_both_rows() -> None:
    text = f"{HEADER}\nXNYS,2024-07-05,closed,,,outage\nXNYS,2024-07-05,early_close,,13:00,heat\n"
    with pytest.raises(InputError, match=r"a\.csv row 3: XNYS 2024-07-05 already stands in a\.csv row 2"):
        parse_overrides(text, file="a.csv", known_exchanges=["XNYS"])


@pytest.mark.parametrize("header", ["", "exchange,session,kind", f"{HEADER},note"])
def test_other_columns_are_refused(header: str) -> None:
    with pytest.raises(InputError, match=r"a\.csv row 1: the columns must be exchange, session"):
        parse_overrides(header, file="a.csv", known_exchanges=["XNYS"])
