"""Vendor rows into the warehouse: ask the sources, convert to as traded, hold back what is no bar, write versions.

    run.py        one ingestion from beginning to end
    requests.py   which symbols are asked for, in which pieces
    chain.py      which source is asked, and which next when it cannot answer
    judging.py    the rules a bar passes before it is stored, in order: here further rules are added
    reconciling.py  the last of them: what other sources say of the same session
    answer.py     what is judged and stored: one answer of one source
    store.py      one answer into the warehouse, in one transaction
    agreement.py  how often each source agrees with the others
    listings.py   what sources find out about a listing, and when it has ended
    renames.py    the history of a security that changed its symbol
    reference.py  universe, trading sessions, exchanges and source priorities of the configuration
    report.py     what one ingestion did

Nothing here knows Dagster: `market_assets.assets.ingest` calls `ingest` and turns the report into metadata.
"""

from market_assets.ingestion.reference import sync_reference
from market_assets.ingestion.report import ASSETS, IngestReport
from market_assets.ingestion.run import ingest

__all__ = ["ASSETS", "IngestReport", "ingest", "sync_reference"]
