"""One module per table of the platform: a function that turns thresholds into a `Suite`. Nothing here runs a check."""
