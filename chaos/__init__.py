"""Faults that ingestion has to survive, injected into real runs: `python -m chaos --seed N`.

    yahoo_server.py    a stand-in for Yahoo that speaks its chart API and misbehaves on request; tests use it too

Nothing in market_assets imports this package.
"""
