"""`market doctor`: each fault is found where it is, with what to do about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from market_assets.commands import doctor
from market_assets.commands.doctor import Finding
from market_assets.resources import Platform

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A configuration that a test changes and `findings` writes."""
    monkeypatch.setenv("MARKET_CONFIG", str(tmp_path / "market.yaml"))
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    return {
        "partitions": {"start": date(2004, 6, 1), "end": date(2004, 6, 30)},
        "universe": str(ROOT / "config" / "universe.csv"),
        "calendars": {"overrides": str(ROOT / "config" / "calendar_overrides.csv")},
        "sources": [{"kind": "sample"}],
    }


def finding(content: dict[str, Any], look: Any, tmp_path: Path) -> Finding:
    (tmp_path / "market.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return doctor._look("it", look)


def test_two_values_for_a_secret_are_a_fault(configured, tmp_path, monkeypatch):
    assert finding(configured, doctor._secrets, tmp_path).ok
    monkeypatch.setenv("MARKET_ALERT_WEBHOOK", "https://hook")
    assert finding(configured, doctor._secrets, tmp_path).detail == "MARKET_ALERT_WEBHOOK set"
    monkeypatch.setenv("MARKET_ALERT_WEBHOOK_FILE", "/run/secrets/hook")
    found = finding(configured, doctor._secrets, tmp_path)
    assert not found.ok
    assert "not both" in found.detail
    assert "https://hook" not in found.detail


def test_a_receiver_of_lineage_that_does_not_answer_is_a_fault(configured, tmp_path, free_tcp_port):
    configured["lineage"] = {"transport": {"kind": "http", "url": f"http://127.0.0.1:{free_tcp_port}"}}
    found = finding(configured, doctor._lineage_transport, tmp_path)
    assert not found.ok
    assert f"http://127.0.0.1:{free_tcp_port} does not answer (ConnectionError)" in found.detail
    assert "lineage.transport.url" in found.detail


def test_a_file_that_lineage_cannot_be_written_to_is_a_fault(configured, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    found = finding(configured, doctor._lineage_transport, tmp_path)
    assert not found.ok
    assert "lineage.transport.path: cannot be written" in found.detail


@pytest.mark.parametrize(("end", "ending"), [(None, {"XNYS": date(2004, 7, 14)}), (date(2004, 6, 30), {})])
def test_a_calendar_that_ends_soon_is_a_fault_while_sessions_go_on(configured, tmp_path, end, ending):
    configured["partitions"]["end"] = end
    (tmp_path / "market.yaml").write_text(yaml.safe_dump(configured), encoding="utf-8")
    platform = Platform(now=lambda: datetime(2004, 6, 15, tzinfo=UTC))
    calendar = next(iter(platform.calendars.values()))
    assert doctor.calendars_ending_soon(platform) == {}, "known to the end of next year"
    platform.__dict__["calendars"] = {"XNYS": replace(calendar, last_day=pd.Timestamp(2004, 7, 14))}
    assert doctor.calendars_ending_soon(platform) == ending


def test_both_databases_are_looked_at(configured, tmp_path, monkeypatch, warehouse_url):
    monkeypatch.setenv("MARKET_DATABASE_URL", warehouse_url)
    for look, told in [(doctor._database, "PostgreSQL 18"), (doctor._dagster_storage, "dagster")]:
        found = finding(configured, look, tmp_path)
        assert found.ok, found.detail
        assert told in found.detail


def test_a_reference_file_that_cannot_be_used_is_a_fault(configured, tmp_path):
    assert finding(configured, doctor._reference_files, tmp_path).detail == "none configured"
    configured["reference"] = {"fx_rates": "fx.csv"}
    (tmp_path / "fx.csv").write_text("base,quote,session,rate\nGBP,USD,2004-06-01,1.84\n")
    assert finding(configured, doctor._reference_files, tmp_path).detail == "1 fx rates"
    (tmp_path / "fx.csv").write_text("base,quote,session,rate\nGBP,USD,2004-06-01,-1\n")
    found = finding(configured, doctor._reference_files, tmp_path)
    assert not found.ok
    assert "fx.csv row 2: rate -1 of GBP/USD" in found.detail
