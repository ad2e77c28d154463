"""The index engine: 500 constituents x 20 years, one more session, and the package bt on the same work.

The market pays a dividend per name and quarter and splits now and then, so that total and net total return differ from
the price return. bt sees the same closes without them: it has neither corporate actions nor total return, contributions
or a divisor, and its result is checked against ours.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import bt  # type: ignore[import-untyped]  # the package has no annotations
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.inputs import closes, names, sessions_of
from benchmarks.measure import SHORT, Beside, Figure, Scale, Target, alternate, processor_seconds, seconds
from market_assets.domain.indices import IndexDefinition, IndexResult, Market, MarketFrames, calculate, parse_definition

CONSTITUENTS, YEARS, SESSIONS_PER_YEAR = 500, 20, 252
START = "2000-01-03"
TAX = 0.3


def run(scale: Scale) -> list[Figure]:
    """The whole history, one more session, and the history without actions against bt."""
    symbols, sessions = scale.of(CONSTITUENTS, least=3), scale.of(YEARS) * SESSIONS_PER_YEAR
    size = f"{symbols} constituents x {sessions} sessions, monthly rebalances"
    frames = _frames(symbols, sessions)
    market = Market.from_frames(frames)
    result = calculate(DEFINITION, market)
    return [
        _history(scale, market, result, size),
        _increment(scale, frames, result),
        _beside_bt(scale, replace(frames, actions=_actions(symbols, frames.sessions[:0])), size),
    ]


def _definition() -> IndexDefinition:
    raw = {
        "id": "EW",
        "base_date": START,
        "base_value": 100,
        "weighting": "equal",
        "rebalance": {"frequency": "monthly"},
        "withholding_tax": TAX,
    }
    return parse_definition(raw, file="benchmarks/index.py", key="")


DEFINITION = _definition()


def _history(scale: Scale, market: Market, result: IndexResult, size: str) -> Figure:
    plain_work = _PlainIndex.of(market)
    expected = plain_work.calculate()
    np.testing.assert_allclose(result.values["total_return"], expected, rtol=1e-9)
    ours, floor, processor = alternate(
        scale.repeats,
        lambda: seconds(lambda: calculate(DEFINITION, market)),
        lambda: seconds(plain_work.calculate),
        lambda: processor_seconds(lambda: calculate(DEFINITION, market)),
    )
    return Figure(
        name="index.history",
        what=f"price, total and net total return, weights and contributions of {size}",
        unit="s",
        ours=ours,
        floor=Beside(
            "the same arithmetic in NumPy on whole matrices: no gaps, membership, divisor changes or frames", floor
        ),
        target=Target(at_most=1.0),
        facts={
            "processor_seconds": processor.median,
            "constituent_rows": len(result.constituents),
            "divisor_changes": len(result.divisor_changes),
        },
    )


def _increment(scale: Scale, frames: MarketFrames, result: IndexResult) -> Figure:
    """The last session again, from the state of the one before, on the window the definition asks for."""
    last = frames.sessions[-1]
    before = calculate(DEFINITION, Market.from_frames(frames), upto=_day(frames.sessions[-2])).state
    window = frames.sessions[-(DEFINITION.lookback_sessions + 1) :]
    read = replace(frames, sessions=window, bars=frames.bars[frames.bars["session"] >= window[0]])
    again = calculate(DEFINITION, Market.from_frames(read), before)
    pd.testing.assert_frame_equal(again.values, result.values[result.values["session"] == last].reset_index(drop=True))
    market = Market.from_frames(read)
    calculation, processor, alignment = alternate(
        scale.repeats * SHORT,
        lambda: seconds(lambda: calculate(DEFINITION, market, before)),
        lambda: processor_seconds(lambda: calculate(DEFINITION, market, before)),
        lambda: seconds(lambda: Market.from_frames(read)),
    )
    return Figure(
        name="index.increment",
        what=f"one more session of {len(market.symbols)} constituents from the stored state",
        unit="ms",
        ours=calculation.scaled(1e3),
        target=Target(at_most=20.0),
        facts={
            "processor_ms": processor.median * 1e3,
            "ms_to_align_the_inputs": alignment.median * 1e3,
            "window_sessions": len(window),
        },
    )


def _beside_bt(scale: Scale, frames: MarketFrames, size: str) -> Figure:
    market = Market.from_frames(frames)
    prices = pd.DataFrame(market.close, index=frames.sessions, columns=list(market.symbols))
    found: dict[str, pd.Series] = {}

    def theirs() -> None:
        strategy = bt.Strategy(
            "EW",
            [
                bt.algos.RunMonthly(run_on_end_of_period=True),
                bt.algos.SelectAll(),
                bt.algos.WeighEqually(),
                bt.algos.Rebalance(),
            ],
        )
        backtest = bt.Backtest(strategy, prices, integer_positions=False)
        backtest.run()
        found["weights"] = backtest.security_weights
        found["levels"] = backtest.strategy.prices.loc[prices.index[0] :]

    ours, peer = alternate(
        scale.repeats, lambda: seconds(lambda: calculate(DEFINITION, market)), lambda: seconds(theirs)
    )
    levels = calculate(DEFINITION, market).values["price_return"].to_numpy()
    deviation = float(np.abs(found["levels"].to_numpy() / levels - 1).max())
    return Figure(
        name="index.beside_bt",
        what=f"levels and weights of {size}, closes only",
        unit="s",
        ours=ours,
        peer=Beside(
            f"bt {bt.__version__}, fractional positions: one level and weights; no dividends, splits, contributions",
            peer,
        ),
        target=Target(faster=20.0),
        facts={"largest_relative_difference_of_levels": deviation},
    )


class _PlainIndex:
    """An equal-weight index in as few NumPy operations as it takes."""

    def __init__(
        self,
        close: npt.NDArray[np.float64],
        ratio: npt.NDArray[np.float64],
        cash: npt.NDArray[np.float64],
        first: list[int],
    ) -> None:
        self._close, self._ratio, self._cash, self._first = close, ratio, cash, first

    @classmethod
    def of(cls, market: Market) -> _PlainIndex:
        """The matrices of a market without gaps; a composition holds from the first session of a month."""
        ratio, cash = np.ones_like(market.close), np.zeros_like(market.close)
        for position, change in market.events.ratios.items():
            ratio[position, change.columns] = change.values
        for position in range(len(market.sessions)):
            for paid in market.events.cash(position):
                cash[position, paid.columns] += paid.values
        month = market.sessions.astype("datetime64[M]")
        first = [1, *(np.flatnonzero(month[1:] != month[:-1]) + 1), len(month)]
        return cls(market.close, ratio, cash, sorted(set(first)))

    def calculate(self) -> npt.NDArray[np.float64]:
        """Total return levels; price and net levels, weights and contributions are computed and dropped."""
        level = total = net = 100.0
        totals = [np.array([total])]
        for begin, end in zip(self._first, self._first[1:], strict=False):
            shares = np.cumprod(self._ratio[begin:end], axis=0) / self._close[begin - 1]
            value = shares * self._close[begin:end]
            worth = value.sum(axis=1)
            value_before = np.vstack([np.ones((1, value.shape[1])), value[:-1]])
            before = np.append(float(value.shape[1]), worth[:-1])
            _ = value / worth[:, None], (value - value_before) / before[:, None]
            paid = (shares * self._cash[begin:end]).sum(axis=1)
            prices = level * worth / before[0]
            earned = total * np.cumprod((worth + paid) / before)
            kept = net * np.cumprod((worth + (1 - TAX) * paid) / before)
            totals.append(earned)
            level, total, net = prices[-1], earned[-1], kept[-1]
        return np.concatenate(totals)


def _frames(symbols: int, sessions: int) -> MarketFrames:
    days = sessions_of(sessions, START)
    actions = _actions(symbols, days)
    close = closes(symbols, sessions)
    splits = actions[actions["kind"] == "split"]
    for symbol, day, ratio in zip(splits["symbol"], splits["ex_date"], splits["value"], strict=True):
        close[int(days.searchsorted(day)) :, int(symbol[1:])] /= ratio
    listed = names(symbols)
    bars = pd.DataFrame(
        {
            "symbol": pd.array(np.tile(listed, sessions), dtype="str"),
            "session": np.repeat(days.to_numpy(), symbols),
            "close": close.ravel(),
        }
    )
    members = pd.DataFrame(
        {"symbol": listed, "member_from": days[0], "member_to": pd.NaT, "exchange": "XNYS", "currency": "USD"}
    )
    return MarketFrames(sessions=days, bars=bars, members=members, actions=actions)


def _actions(symbols: int, days: pd.DatetimeIndex) -> pd.DataFrame:
    """A dividend per name and quarter, and a 2:1 split per name and fifteen years."""
    rows = [
        (name, day, "cash_dividend", 0.1)
        for number, name in enumerate(names(symbols))
        for day in days[1 + number % 62 :: 63]
    ]
    rows += [
        (name, day, "split", 2.0)
        for number, name in enumerate(names(symbols))
        for day in days[30 + number :: 15 * SESSIONS_PER_YEAR]
    ]
    frame = pd.DataFrame(rows, columns=["symbol", "ex_date", "kind", "value"]).assign(detail=None)
    return frame.astype({"ex_date": "datetime64[us]", "value": "float64"})


def _day(session: pd.Timestamp) -> date:
    return session.date()
