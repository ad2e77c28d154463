"""The circuits that `market status` shows, and the guard and cache that the configuration gives each source."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from market_assets.commands import status
from market_assets.commands.status import SourceStatus, read_sources
from market_assets.config import load_config
from market_assets.errors import CircuitOpen, ConfigError, RateLimited, SourceUnavailable
from market_assets.resources import Platform
from market_assets.sources.yahoo import YahooSource

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FETCH = {"requests_per_second": 50, "burst": 7, "attempts": 1, "failures_to_open": 2, "cooldown_seconds": 60}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    return tmp_path


def platform(folder: Path, url: str, now: datetime = NOW, **changes: Any) -> Platform:
    """The sample, then Yahoo under the name `web`; each platform stands for a process."""
    content = {
        "partitions": {"start": date(2004, 6, 1)},
        "universe": str(ROOT / "config" / "universe.csv"),
        "calendars": {"overrides": str(ROOT / "config" / "calendar_overrides.csv")},
        "sources": [{"kind": "sample"}, {"kind": "yahoo", "name": "web", "fetch": FETCH}],
        **changes,
    }
    (folder / "market.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    made = Platform(load_config(folder / "market.yaml", {}), now=lambda: now)
    made.warehouse_url = url  # a template of the tests is already migrated
    return made


def ask(running: Platform, error: Exception | None = None) -> str:
    """One question through the guard of `web`."""
    (source,) = running.sources("web")
    assert isinstance(source, YahooSource)

    def answer() -> str:
        if error is not None:
            raise error
        return "bars"

    return source._histories.context.guard.call("IBM", answer)


def test_a_source_that_never_failed_is_closed(folder: Path, warehouse_url: str) -> None:
    """The sample is asked over no network and has no circuit."""
    assert read_sources(platform(folder, warehouse_url)) == [SourceStatus("web", "yahoo")]


def test_an_open_circuit_is_shown_with_its_next_try(folder: Path, warehouse_url: str) -> None:
    running = platform(folder, warehouse_url)
    for _ in range(2):
        with pytest.raises(SourceUnavailable):
            ask(running, SourceUnavailable("HTTP 502"))
    expected = SourceStatus(
        "web",
        "yahoo",
        "open",
        since="2026-03-02T12:00:00+00:00",
        failures=2,
        next_try="2026-03-02T12:01:00+00:00",
        error="HTTP 502",
    )
    assert read_sources(platform(folder, warehouse_url)) == [expected]


def test_the_next_process_does_not_ask_and_its_probe_closes_the_circuit(folder: Path, warehouse_url: str) -> None:
    with pytest.raises(RateLimited):
        ask(platform(folder, warehouse_url), RateLimited("enough for today", retry_after=600.0))
    with pytest.raises(CircuitOpen, match="source web has its circuit open until 2026-03-02 12:10:00 UTC"):
        ask(platform(folder, warehouse_url, NOW + timedelta(minutes=9)))
    assert ask(platform(folder, warehouse_url, NOW + timedelta(minutes=10))) == "bars"
    (shown,) = read_sources(platform(folder, warehouse_url))
    assert (shown.circuit, shown.failures, shown.next_try) == ("closed", 0, None)


def test_the_table_says_who_is_left_alone(folder: Path, warehouse_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    running = platform(folder, warehouse_url)
    with pytest.raises(RateLimited):
        ask(running, RateLimited("enough for today", retry_after=600.0))
    status._show_sources(read_sources(running))
    shown = capsys.readouterr().out
    assert "2026-03-02T12:10:00+00:00" in shown
    assert "not asked until the next try: web" in shown


def test_a_source_without_a_network_needs_neither_guard_nor_warehouse(folder: Path) -> None:
    (sample,) = platform(folder, "postgresql:///nowhere").sources("sample")
    assert sample.limits is None


def test_the_configuration_gives_pace_and_cache(folder: Path, warehouse_url: str) -> None:
    running = platform(folder, warehouse_url, ingest={"http_cache": {"enabled": False, "max_megabytes": 3}})
    asked = [running.sources("web", fresh=fresh)[0]._histories for fresh in (False, True)]  # type: ignore[attr-defined]
    contexts = [histories.context for histories in asked]
    assert contexts[0].guard is contexts[1].guard  # one pace for all that one process asks
    assert asked[0].window is asked[1].window  # and one lesson about what is answered at once
    assert [context.fresh for context in contexts] == [False, True]
    assert contexts[0].guard.retry.attempts == 1
    assert (contexts[0].cache.enabled, contexts[0].cache.max_bytes) == (False, 3 * 2**20)
    assert contexts[0].cache.folder == folder / "home" / "cache" / "http"


@pytest.mark.parametrize(
    ("fetch", "key"),
    [
        ({"requests_per_second": 0}, "sources.0.fetch.requests_per_second"),
        ({"burst": 0}, "sources.0.fetch.burst"),
        ({"retries": 3}, "sources.0.fetch.retries"),
    ],
)
def test_limits_that_make_no_sense_are_refused(folder: Path, fetch: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        platform(folder, "", sources=[{"kind": "yahoo", "fetch": fetch}])
    assert refused.value.key == key


def test_limits_of_a_source_that_is_asked_over_no_network_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="asked over no network"):
        platform(folder, "", sources=[{"kind": "sample", "fetch": {"burst": 3}}])
