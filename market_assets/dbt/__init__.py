"""The bridge to the dbt project in /dbt: runs dbt in this process, and reads its manifest into asset and check specs.

Not dagster-dbt: importing that costs two seconds at every load of the code location and another two for the
`dbt --version` it runs first (docs/decisions/0003-dbt-in-process.md).
"""
