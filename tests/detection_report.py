"""docs/detection.md: which rule finds which fault. `python tests/detection_report.py` writes it, a test holds it to it.

Belongs here: the page. Does not belong here: finding the faults (detection_cases.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from detection_cases import clean_controls, known_bad, planted, real_markets

from market_assets.domain.plausibility import ACTION_RULES, ACTION_WARNINGS, HOLDING_RULES, WARNINGS
from market_assets.domain.screening import RULES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "detection.md"


def page() -> str:
    """The page as it has to be."""
    return "\n".join(
        [
            "# Detection: which rule finds which fault",
            "",
            "Written by `python tests/detection_report.py` from what the rules find; a test holds this page to it.",
            "Thresholds stand with their reasons in `market_assets/domain/plausibility` and `domain/screening.py`.",
            "",
            "## Rules",
            "",
            "A row that breaks a holding rule goes to quarantine as it came, with a proposed repair where the fault",
            "says what the row should have been. Nothing is repaired silently: see `market quarantine` in",
            "[operations](operations.md). The size of a move alone never holds a row back: real prices halve and",
            "double. Such rows are warned of, counted in the materialization, and stored.",
            "",
            *_table(("rule", "about", "effect", "repair proposed", "meaning"), _rules()),
            "",
            "Yahoo, Tiingo, EODHD, Alpha Vantage (`adjusted: true`) and files may show adjusted closes beside prices.",
            "They are compared only between neighbouring bars of one answer; what makes them no evidence stands in",
            "`domain/plausibility/distributions.py` and `sources/adjusted_closes.py`.",
            "",
            "## Real faults: known_bad",
            "",
            "Frames of Yahoo with their corrected form (see `shared/data/README.md`). *Wrong* are the bars and",
            "dividends that the corrected form changes, *found* those on which the rule fired.",
            "",
            *_table(
                ("frame", "rows", "rule", "wrong", "found", "found and right", "repairs", "held in the corrected form"),
                _known_bad_rows(),
            ),
            "",
            *_table(("rule", "wrong", "found", "precision", "recall"), _scores()),
            "",
            "Further findings in these frames, on the corrected form as well: " + _others() + ".",
            "",
            *_table(
                ("clean control", "rows", "findings"),
                [(name, f"{rows:,}", len(hit)) for name, rows, hit in clean_controls()],
            ),
            "",
            "## Planted faults: the synthetic market",
            "",
            f"100 companies, six years, {planted(True).rows:,} rows, one row in a thousand with a fault. A missing",
            "bar is no row: the check of completeness finds it.",
            "",
            *_table(("planted fault", "rule", "planted", "found", "recall"), _planted_rows()),
            "",
            f"False alarms on rows without a fault: {_count(planted(True).alarms)}. In the same market without",
            f"faults ({planted(False).rows:,} rows): {_count(planted(False).alarms)}.",
            "",
            "## Real markets",
            "",
            "Rows of real data sets that a rule holds back, and what they are.",
            "",
            *_table(("data set", "rows", "held back", "warned of"), _real_rows()),
            "",
            *_REAL_NOTES,
            "",
        ]
    )


_REAL_NOTES = (
    "- `stale_repeat`, `misdated_repeat` in sp500_5yr: open, high, low, close and volume (115,305 shares or more)",
    "  equal another session's. 2014-07-18 and 2014-08-04 repeat the session before for a sixth and a third of the",
    "  companies; 2014-10-30 and 2017-08-01 carry rows of other sessions for a fifth.",
    "- `price_outside_range`: LNT 2016-05-19 (close 17.87, low 35.09), CHD 2014-05-19 (open 18.77, low 33.70), SPG",
    "  2014-05-28 and WRK 2016-05-13 (close adjusted for a spin-off, the other prices not). `inverted_range`: AOS",
    "  2014-05-19. `missing_price`: eleven rows without open, high or low.",
    "- `unexplained_jump` in sp500_5yr: BAX, EBAY, NI (spin-offs), DISCA, DISCK (a split) that the folder's prices",
    "  are not adjusted for and that it has no actions for. The rows are right as traded, and are stored.",
    "- `foreign_bar` in the vintages: CSB trades at 10 and carries 318 for two sessions.",
    "- Real moves that no rule holds back: AAPL 2000-09-29 (-51.9 %) in the sample, and every `unexplained_jump`.",
)


def _rules() -> Iterator[Sequence[object]]:
    repaired = {"inverted_range", "split_not_applied", "split_applied_twice", "unit_100x", "swapped_symbols"}
    repaired |= {"dividend_100x", "dividend_above_price"}
    for rules, about, effect in (
        (RULES, "bar", "held"),
        (HOLDING_RULES, "bar", "held"),
        (WARNINGS, "bar", "warned"),
        (ACTION_RULES, "dividend", "held"),
        (ACTION_WARNINGS, "dividend", "warned"),
    ):
        for rule, meaning in rules.items():
            yield f"`{rule}`", about, effect, "yes" if rule in repaired else "", meaning


def _known_bad_rows() -> Iterator[Sequence[object]]:
    for case in known_bad():
        both = case.wrong & case.hit
        repairs = f"{case.repairs[1]} of {case.repairs[0]} equal" if case.repairs[0] else ""
        yield (
            *(case.name, case.rows, f"`{case.rule}`", len(case.wrong), len(case.hit), len(both), repairs),
            _count(case.corrected),
        )


def _scores() -> Iterator[Sequence[object]]:
    for rule in dict.fromkeys(case.rule for case in known_bad()):
        cases = [case for case in known_bad() if case.rule == rule]
        wrong, hit = sum(len(case.wrong) for case in cases), sum(len(case.hit) for case in cases)
        both = sum(len(case.wrong & case.hit) for case in cases)
        yield f"`{rule}`", wrong, hit, f"{both / hit:.0%}", f"{both / wrong:.0%}"


def _others() -> str:
    found = [
        f"{case.name}: {', '.join(f'`{rule}`' for rule in sorted(case.other))}" for case in known_bad() if case.other
    ]
    return "; ".join(found) or "none"


def _planted_rows() -> Iterator[Sequence[object]]:
    for fault, rows in planted(True).faults.groupby("fault"):
        found = int((rows["rule"] == rows["expected"]).sum())
        yield fault, f"`{rows['expected'].iloc[0]}`", len(rows), found, f"{found / len(rows):.0%}"


def _real_rows() -> Iterator[Sequence[object]]:
    for name, (rows, held, warned) in real_markets().items():
        yield name, f"{rows:,}", _count(held), _count(warned)


def _count(rules: dict[str, int]) -> str:
    return ", ".join(f"`{rule}` {count}" for rule, count in sorted(rules.items())) or "none"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *lines]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
