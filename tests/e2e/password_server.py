"""A second PostgreSQL, started apart from the platform: over TCP, with a password, with a role that is no superuser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from market_assets.warehouse.server import EmbeddedServer

START_SECONDS = 60
ROLE = "market_owner"
PASSWORD = "s3cret/p@ss:w#rd?%&=ü"


class PasswordServer:
    """PostgreSQL with scram-sha-256 on 127.0.0.1; use as a context manager.

    Attributes:
        port: where it listens.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="market-tcp-"))
        self._binaries = EmbeddedServer(self._folder / "binaries").bin_path
        self._account: dict[str, Any] = {"user": "pgserver"} if os.geteuid() == 0 else {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def url(self, database: str, password: str = PASSWORD) -> str:
        """URL of a database for the platform's role."""
        return f"postgresql://{ROLE}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> PasswordServer:
        data, password_file = self._folder / "data", self._folder / "password"
        password_file.write_text("administrator", encoding="utf-8")
        data.mkdir()
        if self._account:
            for path in (self._folder, data, password_file):
                shutil.chown(path, self._account["user"])
        options = ("-U", "administrator", "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8", "--no-sync")
        self._program("initdb", "-D", str(data), *options)
        password_file.unlink()
        with (self._folder / "log").open("w") as log:
            self._server = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(self.port)),
                    *("-k", "", "-c", "log_statement=all", "-c", "fsync=off"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                **self._account,
            )
        self._create_role()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        try:
            self._server.wait(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _create_role(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        administrator = f"postgresql://administrator:administrator@127.0.0.1:{self.port}/postgres"
        while True:
            try:
                with psycopg.connect(administrator, autocommit=True) as connection:
                    statement = psycopg.sql.SQL("create role {} login createdb password {}")
                    connection.execute("set log_statement = 'none'")
                    connection.execute(statement.format(psycopg.sql.Identifier(ROLE), PASSWORD))
                return
            except psycopg.OperationalError:
                assert self._server.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.1)

    def _program(self, name: str, *arguments: str) -> None:
        subprocess.run([self._binaries / name, *arguments], check=True, capture_output=True, **self._account)
