"""`market ui`: Dagster's webserver and daemon as two processes over one instance, stopped together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

from market_assets.commands.console import console
from market_assets.commands.database import prepare
from market_assets.errors import InputError
from market_assets.settings import dagster_home, project_root

STOP_SECONDS = 20


def serve(host: str, port: int) -> int:
    """Run both until one ends or Ctrl-C; exit code 0 when stopped by the user.

    Raises:
        InputError: the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"{host}:{port} cannot be used ({error.strerror}); choose another with --port") from error
    prepare()
    environment = {**os.environ, "DAGSTER_HOME": str(dagster_home())}
    workspace = ["-w", str(project_root() / "workspace.yaml")]
    commands = {
        "webserver": ["dagster_webserver", "-h", host, "-p", str(port), *workspace],
        "daemon": ["dagster._daemon", "run", *workspace],
    }
    processes = {
        name: subprocess.Popen([sys.executable, "-m", *command], env=environment, cwd=project_root())  # noqa: S603
        for name, command in commands.items()
    }
    console.print(f"Dagster on http://{host}:{port}; Ctrl-C stops it")
    stopped = False

    def request_stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    try:
        while not stopped and all(process.poll() is None for process in processes.values()):
            time.sleep(0.2)
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
    if stopped:
        return 0
    ended = ", ".join(f"{name} ended with {process.returncode}" for name, process in processes.items())
    console.print(f"[red]{ended}[/]; see the messages above")
    return 1
