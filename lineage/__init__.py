"""OpenLineage for Dagster, from the event log: nothing is sent while a run works, and nothing is lost.

    for asset authors   facts (metadata keys and helpers), columns (column lineage, declared or from SQL), catalog
    event log to outbox eventlog (reading), history (what happened), runs and checks (which facts), declared (what the
                        definitions say), views (what no run writes), facets (datasets), events (OpenLineage events),
                        collector, outbox, schema
    outbox to receiver  relay (order, patience), transports (file, http, console)
    questions           graph (upstream, downstream, impact), render
    entry points        sensor: `build_lineage_sensor`, `collect_and_deliver`; config: `LineageConfig`

The package knows nothing of the project that uses it.
"""
