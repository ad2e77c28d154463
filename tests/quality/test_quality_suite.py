"""Suites as declarations: what is refused when they are built, the SQL they become, and how an outcome reads."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from small_market import SESSIONS, Market

from quality import report, validation
from quality.errors import SuiteError
from quality.suite import WHOLE_TABLE, ExpectationCheck, RowCheck, Scope, Severity, Suite
from quality.suites.price_bar import price_bar_suite
from quality.validation import Outcome, SessionCount, run_suite, sqlalchemy_url

FIFTH = SESSIONS[4]


def check(name: str = "probe", query: str = "select session, symbol from batch", **options: object) -> RowCheck:
    options = {"description": "", "severity": Severity.ERROR, "identify": ("symbol", "session")} | options
    return RowCheck(name=name, query=query, **options)  # type: ignore[arg-type]


def suite(*checks: RowCheck) -> Suite:
    return Suite(name="probe", schema="raw", table="price_bar", checks=checks)


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ((), "has no checks"),
        ((check("a"), check("a")), "two checks are named a"),
        ((check("Not A Name"),), "not a name for an asset check"),
        ((check(query="select {threshold} from batch"),), "check probe: the query and its parameters do not fit"),
        ((check(query="select '{' from batch"),), "do not fit"),
    ],
)
def test_a_suite_that_cannot_work_is_refused_when_it_is_built(checks: tuple[RowCheck, ...], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        suite(*checks)


@pytest.mark.parametrize("sessions", [(), (FIFTH, FIFTH), (SESSIONS[1], SESSIONS[0])])
def test_a_scope_is_ascending_and_not_empty(sessions: tuple[date, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        Scope(sessions)


def test_a_scope_reads_like_a_range() -> None:
    assert str(Scope(SESSIONS)) == "2024-01-01 to 2024-01-12"
    assert str(Scope((FIFTH,))) == "2024-01-05"
    assert str(Scope()) == "the whole table"


@pytest.mark.parametrize("odd", ["a{b}", ":bound", "100%", "o'clock", "back\\slash", "12:30 :x::date", "{batch}"])
def test_a_parameter_arrives_as_it_is(good_market: Market, odd: str) -> None:
    probe = check(query="select session, symbol, {odd} as odd from batch", parameters={"odd": odd})
    outcome = good_market.run(suite(probe))["probe"]
    assert outcome.error is None
    assert outcome.sessions[FIFTH].sample[0]["odd"] == odd


def test_a_sample_is_the_first_rows_by_their_key_and_all_are_counted(good_market: Market) -> None:
    outcome = good_market.run(suite(check()))["probe"]
    assert outcome.failed_rows == 40
    assert [row["symbol"] for row in outcome.sessions[FIFTH].sample] == ["AAA", "BBB", "CCC"]


def test_only_the_checks_that_are_asked_for_are_run(good_market: Market) -> None:
    outcomes = run_suite(good_market.url, suite(check("a"), check("b")), Scope((FIFTH,)), {"b"})
    assert [outcome.check.name for outcome in outcomes] == ["b"]


@pytest.mark.parametrize("lanes", [2, 5])
def test_checks_that_run_at_the_same_time_find_what_each_finds_alone(
    good_market: Market, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    good_market.set_bar("BBB", SESSIONS[4], volume=-1.0, close=-5.0)
    good_market.execute("delete from raw.price_bar where symbol = 'CCC' and session = %s", SESSIONS[2])
    bars = price_bar_suite()
    alone = [replace(outcome, seconds=0.0) for outcome in run_suite(good_market.url, bars, Scope(SESSIONS))]
    assert sum(not outcome.passed for outcome in alone) >= 3
    monkeypatch.setattr(validation, "LONG_SCOPE", 0)
    monkeypatch.setattr(validation, "LANES", lanes)
    for _ in range(3):
        together = run_suite(good_market.url, bars, Scope(SESSIONS))
        assert [replace(outcome, seconds=0.0) for outcome in together] == alone


def test_a_table_without_sessions_is_always_checked_whole(good_market: Market) -> None:
    members = Suite(
        name="members",
        schema="raw",
        table="universe_member",
        session_column=None,
        checks=[
            check(
                query="select symbol from batch",
                population="select 1 from batch",
                per_session=False,
                identify=("symbol",),
            )
        ],
    )
    (outcome,) = run_suite(good_market.url, members, Scope())
    assert outcome.failing_sessions == [WHOLE_TABLE]
    assert report.summary(outcome) == "Failed for the whole table: 4 of 4 rows: symbol=AAA; symbol=BBB; symbol=CCC"
    assert report.metadata(outcome)["sessions_failed"].value == 0
    (stored,) = report.session_results(outcome, "securities")
    assert (stored.session, stored.passed, stored.failed_rows) == (WHOLE_TABLE, False, 4)


def test_no_sessions_at_all_are_one_result_for_the_table(market: Market) -> None:
    (outcome,) = run_suite(market.url, suite(check()), Scope())
    (stored,) = report.session_results(outcome, "raw_prices")
    assert (stored.session, stored.passed, stored.detail) == (WHOLE_TABLE, True, "nothing to look at")


@pytest.mark.parametrize(
    ("libpq", "expected"),
    [
        (
            "postgresql://postgres@/market?host=/run/socket",
            "postgresql+psycopg://postgres@localhost/market?host=%2Frun%2Fsocket",
        ),
        (
            "postgresql://postgres@/market?host=/run/socket&port=5433",
            "postgresql+psycopg://postgres@localhost/market?host=%2Frun%2Fsocket&port=5433",
        ),
        (
            "postgresql://desk:p%40ss%24word@db.example:5433/market?sslmode=require",
            "postgresql+psycopg://desk:p%40ss%24word@db.example:5433/market?sslmode=require",
        ),
        ("host=db.example user=desk dbname=market", "postgresql+psycopg://desk@db.example/market"),
        ("dbname=market", "postgresql+psycopg://localhost/market"),
    ],
)
def test_urls_of_libpq_become_urls_great_expectations_takes(libpq: str, expected: str) -> None:
    assert sqlalchemy_url(libpq) == expected


def test_a_built_in_expectation_on_a_column_that_is_missing_is_an_error_by_name(good_market: Market) -> None:
    def on_missing() -> object:
        from great_expectations.expectations import ExpectColumnValuesToNotBeNull

        return ExpectColumnValuesToNotBeNull(column="no_such_column")

    missing = ExpectationCheck(name="probe", description="", severity=Severity.WARNING, build=on_missing)  # type: ignore[arg-type]
    (outcome,) = run_suite(
        good_market.url, Suite(name="probe", schema="raw", table="price_bar", checks=[missing]), Scope((FIFTH,))
    )
    assert not outcome.passed
    assert outcome.error is not None
    assert "no_such_column" in outcome.error
    assert outcome.rows is None
    assert report.session_metadata(outcome, FIFTH)["failed_rows"].value == 0


def outcome_of(sessions: dict[date, SessionCount], scope: Scope, *, passed: bool = False) -> Outcome:
    return Outcome(check(), scope, passed, "FailingRows", 0.5, sessions)


def test_a_summary_names_the_latest_sessions_and_counts_the_others() -> None:
    sessions = {session: SessionCount(4, 1 + number) for number, session in enumerate(SESSIONS[:7])}
    text = report.summary(outcome_of(sessions, Scope(SESSIONS)))
    assert text.startswith("28 rows failed in 7 of 10 sessions: 2024-01-09 (7), 2024-01-08 (6)")
    assert text.endswith("and 2 earlier")


def test_a_detail_is_one_line_of_limited_length() -> None:
    sample = [{"symbol": "AAA", "session": str(FIFTH), "note": "two\nlines " * 60}]
    detail = report.session_detail(outcome_of({FIFTH: SessionCount(4, 1, sample)}, Scope((FIFTH,))), FIFTH)
    assert detail.startswith("1 of 4 rows: symbol=AAA, note=two lines two lines")
    assert len(detail) == 300
    assert detail.endswith("…")


def test_cells_of_the_table_of_failing_rows_are_escaped() -> None:
    sample = [{"symbol": "A|A", "close": 1.5}, {"symbol": "BBB", "open": None}]
    entries = report.metadata(outcome_of({FIFTH: SessionCount(4, 2, sample)}, Scope((FIFTH,))))
    assert entries["failing_rows"].value == (
        "| symbol | close | open |\n| --- | --- | --- |\n| A\\|A | 1.5 |  |\n| BBB |  | None |"
    )


def test_an_expectation_that_does_not_count_rows_says_nothing_about_them() -> None:
    outcome = outcome_of({WHOLE_TABLE: SessionCount(None, 0)}, Scope(SESSIONS), passed=True)
    assert outcome.rows is None
    assert report.summary(outcome) == "Holds in 2024-01-01 to 2024-01-12."
    assert "rows_checked" not in report.metadata(outcome)


def test_declaring_suites_and_checks_does_not_import_great_expectations() -> None:
    code = (
        "import sys, quality.checks, quality.quarantine, quality.suites.price_bar as p\n"
        "p.price_bar_suite()\n"
        "assert 'great_expectations' not in sys.modules\n"
        "assert not any(name.startswith('market_assets') for name in sys.modules)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=root)
