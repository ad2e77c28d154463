"""Sessions, opens and closes of exchanges: real half days, holidays, special sessions, and days nobody knows yet."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.domain.calendar_overrides import Override, parse_overrides
from market_assets.domain.calendars import ExchangeCalendar, build_calendar, closed_days, known_exchanges
from market_assets.errors import ConfigError, InputError

START, END = date(2019, 1, 1), date(2026, 12, 31)
SHIPPED = Path(__file__).parents[2] / "config" / "calendar_overrides.csv"


def shipped_overrides() -> tuple[Override, ...]:
    return parse_overrides(SHIPPED.read_text(encoding="utf-8"), file=SHIPPED.name, known_exchanges=known_exchanges())


def override(row: str) -> tuple[Override, ...]:
    header = "exchange,session,kind,opens_at,closes_at,reason"
    return parse_overrides(f"{header}\n{row}\n", file="overrides.csv", known_exchanges=["XNYS", "XBOM"])


@pytest.fixture(scope="module")
def new_york() -> ExchangeCalendar:
    return build_calendar("XNYS", START, END)


@pytest.fixture(scope="module")
def bombay() -> ExchangeCalendar:
    return build_calendar("XBOM", START, END, shipped_overrides())


def test_sessions_are_naive_midnights_in_order(new_york: ExchangeCalendar) -> None:
    sessions = new_york.sessions(date(2024, 7, 1), date(2024, 7, 9))
    assert sessions.strftime("%m-%d").tolist() == ["07-01", "07-02", "07-03", "07-05", "07-08", "07-09"]
    assert str(sessions.dtype) == "datetime64[us]"
    assert new_york.sessions().is_monotonic_increasing
    assert new_york.sessions().is_unique
    assert new_york.sessions(date(2024, 7, 4), date(2024, 7, 4)).empty


@pytest.mark.parametrize(
    ("session", "closes_at"),
    [
        (date(2024, 1, 8), "2024-01-08 21:00"),  # winter: 16:00 in New York is 21:00 UTC
        (date(2024, 3, 8), "2024-03-08 21:00"),  # last session before New York changes its clocks
        (date(2024, 3, 11), "2024-03-11 20:00"),  # first one after
        (date(2024, 11, 1), "2024-11-01 20:00"),
        (date(2024, 11, 4), "2024-11-04 21:00"),
        (date(2024, 7, 3), "2024-07-03 17:00"),  # half days close at 13:00 in New York
        (date(2024, 11, 29), "2024-11-29 18:00"),
    ],
)
def test_closes_follow_clock_changes_and_half_days(new_york: ExchangeCalendar, session: date, closes_at: str) -> None:
    assert new_york.session_close(session) == pd.Timestamp(closes_at, tz="UTC")


def test_open_of_a_session(new_york: ExchangeCalendar) -> None:
    assert new_york.session_open(date(2024, 3, 11)) == pd.Timestamp("2024-03-11 13:30", tz="UTC")


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2024, 11, 28), False),  # Thanksgiving
        (date(2025, 1, 9), False),  # day of mourning for Jimmy Carter
        (date(2024, 11, 30), False),  # Saturday
        (date(2024, 11, 29), True),
    ],
)
def test_is_session(new_york: ExchangeCalendar, day: date, expected: bool) -> None:
    assert new_york.is_session(day) is expected


def test_neighbours_of_a_day_skip_holidays_and_weekends(new_york: ExchangeCalendar) -> None:
    assert new_york.next_session(date(2024, 11, 27)) == pd.Timestamp("2024-11-29")
    assert new_york.next_session(date(2024, 11, 30)) == pd.Timestamp("2024-12-02")
    assert new_york.previous_session(date(2024, 11, 29)) == pd.Timestamp("2024-11-27")
    assert new_york.previous_session(date(2024, 12, 1)) == pd.Timestamp("2024-11-29")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-11-29 18:44:59", "2024-11-27"),  # half day: closed at 18:00, not settled yet
        ("2024-11-29 18:45:00", "2024-11-29"),
        ("2024-12-01 12:00:00", "2024-11-29"),  # Sunday
        ("2024-12-02 20:00:00", "2024-11-29"),  # an hour before the close
        ("2024-12-02 21:45:00", "2024-12-02"),
    ],
)
def test_a_session_counts_as_closed_once_the_settle_delay_has_passed(
    new_york: ExchangeCalendar, now: str, expected: str
) -> None:
    moment = pd.Timestamp(now, tz="UTC").to_pydatetime()
    assert new_york.last_closed_session(moment, timedelta(minutes=45)) == pd.Timestamp(expected)


def test_before_the_first_close_no_session_is_closed(new_york: ExchangeCalendar) -> None:
    assert new_york.last_closed_session(datetime(2019, 1, 2, 12, tzinfo=UTC)) is None


@given(st.integers(24, 69_800), st.integers(0, 720))
def test_the_last_closed_session_is_closed_and_the_next_is_not(hours: int, minutes: int) -> None:
    calendar = build_calendar("XNYS", START, END)
    now, settle = datetime(2019, 1, 1, tzinfo=UTC) + timedelta(hours=hours), timedelta(minutes=minutes)
    session = calendar.last_closed_session(now, settle)
    if session is None:
        assert calendar.session_close(calendar.next_session(START)) + settle > now
        return
    assert calendar.session_close(session) + settle <= now
    assert calendar.session_close(calendar.next_session(session)) + settle > now


def test_a_naive_moment_is_refused(new_york: ExchangeCalendar) -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        new_york.last_closed_session(datetime(2024, 1, 8, 22))  # noqa: DTZ001 - what is refused


def test_days_that_the_calendar_does_not_know_are_refused_and_not_guessed(bombay: ExchangeCalendar) -> None:
    assert bombay.last_day == pd.Timestamp("2026-12-31")
    questions = [
        lambda: bombay.is_session(date(2027, 1, 4)),
        lambda: bombay.sessions(date(2026, 12, 1), date(2027, 1, 4)),
        lambda: bombay.session_close(date(2018, 12, 31)),
        lambda: bombay.last_closed_session(datetime(2027, 1, 4, 12, tzinfo=UTC)),
    ]
    for ask in questions:
        with pytest.raises(InputError, match="XBOM: the calendar knows 2019-01-01 to 2026-12-31"):
            ask()
    with pytest.raises(InputError, match="no session after 2026-12-31"):
        bombay.next_session(date(2026, 12, 31))
    with pytest.raises(InputError, match="no session before 2019-01-01"):
        bombay.previous_session(date(2019, 1, 1))


def test_the_close_of_a_closed_day_is_refused(new_york: ExchangeCalendar) -> None:
    with pytest.raises(InputError, match="XNYS: 2024-11-28 is no session"):
        new_york.session_close(date(2024, 11, 28))


def test_a_calendar_starts_and_ends_where_its_library_does() -> None:
    calendar = build_calendar("XBOM", date(1980, 1, 1), date(2040, 1, 1))
    assert calendar.first_day == pd.Timestamp("1997-01-01")
    assert calendar.last_day == pd.Timestamp("2026-12-31")


def test_unknown_exchanges_and_broken_calendars_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown exchange .*'XNOP'"):
        build_calendar("XNOP", START, END)
    with pytest.raises(ConfigError, match="cannot build its calendar"):
        build_calendar("ASEX", START, END)  # exchange_calendars 4.13 with pandas 3: OrthodoxEaster


# The shipped override file ------------------------------------------------------------------------------------------

MUHURAT = {
    "2019-10-27": ("18:15", "19:15"),
    "2020-11-14": ("18:15", "19:15"),
    "2021-11-04": ("18:15", "19:15"),
    "2022-10-24": ("18:15", "19:15"),
    "2023-11-12": ("18:15", "19:15"),
    "2024-11-01": ("18:00", "19:00"),
    "2025-10-21": ("13:45", "14:45"),
}
FULL_DAYS = ["2020-02-01", "2024-01-20", "2025-02-01", "2026-02-01"]


@pytest.mark.parametrize(("session", "hours"), MUHURAT.items())
def test_muhurat_sessions_have_their_own_hour(bombay: ExchangeCalendar, session: str, hours: tuple[str, str]) -> None:
    day = date.fromisoformat(session)
    local = [
        moment.tz_convert("Asia/Kolkata").strftime("%H:%M")
        for moment in (bombay.session_open(day), bombay.session_close(day))
    ]
    assert tuple(local) == hours


@pytest.mark.parametrize("session", FULL_DAYS)
def test_full_weekend_sessions_have_regular_hours(bombay: ExchangeCalendar, session: str) -> None:
    day = date.fromisoformat(session)
    assert day.weekday() >= 5
    assert bombay.session_open(day) == pd.Timestamp(f"{session} 09:15", tz="Asia/Kolkata")
    assert bombay.session_close(day) == pd.Timestamp(f"{session} 15:30", tz="Asia/Kolkata")


def test_every_shipped_override_is_still_needed() -> None:
    # A row that exchange_calendars has learned meanwhile can go: this test says which.
    needless = [
        row.origin
        for row in shipped_overrides()
        if build_calendar(row.exchange, date(2015, 1, 1), END).is_session(row.session)
    ]
    assert needless == []


def test_shipped_overrides_add_their_sessions_and_nothing_else(bombay: ExchangeCalendar) -> None:
    plain = build_calendar("XBOM", START, END)
    added = bombay.sessions().difference(plain.sessions())
    assert added.strftime("%Y-%m-%d").tolist() == [
        row.session.isoformat() for row in shipped_overrides() if row.session >= START
    ]
    assert plain.sessions().difference(bombay.sessions()).empty


# Overrides applied --------------------------------------------------------------------------------------------------


def test_closed_removes_a_session() -> None:
    row = override("XNYS,2024-07-05,closed,,,outage")
    assert not build_calendar("XNYS", START, END, row).is_session(date(2024, 7, 5))


def test_closed_on_a_closed_day_changes_nothing() -> None:
    row = override("XNYS,2024-07-04,closed,,,holiday")
    assert build_calendar("XNYS", START, END, row).sessions().equals(build_calendar("XNYS", START, END).sessions())


def test_early_close_and_late_open_change_one_end_of_a_session() -> None:
    early = build_calendar("XNYS", START, END, override("XNYS,2024-07-05,early_close,,13:00,heat"))
    assert early.session_close(date(2024, 7, 5)) == pd.Timestamp("2024-07-05 17:00", tz="UTC")
    assert early.session_open(date(2024, 7, 5)) == pd.Timestamp("2024-07-05 13:30", tz="UTC")
    late = build_calendar("XNYS", START, END, override("XNYS,2024-07-05,late_open,11:00,,heat"))
    assert late.session_open(date(2024, 7, 5)) == pd.Timestamp("2024-07-05 15:00", tz="UTC")
    assert late.session_close(date(2024, 7, 5)) == pd.Timestamp("2024-07-05 20:00", tz="UTC")


def test_an_override_of_another_exchange_or_another_time_is_not_applied() -> None:
    rows = override("XBOM,2024-07-05,closed,,,outage") + override("XNYS,2031-07-07,closed,,,outage")
    assert build_calendar("XNYS", START, END, rows).sessions().equals(build_calendar("XNYS", START, END).sessions())


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("XNYS,2024-07-04,early_close,,13:00,fireworks", "row 2: XNYS has no session on 2024-07-04"),
        ("XNYS,2024-07-05,early_close,,09:00,fireworks", "row 2: the session would open at .* and close at"),
    ],
)
def test_overrides_that_do_not_fit_the_calendar_are_refused(row: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        build_calendar("XNYS", START, END, override(row))


# Days on which nobody trades ----------------------------------------------------------------------------------------


def test_closed_days_are_those_on_which_every_exchange_is_closed(
    new_york: ExchangeCalendar, bombay: ExchangeCalendar
) -> None:
    start, end = date(2024, 1, 13), date(2024, 1, 22)
    assert closed_days([new_york], start, end).strftime("%d").tolist() == ["13", "14", "15", "20", "21"]
    # Monday 15: New York is closed, Bombay open; Saturday 20: Bombay trades; Monday 22: the other way round
    assert closed_days([new_york, bombay], start, end).strftime("%d").tolist() == ["13", "14", "21"]
    assert closed_days([bombay], start, end).strftime("%d").tolist() == ["13", "14", "21", "22"]


def test_unknown_days_count_as_open_on_regular_weekdays_only(bombay: ExchangeCalendar) -> None:
    unknown = closed_days([bombay], date(2027, 1, 1), date(2027, 1, 31))
    assert set(unknown.day_of_week) == {5, 6}
    assert len(unknown) == 10


@given(st.dates(START, date(2026, 11, 1)), st.integers(0, 60))
def test_closed_days_and_sessions_partition_the_days(start: date, length: int) -> None:
    calendar = build_calendar("XBOM", START, END, shipped_overrides())
    end = start + timedelta(days=length)
    sessions, closed = calendar.sessions(start, end), closed_days([calendar], start, end)
    assert sessions.union(closed).equals(pd.date_range(start, end, unit="us"))
    assert sessions.intersection(closed).empty
