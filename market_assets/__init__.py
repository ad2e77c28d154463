"""Market data on Dagster: versioned bars, adjusted prices, indicators and index values."""
