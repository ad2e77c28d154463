"""Generated markets for the indicator tests: as-traded bars on a price grid, with everything that breaks indicators.

Prices sit on a grid of 0.01, so that equal prices, equal moves and flat stretches occur; sessions without volume,
missing values, splits (also reverse) and dividends lie anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from market_assets.domain.adjustments import adjustment_factors
from market_assets.domain.indicators import ALL, outputs
from market_assets.domain.indicators.definition import PERCENT, Output

PRICES = ("open", "high", "low", "close")
TOLERANCE = 1e-10
NO_ACTIONS = pd.DataFrame(
    {
        "symbol": pd.Series(dtype="str"),
        "ex_date": pd.Series(dtype="datetime64[us]"),
        "kind": pd.Series(dtype="str"),
        "value": pd.Series(dtype="float64"),
    }
)


@dataclass(frozen=True)
class Market:
    """As-traded bars (symbol, session, open, high, low, close, volume, benchmark) and corporate actions."""

    bars: pd.DataFrame
    actions: pd.DataFrame

    def known_at(self, session: pd.Timestamp) -> Market:
        """The market up to a session: later bars and actions have not happened."""
        bars = self.bars[self.bars["session"] <= session]
        actions = self.actions[self.actions["ex_date"] <= session]
        return replace(self, bars=bars, actions=actions)

    def adjusted(self, *, forward: bool = False) -> pd.DataFrame:
        """Frame for `compute`: fully adjusted prices, split-adjusted volume, and the factors.

        The factors are 1 at the last session, or with `forward` at the first.
        """
        factors = adjustment_factors(self.bars, self.actions)
        split, dividend = (("forward_" if forward else "") + name for name in ("split_factor", "dividend_factor"))
        price = (factors[split] * factors[dividend]).to_numpy()
        volume = 1.0 / factors[split].to_numpy()
        scaled = {name: self.bars[name].to_numpy() * price for name in PRICES}
        scaled["volume"] = self.bars["volume"].to_numpy() * volume
        return self.bars.assign(**scaled, price_factor=price, volume_factor=volume).reset_index(drop=True)


def walk(rng: np.random.Generator, length: int, *, flat: float = 0.1, start: float = 40.0) -> pd.DataFrame:
    """One symbol on the grid; `flat` is the share of sessions at which nothing moves, in stretches."""
    moves = rng.normal(0.0, 0.02, length)
    still = np.repeat(rng.random(length // 8 + 1) < flat, 8)[:length]
    moves[still] = 0.0
    close = start * np.exp(np.cumsum(moves))
    open_ = close * np.exp(np.where(still, 0.0, rng.normal(0.0, 0.004, length)))
    wick = np.where(still, 0.0, np.abs(rng.normal(0.0, 0.004, (2, length))))
    high, low = np.maximum(open_, close) * (1.0 + wick[0]), np.minimum(open_, close) * (1.0 - wick[1])
    volume = np.where(rng.random(length) < 0.05, 0.0, rng.integers(1, 10**7, length)).astype(np.float64)
    frame = pd.DataFrame({"open": open_, "high": high, "low": low, "close": close})
    return frame.round(2).clip(lower=0.01).assign(volume=volume)


def bars_of(symbol: str, values: pd.DataFrame, *, start: str = "2010-01-04") -> pd.DataFrame:
    """Bars of one symbol on business days, with a benchmark that every symbol shares."""
    sessions = pd.bdate_range(start, periods=len(values))
    days = (sessions - pd.Timestamp("2000-01-03")).days.to_numpy()
    benchmark = 1000.0 + 50.0 * np.sin(days / 9.0) + 20.0 * np.sin(days * 1.7)
    keys = pd.DataFrame({"symbol": pd.Series([symbol] * len(values), dtype="str"), "session": sessions})
    return pd.concat([keys, values.reset_index(drop=True)], axis=1).assign(benchmark=benchmark)


def plain(bars: pd.DataFrame) -> pd.DataFrame:
    """Frame for `compute` without corporate actions."""
    return bars.assign(price_factor=1.0, volume_factor=1.0)


def random_bars(*lengths: int, seed: int = 7, flat: float = 0.0) -> pd.DataFrame:
    """Frame for `compute`: one symbol for each length, no actions, no gaps, volume at every bar."""
    rng = np.random.default_rng(seed)
    walks = [walk(rng, length, flat=flat) for length in lengths]
    frames = [bars_of(f"S{i:03d}", values.assign(volume=values["volume"] + 1.0)) for i, values in enumerate(walks)]
    return plain(pd.concat(frames, ignore_index=True))


@st.composite
def markets(draw: st.DrawFn, *, longest: int = 420) -> Market:
    """One to three symbols with actions, missing values, flat stretches and late listings."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    flat = draw(st.sampled_from([0.0, 0.1, 0.6]))
    missing = draw(st.sampled_from([0.0, 0.02, 0.2]))
    frames, actions = [], []
    for i in range(draw(st.integers(1, 3))):
        length = draw(st.integers(1, longest))
        values = walk(rng, length, flat=flat, start=draw(st.sampled_from([3.0, 40.0, 300.0])))
        listing = values.iloc[0].copy()
        for name in (*PRICES, "volume"):
            values.loc[rng.random(length) < missing / 3, name] = np.nan
        values.loc[rng.random(length) < missing, [*PRICES, "volume"]] = np.nan
        values.iloc[0] = listing  # without a first price there is no factor for a distribution
        # Symbols end together: late listings, as in a real universe.
        bars = bars_of(f"S{i}", values, start=str(pd.bdate_range(end="2012-06-29", periods=length)[0].date()))
        for _ in range(draw(st.integers(0, 4))):
            session = bars["session"][draw(st.integers(0, length - 1))]
            ratio = draw(st.sampled_from([None, 2.0, 3.0, 7.0, 0.1]))
            if ratio is None:
                actions.append((f"S{i}", session, "cash_dividend", 0.01 * draw(st.integers(1, 60))))
            else:
                actions.append((f"S{i}", session, "split", ratio))
                later = bars["session"] >= session
                bars.loc[later, PRICES] = (bars.loc[later, PRICES] / ratio).round(2).clip(lower=0.5)
                bars.loc[later, "volume"] = (bars.loc[later, "volume"] * ratio).round()
        bars = _above_dividends(bars)
        frames.append(bars)
    listed = pd.DataFrame(actions, columns=NO_ACTIONS.columns).astype(NO_ACTIONS.dtypes)
    listed = listed.drop_duplicates(["symbol", "ex_date", "kind"]).sort_values(["symbol", "ex_date"])
    return Market(pd.concat(frames, ignore_index=True), listed.reset_index(drop=True))


def _above_dividends(bars: pd.DataFrame) -> pd.DataFrame:
    """A price is worth more than any distribution drawn here: 0.60 on each of the seven shares a split made of one."""
    bars[list(PRICES)] = bars[list(PRICES)].where(bars[list(PRICES)].isna(), bars[list(PRICES)] + 5.0)
    return bars


def assert_same(left: pd.DataFrame, right: pd.DataFrame, bars: pd.DataFrame) -> None:
    """Values agree within 1e-10 of the value or of the natural size of its unit.

    Differences of large numbers (MACD, OBV) pass through zero, where no relative error is defined.
    """
    pd.testing.assert_frame_equal(left[["symbol", "session"]], right[["symbol", "session"]])
    size = natural_size(bars, right)
    for output in outputs(ALL):
        if output.name not in left:
            continue
        a, b = left[output.name].to_numpy(), right[output.name].to_numpy()
        assert (np.isnan(a) == np.isnan(b)).all(), f"{output.name}: nulls differ"
        scale = np.fmax(np.maximum(np.abs(a), np.abs(b)), size(output))
        worst = np.nanmax(np.abs(a - b) / scale, initial=0.0)
        assert worst <= TOLERANCE, f"{output.name}: relative difference {worst:.2e}"


def natural_size(bars: pd.DataFrame, rows: pd.DataFrame) -> Callable[[Output], np.ndarray]:
    """Function of an output: the size of its unit at the rows of `rows`.

    Close as traded to the price degree times volume to the volume degree; 100 for percentages and for the CCI, whose
    constant 0.015 makes 100 its usual size.
    """
    keyed = bars.set_index(["symbol", "session"])
    close = keyed["close"].groupby("symbol").ffill().fillna(1.0)
    volume = keyed["volume"].fillna(0.0).groupby("symbol").cummax()
    at = pd.MultiIndex.from_frame(rows[["symbol", "session"]])
    close, volume = close.reindex(at).to_numpy(), np.maximum(volume.reindex(at).to_numpy(), 1.0)

    def size(output: Output) -> np.ndarray:
        if output.unit == PERCENT or output.name.startswith("cci"):
            return np.full(len(rows), 100.0)
        return np.asarray(close**output.price_degree * volume**output.volume_degree)

    return size
