"""Published index facts, recalculated from real prices.

Dow Jones Industrial Average. Levels: closing values of S&P Dow Jones Indices as printed in the press of the day.
Divisors: announcements of S&P Dow Jones Indices, as listed by Siblis Research, "Dow Jones Divisor History":
0.15571590501117 from 2013-09-23, 0.14985889030177 from 2015-03-19 (Visa splits 4:1, Apple replaces AT&T),
0.14967727343149 from 2015-07-01, 0.14602128057775 from 2015-12-24 (Nike splits 2:1), 0.14523396877348 from 2017-09-01
(DowDuPont). Prices: ../shared/data/sp500_5yr.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from index_markets import actions_of, definition

from market_assets.domain.indices import Market, MarketFrames, calculate

# fmt: off
DOW_30 = (
    "AAPL", "AXP", "BA", "CAT", "CSCO", "CVX", "DIS", "DWDP", "GE", "GS", "HD", "IBM", "INTC", "JNJ", "JPM", "KO",
    "MCD", "MMM", "MRK", "MSFT", "NKE", "PFE", "PG", "TRV", "UNH", "UTX", "V", "VZ", "WMT", "XOM",
)
# fmt: on


def closes(shared_data: Path, symbol: str) -> pd.Series:
    table = pd.read_csv(shared_data / "sp500_5yr" / f"{symbol}_data.csv", parse_dates=["date"])
    return table.set_index("date")["close"]


def price_weighted(
    prices: pd.DataFrame, intervals: dict[str, tuple[str, str | None]], actions: pd.DataFrame, base_value: float
) -> pd.DataFrame:
    """Divisors of an index whose composition is renewed every session from point-in-time membership."""
    members = pd.DataFrame(
        [(name, *intervals.get(name, ("1990-01-01", None)), "XNYS", "USD") for name in prices],
        columns=["symbol", "member_from", "member_to", "exchange", "currency"],
    )
    frames = MarketFrames(
        sessions=prices.index,
        bars=prices.rename_axis("session").reset_index().melt("session", var_name="symbol", value_name="close"),
        members=members.assign(
            member_from=pd.to_datetime(members["member_from"]), member_to=pd.to_datetime(members["member_to"])
        ),
        actions=actions,
    )
    rules = definition(
        weighting="price",
        rebalance={"frequency": "daily"},
        base_date=prices.index[0].date(),
        base_value=base_value,
    )
    return calculate(rules, Market.from_frames(frames)).values.set_index("session")


def test_dow_jones_closes_of_2017_and_2018(shared_data: Path) -> None:
    """All thirty components from the DowDuPont merger on, started at the published close of 2017-09-01."""
    prices = pd.DataFrame({name: closes(shared_data, name) for name in DOW_30}).loc["2017-09-01":]
    values = price_weighted(prices, {}, actions_of(), 21987.56)
    published = {"2017-10-18": 23157.60, "2017-12-29": 24719.22, "2018-01-26": 26616.71, "2018-02-05": 24345.75}
    for day, level in published.items():
        assert values["price_return"][day] == pytest.approx(level, abs=0.011), day
    assert values["divisor"].iloc[-1] == pytest.approx(0.14523396877348, rel=3e-7)


def test_dow_divisor_when_visa_splits_and_apple_replaces_att(shared_data: Path) -> None:
    """2015-03-19. The 28 components that stay are one line worth what the close of 18,076.19 leaves for them."""
    days = pd.to_datetime(["2015-03-17", "2015-03-18", "2015-03-19"])
    prices = pd.DataFrame({name: closes(shared_data, name) for name in ("AAPL", "T", "V")}).loc[days]
    prices.loc[: days[1], "V"] *= 4  # the file is split-adjusted; as traded before the split
    prices["REST"] = 18076.19 * 0.15571590501117 - prices.loc[days[1], ["T", "V"]].sum()
    values = price_weighted(
        prices,
        {"T": ("1990-01-01", "2015-03-18"), "AAPL": ("2015-03-18", None)},
        actions_of(("V", "2015-03-19", "split", 4.0)),
        prices.loc[days[0], ["T", "V", "REST"]].sum() / 0.15571590501117,
    )
    assert values["price_return"].iloc[1] == pytest.approx(18076.19)
    assert values["divisor"].iloc[1] == pytest.approx(0.15571590501117, rel=1e-14)
    assert values["divisor"].iloc[2] == pytest.approx(0.14985889030177, rel=1e-8)


def test_dow_divisor_when_nike_splits(shared_data: Path) -> None:
    """2015-12-24, after a close of 17,602.61."""
    days = pd.to_datetime(["2015-12-22", "2015-12-23", "2015-12-24"])
    prices = pd.DataFrame({"NKE": closes(shared_data, "NKE")}).loc[days]
    prices.loc[: days[1], "NKE"] *= 2
    prices["REST"] = 17602.61 * 0.14967727343149 - prices.loc[days[1], "NKE"]
    values = price_weighted(
        prices,
        {},
        actions_of(("NKE", "2015-12-24", "split", 2.0)),
        prices.loc[days[0]].sum() / 0.14967727343149,
    )
    assert values["divisor"].tolist() == pytest.approx([0.14967727343149] * 2 + [0.14602128057775], rel=1e-8)
