"""Which of several sources is believed: the rules one by one, and against a plain form of them on random markets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_assets.domain.reconciliation import RELATIVE, Decision, agree, reconcile

DAY = pd.Timestamp("2024-01-03")
COLUMNS = ["symbol", "session", "source", "close"]


def bars(closes: dict[str, float], symbol: str = "A") -> pd.DataFrame:
    """One bar of a session for each source."""
    frame = pd.DataFrame([(symbol, DAY, source, close) for source, close in closes.items()], columns=COLUMNS)
    return frame.astype({"session": "datetime64[us]", "close": "float64"})


def held(*rows: tuple[int, str, float]) -> pd.DataFrame:
    """Disputed rows: number, source, close."""
    frame = pd.DataFrame([(number, "A", DAY, source, close) for number, source, close in rows])
    frame = frame if len(frame) else pd.DataFrame(columns=range(5))
    frame.columns = ["quarantine_id", *COLUMNS]
    return frame.astype({"session": "datetime64[us]", "close": "float64"})


def judged(incoming: dict[str, float], stored: dict[str, float], disputed: Any = (), tick: float = 0.01) -> Decision:
    return reconcile(bars(incoming), bars(stored), held(*disputed), {"A": tick})


# When two closes agree ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "tick", "same"),
    [
        (100.0, 100.10, 0.01, True),
        (100.0, 100.11, 0.01, False),
        (1.00, 1.01, 0.01, True),
        (1.00, 1.02, 0.01, False),
        (20.00, 20.05, 0.05, True),
        (20.00, 20.10, 0.05, False),
        (8.01, 8.02, 0.01, True),
    ],
)
def test_closes_agree_within_a_tick_or_ten_basis_points(one: float, other: float, tick: float, same: bool) -> None:
    assert agree([one, other], [other, one], tick).tolist() == [same, same]


@given(cents=st.integers(1, 10_000_000))
def test_one_tick_apart_is_always_the_same_price(cents: int) -> None:
    assert agree(cents / 100, (cents + 1) / 100, 0.01).all()


@given(price=st.floats(0.01, 1e6), share=st.floats(0, 0.01))
def test_agreement_is_symmetric_and_keeps_its_limit(price: float, share: float) -> None:
    other = price * (1 + share)
    assert agree(price, other, 1e-12) == agree(other, price, 1e-12)
    if abs(share / (1 + share) - RELATIVE) > 1e-6:
        assert bool(agree(price, other, 1e-12)) == (share / (1 + share) < RELATIVE)


# Who is believed ----------------------------------------------------------------------------------------------------


def test_a_source_alone_is_believed() -> None:
    assert judged({"first": 10.0}, {}).reasons.tolist() == [""]


def test_sources_that_agree_are_both_stored() -> None:
    assert judged({"second": 10.005}, {"first": 10.0}).reasons.tolist() == [""]


def test_of_two_that_disagree_the_newcomer_is_disputed_with_both_closes_named() -> None:
    (reason,) = judged({"second": 11.0}, {"first": 10.0}).reasons
    assert reason == "close 11 of second against 10 of first, and no majority of sources supports it"


def test_a_third_that_sides_with_the_stored_one_is_stored_and_the_disputed_row_stays() -> None:
    decision = judged({"third": 10.0}, {"first": 10.0}, [(7, "second", 11.0)])
    assert decision.reasons.tolist() == [""]
    assert decision.released.empty
    assert decision.superseded.empty


def test_a_third_that_sides_with_the_disputed_row_wins_and_releases_it() -> None:
    decision = judged({"third": 11.0}, {"first": 10.0}, [(7, "second", 11.0)])
    assert decision.reasons.tolist() == [""]
    assert decision.released[["quarantine_id", "source", "note"]].to_numpy().tolist() == [
        [7, "second", "close supported by third"]
    ]


def test_a_third_with_a_close_of_its_own_is_disputed_too() -> None:
    decision = judged({"third": 12.0}, {"first": 10.0}, [(7, "second", 11.0)])
    assert "12 of third against 10 of first" in decision.reasons.iloc[0]
    assert decision.released.empty


def test_a_restated_bar_that_leaves_its_companion_is_disputed() -> None:
    (reason,) = judged({"first": 12.0}, {"first": 10.0, "second": 10.0}).reasons
    assert reason.startswith("close 12 of first against 10 of second")


def test_a_restated_bar_without_another_stored_source_is_stored() -> None:
    assert judged({"first": 12.0}, {"first": 10.0}, [(7, "second", 11.0)]).reasons.tolist() == [""]


def test_a_correction_that_meets_a_disputed_row_releases_it() -> None:
    decision = judged({"first": 11.0}, {"first": 10.0}, [(7, "second", 11.0)])
    assert decision.reasons.tolist() == [""]
    assert decision.released["quarantine_id"].tolist() == [7]


def test_the_stored_bar_of_a_source_sent_again_is_not_judged_again() -> None:
    assert judged({"first": 10.0}, {"first": 10.0, "second": 11.0, "third": 11.0}).reasons.tolist() == [""]


def test_two_against_two_changes_nothing() -> None:
    decision = judged({"fourth": 11.0}, {"first": 10.0, "second": 10.0}, [(7, "third", 11.0)])
    assert "against 10 of first and 10 of second" in decision.reasons.iloc[0]
    assert decision.released.empty


def test_a_source_that_comes_round_replaces_its_disputed_row() -> None:
    decision = judged({"second": 10.0}, {"first": 10.0}, [(7, "second", 11.0)])
    assert decision.superseded["quarantine_id"].tolist() == [7]
    assert decision.released.empty


def test_only_the_latest_disputed_row_of_a_source_is_a_vote() -> None:
    decision = judged({"third": 11.0}, {"first": 10.0}, [(7, "second", 11.0), (8, "second", 12.0)])
    assert decision.reasons.iloc[0] != ""


def test_rows_of_other_sessions_and_symbols_are_no_votes() -> None:
    stored = bars({"first": 10.0}, symbol="B")
    assert reconcile(bars({"second": 11.0}), stored, held(), {}).reasons.tolist() == [""]


def test_reasons_stand_on_the_index_of_the_answer() -> None:
    incoming = pd.concat([bars({"second": 10.0}), bars({"second": 99.0}, symbol="B")]).set_index(pd.Index([5, 9]))
    stored = pd.concat([bars({"first": 10.0}), bars({"first": 98.0}, symbol="B")])
    reasons = reconcile(incoming, stored, held(), {}).reasons
    assert (reasons[reasons != ""].index.tolist(), reasons[5]) == ([9], "")


def test_no_rows_are_no_decision() -> None:
    decision = reconcile(bars({}), bars({"first": 1.0}), held(), {})
    assert (len(decision.reasons), len(decision.released), len(decision.superseded)) == (0, 0, 0)


# Against a plain form of the rule -----------------------------------------------------------------------------------

PRICES = [10.0, 10.005, 10.012, 11.0, 12.0]
NAMES = ["a", "b", "c", "d", "e"]


class PlainMarket:
    """One symbol and session, judged bar by bar as the module's docstring says it."""

    def __init__(self) -> None:
        self.stored: dict[str, float] = {}
        self.waiting: dict[str, float] = {}

    def believed(self, source: str, close: float) -> bool:
        """Whether the camp of a close is larger than that of every stored bar that disagrees."""
        votes = [
            (name, price) for known in (self.stored, self.waiting) for name, price in known.items() if name != source
        ]

        def camp(price: float) -> int:
            return len({name for name, other in votes if agree(price, other, 0.01)})

        rivals = [
            1 + len({n for n, other in votes if n != name and agree(price, other, 0.01)})
            for name, price in self.stored.items()
            if name != source and not agree(price, close, 0.01)
        ]
        return all(1 + camp(close) > size for size in rivals)

    def receive(self, source: str, close: float) -> None:
        if self.stored.get(source) != close and not self.believed(source, close):
            self.waiting[source] = close
        else:
            self.stored[source] = close
            self.waiting.pop(source, None)
        released = {
            name: price for name, price in self.waiting.items() if name != source and self.believed(name, price)
        }
        self.stored |= released
        self.waiting = {name: price for name, price in self.waiting.items() if name not in released}


class Market:
    """The same through `reconcile`, with many symbols in one answer to try the vector form."""

    def __init__(self) -> None:
        self.stored, self.waiting, self.number = bars({}), held(), 0

    def receive(self, source: str, closes: dict[str, float]) -> None:
        incoming = pd.DataFrame({"symbol": list(closes), "session": DAY, "source": source, "close": closes.values()})
        incoming["session"] = incoming["session"].astype("datetime64[us]")
        decision = reconcile(incoming, self.stored, self.waiting, {})
        disputed = (decision.reasons != "").to_numpy()
        released = self.waiting[self.waiting["quarantine_id"].isin(decision.released["quarantine_id"])]
        new = pd.concat([incoming[~disputed], released[COLUMNS]])
        self.stored = pd.concat([self.stored, new]).drop_duplicates(["symbol", "session", "source"], keep="last")
        gone = pd.concat([decision.released, decision.superseded])["quarantine_id"]
        numbers = np.arange(self.number, self.number + disputed.sum())
        self.number += len(numbers)
        added = incoming[disputed].assign(quarantine_id=numbers)
        self.waiting = pd.concat([self.waiting[~self.waiting["quarantine_id"].isin(gone)], added], ignore_index=True)

    def state(self, symbol: str) -> tuple[dict[str, float], dict[str, float]]:
        stored = self.stored[self.stored["symbol"] == symbol]
        waiting = self.waiting[self.waiting["symbol"] == symbol]
        return dict(zip(stored["source"], stored["close"], strict=True)), dict(
            zip(waiting["source"], waiting["close"], strict=True)
        )


@pytest.mark.parametrize("seed", range(4))
def test_the_vector_form_is_the_plain_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = [f"S{number}" for number in range(80)]
    market, plain = Market(), {symbol: PlainMarket() for symbol in symbols}
    for source in rng.choice(NAMES, 8).tolist():
        closes = dict(zip(symbols, rng.choice(PRICES, len(symbols)).tolist(), strict=True))
        market.receive(source, closes)
        for symbol, close in closes.items():
            plain[symbol].receive(source, close)
    for symbol, known in plain.items():
        assert market.state(symbol) == (known.stored, known.waiting)


@settings(max_examples=8)
@given(order=st.permutations(NAMES), lone=st.sampled_from([(20.0, 30.0), (20.0, 20.0)]))
def test_a_majority_wins_whatever_the_order_of_arrival(order: list[str], lone: tuple[float, float]) -> None:
    closes = {"a": 10.0, "b": 10.005, "c": 10.0, "d": lone[0], "e": lone[1]}
    market = Market()
    for source in order:
        market.receive(source, {"A": closes[source]})
    stored, waiting = market.state("A")
    assert {"a", "b", "c"} <= set(stored), "each bar of the majority is stored"
    assert set(stored) | set(waiting) == set(NAMES), "no bar is lost"
