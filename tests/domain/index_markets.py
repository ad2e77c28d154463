"""Markets for index tests: small ones written out by hand, and seeded random ones with everything that can happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from market_assets.domain.adjustments import CASH_KINDS
from market_assets.domain.indices import IndexDefinition, Market, MarketFrames, parse_definition

START = "2020-01-02"


def definition(**changes: object) -> IndexDefinition:
    """An equal-weight index that is never rebalanced, with changes as in the configuration file."""
    raw: dict[str, object] = {"id": "TEST", "base_date": START, "rebalance": {"frequency": "never"}, **changes}
    return parse_definition(raw, file="test.yaml", key="indices.0")


def sessions(count: int, start: str = START) -> pd.DatetimeIndex:
    return pd.bdate_range(start, periods=count)


def actions_of(*rows: tuple[object, ...]) -> pd.DataFrame:
    """(symbol, session number or date, kind, value[, detail])."""
    calendar = sessions(400)
    filled = [(*row, None) if len(row) == 4 else row for row in rows]
    frame = pd.DataFrame(filled, columns=["symbol", "ex_date", "kind", "value", "detail"])
    dates = [calendar[day] if isinstance(day, int) else pd.Timestamp(str(day)) for day in frame["ex_date"]]
    return frame.assign(ex_date=pd.to_datetime(pd.Series(dates, dtype="datetime64[us]")))


def members_of(names: Sequence[str], **intervals: tuple[int, int | None]) -> pd.DataFrame:
    """Members for all time, or from one session number through another."""
    calendar = sessions(400)
    rows = []
    for name in names:
        first, last = intervals.get(name, (0, None))
        until = pd.NaT if last is None else calendar[last]
        rows.append((name, calendar[first], until, "XNYS", "USD"))
    return pd.DataFrame(rows, columns=["symbol", "member_from", "member_to", "exchange", "currency"])


def frames_of(
    closes: Mapping[str, Sequence[float]],
    actions: pd.DataFrame | None = None,
    members: pd.DataFrame | None = None,
    **more: object,
) -> MarketFrames:
    """Frames from columns of closes; NaN leaves the bar out."""
    table = pd.DataFrame(dict(closes), dtype=float)
    table.index = sessions(len(table))
    bars = table.rename_axis("session").reset_index().melt("session", var_name="symbol", value_name="close").dropna()
    frames = MarketFrames(
        sessions=table.index,
        bars=bars.assign(volume=1_000.0),
        members=members_of(list(closes)) if members is None else members,
        actions=actions_of() if actions is None else actions,
    )
    return replace(frames, **more)


def market_of(closes: Mapping[str, Sequence[float]], actions: pd.DataFrame | None = None, **more: object) -> Market:
    return Market.from_frames(frames_of(closes, actions, **more))


def shares_of(count: Mapping[str, float]) -> pd.DataFrame:
    """Shares outstanding known from long before."""
    return pd.DataFrame(
        {"symbol": list(count), "effective_date": pd.Timestamp("2015-01-01"), "shares": list(count.values())}
    )


def random_frames(seed: int, *, worthless: bool = True) -> MarketFrames:
    """A market of 2 to 7 symbols and 30 to 90 sessions: gaps, listings, members that leave, splits, distributions,
    delistings at the last price, at a stated one and (if `worthless`) at zero. `ANCHOR` always trades.
    """
    random = np.random.default_rng(seed)
    count, length = int(random.integers(1, 7)), int(random.integers(30, 90))
    calendar = sessions(length)
    calendar = calendar[np.append(True, random.random(length - 1) > 0.05)]  # holidays
    length = len(calendar)
    names = ["ANCHOR", *(f"S{i}" for i in range(count))]
    close = random.uniform(20, 200, count + 1) * np.exp(np.cumsum(random.normal(0, 0.03, (length, count + 1)), axis=0))
    traded = random.random(close.shape) > random.choice([0.0, 0.05, 0.3])
    member_rows, action_rows = [], []
    for i, name in enumerate(names):
        listed = int(random.integers(0, length // 2)) if i and random.random() < 0.4 else 0
        last = int(random.integers(listed + 5, length + 20)) if i and random.random() < 0.4 else length
        traded[:listed, i] = False
        until = calendar[last] if last < length else pd.NaT
        member_rows.append((name, calendar[listed], until, "XNYS", "USD"))
        ends = [] if not i else [np.nan, 0.9, 0.0] if worthless else [np.nan, 0.9]
        action_rows += _random_actions(random, name, calendar, close[:, i], traded[:, i], ends)
    traded[:, 0] = True
    rows, columns = np.nonzero(traded)
    bars = pd.DataFrame(
        {
            "symbol": np.array(names)[columns],
            "session": calendar[rows],
            "close": close[rows, columns],
            "volume": 1_000.0,
        }
    )
    return MarketFrames(
        sessions=calendar,
        bars=bars,
        members=pd.DataFrame(member_rows, columns=["symbol", "member_from", "member_to", "exchange", "currency"]),
        actions=actions_of(*action_rows),
        shares=shares_of({name: float(random.integers(1, 50) * 1e6) for name in names}),
    )


def _random_actions(
    random: np.random.Generator,
    name: str,
    calendar: pd.DatetimeIndex,
    close: np.ndarray,
    traded: np.ndarray,
    ends: Sequence[float],
) -> list[tuple[str, pd.Timestamp, str, float]]:
    """Actions of one symbol; `close` is brought onto the as-traded basis, `traded` ends, in place."""
    rows: list[tuple[str, pd.Timestamp, str, float]] = []
    for kind, rate, low, high in (
        ("split", 0.02, 0.2, 4.0),
        ("stock_dividend", 0.01, 0.02, 0.2),
        ("cash_dividend", 0.05, 0.05, 1.5),
        ("special_dividend", 0.02, 0.1, 2.0),
        ("spin_off", 0.01, 0.1, 2.0),
    ):
        for at in np.flatnonzero(random.random(len(calendar)) < rate):
            value = float(random.uniform(low, high))
            rows.append((name, calendar[at], kind, value))
            if kind in {"split", "stock_dividend"}:
                close[at:] /= value + (kind == "stock_dividend")
    # Cash is small change of the lowest price, so that several events of a gap never reach it.
    floor = close.min() / 10
    rows = [(*row[:3], row[3] * floor / 2) if row[2] in CASH_KINDS else row for row in rows]
    if ends and random.random() < 0.3:
        at = int(random.integers(5, len(calendar)))
        rows.append((name, calendar[at], "delisting", float(close[at] * random.choice(ends))))
        traded[at:] = False
    return rows
