"""The frames a source hands over: columns, dtypes, key and order of bars, actions, securities and share counts.

Belongs here: what such a frame must look like, and the one function that types and orders it. Does not belong here:
any judgement of the values. A price of zero, a duplicated row or a NaN is passed on as the vendor sent it, typed, for
the quality rules to count and quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import pandas as pd

from market_assets.errors import SchemaMismatch

ColumnKind: TypeAlias = Literal["text", "date", "number"]

DATE_DTYPE: Final = "datetime64[us]"
"""dtype of session, ex_date, effective_date: naive midnight, in the resolution pandas 3 parses to by default."""

_DTYPES: Final[dict[ColumnKind, str]] = {"text": "str", "date": DATE_DTYPE, "number": "float64"}

ACTION_KINDS: Final = (
    "split",
    "cash_dividend",
    "special_dividend",
    "spin_off",
    "stock_dividend",
    "symbol_change",
    "delisting",
    "merger_cash",
    "merger_stock",
    "rights",
)
"""Kinds of corporate action. `value` is: new shares per old share (split; stock_dividend: the additional ones), cash
per share as traded on the ex-date (dividends, merger_cash), cash value per parent share (spin_off, whose `detail` may
be "<new symbol> <new shares per share>"), NaN (symbol_change, whose `detail` is the new symbol), the last worth of a
share (delisting; NaN = its last price), shares of the acquirer per share (merger_stock, `detail` = the acquirer), new
shares offered per share (rights, `detail` = the subscription price)."""


@dataclass(frozen=True)
class FrameSchema:
    """What one kind of frame must look like.

    Attributes:
        name: what the frame is called in messages.
        columns: column names in order, and what each holds.
        key: columns that identify a row, in sort order. A source may still send a key twice: see `duplicates`.
        optional: columns in which a value may be missing. Numbers of bars may: a vendor's NaN is evidence.
    """

    name: str
    columns: dict[str, ColumnKind]
    key: tuple[str, ...]
    optional: frozenset[str] = frozenset()

    def empty(self) -> pd.DataFrame:
        """A frame of no rows with the declared columns and dtypes."""
        return pd.DataFrame({column: pd.Series(dtype=_DTYPES[kind]) for column, kind in self.columns.items()})

    def conform(self, frame: pd.DataFrame, origin: str) -> pd.DataFrame:
        """The same rows with declared columns, dtypes and order; equal keys keep the order they came in.

        Args:
            frame: any frame that has exactly the declared columns, in any order.
            origin: source (and file, if any) for messages.

        Raises:
            SchemaMismatch: a column is missing or unknown, a value cannot be typed, or a required one is missing.
        """
        missing = [column for column in self.columns if column not in frame.columns]
        unknown = [str(column) for column in frame.columns if column not in self.columns]
        if missing or unknown:
            raise SchemaMismatch(
                f"{origin}: {self.name} must have exactly the columns {', '.join(self.columns)}; "
                f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}."
            )
        typed = pd.DataFrame({column: self._typed(frame, column, origin) for column in self.columns}, index=frame.index)
        for column in self.columns:
            if column not in self.optional and self.columns[column] != "number":
                _refuse(typed[column].isna(), typed, column, origin, self.name, "is missing")
        return self._ordered(typed)

    def duplicates(self, frame: pd.DataFrame) -> int:
        """Number of rows of a conforming frame that repeat the key of an earlier row."""
        return int(frame.duplicated(list(self.key)).sum())

    def _typed(self, frame: pd.DataFrame, column: str, origin: str) -> pd.Series:
        values, kind = frame[column], self.columns[column]
        if str(values.dtype) == _DTYPES[kind]:
            typed = values
        elif isinstance(values.dtype, pd.DatetimeTZDtype):
            raise SchemaMismatch(
                f"{origin}: {self.name} column {column} has a time zone ({values.dtype.tz}); hand over the exchange's "
                "own date as naive midnight."
            )
        elif kind == "date":
            typed = pd.to_datetime(values, errors="coerce").astype(DATE_DTYPE)
        elif kind == "number":
            typed = pd.to_numeric(values, errors="coerce").astype("float64")
        else:
            typed = values.astype("str")
        if kind == "text":
            return typed
        what = "is not a number" if kind == "number" else "is not a date"
        if typed is not values:
            _refuse(typed.isna() & values.notna(), frame, column, origin, self.name, what)
        if kind == "date":
            timed = typed.notna() & (typed != typed.dt.normalize())
            _refuse(timed, frame, column, origin, self.name, "has a time of day; a date is naive midnight")
        return typed

    def _ordered(self, frame: pd.DataFrame) -> pd.DataFrame:
        # Codes sort an order of magnitude faster than strings, and a loader that is already in order pays only for
        # the look.
        code = pd.factorize(frame[self.key[0]], sort=True)[0]
        day = frame[self.key[1]].to_numpy() if len(self.key) > 1 else np.zeros(len(frame), "int64")
        step = np.diff(code)
        in_order = bool(((step > 0) | ((step == 0) & (day[:-1] <= day[1:]))).all())
        if not in_order:
            frame = frame.iloc[np.lexsort((day, code))]
        return frame.reset_index(drop=True)


BARS: Final = FrameSchema(
    "bars",
    {
        "symbol": "text",
        "session": "date",
        "source": "text",
        "open": "number",
        "high": "number",
        "low": "number",
        "close": "number",
        "volume": "number",
        "currency": "text",
    },
    key=("symbol", "session", "source"),
)
ACTIONS: Final = FrameSchema(
    "actions",
    {
        "symbol": "text",
        "ex_date": "date",
        "kind": "text",
        "source": "text",
        "value": "number",
        "currency": "text",
        "detail": "text",
    },
    key=("symbol", "ex_date", "kind", "source"),
    optional=frozenset({"detail"}),
)
SECURITIES: Final = FrameSchema(
    "securities",
    {
        "symbol": "text",
        "exchange": "text",
        "name": "text",
        "currency": "text",
        "first_session": "date",
        "last_session": "date",
        "source": "text",
    },
    key=("symbol",),
    optional=frozenset({"first_session", "last_session"}),
)
SHARES: Final = FrameSchema(
    "shares",
    {"symbol": "text", "effective_date": "date", "shares": "number", "source": "text"},
    key=("symbol", "effective_date"),
)

ADJUSTED_CLOSES: Final = FrameSchema(
    "adjusted closes",
    {"symbol": "text", "session": "date", "source": "text", "adjusted_close": "number"},
    key=("symbol", "session", "source"),
)
"""A vendor's own fully adjusted closes: evidence about its dividends, never stored and never a price. Only the ratio of
neighbouring ones is used: whatever scale a symbol's rows are on, it does not change between two sessions that both have
one (see `adjusted_closes.py`). A source that shows none hands over no rows."""

BAR_COLUMNS: Final = tuple(BARS.columns)
ADJUSTED_CLOSE_COLUMNS: Final = tuple(ADJUSTED_CLOSES.columns)
ACTION_COLUMNS: Final = tuple(ACTIONS.columns)
SECURITY_COLUMNS: Final = tuple(SECURITIES.columns)
SHARES_COLUMNS: Final = tuple(SHARES.columns)


def _refuse(bad: pd.Series, frame: pd.DataFrame, column: str, origin: str, name: str, problem: str) -> None:
    if not bad.any():
        return
    position = int(np.flatnonzero(bad.to_numpy())[0])
    shown = ", ".join(f"{key}={value!r}" for key, value in frame.iloc[position].astype(object).items())
    raise SchemaMismatch(
        f"{origin}: {name} row {position + 1} of {len(frame)}: {column} {problem} ({shown}); "
        f"{int(bad.sum())} such rows. Map or repair the column in the source before it is handed over."
    )
