"""Great Expectations suites as Dagster asset checks on PostgreSQL, with every result kept by session.

    suite         what a check and a suite are         suites/       the suites of the market data tables
    expectations  the expectation behind a row check   validation    runs a suite in the database
    checks        a suite as Dagster asset checks      report        an outcome in words, metadata and results
    results       where results are stored             quarantine    refused rows and what was decided about them
    schema        the tables                           errors        what can go wrong

The package knows nothing of the project that uses it; only suites/ names that project's tables.
"""
