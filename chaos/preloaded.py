"""What a run of the ingest assets imports, imported once: the processes that harness and tests start are forked off it.

Importing these starts no thread and opens no connection, which a fork would not survive.
"""

import importlib

MODULES = (
    "adbc_driver_postgresql.dbapi",
    "alembic.command",
    "alembic.context",
    "dagster._daemon",
    "dagster_postgres",
    "exchange_calendars",
    "great_expectations",
    "matplotlib.figure",
    "openlineage.client",
    "rich.progress",
    "sqlglot",
    "yfinance",
    "market_assets.cli",
    "market_assets.commands.backfill",
    "market_assets.commands.database",
    "market_assets.definitions",
    "market_assets.instance.storage",
    "market_assets.sources.yahoo",
    "market_assets.tracing",
    "lineage.collector",
    "lineage.relay",
)

for module in MODULES:
    importlib.import_module(module)
