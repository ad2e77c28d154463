"""Corporate actions as the index engine reads them: by session position and symbol column.

Belongs here: from action rows to events that take effect at the open of a session of the index calendar.
What an event does to a portfolio is corporate_actions.py. Kinds and values are those of
domain/adjustments.py, and besides:

    delisting      value = last worth per share (0 = worthless), missing = the last price; effective at the ex-date
    merger_cash    value = cash per share
    merger_stock   value = acquirer shares per share, detail = acquirer
    rights         value = new shares per share held, detail = subscription price
    spin_off       detail = "<new symbol> <new shares per share>" when the new company may be held
    symbol_change  detail = new symbol

An ex-date without a session takes effect at the next one; a cash amount is then put on that session's share
basis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from market_assets.domain.adjustments import CASH_KINDS, NEUTRAL_KINDS, SPLIT_KINDS
from market_assets.domain.indices.arrays import DayArray, FloatArray, IntArray
from market_assets.errors import InputError, SchemaMismatch

KNOWN_KINDS: Final = (*SPLIT_KINDS, *CASH_KINDS, *NEUTRAL_KINDS)


class PerShare(NamedTuple):
    """One number per share for some columns: columns increasing (int64), values float64."""

    columns: IntArray
    values: FloatArray


class Transfer(NamedTuple):
    """An event between two columns: spin-off (to = new company), stock merger (to = acquirer), symbol change.

    `shares` are received per share held; `value` is cash worth per share held, NaN when not stated.
    """

    column: int
    to: int
    shares: float
    value: float


class Rights(NamedTuple):
    """New shares offered per share held, and what each costs."""

    column: int
    shares: float
    price: float


@dataclass(frozen=True)
class Events:
    """Events by session position; each mapping holds only positions at which something happens."""

    ratios: Mapping[int, PerShare] = field(default_factory=dict)
    dividends: Mapping[int, PerShare] = field(default_factory=dict)
    specials: Mapping[int, PerShare] = field(default_factory=dict)
    exits: Mapping[int, PerShare] = field(default_factory=dict)
    spin_offs: Mapping[int, Sequence[Transfer]] = field(default_factory=dict)
    stock_mergers: Mapping[int, Sequence[Transfer]] = field(default_factory=dict)
    symbol_changes: Mapping[int, Sequence[Transfer]] = field(default_factory=dict)
    rights: Mapping[int, Sequence[Rights]] = field(default_factory=dict)

    def positions(self) -> set[int]:
        """Sessions at whose open something other than a regular dividend happens."""
        changing = (self.ratios, self.specials, self.exits, self.spin_offs, self.stock_mergers)
        return set().union(*changing, self.symbol_changes, self.rights)

    def cash(self, position: int) -> Iterator[PerShare]:
        """Every distribution with this ex-date, spin-offs at their stated worth."""
        for paid in (self.dividends.get(position), self.specials.get(position)):
            if paid is not None:
                yield paid
        for spin_off in self.spin_offs.get(position, ()):
            yield PerShare(np.array([spin_off.column]), np.array([spin_off.value]))

    def ratio_between(self, after: int, through: int, columns: IntArray) -> FloatArray:
        """Product of the split ratios effective at sessions in (after, through], for each column."""
        product = np.ones(len(columns))
        for position in range(after + 1, through + 1):
            if position in self.ratios:
                change = self.ratios[position]
                for column, ratio in zip(change.columns.tolist(), change.values.tolist(), strict=True):
                    product[columns == column] *= ratio
        return product


def index_events(actions: pd.DataFrame, sessions: DayArray, symbols: Sequence[str]) -> Events:
    """Events of the symbols within the sessions.

    Args:
        actions: symbol, ex_date, kind, value and, where the kind needs it, detail; unique on the first three.
        sessions: datetime64[D], increasing. Events at or before the first one are left out: no share was
            held.
        symbols: symbol of each column.

    Raises:
        InputError: an unknown kind, a doubled event, an impossible value or an unreadable detail.
        SchemaMismatch: a missing column.
    """
    missing = [name for name in ("symbol", "ex_date", "kind", "value") if name not in actions.columns]
    if missing:
        raise SchemaMismatch(f"actions lack {', '.join(missing)}")
    names = pd.Index(symbols)
    # By date first: a daily run is given the actions of all history and needs those of its few sessions.
    day = actions["ex_date"].to_numpy("datetime64[D]")
    position = np.searchsorted(sessions, day)
    within = np.flatnonzero((position > 0) & (position < len(sessions)))
    table, day, position = actions.iloc[within], day[within], position[within]
    table = table.assign(
        column=names.get_indexer(pd.Index(table["symbol"])), position=position, on_session=sessions[position] == day
    )
    table = table[table["column"] >= 0]
    _refuse_unusable(table)
    table = table.sort_values(["position", "column", "ex_date", "kind"], ignore_index=True)
    return _Collector(table, names, sessions).events()


def _refuse_unusable(table: pd.DataFrame) -> None:
    value = table["value"].astype(np.float64)
    positive = np.isfinite(value) & (value > 0)
    optional = table["kind"].isin(("symbol_change", "delisting"))
    worthless = (table["kind"] == "delisting") & ~(np.isnan(value) | (value >= 0))
    for bad, problem in (
        (~table["kind"].isin(KNOWN_KINDS), f"is of a kind that has no rule; known kinds: {', '.join(KNOWN_KINDS)}"),
        (table.duplicated(["symbol", "ex_date", "kind"]), "is given twice; keep one source per event"),
        (~optional & ~positive, "needs a value above zero"),
        (worthless, "needs a value of zero or more, or none"),
    ):
        if bad.any():
            raise _refused(table[bad].iloc[0], problem)


def _refused(row: pd.Series, problem: str) -> InputError:
    return InputError(
        f"{row['symbol']}: {row['kind']} with ex-date {pd.Timestamp(row['ex_date']):%Y-%m-%d} and value "
        f"{row['value']} {problem}."
    )


class _Collector:
    """Sorts action rows into the mappings of `Events`."""

    def __init__(self, table: pd.DataFrame, names: pd.Index, sessions: DayArray) -> None:
        self._table = table
        self._names = names
        self._sessions = sessions

    def events(self) -> Events:
        kind = self._table["kind"]
        spin_offs, unnamed = self._spin_offs()
        return Events(
            ratios=_per_share(self._ratios(), np.multiply),
            dividends=_per_share(self._cash(self._table[kind == "cash_dividend"]), np.add),
            specials=_per_share(self._cash(self._table[(kind == "special_dividend") | unnamed]), np.add),
            exits=_per_share(self._table[kind.isin(("delisting", "merger_cash"))], np.fmax),
            spin_offs=spin_offs,
            stock_mergers=self._transfers("merger_stock"),
            symbol_changes=self._transfers("symbol_change"),
            rights=self._rights(),
        )

    def _ratios(self) -> pd.DataFrame:
        rows = self._table[self._table["kind"].isin(SPLIT_KINDS)]
        return rows.assign(value=rows["value"].astype(np.float64) + (rows["kind"] == "stock_dividend"))

    def _cash(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Amounts per share of the effective session: a split after the ex-date and up to it divides them."""
        late = rows.index[~rows["on_session"].to_numpy(np.bool_)]
        if late.empty:
            return rows
        splits, rows = self._ratios(), rows.assign(value=rows["value"].astype(np.float64))
        for label in late:
            row = rows.loc[label]
            between = (
                (splits["column"] == row["column"])
                & (splits["position"] == row["position"])
                & (splits["ex_date"] > row["ex_date"])
            )
            rows.loc[label, "value"] = row["value"] / splits.loc[between, "value"].prod()
        return rows

    def _spin_offs(self) -> tuple[dict[int, list[Transfer]], pd.Series]:
        """Spin-offs that name a symbol of the market, and a mask of those that do not."""
        found: dict[int, list[Transfer]] = defaultdict(list)
        unnamed = self._table["kind"] == "spin_off"
        for at in np.flatnonzero(unnamed):
            row = self._table.iloc[int(at)]
            name, _, shares = self._detail(row).partition(" ")
            to = int(self._names.get_indexer(pd.Index([name]))[0])
            if to < 0 or not _is_number(shares):
                continue
            found[int(row["position"])].append(Transfer(int(row["column"]), to, float(shares), float(row["value"])))
            unnamed.iloc[int(at)] = False
        return dict(found), unnamed

    def _transfers(self, kind: str) -> dict[int, list[Transfer]]:
        """Events whose detail names another symbol; -1 stands for one outside the market."""
        found: dict[int, list[Transfer]] = defaultdict(list)
        for _, row in self._table[self._table["kind"] == kind].iterrows():
            name = self._detail(row)
            if not name:
                raise _refused(row, "needs the other symbol in `detail`")
            to = int(self._names.get_indexer(pd.Index([name]))[0])
            found[int(row["position"])].append(Transfer(int(row["column"]), to, float(row["value"]), np.nan))
        return dict(found)

    def _rights(self) -> dict[int, list[Rights]]:
        found: dict[int, list[Rights]] = defaultdict(list)
        for _, row in self._table[self._table["kind"] == "rights"].iterrows():
            price = self._detail(row)
            if not _is_number(price):
                raise _refused(row, "needs the subscription price in `detail`")
            found[int(row["position"])].append(Rights(int(row["column"]), float(row["value"]), float(price)))
        return dict(found)

    @staticmethod
    def _detail(row: pd.Series) -> str:
        detail = row.get("detail")
        return detail.strip() if isinstance(detail, str) else ""


def _per_share(rows: pd.DataFrame, combine: np.ufunc) -> dict[int, PerShare]:
    """Rows by position; several rows of one column are combined. Rows are sorted by (position, column)."""
    if rows.empty:
        return {}
    position, column = rows["position"].to_numpy(np.int64), rows["column"].to_numpy(np.int64)
    cell = np.flatnonzero(np.append(True, (np.diff(position) != 0) | (np.diff(column) != 0)))
    values = combine.reduceat(rows["value"].to_numpy(np.float64), cell)
    position, column = position[cell], column[cell]
    begin = np.flatnonzero(np.append(True, np.diff(position) != 0))
    end = np.append(begin[1:], len(position))
    return {
        int(position[lo]): PerShare(column[lo:hi], values[lo:hi])
        for lo, hi in zip(begin.tolist(), end.tolist(), strict=True)
    }


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False
