"""Which sessions are due: closes, settle delay, partitions, clock changes, half days, holidays, downtime, exchanges."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_assets.domain.calendars import ExchangeCalendar
from market_assets.partitions import load_calendars, session_partitions
from market_assets.session_runs import SessionPlan, SessionSpan, plan_session_runs, read_cursor, write_cursor

OVERRIDES = Path(__file__).parents[1] / "config" / "calendar_overrides.csv"
START = date(2020, 1, 2)
SPAN = SessionSpan(START, None, "Europe/Athens")
SETTLE = timedelta(minutes=45)
TODAY = date(2026, 11, 21)


def calendars(*exchanges: str) -> tuple[ExchangeCalendar, ...]:
    return load_calendars(exchanges, START, OVERRIDES, TODAY)


def utc(text: str) -> datetime:
    return pd.Timestamp(text, tz="UTC").to_pydatetime()


def plan(
    now: str,
    cursor: dict[str, str] | None = None,
    *,
    exchanges: tuple[str, ...] = ("XNYS",),
    span: SessionSpan = SPAN,
    settle: timedelta = SETTLE,
) -> SessionPlan:
    asked = {exchange: date.fromisoformat(day) for exchange, day in (cursor or {}).items()}
    return plan_session_runs(calendars(*exchanges), span, utc(now), asked, settle)


def due(planned: SessionPlan) -> tuple[str, str] | None:
    return None if planned.run is None else (planned.run.first.isoformat(), planned.run.last.isoformat())


@pytest.mark.parametrize(
    ("before", "session", "early", "late"),
    [
        # both sides on winter time: 17:00 in New York
        ("2024-01-05", "2024-01-08", "2024-01-08 21:59:59", "2024-01-08 22:00"),
        # New York changed its clocks on 10 March, Athens on 31 March: 18:00 in New York
        ("2024-03-07", "2024-03-08", "2024-03-08 21:59:59", "2024-03-08 22:00"),
        ("2024-03-08", "2024-03-11", "2024-03-11 21:59:59", "2024-03-11 22:00"),
        ("2024-03-28", "2024-04-01", "2024-04-01 20:59:59", "2024-04-01 21:00"),
        # Athens changed back on 27 October, New York on 3 November
        ("2024-10-24", "2024-10-25", "2024-10-25 20:59:59", "2024-10-25 21:00"),
        ("2024-10-25", "2024-10-28", "2024-10-28 21:59:59", "2024-10-28 22:00"),
        ("2024-11-01", "2024-11-04", "2024-11-04 21:59:59", "2024-11-04 22:00"),
        # half days close at 13:00 and become partitions no earlier than other days
        ("2024-07-02", "2024-07-03", "2024-07-03 20:59:59", "2024-07-03 21:00"),
        ("2024-11-27", "2024-11-29", "2024-11-29 21:59:59", "2024-11-29 22:00"),
    ],
)
def test_a_session_is_due_when_its_day_becomes_a_partition(before: str, session: str, early: str, late: str) -> None:
    assert due(plan(early, {"XNYS": before})) is None
    assert due(plan(late, {"XNYS": before})) == (session, session)


def test_a_long_settle_delay_decides_where_it_ends_after_midnight_in_athens() -> None:
    two_hours = timedelta(hours=2)  # the close is at 21:00, the partition exists from 22:00 on
    assert due(plan("2024-01-08 22:59:59", {"XNYS": "2024-01-05"}, settle=two_hours)) is None
    assert due(plan("2024-01-08 23:00", {"XNYS": "2024-01-05"}, settle=two_hours)) == ("2024-01-08", "2024-01-08")


@pytest.mark.parametrize(
    "now",
    [
        "2024-11-28 23:00",  # Thanksgiving
        "2024-07-04 23:00",  # Independence Day
        "2024-11-30 23:00",  # Saturday
        "2024-12-01 23:00",  # Sunday
        "2024-12-02 20:59:59",  # Monday, before the close
    ],
)
def test_nothing_is_due_on_a_closed_day_or_before_the_close(now: str) -> None:
    asked = {"XNYS": "2024-11-27" if "11-28" in now else "2024-07-03" if "07-04" in now else "2024-11-29"}
    planned = plan(now, asked)
    assert planned.run is None
    assert planned.cursor == {"XNYS": date.fromisoformat(asked["XNYS"])}


def test_what_is_waited_for_is_said() -> None:
    assert plan("2024-11-28 23:00", {"XNYS": "2024-11-27"}).waiting == (
        "XNYS: session 2024-11-29 is due at 2024-11-29 22:00 UTC",
    )
    closed = SessionSpan(START, date(2024, 11, 27), "Europe/Athens")
    assert plan("2024-12-05 23:00", {"XNYS": "2024-11-27"}, span=closed).waiting == (
        "XNYS: the last partition is 2024-11-27",
    )


def test_the_first_evaluation_asks_for_the_latest_session_only() -> None:
    planned = plan("2024-12-01 12:00")
    assert due(planned) == ("2024-11-29", "2024-11-29")
    assert planned.cursor == {"XNYS": date(2024, 11, 29)}


def test_after_downtime_one_run_covers_every_session_since() -> None:
    planned = plan("2024-12-03 23:00", {"XNYS": "2024-11-26"})
    assert due(planned) == ("2024-11-27", "2024-12-03")  # Thanksgiving and a weekend lie within
    assert planned.run is not None
    assert planned.run.run_key == "XNYS:2024-11-27:2024-12-03"
    assert planned.cursor == {"XNYS": date(2024, 12, 3)}


def test_planning_again_with_the_new_cursor_asks_for_nothing() -> None:
    first = plan("2024-12-03 23:00", {"XNYS": "2024-11-26"})
    again = plan_session_runs(calendars("XNYS"), SPAN, utc("2024-12-03 23:01"), first.cursor, SETTLE)
    assert again.run is None


def test_a_lost_cursor_asks_for_the_same_run_again() -> None:
    keys = {planned.run.run_key for planned in (plan("2024-12-03 22:00"), plan("2024-12-04 20:00")) if planned.run}
    assert keys == {"XNYS:2024-12-03:2024-12-03"}


def test_sessions_before_and_after_the_partitions_are_not_asked_for() -> None:
    span = SessionSpan(date(2024, 11, 25), date(2024, 11, 27), "Europe/Athens")
    assert due(plan("2024-12-02 23:00", {"XNYS": "2024-11-01"}, span=span)) == ("2024-11-25", "2024-11-27")
    assert due(plan("2024-11-22 23:00", {"XNYS": "2024-11-01"}, span=span)) is None
    assert due(plan("2024-11-22 23:00", span=span)) is None


def test_a_range_that_ended_long_ago_is_history_and_left_to_the_backfill() -> None:
    span = SessionSpan(START, date(2024, 11, 27), "Europe/Athens")
    assert due(plan("2024-11-30 12:00", span=span)) == ("2024-11-27", "2024-11-27")
    assert due(plan("2024-12-05 12:00", span=span)) is None


# Several exchanges --------------------------------------------------------------------------------------------------


def test_exchanges_that_are_due_together_share_one_run() -> None:
    planned = plan("2024-01-08 22:00", {"XNYS": "2024-01-05", "XBOM": "2024-01-05"}, exchanges=("XNYS", "XBOM"))
    assert due(planned) == ("2024-01-08", "2024-01-08")
    assert planned.run is not None
    assert planned.run.run_key == "XBOM:2024-01-08:2024-01-08+XNYS:2024-01-08:2024-01-08"


def test_a_day_on_which_only_one_exchange_trades_is_asked_for_by_that_one() -> None:
    cursor = {"XNYS": "2024-01-19", "XBOM": "2024-01-19"}
    planned = plan("2024-01-20 22:00", cursor, exchanges=("XNYS", "XBOM"))  # Bombay's special Saturday
    assert due(planned) == ("2024-01-20", "2024-01-20")
    assert planned.run is not None
    assert list(planned.run.due) == ["XBOM"]
    assert planned.cursor == {"XNYS": date(2024, 1, 19), "XBOM": date(2024, 1, 20)}


def test_an_exchange_that_settles_later_asks_for_the_same_partition_again() -> None:
    # with two hours to settle, Bombay (closed at 10:00 UTC) is due at midnight in Athens, New York an hour later
    cursor = {"XNYS": "2024-01-05", "XBOM": "2024-01-05"}
    exchanges, two_hours = ("XNYS", "XBOM"), timedelta(hours=2)
    first = plan("2024-01-08 22:00", cursor, exchanges=exchanges, settle=two_hours)
    assert first.run is not None
    assert list(first.run.due) == ["XBOM"]
    second = plan_session_runs(calendars(*exchanges), SPAN, utc("2024-01-08 23:00"), first.cursor, two_hours)
    assert second.run is not None
    assert due(second) == due(first)
    assert list(second.run.due) == ["XNYS"]
    assert second.run.run_key != first.run.run_key


def test_a_new_exchange_starts_with_its_latest_session_and_the_others_go_on() -> None:
    planned = plan("2024-01-08 22:00", {"XNYS": "2024-01-03"}, exchanges=("XNYS", "XBOM"))
    assert due(planned) == ("2024-01-04", "2024-01-08")
    assert planned.run is not None
    assert planned.run.due["XBOM"] == (date(2024, 1, 8), date(2024, 1, 8))


def test_a_calendar_that_has_run_out_is_reported_and_does_not_stop_the_others() -> None:
    # exchange_calendars 4.13 knows Bombay to the end of 2026
    planned = plan("2027-01-04 22:30", {"XNYS": "2026-12-31", "XBOM": "2026-12-31"}, exchanges=("XNYS", "XBOM"))
    assert due(planned) == ("2027-01-04", "2027-01-04")
    assert planned.cursor["XBOM"] == date(2026, 12, 31)
    assert len(planned.problems) == 1
    assert "XBOM: the calendar knows" in planned.problems[0]
    assert "upgrade exchange_calendars" in planned.problems[0]


# Properties ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 200), min_size=1, max_size=40), st.integers(0, 180))
def test_every_session_is_asked_for_once_however_the_evaluations_fall(gaps: list[int], minutes: int) -> None:
    """Evaluations at any hours apart: together they ask for all sessions, in order, none twice, none too early."""
    exchange_calendars, settle = calendars("XNYS", "XBOM"), timedelta(minutes=minutes)
    now, cursor = utc("2024-01-05 23:59"), {"XNYS": date(2024, 1, 5), "XBOM": date(2024, 1, 5)}
    asked: dict[str, list[date]] = {"XNYS": [], "XBOM": []}
    for gap in gaps:
        now += timedelta(hours=gap)
        planned = plan_session_runs(exchange_calendars, SPAN, now, cursor, settle)
        cursor = dict(planned.cursor)
        for calendar in exchange_calendars:
            if planned.run is not None and calendar.exchange in planned.run.due:
                first, last = planned.run.due[calendar.exchange]
                asked[calendar.exchange] += [day.date() for day in calendar.sessions(first, last)]
                assert calendar.session_close(last) + settle <= now
                assert planned.run.first <= first <= last <= planned.run.last
    for calendar in exchange_calendars:
        last = cursor[calendar.exchange]
        assert asked[calendar.exchange] == [
            day.date() for day in calendar.sessions(date(2024, 1, 6), max(last, date(2024, 1, 6)))
        ]


def test_a_span_reads_its_days_from_the_partitions() -> None:
    definition = session_partitions(calendars("XNYS"), START, date(2024, 11, 27))
    assert SessionSpan.of(definition) == SessionSpan(START, date(2024, 11, 27), "Europe/Athens")
    assert SessionSpan.of(session_partitions(calendars("XNYS"), START)) == SPAN


@given(st.integers(0, 24 * 400))
def test_a_span_agrees_with_dagster_about_the_last_available_day(hours: int) -> None:
    now = datetime(2024, 1, 2, tzinfo=UTC) + timedelta(hours=hours, minutes=1)
    definition = session_partitions(calendars("XNYS"), date(2023, 12, 27))
    sessions = calendars("XNYS")[0].sessions(date(2023, 12, 27), SPAN.last_available(now))
    assert sessions[-1].date().isoformat() == definition.get_partition_keys(current_time=now)[-1]


def test_a_cursor_survives_storage() -> None:
    cursor = {"XNYS": date(2024, 1, 5), "XBOM": date(2024, 1, 8)}
    assert read_cursor(write_cursor(cursor)) == cursor
    assert read_cursor(None) == {}
