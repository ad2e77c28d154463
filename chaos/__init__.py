"""Faults that ingestion has to survive, injected into real runs: `python -m chaos --seed N`.

    __main__.py        the runner and its table
    faults.py          each fault, and what has to hold afterwards
    installation.py    one PostgreSQL, fresh databases, `market` in processes that can be killed
    preloaded.py       what those processes have imported already
    market.py          the securities and the configuration
    yahoo_server.py    a stand-in for Yahoo that speaks its chart API and misbehaves on request; tests use it too
    yahoo_listings.py  what it knows of a security

Nothing in market_assets imports this package.
"""
