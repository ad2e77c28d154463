"""Indices over two currencies, by free-float market cap and by score, from reference files to stored levels.

One warehouse for the module: IBM in USD on XNYS, VOD in GBP and PENC in pence on XLON, January to March 2024. IBM has
no bar on the two American holidays, which are sessions of the indices. An independent calculation in pandas chains
portfolio returns from rebalance to rebalance, without shares and divisors.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from warehouse_with_views import new_warehouse

from market_assets.commands.index import explain
from market_assets.config import load_config
from market_assets.errors import InputError
from market_assets.index_calculation import calculate_indices
from market_assets.ingestion import sync_reference
from market_assets.resources import Platform
from market_assets.warehouse.connection import read_frame
from market_assets.warehouse.tables import INDEX_VALUE, PRICE_BAR, SHARES_OUTSTANDING
from market_assets.warehouse.versions import as_of, write_versions

START, END = date(2024, 1, 2), date(2024, 3, 28)
CURRENCIES = {"IBM": "USD", "PENC": "GBp", "VOD": "GBP"}
EXCHANGES = {"IBM": "XNYS", "PENC": "XLON", "VOD": "XLON"}
SHARES = {"IBM": 900.0, "PENC": 9_000.0, "VOD": 25_000.0}
RULES = {"base_date": START.isoformat(), "rebalance": {"frequency": "monthly"}, "missing_price": {"limit": 3}}
INDICES = [
    {"id": "EQUAL", "weighting": "equal", **RULES},
    {"id": "CAP", "weighting": "market_cap", **RULES},
    {"id": "SCORED", "weighting": {"kind": "factor", "factor": "quality"}, **RULES},
]
FREE_FLOAT = pd.DataFrame(
    [("PENC", "2023-06-30", 0.35), ("VOD", "2024-02-15", 0.8)], columns=["symbol", "effective_date", "factor"]
)
SCORES = pd.DataFrame(
    [
        ("quality", "IBM", "2023-12-29", 1.0),
        ("quality", "VOD", "2023-12-29", 3.0),
        ("quality", "PENC", "2024-01-31", 2.0),
        ("quality", "VOD", "2024-02-20", -1.0),
        ("other", "IBM", "2023-12-29", 9.0),
    ],
    columns=["score", "symbol", "effective_date", "value"],
)


class World:
    """The warehouse, its files, and what the files say."""

    def __init__(self, folder: Path, new_database: Callable[[], str]) -> None:
        self.folder = folder
        settings = {
            "partitions": {"start": START, "end": END},
            "sources": [{"kind": "sample"}],
            "reference": {"fx_rates": "fx.csv", "free_float": "float.csv", "factor_scores": "scores.csv"},
            "indices": INDICES,
        }
        (folder / "market.yaml").write_text(yaml.safe_dump(settings))
        members = [f"{name},{EXCHANGES[name]},{name},{CURRENCIES[name]},2024-01-02,\n" for name in CURRENCIES]
        (folder / "universe.csv").write_text("symbol,exchange,name,currency,member_from,member_to\n" + "".join(members))
        (folder / "calendar_overrides.csv").write_text("exchange,session,kind,opens_at,closes_at,reason\n")
        self.platform = Platform(load_config(folder / "market.yaml", {}))
        self.url = self.platform.__dict__["warehouse_url"] = new_database()
        self.sessions = self.platform.sessions("XNYS", START, END).union(self.platform.sessions("XLON", START, END))
        random = np.random.default_rng(11)
        # Until February the pair goes through the euro, then it is given the other way round; three days are missing.
        days = self.sessions.delete([8, 9, 30])
        walk = pd.Series(1.27 * np.exp(np.cumsum(random.normal(0, 0.006, len(days)))), days)
        early = walk[: pd.Timestamp("2024-01-31")]
        euro = pd.Series(random.uniform(1.05, 1.12, len(early)), early.index)
        self.fx = pd.concat(
            [
                pd.DataFrame({"base": "EUR", "quote": "USD", "session": euro.index, "rate": euro}),
                pd.DataFrame({"base": "EUR", "quote": "GBP", "session": euro.index, "rate": euro / early}),
                pd.DataFrame({"base": "USD", "quote": "GBP", "session": walk[len(early) :].index}).assign(
                    rate=(1 / walk[len(early) :]).to_numpy()
                ),
            ],
            ignore_index=True,
        )
        self.dollars = walk
        FREE_FLOAT.to_csv(folder / "float.csv", index=False)
        SCORES.to_csv(folder / "scores.csv", index=False)
        self.closes = pd.DataFrame(np.nan, self.sessions, list(CURRENCIES))
        for symbol, first in (("IBM", 160.0), ("PENC", 4_500.0), ("VOD", 0.7)):
            traded = self.platform.sessions(EXCHANGES[symbol], START, END)
            close = first * np.exp(np.cumsum(random.normal(0, 0.015, len(traded))))
            self.closes.loc[traded, symbol] = close
            prices = dict.fromkeys(("open", "high", "low", "close"), close)
            bars = pd.DataFrame({"symbol": symbol, "session": traded, "source": "sample", **prices, "volume": 1e5})
            write_versions(self.url, PRICE_BAR, bars.assign(currency=CURRENCIES[symbol]), run_id="load")
        counts = pd.DataFrame({"symbol": list(SHARES), "shares": list(SHARES.values()), "source": "sample"})
        counts["effective_date"] = pd.Timestamp("2023-01-01")
        write_versions(self.url, SHARES_OUTSTANDING, counts, run_id="load")
        self.sync(self.fx)

    def sync(self, fx: pd.DataFrame) -> Any:
        """Publish other rates."""
        fx.to_csv(self.folder / "fx.csv", index=False)
        return sync_reference(self.platform, "sync")

    def calculated(self, start: date = START, end: date = END) -> Any:
        return calculate_indices(self.platform, start, end, run_id="run")

    def levels(self, index_id: str) -> pd.Series:
        rows = as_of(self.url, INDEX_VALUE, None, "index_id = $2", (index_id,))
        return rows.set_index("session")["price_return"]

    def expected(self, weights: Callable[[pd.Timestamp, pd.Series], pd.Series], dollars: pd.Series) -> pd.Series:
        """Levels of a portfolio that is given `weights(day, prices)` at the base date and each end of a month."""
        fx = dollars.reindex(self.sessions).ffill()
        prices = self.closes.ffill().mul(pd.DataFrame({"IBM": 1.0, "PENC": fx / 100, "VOD": fx}, self.sessions))
        month = pd.Series(self.sessions.to_period("M"), self.sessions)
        ends = [self.sessions[0], *self.sessions[(month != month.shift(-1)).to_numpy()]]
        level = pd.Series(100.0, self.sessions)
        for first, last in zip(ends, [*ends[1:], self.sessions[-1]], strict=True):
            held = weights(first, prices.loc[first])
            grown = (prices.loc[first:last] / prices.loc[first]).mul(held / held.sum()).sum(axis=1)
            level.loc[first:last] = level[first] * grown
        return level


def equal(_: pd.Timestamp, prices: pd.Series) -> pd.Series:
    return pd.Series(1.0, prices.index)


def by_free_float(day: pd.Timestamp, prices: pd.Series) -> pd.Series:
    factors = pd.Series({"IBM": 1.0, "PENC": 0.35, "VOD": 0.8 if day >= pd.Timestamp("2024-02-15") else 1.0})
    return prices * pd.Series(SHARES) * factors


def by_score(day: pd.Timestamp, prices: pd.Series) -> pd.Series:
    scores = {
        "IBM": 1.0,
        "PENC": 2.0 if day >= pd.Timestamp("2024-01-31") else 0.0,
        "VOD": 0.0 if day >= pd.Timestamp("2024-02-20") else 3.0,
    }
    return pd.Series(scores, prices.index)


def require_equal(found: pd.Series, expected: pd.Series) -> None:
    assert found.index.tolist() == expected.index.tolist()
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-10, atol=0)


ORACLES = {"EQUAL": equal, "CAP": by_free_float, "SCORED": by_score}


@pytest.fixture(scope="module")
def world(pg_server: Any, _warehouse_template: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Calculated in four pieces."""
    made = World(tmp_path_factory.mktemp("reference"), lambda: new_warehouse(pg_server, _warehouse_template))
    cuts = [0, 9, 10, 31, len(made.sessions)]
    for first, after in pairwise(cuts):
        made.calculated(made.sessions[first].date(), made.sessions[after - 1].date())
    return made


@pytest.mark.parametrize("index_id", ORACLES)
def test_levels_are_those_of_an_independent_calculation(world: World, index_id: str) -> None:
    expected = world.expected(ORACLES[index_id], world.dollars)
    require_equal(world.levels(index_id), expected)
    assert abs(expected.iloc[-1] - 100) > 0.1


def test_pieces_are_the_whole_to_the_bit(world: World) -> None:
    again = world.calculated()
    assert again.values.versions_written == again.constituents.versions_written == 0
    assert again.values.withdrawn == 0


def test_explain_shows_the_rate(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MARKET_DATABASE_URL", world.url)
    explain("CAP", date(2024, 1, 12), None, 0, as_json=True)
    told = json.loads(capsys.readouterr().out)
    rates = {row["symbol"]: row["fx_rate"] for row in told["constituents"]}
    dollars = world.dollars[: pd.Timestamp("2024-01-12")].iloc[-1]  # of the last day that has one
    assert rates == pytest.approx({"IBM": 1, "PENC": dollars / 100, "VOD": dollars}, rel=1e-12)
    explain("CAP", date(2024, 1, 12), None, 0, as_json=False)
    assert "rate" in capsys.readouterr().out.split("constituents: 3")[1]


def test_what_a_session_had_no_rate_for_is_refused_by_pair_and_session(world: World) -> None:
    try:
        world.sync(world.fx[world.fx["session"] <= pd.Timestamp("2024-03-08")])
        with pytest.raises(InputError, match=r"index EQUAL: no rate of GBP/USD at 2024-03-14 nor in the 3 sessions"):
            world.calculated(date(2024, 3, 11))
    finally:
        world.sync(world.fx)


def test_a_score_that_no_file_has_is_refused_by_name(world: World) -> None:
    wanted = {**INDICES[2], "weighting": {"kind": "factor", "factor": "beauty"}}
    other = Platform(world.platform.config.model_copy(update={"indices": (wanted,)}))
    other.__dict__["warehouse_url"] = world.url
    with pytest.raises(InputError, match=r"SCORED: there are no scores named 'beauty' .* there are other, quality"):
        calculate_indices(other, START, END, run_id="run")


def test_a_corrected_rate_is_a_version_and_moves_the_levels_from_its_day_on(world: World) -> None:
    day = pd.Timestamp("2024-02-27")
    corrected = world.fx.assign(rate=world.fx["rate"].where(world.fx["session"] != day, world.fx["rate"] * 1.01))
    before = world.levels("EQUAL")
    try:
        assert world.sync(corrected).restated == 1
        assert world.sync(corrected).versions_written == 0
        world.calculated(day.date())
        dollars = world.dollars.where(world.dollars.index != day, world.dollars / 1.01)
        now = world.levels("EQUAL")
        require_equal(now, world.expected(equal, dollars))
        assert before.index[(now != before).to_numpy()][0] == day
        versions = read_frame(world.url, "select count(*) as n from raw.fx_rate where known_to is not null")["n"]
        assert versions.iloc[0] >= 1
    finally:
        world.sync(world.fx)
        world.calculated(day.date())
    pd.testing.assert_series_equal(world.levels("EQUAL"), before, check_exact=True)
