"""The Dagster assets: read, call a pure function, write."""
