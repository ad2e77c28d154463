"""The Kubernetes job of a run, as the real launcher and client send it to a server that only listens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s import K8sRunLauncher

from market_assets.warehouse.server import joined

if TYPE_CHECKING:
    from conftest import TestServer

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
PASSWORD = "s3cret-of-the-cluster"
IMAGE = "registry.example/market-assets:0.1.0"


class ClusterApi:
    """An API server of a cluster that accepts every job and starts none.

    Attributes:
        asked: (path, body) of each request.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append((self.path, json.loads(body)))
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def kubeconfig(self, file: Path) -> Path:
        """A configuration that names this server, written into `file`."""
        address = f"http://127.0.0.1:{self.server.server_port}"
        file.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": {"server": address}}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                    "users": [{"name": "test", "user": {}}],
                }
            )
        )
        return file


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterApi]:
    api = ClusterApi()
    yield api
    api.server.shutdown()
    api.server.server_close()


@pytest.fixture(scope="module")
def launched(
    cluster: ClusterApi, pg_server: TestServer, _dagster_template: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The job that a run of the code location becomes."""
    home = tmp_path_factory.mktemp("kubernetes")
    url = urlsplit(pg_server.create_database("dagster", template=_dagster_template))
    instance_yaml = yaml.safe_load((ROOT / "dagster.yaml").read_text() + (FOLDER / "run_launcher.yaml").read_text())
    instance_yaml["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(cluster.kubeconfig(home / "kubeconfig")),
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(instance_yaml))

    @dg.asset
    def nothing() -> None:
        """An asset that is never made."""

    job = dg.Definitions([nothing]).resolve_implicit_global_asset_job_def()
    pointer = ModuleCodePointer("market_assets.definitions", "defs", None)
    origin = RepositoryPythonOrigin("python", pointer, container_image=IMAGE, entry_point=["dagster"])
    with pytest.MonkeyPatch.context() as environment:
        secret = joined(url._replace(netloc=f"postgres:{PASSWORD}@"))  # which the test's server does not ask for
        environment.setenv("MARKET_DATABASE_URL", secret)
        environment.setenv("MARKET_DAGSTER_DATABASE_URL", secret)
        environment.setenv("MARKET_HOME", str(home))
        instance = dg.DagsterInstance.from_config(str(home))
    with instance:
        assert isinstance(instance.run_launcher, K8sRunLauncher)
        run = instance.create_run_for_job(job, job_code_origin=JobPythonOrigin("backfill", origin))
        instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    [(path, body)] = cluster.asked
    assert path == "/apis/batch/v1/namespaces/market/jobs"
    return body


def fragment() -> dict[str, Any]:
    """The run launcher as the cluster's instance configures it."""
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "run_launcher.yaml").read_text())["run_launcher"]
    return loaded


def values() -> dict[str, Any]:
    """The values for the chart."""
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
    return loaded


def test_a_run_executes_the_image_of_the_code_location_once(launched):
    pod = launched["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == IMAGE
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    assert pod["restartPolicy"] == "Never"
    assert launched["spec"]["backoffLimit"] == 0
    assert launched["metadata"]["labels"]["dagster/job"] == "backfill"


def test_the_database_comes_from_a_secret_and_no_password_from_anywhere(launched):
    [container] = launched["spec"]["template"]["spec"]["containers"]
    assert {"secretRef": {"name": "market-database"}} in container["envFrom"]
    assert {"configMapRef": {"name": "market-settings"}} in container["envFrom"]
    assert PASSWORD not in json.dumps(launched)


def test_the_instance_is_the_checkouts_with_the_launcher_added(launched):
    [container] = launched["spec"]["template"]["spec"]["containers"]
    assert {"name": "DAGSTER_HOME", "value": "/opt/market"} in container["env"]
    instance = json.loads(container["args"][3])["instance_ref"]
    assert "MarketStorage" in json.dumps(instance["storage_data"])
    assert instance["run_launcher_data"]["class_name"] == "K8sRunLauncher"
    assert instance["settings"]["concurrency"]["runs"]["max_concurrent_runs"] == 4


def test_a_run_can_write_only_to_its_own_volumes(launched):
    pod = launched["spec"]["template"]["spec"]
    [container] = pod["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["runAsNonRoot"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if "subPath" not in mount}
    assert writable == {"/var/lib/market", "/tmp"}  # noqa: S108 - where the image may write
    assert container["resources"] == fragment()["config"]["resources"]


def test_the_chart_gives_its_own_launcher_the_same(launched):
    chart, launcher = values()["runLauncher"]["config"]["k8sRunLauncher"], fragment()["config"]
    assert values()["runLauncher"]["type"] == "K8sRunLauncher"
    assert chart["jobNamespace"] == launcher["job_namespace"]
    assert [entry["name"] for entry in chart["envSecrets"]] == launcher["env_secrets"]
    assert [entry["name"] for entry in chart["envConfigMaps"]] == launcher["env_config_maps"]
    for here, there in (
        ("resources", "resources"),
        ("volumes", "volumes"),
        ("volumeMounts", "volume_mounts"),
        ("securityContext", "security_context"),
        ("imagePullPolicy", "image_pull_policy"),
    ):
        assert chart[here] == launcher[there], here
    assert values()["global"]["dagsterInstanceConfigMap"] == launcher["instance_config_map"]
    assert values()["global"]["dagsterHome"] == launcher["dagster_home"]


def test_every_container_of_the_chart_is_confined_and_gets_the_database():
    chart = values()
    for part in (chart["dagsterWebserver"], chart["dagsterDaemon"], *chart["dagster-user-deployments"]["deployments"]):
        assert part["envSecrets"] == [{"name": "market-database"}]
        assert part["securityContext"]["readOnlyRootFilesystem"] is True
        assert part["resources"]["limits"]["memory"]
    assert not any(chart[name]["enabled"] for name in ("postgresql", "rabbitmq", "redis", "telemetry"))
