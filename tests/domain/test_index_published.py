"""Published index facts, recalculated from real prices: the Dow Jones Industrial Average, prices of sp500_5yr.

Stated by sources, and only compared with:
- divisor 0.14523396877348 as of 2017-09-01 (DowDuPont): Investopedia, "Dow Divisor",
  https://www.investopedia.com/terms/d/dowdivisor.asp
- divisor 0.14985889030177 as of 2015-03-23: MBA Skool, "Dow Divisor",
  http://www.mbaskool.com/business-concepts/finance-accounting-economics-terms/13361-dow-divisor.html
- divisor 0.14602128057775 in 2016: Siblis Research, "Dow Jones Divisor History",
  http://siblisresearch.com/data/dow-jones-divisor-history/; 0.146021281 on the eve of DowDuPont, "the first change in
  about two years": MarketWatch, "Dow faces an important change to how it's calculated", 2017-08-31
- close 26,115.65 on 2018-01-17: Reuters, "Dow ends above 26,000 just 8 trading days after hitting 25,000"
- closes 23,163.04 on 2017-10-19 and 26,616.71 on 2018-01-26: The Balance, "Dow Jones Closing History",
  https://www.thebalance.com/dow-jones-closing-history-top-highs-and-lows-since-1929-3306174
- Apple for AT&T with the opening of 2015-03-19, when Visa splits 4:1: Ars Technica, 2015-03-06, with the press release
- Nike splits 2:1 on 2015-12-24: Money Morning, "Nike Stock Split Date Is Here", 2015-12-22

The divisors before these two changes (0.15571590501117, 0.14967727343149) and the closes on their eves (18,076.19 and
17,602.61) are inputs for which no page is cited. They are not taken on trust: the divisor after the change follows from
them to eight digits, and that one is published.
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
    """All thirty components from the DowDuPont merger on, started with the published divisor of that day."""
    prices = pd.DataFrame({name: closes(shared_data, name) for name in DOW_30}).loc["2017-09-01":]
    values = price_weighted(prices, {}, actions_of(), prices.iloc[0].sum() / 0.14523396877348)
    published = {"2017-10-19": 23163.04, "2018-01-17": 26115.65, "2018-01-26": 26616.71}
    for day, level in published.items():
        assert values["price_return"][day] == pytest.approx(level, abs=0.011), day
    assert values["divisor"].iloc[-1] == pytest.approx(0.14523396877348, rel=1e-14)


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
