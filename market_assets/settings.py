"""Where things are on this machine, and the secrets it was given. No file format is read here: that is config.py.

MARKET_HOME       state: database, dbt target, logs           default <root>/.market
MARKET_CONFIG     the configuration file                      default <root>/config/market.yaml
DAGSTER_HOME      folder of dagster.yaml                      default <root>
<NAME>            a secret, or <NAME>_FILE: a file holding it
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from market_assets.errors import ConfigError

_PACKAGE_PARENT = Path(__file__).resolve().parent.parent


def project_root() -> Path:
    """Folder that holds dagster.yaml, config/ and dbt/: the checkout, or the working folder of an installed package."""
    return _PACKAGE_PARENT if (_PACKAGE_PARENT / "dagster.yaml").exists() else Path.cwd()


def market_home() -> Path:
    """Folder of all local state, absolute; not created here."""
    return Path(os.environ.get("MARKET_HOME") or project_root() / ".market").expanduser().resolve()


def config_path() -> Path:
    """Path of market.yaml, absolute; it may not exist."""
    return Path(os.environ.get("MARKET_CONFIG") or project_root() / "config" / "market.yaml").expanduser().resolve()


def dagster_home() -> Path:
    """Folder of dagster.yaml, absolute."""
    return Path(os.environ.get("DAGSTER_HOME") or project_root()).expanduser().resolve()


def dbt_project() -> Path:
    """Folder of dbt_project.yml, absolute."""
    return project_root() / "dbt"


def secret(name: str) -> SecretStr | None:
    """Value of environment variable `name`, or the stripped content of the file named by `<name>_FILE`.

    Raises:
        ConfigError: both are set, or the file cannot be read.
    """
    value, file = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value and file:
        raise ConfigError(f"set {name} or {name}_FILE, not both", file="environment", key=name)
    if value:
        return SecretStr(value)
    if not file:
        return None
    try:
        return SecretStr(Path(file).read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigError(
            f"cannot read the secret: {error.strerror}", file="environment", key=f"{name}_FILE", value=file
        ) from error
