"""Local files go under MARKET_HOME unless dagster.yaml says otherwise."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.telemetry_upload import upload_logs
from dagster._serdes import ConfigurableClassData

from market_assets.instance.artifacts import MarketArtifactStorage, MarketComputeLogManager

MODULE = "market_assets.instance.artifacts"


def test_artifacts_are_kept_under_market_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKET_HOME", str(tmp_path))
    data = ConfigurableClassData(MODULE, "MarketArtifactStorage", "{}")
    storage = data.rehydrate(as_type=MarketArtifactStorage)
    assert Path(storage.base_dir) == tmp_path / "dagster"
    assert Path(storage.storage_dir).is_relative_to(tmp_path)
    assert storage.inst_data == data


def test_configured_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "unused"))
    config = f"base_dir: {tmp_path}\n"
    artifacts = ConfigurableClassData(MODULE, "MarketArtifactStorage", config).rehydrate(as_type=MarketArtifactStorage)
    logs = ConfigurableClassData(MODULE, "MarketComputeLogManager", config).rehydrate(as_type=MarketComputeLogManager)
    assert Path(artifacts.base_dir) == tmp_path
    assert Path(logs.get_captured_local_path(["run", "step"], "out")).is_relative_to(tmp_path)
    assert not (tmp_path / "unused").exists()


def test_telemetry_leaves_no_folders_in_dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_DISABLE_TELEMETRY", raising=False)
    ConfigurableClassData(MODULE, "MarketArtifactStorage", "{}").rehydrate(as_type=MarketArtifactStorage)
    upload_logs(threading.Event(), raise_errors=True)
    assert not list(tmp_path.iterdir())


def test_captured_logs_are_kept_under_market_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKET_HOME", str(tmp_path))
    data = ConfigurableClassData(MODULE, "MarketComputeLogManager", "polling_timeout: 1.5\n")
    manager = data.rehydrate(as_type=MarketComputeLogManager)
    assert manager.polling_timeout == 1.5
    with manager.open_log_stream(["run", "step"], ComputeIOType.STDOUT) as stream:
        assert stream is not None
        stream.write("a line of output")
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written.is_relative_to(tmp_path / "dagster" / "storage")
    assert written.read_text() == "a line of output"
