"""How fast the platform is, each figure beside the least the same work can cost on the same machine.

    measure.py      scale, spread, figure, target: what a benchmark returns
    report.py       results.json, the machine it was made on, the table
    __main__.py     the runner: python -m benchmarks [--only NAME] [--quick] [--show]
    inputs.py       the markets the benchmarks work on
    server.py       a PostgreSQL of their own
    process.py      commands in processes of their own, timed
    installation.py a whole MARKET_HOME to measure

    indicators.py   beside TA-Lib alone on the same arrays
    index.py        20 years, one more session, and the package bt on the same work
    writes.py       versioned writes beside a bare binary COPY
    ingestion.py    asking a vendor, beside yfinance alone
    startup.py      loading the code location, and `market --help`
    bookkeeping.py  Dagster's own records, ours and stock storage
    pipeline.py     505 symbols x 5 years from files to marts, and one more session, beside floor.py
    queries.py      what a reader of the marts waits for; plans/ keeps how PostgreSQL answers
    ui.py           pages of the Dagster UI in a headless Chromium
    peers/          other packages on the same files
    growth.py       more symbols and more years; only with --only growth
    growth_wide.py  8,000 symbols; only with --only growth_wide

    compare.py      results.json against baseline.json
    tables.py       the tables in README.md and docs/scaling.md

A benchmark is a module with `run(scale) -> list[Figure]`. It measures itself and what stands beside it in the same run,
alternating, each at least three times where a run takes less than a minute. Every figure is a cost: less is better.
"""
