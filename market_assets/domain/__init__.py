"""The market arithmetic: pure functions on arrays and frames. No I/O, no Dagster."""
