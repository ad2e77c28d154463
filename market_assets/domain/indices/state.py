"""What a daily run starts from: an index as stored for one session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.domain.indices.book import Book
from market_assets.domain.indices.market import Market
from market_assets.errors import InputError, SchemaMismatch


@dataclass(frozen=True, eq=False)
class IndexState:
    """An index after the close of a session: exactly what indices.index_value and indices.index_constituent
    hold.

    A rebalance after this close is not in it: it is made when the next session opens, from the market.

    Attributes:
        session: datetime64[D].
        symbols: constituents; shares, price, fx_rate and carried_sessions are aligned to them.
    """

    index_id: str
    session: np.datetime64
    price_return: float
    total_return: float
    net_total_return: float
    divisor: float
    symbols: tuple[str, ...]
    shares: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    fx_rate: npt.NDArray[np.float64]
    carried_sessions: npt.NDArray[np.int64]

    @classmethod
    def from_rows(cls, values: pd.DataFrame, constituents: pd.DataFrame) -> IndexState:
        """State after the last session of `values`, of one index.

        Args:
            values: rows of indices.index_value.
            constituents: rows of indices.index_constituent; those of that session are read.

        Raises:
            SchemaMismatch: no values, several indices, or no constituents at that session.
        """
        ids = sorted(set(values["index_id"]))
        if len(ids) != 1:
            raise SchemaMismatch(f"a state is made from the rows of one index, not of {', '.join(ids) or 'none'}")
        last = values.sort_values("session").iloc[-1]
        own = constituents[(constituents["index_id"] == ids[0]) & (constituents["session"] == last["session"])]
        if len(own) != last["constituents"]:
            raise SchemaMismatch(
                f"index {ids[0]} has {last['constituents']} constituents on {last['session']:%Y-%m-%d}, but "
                f"{len(own)} rows of index_constituent were given. Load all, or recompute from an earlier session."
            )
        own = own.sort_values("symbol")
        return cls(
            ids[0],
            np.datetime64(last["session"], "D"),
            float(last["price_return"]),
            float(last["total_return"]),
            float(last["net_total_return"]),
            float(last["divisor"]),
            tuple(own["symbol"]),
            own["shares"].to_numpy(np.float64),
            own["price"].to_numpy(np.float64),
            own["fx_rate"].to_numpy(np.float64),
            own["carried_sessions"].to_numpy(np.int64),
        )

    @classmethod
    def of(cls, book: Book, market: Market, position: int) -> IndexState:
        """State after a close of a calculation."""
        return cls(
            book.index_id,
            market.sessions[position],
            book.price_return,
            book.total_return,
            book.net_total_return,
            book.divisor,
            tuple(market.symbols[column] for column in book.columns.tolist()),
            book.shares.copy(),
            book.price.copy(),
            book.fx.copy(),
            book.carried.copy(),
        )

    def book(self, market: Market) -> Book:
        """The position on the market's columns.

        Raises:
            InputError: the market lacks a constituent.
        """
        columns = pd.Index(market.symbols).get_indexer(pd.Index(self.symbols))
        if (columns < 0).any():
            lost = [name for name, column in zip(self.symbols, columns, strict=True) if column < 0]
            raise InputError(
                f"index {self.index_id}: the market lacks its constituents {', '.join(lost)} of {self.session}. "
                "Load the bars and membership of every constituent, also of those that have just left."
            )
        return Book(
            self.index_id,
            columns.astype(np.int64),
            self.shares.copy(),
            self.price.copy(),
            self.fx_rate.copy(),
            self.carried_sessions.copy(),
            self.divisor,
            self.price_return,
            self.total_return,
            self.net_total_return,
        )
