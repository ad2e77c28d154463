"""A small market for the dbt tests, written through the versioned writer, and the ways tests change it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from market_assets.warehouse.connection import read_frame
from market_assets.warehouse.tables import (
    CORPORATE_ACTION,
    EXCHANGE,
    INDEX_CONSTITUENT,
    INDEX_VALUE,
    PRICE_BAR,
    SECURITY,
    SHARES_OUTSTANDING,
    SOURCE_AGREEMENT,
    SOURCE_PRIORITY,
    TRADING_SESSION,
    UNIVERSE_MEMBER,
    VersionedTable,
    indicator_table,
)
from market_assets.warehouse.versions import write_versions
from market_assets.warehouse.writes import Scope, WriteResult

SESSIONS = pd.bdate_range("2019-10-01", periods=340)
SYMBOLS = ("ALFA", "BETA", "DELT", "ECHO", "GAMA")
INDEX_ID = "TEST_EW"
MARTS = {
    "dim_security": ["symbol"],
    "dim_session": ["exchange", "session"],
    "fct_daily_bar": ["symbol", "session"],
    "fct_indicator": ["symbol", "session"],
    "fct_index_value": ["index_id", "session"],
    "fct_index_constituent": ["index_id", "session", "symbol"],
    "mart_market_breadth": ["session"],
    "mart_price_anomaly": ["symbol", "session"],
    "mart_index_performance": ["index_id", "return_type", "period"],
    "mart_source_agreement": ["session", "source"],
}
"""The marts and their keys."""

ACTION_COLUMNS = ["symbol", "ex_date", "kind", "source", "value", "currency", "detail"]


@dataclass(frozen=True)
class Warehouse:
    """A migrated warehouse of its own for one test."""

    url: str

    def write(self, table: VersionedTable, frame: pd.DataFrame, scope: Scope | None = None) -> WriteResult:
        """Make `frame` the current knowledge."""
        return write_versions(self.url, table, frame, run_id="test", scope=scope)

    def read(self, query: str) -> pd.DataFrame:
        """Rows of a query."""
        return read_frame(self.url, query)

    def current(self, table: VersionedTable, where: str = "true") -> pd.DataFrame:
        """Current rows of a versioned table, ready to be written again."""
        columns = ", ".join(table.columns)
        frame = self.read(f"select {columns} from {table.qualified} where known_to is null and {where}")  # noqa: S608
        integers = [name for name, kind in table.columns.items() if kind == "integer"]
        return frame.astype(dict.fromkeys(integers, "int32"))

    def restate(self, table: VersionedTable, where: str, **factors: float) -> None:
        """Multiply columns of the current rows that match."""
        frame = self.current(table, where)
        assert len(frame), where
        for column, factor in factors.items():
            frame[column] *= factor
        self.write(table, frame)

    def withdraw(self, table: VersionedTable, where: str, scope: Scope) -> None:
        """Close the current rows that match; `scope` has to cover them."""
        gone = self.current(table, where)
        assert len(gone), where
        rest = self.current(table).merge(gone[list(table.key)], on=list(table.key), how="left", indicator="found")
        inside = _inside(rest, scope) & (rest["found"] == "left_only")
        result = self.write(table, rest.loc[inside].drop(columns="found"), scope=scope)
        assert result.withdrawn == len(gone)

    def add_action(self, symbol: str, ex_date: str, kind: str, value: float, source: str = "alpha") -> None:
        """One more corporate action."""
        row = (symbol, pd.Timestamp(ex_date), kind, source, value, "USD", None)
        self.write(CORPORATE_ACTION, pd.DataFrame([row], columns=ACTION_COLUMNS))


def _inside(frame: pd.DataFrame, scope: Scope) -> pd.Series:
    inside = pd.Series(True, index=frame.index)
    for column, (first, last) in scope.ranges.items():
        inside &= frame[column].between(pd.Timestamp(first), pd.Timestamp(last or "2200-01-01"))
    for column, members in scope.members.items():
        inside &= frame[column].isin(members)
    return inside


def scope_of(symbol: str, first: str, last: str, column: str = "session") -> Scope:
    """Everything of one symbol between two days."""
    return Scope(
        {column: (pd.Timestamp(first).date(), pd.Timestamp(last).date())},
        {"symbol": [symbol]},
    )


def random_bars(
    rng: np.random.Generator, symbols: tuple[str, ...], sessions: pd.DatetimeIndex, source: str
) -> pd.DataFrame:
    """As-traded random walks with jumps and missing sessions; sorted by (symbol, session)."""
    frames = []
    for symbol in symbols:
        kept = sessions[rng.random(len(sessions)) > 0.03]
        shocks = rng.standard_t(3, len(kept)) * 0.01
        close = rng.uniform(20, 200) * np.exp(np.cumsum(shocks))
        spread = np.abs(rng.normal(0, 0.01, (2, len(kept))))
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "session": kept,
                    "source": source,
                    "open": close,
                    "high": close * (1 + spread[0]),
                    "low": close * (1 - spread[1]),
                    "close": close,
                    "volume": rng.integers(1_000, 1_000_000, len(kept)).astype(float),
                    "currency": "USD",
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def random_actions(rng: np.random.Generator, bars: pd.DataFrame, source: str, per_symbol: int = 8) -> pd.DataFrame:
    """Actions on any calendar day from before the first bar to after the last, unique by (symbol, ex_date, kind)."""
    days = pd.date_range(bars["session"].min() - pd.Timedelta("20D"), bars["session"].max() + pd.Timedelta("20D"))
    floor = bars["close"].min()
    rows = []
    for symbol in bars["symbol"].unique():
        for _ in range(per_symbol):
            kind = rng.choice(["split", "stock_dividend", "cash_dividend", "special_dividend", "spin_off"])
            value = {
                "split": rng.choice([0.1, 0.5, 1.5, 2.0, 7.0]),
                "stock_dividend": 0.05,
            }.get(kind, floor * rng.uniform(0.001, 0.01))
            rows.append((symbol, rng.choice(days), kind, source, float(value), "USD", None))
    frame = pd.DataFrame(rows, columns=ACTION_COLUMNS)
    return frame.drop_duplicates(["symbol", "ex_date", "kind"], ignore_index=True)


def fill(warehouse: Warehouse, seed: int = 7) -> None:
    """A market of five symbols over 340 sessions with two sources, actions, indicators and one index."""
    rng = np.random.default_rng(seed)
    bars = random_bars(rng, SYMBOLS, SESSIONS, "alpha")
    second = bars.sample(frac=0.5, random_state=1).assign(source="omega", close=lambda b: b["close"] * 1.001)
    warehouse.write(PRICE_BAR, pd.concat([bars, second], ignore_index=True))
    warehouse.write(CORPORATE_ACTION, random_actions(rng, bars, "alpha"))
    warehouse.write(SOURCE_PRIORITY, priorities("alpha", "omega"))
    warehouse.write(EXCHANGE, pd.DataFrame({"exchange": ["XNYS"], "tick_size": [0.01]}))
    warehouse.write(indicator_table(), indicator_values(bars))
    warehouse.write(SOURCE_AGREEMENT, agreement(rng))
    _fill_reference(warehouse)
    _fill_index(warehouse, bars)


def priorities(*sources: str, exchange: str = "XNYS") -> pd.DataFrame:
    """Order of preference of sources, the first best."""
    places = np.arange(1, len(sources) + 1, dtype="int32")
    return pd.DataFrame({"exchange": exchange, "source": sources, "priority": places})


def agreement(rng: np.random.Generator) -> pd.DataFrame:
    """Sessions in which both sources were compared, some of them."""
    frames = []
    for source in ("alpha", "omega"):
        days = SESSIONS[rng.random(len(SESSIONS)) > 0.1]
        compared = rng.integers(1, 6, len(days)).astype("int32")
        disagreed = rng.integers(0, compared + 1).astype("int32")
        counts = {"session": days, "source": source, "compared": compared, "disagreed": disagreed}
        frames.append(pd.DataFrame({**counts, "rate": disagreed / compared}))
    return pd.concat(frames, ignore_index=True)


def indicator_values(bars: pd.DataFrame) -> pd.DataFrame:
    """Every registered column with some value near the close, so that breadth has something to compare."""
    frame = bars[["symbol", "session"]].copy()
    for position, name in enumerate(indicator_table().values):
        frame[name] = bars["close"] * (1 + 0.02 * np.sin(np.arange(len(bars)) / 5 + position))
    return frame


def _fill_reference(warehouse: Warehouse) -> None:
    symbols = list(SYMBOLS)
    facts = pd.DataFrame({"symbol": symbols, "exchange": "XNYS", "currency": "USD"})
    names = facts.assign(name=[f"{symbol} Corp" for symbol in symbols])
    warehouse.write(
        SECURITY, names.assign(first_session=SESSIONS[0], last_session=pd.Series(dtype="datetime64[s]"), source="alpha")
    )
    warehouse.write(UNIVERSE_MEMBER, names.assign(member_from=SESSIONS[0], member_to=pd.Series(dtype="datetime64[s]")))
    warehouse.write(
        SHARES_OUTSTANDING,
        pd.DataFrame({"symbol": symbols, "effective_date": SESSIONS[0], "shares": 1e9, "source": "alpha"}),
    )
    days = SESSIONS.tz_localize("America/New_York")
    opens, closes = days + pd.Timedelta("9h30m"), days + pd.Timedelta("16h")
    warehouse.write(
        TRADING_SESSION,
        pd.DataFrame({"exchange": "XNYS", "session": SESSIONS, "opens_at": opens, "closes_at": closes}),
    )


def _fill_index(warehouse: Warehouse, bars: pd.DataFrame) -> None:
    returns = bars.groupby("symbol")["close"].pct_change().fillna(0.0)
    holdings = bars[["symbol", "session"]].assign(
        index_id=INDEX_ID,
        shares=10.0,
        price=bars["close"],
        weight=1 / len(SYMBOLS),
        contribution=returns / len(SYMBOLS),
        fx_rate=1.0,
        carried_sessions=np.int32(0),
    )
    warehouse.write(INDEX_CONSTITUENT, holdings)
    level = 1000 * (1 + holdings.groupby("session")["contribution"].sum()).cumprod()
    warehouse.write(
        INDEX_VALUE,
        pd.DataFrame(
            {
                "index_id": INDEX_ID,
                "session": level.index,
                "price_return": level.to_numpy(),
                "total_return": level.to_numpy() * np.linspace(1, 1.02, len(level)),
                "net_total_return": level.to_numpy() * np.linspace(1, 1.01, len(level)),
                "divisor": 10.0,
                "market_value": level.to_numpy() * 10,
                "constituents": np.int32(len(SYMBOLS)),
            }
        ),
    )


def read_mart(warehouse: Warehouse, name: str) -> pd.DataFrame:
    return warehouse.read(f"select * from marts.{name}").sort_values(MARTS[name], ignore_index=True)  # noqa: S608


def assert_same(got: pd.DataFrame, wanted: pd.DataFrame, name: str) -> None:
    """Equal to the last bit, but for sums over securities, whose order a plan may choose."""
    exact = name != "mart_market_breadth"
    tolerance = {} if exact else {"rtol": 1e-12}
    pd.testing.assert_frame_equal(got, wanted, check_exact=exact, check_dtype=False, obj=name, **tolerance)


def same(got: pd.DataFrame, wanted: pd.DataFrame, name: str) -> bool:
    """Whether `assert_same` passes."""
    try:
        assert_same(got, wanted, name)
    except AssertionError:
        return False
    return True
