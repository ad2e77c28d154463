"""Local files of the Dagster instance: artifacts and captured logs, kept under MARKET_HOME.

Dagster's own classes want a folder in dagster.yaml and fall back to DAGSTER_HOME, which is the checkout here: nothing
may be written there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import Field, Float, StringSource
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData

from market_assets.settings import market_home

if TYPE_CHECKING:
    from dagster._config.config_schema import UserConfigSchema


class MarketArtifactStorage(LocalArtifactStorage):
    """LocalArtifactStorage whose folder, unless configured, is `dagster` under MARKET_HOME."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """The stock configuration with an optional `base_dir`."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> MarketArtifactStorage:
        """An instance of this class; the stock method names the stock class."""
        # Webserver and daemon make folders for telemetry in DAGSTER_HOME although dagster.yaml turns it off. They ask
        # this variable first, after the instance was built.
        os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
        return cls(config_value.get("base_dir") or _default_folder(), inst_data)


class MarketComputeLogManager(LocalComputeLogManager):
    """LocalComputeLogManager whose folder, unless configured, is `dagster/storage` under MARKET_HOME."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """The stock configuration with an optional `base_dir`."""
        return {
            "base_dir": Field(StringSource, is_required=False),
            "polling_timeout": Field(Float, is_required=False),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> MarketComputeLogManager:
        """An instance of this class; the stock method names the stock class."""
        return cls(
            config_value.get("base_dir") or f"{_default_folder()}/storage",
            config_value.get("polling_timeout"),
            inst_data,
        )


def _default_folder() -> str:
    return str(market_home() / "dagster")
