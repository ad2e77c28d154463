"""Write .env for docker compose: one random password for each database role. `make env` runs this.

A file that exists is never changed: its passwords are already in the databases. What else the containers are told is
in docker-compose.yml.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PASSWORDS = {
    "POSTGRES_PASSWORD": "administrator of the platform's PostgreSQL",
    "MARKET_DATABASE_PASSWORD": "role `market`, which the platform uses",
    "MARQUEZ_DATABASE_PASSWORD": "role `marquez` of the lineage backend's PostgreSQL",
}


def write_env(path: Path) -> bool:
    """Create `path`, readable by its owner alone, with a password for each name in PASSWORDS.

    Returns:
        False when the file exists; it is left alone.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("# Passwords of the containers in docker-compose.yml. Keep this file out of version control.\n")
        for name, owner in PASSWORDS.items():
            file.write(f"# {owner}\n{name}={secrets.token_hex(24)}\n")  # hexadecimal, so it needs no quoting in a URL
    return True


def missing_names(path: Path) -> list[str]:
    """Names in PASSWORDS that `path` gives no value."""
    given = set(re.findall(r"^\s*([A-Z_]+)=\S", path.read_text(encoding="utf-8"), re.MULTILINE))
    return [name for name in PASSWORDS if name not in given]


def main(path: Path = ROOT / ".env") -> int:
    """Create the file or check it; the exit code."""
    if write_env(path):
        sys.stdout.write(f"wrote {path}; now: docker compose up --build --detach\n")
        return 0
    missing = missing_names(path)
    if missing:
        sys.stderr.write(f"{path} exists and is left alone, but has no value for {', '.join(missing)}; add them\n")
        return 1
    sys.stdout.write(f"{path} exists and is complete; nothing changed\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
