"""The market an index is calculated from: sessions x symbols arrays, and how frames become them.

Belongs here: shapes, alignment and point-in-time questions about raw inputs (membership, prices carried
over gaps, share counts on the right basis). Does not belong here: any rule of an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.domain.adjustments import SPLIT_KINDS
from market_assets.domain.indices.arrays import BoolArray, DayArray, FloatArray, IntArray
from market_assets.domain.indices.countries import COUNTRY_OF_EXCHANGE
from market_assets.domain.indices.events import Events, index_events
from market_assets.domain.indices.rates import Rates
from market_assets.domain.indices.rules import MissingPrice
from market_assets.errors import SchemaMismatch


@dataclass(frozen=True, eq=False, kw_only=True)
class MarketFrames:
    """Frames of the warehouse that a market is built from.

    Attributes:
        sessions: the index calendar's sessions: those to calculate and the lookback before them.
        bars: symbol, session, close and, if present, volume; as traded, one row per symbol and session.
        members: symbol, member_from, member_to (last session, NaT = still a member), exchange, currency.
        actions: symbol, ex_date, kind, value, detail (events.py).
        shares: symbol, effective_date, shares; on the share basis of the effective date.
        free_float: symbol, effective_date, factor; a symbol without one in force counts whole.
        fx: base, quote, session, rate: units of quote for one of base (rates.py).
        countries: symbol -> country, for withholding tax; the country of its exchange for a symbol that is absent.
        scores: name -> symbol, effective_date, score; a score counts from its date on.
    """

    sessions: pd.DatetimeIndex
    bars: pd.DataFrame
    members: pd.DataFrame
    actions: pd.DataFrame
    shares: pd.DataFrame | None = None
    free_float: pd.DataFrame | None = None
    fx: pd.DataFrame | None = None
    countries: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Market:
    """Inputs of a calculation. T sessions, N symbols; missing numbers are NaN.

    Attributes:
        sessions: datetime64[D] (T,), increasing: the sessions of the index calendar, without gaps.
        symbols: (N,) sorted.
        close: (T, N) as traded, in the symbol's currency. NaN = no trade; zero and below count as NaN.
        member: (T, N) universe membership as of each session.
        events: corporate actions by position and column.
        volume: (T, N) shares traded, as traded.
        fx: (T, N) index currency per unit of the symbol's currency, NaN = no rate that is young enough; None when they
            are all the same.
        shares_outstanding: (T, N) on the share basis of the session.
        free_float: (T, N) factor in (0, 1]; None = 1.
        exchange, currency, country: (N,) text of each symbol, empty when unknown.
        scores: name -> (T, N), the scores of factor weighting as known at each session.
    """

    sessions: DayArray
    symbols: tuple[str, ...]
    close: FloatArray
    member: BoolArray
    events: Events = field(default_factory=Events)
    volume: FloatArray | None = None
    fx: FloatArray | None = None
    shares_outstanding: FloatArray | None = None
    free_float: FloatArray | None = None
    exchange: tuple[str, ...] = ()
    currency: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    scores: Mapping[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        shape = (len(self.sessions), len(self.symbols))
        arrays = {
            "close": self.close,
            "member": self.member,
            "volume": self.volume,
            "fx": self.fx,
            "shares_outstanding": self.shares_outstanding,
            "free_float": self.free_float,
            **{f"scores[{name}]": scores for name, scores in self.scores.items()},
        }
        for name, array in arrays.items():
            if array is not None and array.shape != shape:
                raise SchemaMismatch(f"market.{name} is {array.shape}, but there are {shape} sessions and symbols")
        if (np.diff(self.sessions) <= np.timedelta64(0, "D")).any():
            raise SchemaMismatch("market.sessions must increase, without duplicates")
        if list(self.symbols) != sorted(set(self.symbols)):
            raise SchemaMismatch("market.symbols must be sorted, without duplicates")
        for name in ("exchange", "currency", "country"):
            given = getattr(self, name)
            object.__setattr__(self, name, given or ("",) * shape[1])
            if len(getattr(self, name)) != shape[1]:
                raise SchemaMismatch(f"market.{name} has {len(given)} entries for {shape[1]} symbols")
        object.__setattr__(self, "close", np.where(self.close > 0, self.close, np.nan))

    @classmethod
    def from_frames(
        cls, frames: MarketFrames, index_currency: str = "USD", rate_limit: int = MissingPrice.limit
    ) -> Market:
        """Align frames of the warehouse; symbols are those of the members and of the bars.

        Args:
            frames: what to align.
            index_currency: what rates are brought to.
            rate_limit: sessions for which a missing exchange rate is carried on.

        Raises:
            InputError: an unusable action.
            SchemaMismatch: several bars of one symbol and session, or a missing column.
        """
        members, bars = frames.members, frames.bars
        symbols = sorted({*members["symbol"].unique(), *bars["symbol"].unique()})
        grid = _Grid(frames.sessions.to_numpy("datetime64[D]"), symbols)
        facts = members.sort_values("member_from").groupby("symbol")[["exchange", "currency"]].last().reindex(symbols)
        close, volume = grid.bars(bars)
        events = index_events(frames.actions, grid.sessions, symbols)
        currency = _currencies(facts["currency"], events, index_currency)
        return cls(
            sessions=grid.sessions,
            symbols=tuple(symbols),
            close=close,
            member=grid.intervals(members),
            events=events,
            volume=volume,
            fx=grid.rates(Rates(frames.fx, grid.sessions, rate_limit), currency, index_currency),
            shares_outstanding=None if frames.shares is None else grid.share_counts(frames.shares, frames.actions),
            free_float=None if frames.free_float is None else grid.latest(frames.free_float, "factor", otherwise=1.0),
            exchange=tuple(facts["exchange"].fillna("")),
            currency=currency,
            country=tuple(
                frames.countries.get(symbol) or COUNTRY_OF_EXCHANGE.get(exchange, "")
                for symbol, exchange in zip(symbols, facts["exchange"].fillna(""), strict=True)
            ),
            scores={name: grid.latest(frame, "score") for name, frame in frames.scores.items()},
        )

    def position(self, day: np.datetime64) -> int:
        """Position of a session, -1 when it is not one."""
        at = int(np.searchsorted(self.sessions, day))
        return at if at < len(self.sessions) and self.sessions[at] == day else -1

    def fx_at(self, row: int, columns: IntArray) -> FloatArray:
        """Index currency per unit of each column's currency at a session."""
        fx: FloatArray = np.ones(len(columns)) if self.fx is None else self.fx[row, columns]
        return fx

    def price_at(self, row: int, columns: IntArray, limit: int) -> FloatArray:
        """Close at a session, or the last one of at most `limit` sessions before, brought forward over the splits and
        special distributions since, as a holder would.
        """
        price: FloatArray = self.close[row, columns]
        missing = np.flatnonzero(np.isnan(price))
        if not len(missing):
            return price
        carried = np.full(len(self.symbols), np.nan)
        for position in range(max(0, row - limit), row):
            seen = self.close[position]
            carried = np.where(np.isnan(seen), carried, seen)
            ratio, special = self.events.ratios.get(position + 1), self.events.specials.get(position + 1)
            if ratio is not None:
                carried[ratio.columns] /= ratio.values
            if special is not None:
                carried[special.columns] -= special.values
        price[missing] = carried[columns[missing]]
        return np.where(price > 0, price, np.nan)

    def free_float_shares(self, row: int, columns: IntArray, *, free_float: bool) -> FloatArray:
        """Shares outstanding, times the free-float factor if asked; NaN where unknown."""
        if self.shares_outstanding is None:
            return np.full(len(columns), np.nan)
        shares: FloatArray = self.shares_outstanding[row, columns]
        return shares if self.free_float is None or not free_float else shares * self.free_float[row, columns]


class _Grid:
    """Places rows of frames into sessions x symbols."""

    def __init__(self, sessions: DayArray, symbols: Sequence[str]) -> None:
        self.sessions = sessions
        self._names = pd.Index(symbols)

    def columns(self, frame: pd.DataFrame) -> npt.NDArray[np.intp]:
        """Column of each row's symbol, -1 for one that has none."""
        code, names = pd.factorize(frame["symbol"])
        return self._names.get_indexer(names)[code]

    def bars(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray | None]:
        """Close and, if there is one, volume of each session and symbol; bars outside the sessions are left out."""
        day = frame["session"].to_numpy("datetime64[D]")
        row = np.searchsorted(self.sessions, day)
        inside = np.flatnonzero(row < len(self.sessions))
        inside = inside[self.sessions[row[inside]] == day[inside]]
        cell = row[inside] * len(self._names) + self.columns(frame)[inside]
        shape = (len(self.sessions), len(self._names))
        seen = np.bincount(cell, minlength=shape[0] * shape[1])
        if (seen > 1).any():
            at, column = divmod(int(np.argmax(seen > 1)), shape[1])
            raise SchemaMismatch(
                f"{self._names[column]} has several bars on {self.sessions[at]}; keep one source per bar"
            )

        def placed(values: pd.Series) -> FloatArray:
            out = np.full(shape, np.nan)
            out.flat[cell] = values.to_numpy(np.float64)[inside]
            return out

        return placed(frame["close"]), placed(frame["volume"]) if "volume" in frame.columns else None

    def intervals(self, members: pd.DataFrame) -> BoolArray:
        """Membership from member_from through member_to."""
        out = np.zeros((len(self.sessions), len(self._names)), np.bool_)
        begin = np.searchsorted(self.sessions, members["member_from"].to_numpy("datetime64[D]"))
        last = members["member_to"].to_numpy("datetime64[D]")
        end = np.where(np.isnat(last), len(self.sessions), np.searchsorted(self.sessions, last, side="right"))
        for column, lo, hi in zip(self.columns(members), begin, end, strict=True):
            out[lo:hi, column] = True
        return out

    def latest(self, frame: pd.DataFrame, value: str, otherwise: float = np.nan) -> FloatArray:
        """The value in force at each session: that of the last effective_date on or before it."""
        out = np.full((len(self.sessions), len(self._names)), otherwise)
        known = frame.assign(column=self.columns(frame))
        known = known[known["column"] >= 0].sort_values("effective_date")
        begin = np.searchsorted(self.sessions, known["effective_date"].to_numpy("datetime64[D]"))
        for column, lo, number in zip(known["column"], begin, known[value].to_numpy(np.float64), strict=True):
            out[lo:, column] = number
        return out

    def share_counts(self, shares: pd.DataFrame, actions: pd.DataFrame) -> FloatArray:
        """Shares in force, brought onto each session's share basis by the splits since their effective date."""
        out = self.latest(shares, "shares")
        counted = _days_by_symbol(shares, "effective_date")
        splits = actions[actions["kind"].isin(SPLIT_KINDS)].sort_values("ex_date")
        ratio = splits["value"].to_numpy(np.float64) + (splits["kind"] == "stock_dividend").to_numpy()
        day = splits["ex_date"].to_numpy("datetime64[D]")
        end_of_time = np.datetime64("9999-12-31", "D")
        for i, (name, column) in enumerate(zip(splits["symbol"], self.columns(splits).tolist(), strict=True)):
            if column >= 0 and name in counted:
                # A count taken on the ex-date or later already includes the split.
                recounted = counted[name][np.searchsorted(counted[name], day[i]) :]
                until = recounted[0] if len(recounted) else end_of_time
                lo, hi = np.searchsorted(self.sessions, np.array([day[i], until]))
                out[lo:hi, column] *= ratio[i]
        return out

    def rates(self, rates: Rates, currency: Sequence[str], index_currency: str) -> FloatArray | None:
        """Rate of each symbol's currency; None when every symbol is quoted in the index currency."""
        foreign = sorted(set(currency) - {index_currency})
        if not foreign:
            return None
        out = np.ones((len(self.sessions), len(currency)))
        for code in foreign:
            own = [i for i, name in enumerate(currency) if name == code]
            out[:, own] = rates.of(code, index_currency)[:, None]
        return out


def _currencies(stated: pd.Series, events: Events, index_currency: str) -> tuple[str, ...]:
    """Currency of each column: that of the member; for others, of the company it came from, else the index's."""
    found: list[str] = stated.fillna("").tolist()
    for transfers in (events.spin_offs, events.symbol_changes):
        for position in sorted(transfers):
            for transfer in transfers[position]:
                if transfer.to >= 0:
                    found[transfer.to] = found[transfer.to] or found[transfer.column]
    return tuple(name or index_currency for name in found)


def _days_by_symbol(frame: pd.DataFrame, column: str) -> dict[str, DayArray]:
    days: dict[str, list[np.datetime64]] = {}
    for name, day in zip(frame["symbol"], frame[column].to_numpy("datetime64[D]"), strict=True):
        days.setdefault(name, []).append(day)
    return {name: np.sort(np.array(own)) for name, own in days.items()}
