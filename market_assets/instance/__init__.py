"""What dagster.yaml names: the storage, artifact and log classes of the Dagster instance.

    event_log.py    batched event storage; depends on dagster-postgres alone and could be offered upstream
    connections.py  the connection pool the storages share
    storage.py      the instance storage on the platform's own database; `instance_for` builds an instance on any other
    artifacts.py    local files of the instance, kept under MARKET_HOME

Nothing here knows what an asset contains.
"""

from market_assets.instance.storage import instance_for

__all__ = ["instance_for"]
