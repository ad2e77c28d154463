"""Sessions as partitions: exactly the sessions, from the right moment on, fast enough for forty years."""

import time
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import time_machine
from dagster import AssetExecutionContext, BackfillPolicy, DailyPartitionsDefinition, asset, materialize
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from market_assets.domain.calendars import ExchangeCalendar
from market_assets.errors import ConfigError, InputError
from market_assets.partitions import available_at, load_calendars, run_range, run_sessions, session_partitions

TODAY = date(2026, 11, 21)
OVERRIDES = Path(__file__).parents[1] / "config" / "calendar_overrides.csv"


def calendars(*exchanges: str, start: date = date(2000, 3, 1)) -> tuple[ExchangeCalendar, ...]:
    return load_calendars(exchanges, start, OVERRIDES, TODAY)


def keys(partitions: DailyPartitionsDefinition, now: datetime) -> list[str]:
    return list(partitions.get_partition_keys(current_time=now))


def utc(text: str) -> datetime:
    return pd.Timestamp(text, tz="UTC").to_pydatetime()


@pytest.mark.parametrize(
    "exchanges", [("XNYS",), ("XBOM",), ("XNYS", "XBOM"), ("XSAU",), ("XNYS", "XLON", "XTKS")], ids="+".join
)
def test_the_partitions_are_the_days_on_which_any_exchange_trades(exchanges: tuple[str, ...]) -> None:
    start, last = date(2021, 1, 4), date(2026, 11, 20)
    loaded = calendars(*exchanges, start=start)
    expected = sorted({day for calendar in loaded for day in calendar.sessions(start, last).strftime("%Y-%m-%d")})
    assert keys(session_partitions(loaded, start), utc("2026-11-21 12:00")) == expected


def test_special_weekend_sessions_are_partitions_and_their_neighbours_are_not() -> None:
    partitions = session_partitions(calendars("XBOM"), date(2024, 1, 1))
    january = [key for key in keys(partitions, utc("2024-02-01 00:00")) if "2024-01-18" < key < "2024-01-24"]
    assert january == ["2024-01-19", "2024-01-20", "2024-01-23"]  # the Saturday was traded for the Monday
    assert "2023-11-12" in keys(session_partitions(calendars("XBOM"), date(2023, 11, 1)), utc("2024-01-01 00:00"))


def test_special_sessions_in_every_month_leave_the_other_days_of_that_weekday_closed(tmp_path: Path) -> None:
    saturdays = [str(day.date()) for day in pd.date_range("2024-01-01", "2024-12-31", freq="WOM-1SAT")]
    overrides = tmp_path / "overrides.csv"
    rows = [f"XNYS,{day},special_session,,,test" for day in saturdays]
    overrides.write_text("\n".join(["exchange,session,kind,opens_at,closes_at,reason", *rows]))
    start = date(2024, 1, 2)
    partitions = session_partitions(load_calendars(["XNYS"], start, overrides, TODAY), start)
    listed = pd.DatetimeIndex(keys(partitions, utc("2025-01-01 00:00")))
    assert listed[listed.day_of_week == 5].strftime("%Y-%m-%d").tolist() == saturdays
    assert not (listed.day_of_week == 6).any()


def test_without_an_override_file_the_calendar_is_as_published() -> None:
    (bombay,) = load_calendars(["XBOM"], date(2024, 1, 1), None, TODAY)
    assert not bombay.is_session(date(2024, 3, 2))


def test_weekends_stay_closed_for_ever_where_no_exchange_ever_trades_on_one() -> None:
    partitions = session_partitions(calendars("XNYS"), date(2026, 1, 2))
    years_ahead = pd.DatetimeIndex(keys(partitions, utc("2036-01-01 00:00")))
    assert set(years_ahead.day_of_week) == {0, 1, 2, 3, 4}


def test_beyond_the_known_days_every_regular_weekday_is_a_partition_until_the_location_loads_again() -> None:
    # exchange_calendars lists Bombay's holidays to the end of 2026; Republic Day 2027 (26 January) is not among them
    partitions = session_partitions(calendars("XBOM"), date(2026, 12, 1))
    january = [key for key in keys(partitions, utc("2027-02-01 00:00")) if key.startswith("2027-01")]
    assert "2027-01-26" in january
    assert set(pd.DatetimeIndex(january).day_of_week) == {0, 1, 2, 3, 4}


def test_the_definition_changes_once_a_year_and_not_with_every_load() -> None:
    first, same, next_year = (
        session_partitions(load_calendars(["XNYS"], date(2020, 1, 2), OVERRIDES, today), date(2020, 1, 2))
        for today in (date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1))
    )
    assert first.get_serializable_unique_identifier() == same.get_serializable_unique_identifier()
    assert first.get_serializable_unique_identifier() != next_year.get_serializable_unique_identifier()


def test_the_last_partition_of_a_closed_range_is_inclusive() -> None:
    partitions = session_partitions(calendars("XNYS"), date(2000, 3, 1), date(2013, 3, 1))
    listed = keys(partitions, utc("2026-11-21 12:00"))
    assert (listed[0], listed[-1], len(listed)) == ("2000-03-01", "2013-03-01", 3270)


@pytest.mark.parametrize(
    ("session", "moment", "new_york"),
    [
        ("2024-01-08", "2024-01-08 22:00", "17:00"),  # both on winter time
        ("2024-03-08", "2024-03-08 22:00", "17:00"),
        ("2024-03-11", "2024-03-11 22:00", "18:00"),  # New York has changed, Athens has not
        ("2024-03-28", "2024-03-28 22:00", "18:00"),
        ("2024-04-01", "2024-04-01 21:00", "17:00"),  # both on summer time
        ("2024-10-25", "2024-10-25 21:00", "17:00"),
        ("2024-10-28", "2024-10-28 22:00", "18:00"),  # Athens has changed, New York has not
        ("2024-11-01", "2024-11-01 22:00", "18:00"),
        ("2024-11-04", "2024-11-04 22:00", "17:00"),
    ],
)
def test_a_session_becomes_a_partition_at_the_new_york_close(session: str, moment: str, new_york: str) -> None:
    day = date.fromisoformat(session)
    opens = available_at(day)
    assert opens == utc(moment)
    assert pd.Timestamp(opens).tz_convert("America/New_York").strftime("%H:%M") == new_york
    partitions = session_partitions(calendars("XNYS"), date(2024, 1, 2))
    for clock, expected in ((opens - timedelta(seconds=1), False), (opens, True)):
        with time_machine.travel(clock, tick=False):  # Dagster itself agrees
            assert (partitions.get_last_partition_key() == session) is expected
            assert (session in partitions.get_partition_keys()) is expected


def test_every_session_of_new_york_has_closed_before_it_becomes_a_partition() -> None:
    (new_york,) = calendars("XNYS")
    waits = pd.Series(
        {day: pd.Timestamp(available_at(day)) - new_york.session_close(day) for day in new_york.sessions()}
    )
    assert waits.min() == timedelta(0)  # until 2006 New York changed to summer time a week after Athens
    assert waits.loc["2007":].min() == timedelta(hours=1)
    assert waits.max() == timedelta(hours=4)  # a half day


def test_forty_years_of_keys_take_well_under_a_second() -> None:
    start = date(1986, 3, 3)
    began = time.process_time()
    partitions = session_partitions(calendars("XNYS", "XBOM", start=start), start)
    assert len(keys(partitions, utc("2026-11-21 12:00"))) > 10_000
    assert time.process_time() - began < 5  # 0.4 s on an idle core; the rest is for coverage and a busy machine
    assert partitions.exclusions is not None
    assert len(partitions.exclusions) < 1_500  # each lookup Dagster caches hashes them all


def test_the_keys_are_those_of_dagsters_own_definition_at_every_moment() -> None:
    ours = session_partitions(calendars("XNYS"), date(2024, 1, 2))
    own = DailyPartitionsDefinition(
        start_date="2024-01-02", timezone=ours.timezone, exclusions=[*(ours.exclusions or ())]
    )
    assert ours == own
    assert ours.get_serializable_unique_identifier() == own.get_serializable_unique_identifier()
    for moment in ("2024-02-01 12:00", "2026-11-21 12:00", "2024-01-02 12:00", "2024-02-01 23:30", "2026-11-21 12:00"):
        assert keys(ours, utc(moment)) == keys(own, utc(moment)), moment
    listed = ours.get_partition_keys(current_time=utc("2024-02-01 12:00"))
    assert isinstance(listed, list)
    listed.clear()
    assert keys(ours, utc("2024-02-01 12:00")) == keys(own, utc("2024-02-01 12:00"))


def test_a_list_of_keys_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    partitions = session_partitions(calendars("XNYS"), date(2024, 1, 2))
    made = []
    listing = DailyPartitionsDefinition.get_partition_keys
    monkeypatch.setattr(DailyPartitionsDefinition, "get_partition_keys", lambda self: made.append(1) or listing(self))
    with time_machine.travel(utc("2026-11-20 12:00"), tick=False):
        assert keys(partitions, utc("2026-11-20 12:00")) == keys(partitions, utc("2026-11-20 13:00"))
        assert partitions.get_partition_keys()
    assert made == [1]
    with time_machine.travel(utc("2026-11-21 12:00"), tick=False):
        assert partitions.get_partition_keys()[-1] == "2026-11-20"
    assert made == [1, 1]


def test_partitions_need_a_calendar() -> None:
    with pytest.raises(ValueError, match="at least one exchange"):
        session_partitions([], date(2024, 1, 2))


def test_calendars_reach_from_the_year_before_the_start_to_the_end_of_next_year() -> None:
    (new_york,) = load_calendars(["XNYS"], date(2020, 6, 1), OVERRIDES, TODAY)
    assert (new_york.first_day, new_york.last_day) == (pd.Timestamp("2019-01-01"), pd.Timestamp("2027-12-31"))


def test_calendars_are_built_once_for_each_exchange_in_the_given_order() -> None:
    assert [calendar.exchange for calendar in calendars("XNYS", "XBOM", "XNYS")] == ["XNYS", "XBOM"]
    assert calendars("XNYS")[0] is calendars("XNYS")[0]


def test_an_override_file_that_is_missing_or_wrong_is_refused_by_name(tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    with pytest.raises(ConfigError, match=r"none\.csv: cannot read the calendar overrides"):
        load_calendars(["XNYS"], date(2024, 1, 2), missing, TODAY)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("exchange,session,kind,opens_at,closes_at,reason\nXNYS,2024-07-05,shut,,,storm\n")
    with pytest.raises(InputError, match=r"wrong\.csv row 2: unknown kind 'shut'"):
        load_calendars(["XNYS"], date(2024, 1, 2), wrong, TODAY)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"dagster/partition": "2024-07-03"}, ["2024-07-03"]),
        (
            {ASSET_PARTITION_RANGE_START_TAG: "2024-07-02", ASSET_PARTITION_RANGE_END_TAG: "2024-07-08"},
            ["2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08"],
        ),
    ],
    ids=["one", "range"],
)
def test_a_run_knows_its_sessions(tags: dict[str, str], expected: list[str]) -> None:
    seen: list[tuple[date, date]] = []
    sessions: list[str] = []

    @asset(
        partitions_def=session_partitions(calendars("XNYS"), date(2024, 1, 2)),
        backfill_policy=BackfillPolicy.single_run(),
    )
    def bars(context: AssetExecutionContext) -> None:
        seen.append(run_range(context))
        sessions.extend(run_sessions(context).strftime("%Y-%m-%d"))

    assert materialize([bars], tags=tags, partition_key=tags.get("dagster/partition")).success
    assert seen == [(date.fromisoformat(expected[0]), date.fromisoformat(expected[-1]))]
    assert sessions == expected
