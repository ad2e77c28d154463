"""What the ingest assets say of an ingestion: every partition its counts, the last one lists and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dagster import MetadataValue

from market_assets.assets.results import write_metadata

if TYPE_CHECKING:
    from market_assets.ingestion import IngestReport
    from market_assets.sources.base import SymbolFailure

SHOWN_FAILURES = 50


def on_every_partition(report: IngestReport) -> dict[str, Any]:
    """Small counts: rows received = added + restated + unchanged + quarantined + provisional."""
    return {
        **write_metadata(report.bars),
        "rows_received": report.received,
        "rows_quarantined": sum(report.quarantined.values()),
        "rows_provisional": report.provisional.received,
        "symbols_missing": len(report.failures),
        "sources": ", ".join(sorted(report.bars_by_source)) or "none",
    }


def on_last_partition(report: IngestReport) -> dict[str, Any]:
    """Counts by rule, source and error; what failed, and what was restated by how much."""
    restated = report.restated
    reread = {} if report.reread_from is None else {"read_again_from": report.reread_from.isoformat()}
    failed = {"failures": _failures(report.failures)} if report.failures else {}
    changed = {
        "restated_close_change_max": restated.largest,
        "restated_close_change_median": restated.median,
        "largest_restatements": _table(
            restated.cases.columns,
            [
                [
                    *(row["symbol"], f"{row['session']:%Y-%m-%d}", row["source"], row["column"]),
                    *(f"{row['old']:g}", f"{row['new']:g}", f"{row['change']:.4%}"),
                ]
                for row in restated.cases.to_dict("records")
            ],
        ),
    }
    return {
        "bars_by_source": dict(report.bars_by_source),
        "quarantined_by_rule": dict(report.quarantined),
        "warned_by_rule": dict(report.warned),
        "failures_by_error": dict(Counter(failure.error for failure in report.failures)),
        "cross_check_failures": dict(report.cross_check_failures),
        "vendor_requests": report.requests,
        "symbols_resumed": report.resumed,
        "provisional_withdrawn": report.provisional.withdrawn,
        **reread,
        **failed,
        **(changed if len(restated.changes) else {}),
    }


def of_table(report: IngestReport, name: str) -> dict[str, Any]:
    """Of actions or securities: what was written, and that it is all that was received."""
    held = {"quarantined_by_rule": dict(report.quarantined_actions)} if name == "actions" else {}
    return {**write_metadata(getattr(report, name)), "rows_received": report.rows_received[name], **held}


def _failures(failures: Sequence[SymbolFailure]) -> Any:
    rows = [(failure.symbol, failure.error, failure.cause) for failure in failures[:SHOWN_FAILURES]]
    left = len(failures) - SHOWN_FAILURES
    return _table(("symbol", "error", "cause"), rows, f"and {left} more" if left > 0 else "")


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]], note: str = "") -> Any:
    names = list(columns)
    lines = [names, ["---"] * len(names), *rows]
    text = "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)
    return MetadataValue.md(f"{text}\n\n{note}" if note else text)
