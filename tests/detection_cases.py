"""What the rules find in real faults, planted faults and clean markets: the figures of docs/detection.md.

Every frame takes the way of a vendor's answer: typed, screened, converted to as traded, examined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from market_assets.domain.adjustments import PriceBasis, to_as_traded
from market_assets.domain.plausibility import examine, examine_dividends
from market_assets.domain.screening import screen
from market_assets.sources.base import FetchRequest, FetchResult
from market_assets.sources.frames import BARS
from market_assets.sources.options import SourceContext
from market_assets.sources.synthetic import SyntheticSource
from market_assets.sources.synthetic_options import FAULT_KINDS, SyntheticOptions

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DECIMALS = 6

FAULT_OF = {
    "bad-stock-split": "split_not_applied",
    "missing-div-adjust": "dividend_not_adjusted",
    "100x-error": "unit_100x",
}
"""Part of a frame's name -> the rule that has to find its fault."""
FAULT_OF_FRAME = {"ABDP-L-1d-bad-div": "dividend_100x", "KAP-IL-1d-bad-div": "repeated_dividend"}

RULE_OF_PLANTED = {
    "foreign_bar": "foreign_bar",
    "inverted_range": "inverted_range",
    "split_applied_twice": "split_applied_twice",
    "split_not_applied": "split_not_applied",
    "stale_repeat": "stale_repeat",
    "unit_100x": "unit_100x",
    "duplicate_row": "duplicate_row",
    "nan_row": "missing_price",
    "negative_volume": "negative_volume",
    "phantom_session": "not_a_session",
    "wrong_currency": "wrong_currency",
    "zero_price": "non_positive_price",
}
"""Planted fault -> rule. A missing bar is no row; the check of completeness finds it."""


@dataclass(frozen=True)
class Found:
    """What the rules say of an answer.

    Attributes:
        bars: as sent, with rule and warning of each row.
        actions: as sent, with rule and warning of each.
        proposals: repaired bars, as traded, on the index of `bars`.
        traded: bars that passed the screen, as traded, on the index of `bars`.
    """

    bars: pd.DataFrame
    actions: pd.DataFrame
    proposals: pd.DataFrame
    traded: pd.DataFrame

    def raised(self) -> set[tuple[str, str, str]]:
        """(rule, symbol, day) of every bar and action that is held back or warned of."""
        out = set()
        for table, day in ((self.bars, "session"), (self.actions, "ex_date")):
            for column in ("rule", "warning"):
                hit = table[table[column] != ""]
                out |= set(zip(hit[column], hit["symbol"], hit[day].dt.strftime("%Y-%m-%d"), strict=True))
        return out

    def held(self) -> dict[str, int]:
        """Rule -> bars and actions held back."""
        every = pd.concat([self.bars["rule"], self.actions["rule"]])
        return every[every != ""].value_counts().sort_index().to_dict()


def examined(result: FetchResult, basis: PriceBasis, sessions: pd.DatetimeIndex | None = None) -> Found:
    """Let an answer pass the rules in the order of ingestion.

    Args:
        result: the answer.
        basis: of its bars.
        sessions: of the exchange; None = the days of the answer.
    """
    bars = result.bars
    symbols = bars["symbol"].unique()
    days = pd.DatetimeIndex(bars["session"].unique()) if sessions is None else sessions
    verdict = screen(
        bars,
        exchange_of=dict.fromkeys(symbols, "X"),
        currency_of=dict.fromkeys(symbols, bars["currency"].mode()[0]),
        sessions_of={"X": days},
        closed_through={"X": days.max()},
    )
    decimals = None if basis == "as_traded" else DECIMALS
    traded = to_as_traded(bars[verdict == ""], result.actions, basis, decimals=decimals)
    dividends = examine_dividends(traded, result.actions, result.adjusted_closes)
    kept = result.actions[dividends.rule == ""]
    found = examine(traded, kept, traded.iloc[:0], basis=basis)
    verdict.loc[traded.index] = found.rule
    return Found(
        bars.assign(rule=verdict, warning=found.warning.reindex(bars.index, fill_value="")),
        result.actions.assign(rule=dividends.rule, warning=dividends.warning),
        found.proposals,
        traded,
    )


def yahoo_frame(path: Path) -> FetchResult:
    """A frame of known_bad as the answer of a source: split-adjusted bars, actions, adjusted closes."""
    table = pd.read_csv(path).rename(columns={"Datetime": "Date", "Adj Close": "adjusted_close"})
    symbol = path.name.split("-1d-")[0]
    table = table.rename(columns={name: name.lower() for name in ("Open", "High", "Low", "Close", "Volume")})
    table["session"] = pd.to_datetime(table["Date"].str[:10]).astype("datetime64[us]")
    table = table.assign(symbol=symbol, source="yahoo", currency="XXX", detail=None)
    actions = [
        table[table[column] != 0]
        .assign(kind=kind, value=table[column][table[column] != 0])
        .rename(columns={"session": "ex_date"})
        for column, kind in (("Dividends", "cash_dividend"), ("Stock Splits", "split"))
    ]
    columns = ["symbol", "ex_date", "kind", "source", "value", "currency", "detail"]
    return FetchResult(
        bars=table[list(BARS.columns)],
        actions=pd.concat(actions)[columns],
        adjusted_closes=table[["symbol", "session", "source", "adjusted_close"]],
        origin=path.name,
    )


@dataclass(frozen=True)
class Case:
    """One faulty frame and what was found in it.

    Attributes:
        name: of the file.
        rule: that has to fire.
        rows: in the frame.
        wrong: (symbol, day) of the bars and actions that the corrected form changes.
        hit: (symbol, day) on which the rule fired.
        other: rules that fired on rows the corrected form does not change, and on the corrected form as well.
        repairs: proposals, and those equal to the corrected form.
        corrected: rule -> rows held back in the corrected form.
    """

    name: str
    rule: str
    rows: int
    wrong: frozenset[tuple[str, str]]
    hit: frozenset[tuple[str, str]]
    other: frozenset[str]
    repairs: tuple[int, int]
    corrected: dict[str, int]


@cache
def known_bad() -> tuple[Case, ...]:
    """Every faulty frame of known_bad beside its corrected form."""
    return tuple(_case(path) for path in sorted((SHARED / "known_bad").glob("*.csv")) if _fixed(path).exists())


def clean_controls() -> Iterator[tuple[str, int, set[tuple[str, str, str]]]]:
    """Name, rows and findings of each clean control."""
    for path in sorted((SHARED / "known_bad").glob("*-no-bad-divs.csv")):
        answer = yahoo_frame(path)
        yield path.stem, len(answer.bars), examined(answer, "split_adjusted").raised()


def _fixed(path: Path) -> Path:
    return path.with_name(f"{path.stem}-fixed.csv")


def _case(path: Path) -> Case:
    sent, right = yahoo_frame(path), yahoo_frame(_fixed(path))
    found, corrected = examined(sent, "split_adjusted"), examined(right, "split_adjusted")
    rule = FAULT_OF_FRAME.get(path.stem) or next(rule for part, rule in FAULT_OF.items() if part in path.stem)
    raised = found.raised()
    same = {name for name, _, _ in raised & corrected.raised()}
    proposals = found.proposals
    truth = to_as_traded(right.bars, right.actions, "split_adjusted").loc[proposals.index, proposals.columns]
    equal = np.isclose(proposals.to_numpy(float), truth.to_numpy(float), rtol=1e-3).all(axis=1)
    return Case(
        path.stem,
        rule,
        len(sent.bars),
        frozenset(_changed_bars(sent, right) | _changed_dividends(sent, right)),
        frozenset((symbol, day) for name, symbol, day in raised if name == rule),
        frozenset(name for name, _, _ in raised - corrected.raised() if name != rule) | same,
        (len(proposals), int(equal.sum())),
        corrected.held(),
    )


def _changed_bars(sent: FetchResult, right: FetchResult) -> set[tuple[str, str]]:
    values = ["open", "high", "low", "close", "volume"]
    moved = ~np.isclose(sent.bars[values], right.bars[values], rtol=1e-3).all(axis=1)
    rows = sent.bars[moved]
    return set(zip(rows["symbol"], rows["session"].dt.strftime("%Y-%m-%d"), strict=True))


def _changed_dividends(sent: FetchResult, right: FetchResult) -> set[tuple[str, str]]:
    """Dividends whose amount, or whose part in the adjusted closes, the corrected form changes."""
    out = set()
    ratios = [
        answer.adjusted_closes["adjusted_close"].to_numpy() / answer.bars["close"].to_numpy()
        for answer in (sent, right)
    ]
    amounts = right.actions.set_index(["ex_date", "kind"])["value"]
    for action in sent.actions[sent.actions["kind"] == "cash_dividend"].itertuples():
        row = int(sent.bars["session"].searchsorted(action.ex_date))
        steps = [ratio[row - 1] / ratio[row] for ratio in ratios]
        amount = amounts.get((action.ex_date, "cash_dividend"), 0.0)
        # A bar on another scale moves the ratio too; only frames whose bars are right say anything of dividends.
        if not np.isclose(action.value, amount, rtol=1e-3) or not np.isclose(*steps, rtol=1e-3):
            out.add((action.symbol, f"{action.ex_date:%Y-%m-%d}"))
    return out


@dataclass(frozen=True)
class Planted:
    """A synthetic market with planted faults, or none.

    Attributes:
        rows: in the answer.
        faults: symbol, session, fault, expected (rule) and rule (that fired, "" for none) of each planted fault.
        alarms: rule -> rows held back that carry no fault.
    """

    rows: int
    faults: pd.DataFrame
    alarms: dict[str, int]


@cache
def planted(faulty: bool) -> Planted:
    """The rules on an invented market of 100 companies and six years."""
    start, end = date(2018, 1, 2), date(2023, 12, 29)
    options = SyntheticOptions(seed=1, symbols=100, start=start, faults=FAULT_KINDS if faulty else (), fault_rate=0.001)
    context = SourceContext(now=lambda: datetime(2024, 6, 3, tzinfo=UTC))
    source = SyntheticSource("synthetic", options, context)
    request = FetchRequest(source.known_securities(), start, end)
    found = examined(source.fetch(request), "as_traded", context.sessions("XNYS", start, end))
    faults = source.planted_faults(request)
    faults = faults[faults["fault"] != "missing_bar"].assign(expected=faults["fault"].map(RULE_OF_PLANTED))
    held = found.bars[found.bars["rule"] != ""]
    # Of a repeated row both carry the planted day; the rule stands on one of them.
    rules = held.drop_duplicates(["symbol", "session"]).set_index(["symbol", "session"])["rule"]
    keys = pd.MultiIndex.from_frame(faults[["symbol", "session"]])
    alarms = held[~pd.MultiIndex.from_frame(held[["symbol", "session"]]).isin(keys)]
    return Planted(
        len(found.bars),
        faults.assign(rule=rules.reindex(keys).fillna("").to_numpy()),
        alarms["rule"].value_counts().to_dict(),
    )


@cache
def real_markets() -> dict[str, tuple[int, dict[str, int], dict[str, int]]]:
    """Data set -> rows, rows held back by rule, rows warned of by rule."""
    out = {}
    for name, basis, bars in (
        ("sp500_5yr", "split_adjusted", _sp500()),
        ("vintages_2015_07", "as_traded", _vintages()),
    ):
        found = examined(FetchResult(bars=bars, origin=name), basis)
        warned = found.bars["warning"][found.bars["warning"] != ""].value_counts().sort_index().to_dict()
        out[name] = (len(bars), found.held(), warned)
    return out


def _sp500() -> pd.DataFrame:
    parts = [
        pd.read_csv(path).assign(symbol=path.name.removesuffix("_data.csv"))
        for path in sorted((SHARED / "sp500_5yr").glob("*_data.csv"))
    ]
    table = pd.concat(parts).rename(columns={"date": "session"})
    return table.assign(source="files", currency="USD")[list(BARS.columns)]


def _vintages() -> pd.DataFrame:
    """The last statement of the vendor about each symbol and session."""
    parts = [
        pd.read_csv(path, keep_default_na=False, na_values=[""])
        for path in sorted((SHARED / "vintages_2015_07").glob("*.csv.gz"))
    ]
    table = pd.concat(parts).rename(columns={"date": "session"}).drop_duplicates(["symbol", "session"], keep="last")
    return table.assign(source="files", currency="USD")[list(BARS.columns)]
