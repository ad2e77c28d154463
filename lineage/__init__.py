"""OpenLineage for Dagster, from the event log: nothing is sent while a run works, and nothing is lost.

    facts       what an asset puts into its metadata (SQL, statistics, tables, column lineage)
    columns     column lineage of SQL by sqlglot, and the check of declared column lineage against real columns
    declared    what the definitions say about each asset
    eventlog    reading Dagster's event log        history   what happened to each asset of a run
    facets      datasets and their facets          events    OpenLineage events of a run
    collector   event log -> outbox                outbox    the tables between collector and relay
    relay       outbox -> transport                transports  file, http, console
    graph       upstream, downstream, impact       render    the answer as a tree or as JSON
    sensor      collects and delivers while the daemon runs
    schema      the tables                         errors    what can go wrong

The package knows nothing of the project that uses it.
"""
