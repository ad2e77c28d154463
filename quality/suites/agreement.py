"""The check on quality.source_agreement, which ingestion fills: how often the closes of a source stand alone.

It belongs to the suite of the bars (price_bar.py), since the bars are what it judges.
"""

from __future__ import annotations

from quality.suite import RowCheck, Severity


def sources_agree(max_disagreement: float, min_symbols: int) -> RowCheck:
    """The check that a source is not alone with its closes.

    Args:
        max_disagreement: share of a source's closes in a session that no other source may agree with.
        min_symbols: fewer symbols than this, compared in a session, say nothing about a source.
    """
    return RowCheck(
        name="sources_agree",
        description=(
            "The closes of a source are those of another one, within a tick or 10 basis points, in nearly all symbols."
        ),
        severity=Severity.WARNING,
        threshold=f"{max_disagreement:.1%} of at least {min_symbols} symbols compared in a session",
        identify=("session", "source"),
        parameters={"max_disagreement": max_disagreement, "min_symbols": min_symbols},
        with_={"agreement": _AGREEMENT},
        population="select session from agreement",
        query="""
            select session, source, compared, disagreed, round(rate::numeric, 4) as rate
            from agreement
            where compared >= {min_symbols} and rate > {max_disagreement}
        """,
    )


_AGREEMENT = """
    select session, source, compared, disagreed, rate
    from quality.source_agreement
    where known_to is null and session between {start} and {end}
"""
"""One row for each session and source that another source could be compared to."""
