"""docker-compose.yml and Dockerfile: what must hold for every service, read as YAML, and by a compose client if any."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.make_env import PASSWORDS, write_env

ROOT = Path(__file__).resolve().parents[2]
OURS = {"setup", "code-server", "webserver", "daemon"}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LONG_RUNNING = {name: service for name, service in SERVICES.items() if name != "setup"}


def test_services_are_the_platform_and_its_lineage_backend() -> None:
    assert set(SERVICES) == OURS | {"postgres", "marquez-db", "marquez", "marquez-web"}


@pytest.mark.parametrize("name", SERVICES)
def test_passwords_come_from_the_environment_and_have_no_default(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if "PASSWORD" in variable or "DATABASE_URL" in variable:
            assert re.search(r"\$\{[A-Z_]+:\?run make env\}", value), variable


def test_env_file_gives_every_password_the_services_ask_for() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert asked == set(PASSWORDS)


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_service_is_watched_and_restarted(name: str) -> None:
    service = LONG_RUNNING[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", SERVICES)
def test_service_starts_after_what_it_needs_is_ready(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] in {"service_healthy", "service_completed_successfully"}
        assert needed == "setup" or "healthcheck" in SERVICES[needed]


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_cannot_write_or_gain_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    tag = SERVICES[name]["image"].split(":", 1)[1]
    assert "latest" not in tag
    assert re.search(r"\d", tag)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_databases_are_reachable_from_inside_only() -> None:
    internal = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    for name in ("postgres", "marquez-db"):
        assert set(SERVICES[name]["networks"]) <= internal
        assert "ports" not in SERVICES[name]


def test_data_is_kept_in_named_volumes() -> None:
    sources = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert {source for source in sources if not source.startswith(".")} == set(COMPOSE["volumes"])
    # The images of PostgreSQL 18 and later declare the parent folder as their volume.
    assert "postgres-data:/var/lib/postgresql" in SERVICES["postgres"]["volumes"]


def test_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (ROOT / source).exists(), source


def test_workspace_names_the_code_server_and_its_port() -> None:
    (location,) = yaml.safe_load((ROOT / "deploy" / "workspace.yaml").read_text())["load_from"]
    server = location["grpc_server"]
    command = SERVICES[server["host"]]["command"]
    assert str(server["port"]) == command[command.index("-p") + 1]
    assert server["location_name"] == "market_assets"


def test_image_has_two_stages_ends_as_an_ordinary_user_and_checks_hashes() -> None:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    assert [line.split(" AS ")[1] for line in lines if line.startswith("FROM")] == ["build", "runtime"]
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    for installs in (line for line in text.splitlines() if re.search(r"pip install|uv build", line)):
        for command in re.findall(r"(?:pip install|uv build)[^&]*", installs):
            assert "--require-hashes" in command or "--no-deps dist/" in command, command


def test_what_the_dockerfile_copies_is_in_the_build_context() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for source in (name for names in copied for name in names.split()):
        assert source.split("/")[0] in allowed, source
        assert (ROOT / source).exists(), source


def compose_command() -> list[str]:
    """The compose client of this machine, or skip."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    plugin = ["docker", "compose"]
    if (
        shutil.which("docker")
        and subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0
    ):
        return plugin
    pytest.skip("neither docker-compose nor the compose plugin of docker is installed")


def compose_config(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in PASSWORDS}
    return subprocess.run(
        [*compose_command(), "config"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what compose reads, without an .env."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / "config").mkdir()
    return tmp_path


def test_compose_refuses_to_start_without_passwords(checkout: Path) -> None:
    refused = compose_config(checkout)
    assert refused.returncode != 0
    assert "run make env" in refused.stderr


def test_compose_accepts_the_file_with_the_passwords_of_make_env(checkout: Path) -> None:
    write_env(checkout / ".env")
    accepted = compose_config(checkout)
    assert accepted.returncode == 0, accepted.stderr
    resolved = yaml.safe_load(accepted.stdout)
    url = resolved["services"]["daemon"]["environment"]["MARKET_DATABASE_URL"]
    password = (checkout / ".env").read_text().split("MARKET_DATABASE_PASSWORD=")[1].splitlines()[0]
    assert url == f"postgresql://market:{password}@postgres:5432/market"
