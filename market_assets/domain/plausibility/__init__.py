"""Rules that find a vendor's faults from a bar's context: the bars around it, the actions, the other symbols.

    series.py         the bars of an answer between the stored bars around them, as arrays; returns free of events
    copies.py         rows copied from another session: stale_repeat, misdated_repeat
    levels.py         prices on a wrong scale: split_not_applied, split_applied_twice, unit_100x
    crossings.py      rows of another security: swapped_symbols, foreign_bar
    ranges.py         prices of one row that contradict each other: inverted_range, price_outside_range
    distributions.py  dividends that prices and adjusted closes contradict: dividend_100x, repeated_dividend, ...
    examination.py    all rules on the bars of one answer, in order

A rule that holds rows back fires only on what no market does: a move that equals the ratio of a split or a hundred, a
row that equals another session's to the last share, a whole bar beyond both of its neighbours. The size of a move alone
never holds a row back: real prices halve and double. Such rows are at most warned of. Where the fault says what the row
should have been, the repaired row is proposed; nothing is repaired here.

Does not belong here: whether a row can be a bar at all (`domain.screening`), agreement of sources
(`domain.reconciliation`), quarantine itself. Pure functions; every threshold is explained where it stands and measured
in docs/detection.md.
"""

from market_assets.domain.plausibility.distributions import (
    ACTION_RULES,
    ACTION_WARNINGS,
    DividendFindings,
    examine_dividends,
)
from market_assets.domain.plausibility.examination import HOLDING_RULES, WARNINGS, Findings, examine

__all__ = [
    "ACTION_RULES",
    "ACTION_WARNINGS",
    "HOLDING_RULES",
    "WARNINGS",
    "DividendFindings",
    "Findings",
    "examine",
    "examine_dividends",
]
