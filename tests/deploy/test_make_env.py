"""`make env`: random passwords, private, never replaced."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from deploy.make_env import PASSWORDS, main, missing_names, write_env


def passwords(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_password_is_random_and_safe_in_a_url(tmp_path: Path) -> None:
    assert write_env(tmp_path / "one")
    assert write_env(tmp_path / "two")
    one, two = passwords(tmp_path / "one"), passwords(tmp_path / "two")
    assert set(one) == set(PASSWORDS)
    assert len({*one.values(), *two.values()}) == 2 * len(PASSWORDS)
    assert all(len(value) == 48 and value.isalnum() for value in one.values())


def test_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    write_env(tmp_path / ".env")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_existing_file_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ".env"
    assert main(path) == 0
    before = path.read_bytes()
    assert main(path) == 0
    assert path.read_bytes() == before
    assert "nothing changed" in capsys.readouterr().out


def test_existing_file_without_a_password_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ".env"
    path.write_text("POSTGRES_PASSWORD=secret\nMARKET_DATABASE_PASSWORD=\n")
    assert missing_names(path) == ["MARKET_DATABASE_PASSWORD", "MARQUEZ_DATABASE_PASSWORD"]
    assert main(path) == 1
    assert path.read_text() == "POSTGRES_PASSWORD=secret\nMARKET_DATABASE_PASSWORD=\n"
    assert "MARQUEZ_DATABASE_PASSWORD" in capsys.readouterr().err
