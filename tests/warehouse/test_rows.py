"""Rows as COPY is given them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from market_assets.warehouse.rows import PIECE_BYTES, in_pieces


@pytest.mark.parametrize("columns", [1, 80])
def test_pieces_are_all_rows_in_order_and_fit_into_a_socket(columns):
    rows = pa.table({f"c{column}": pa.array(range(20_000), pa.int64()) for column in range(columns)})
    pieces = list(in_pieces(rows))
    assert pa.Table.from_batches(pieces).equals(rows)
    assert max(piece.nbytes for piece in pieces) <= PIECE_BYTES
    assert len(pieces) == pytest.approx(rows.nbytes / PIECE_BYTES, abs=1.0, rel=0.1)


def test_no_rows_are_no_piece():
    reader = in_pieces(pa.table({"c": pa.array([], pa.int64())}))
    assert reader.schema.names == ["c"]
    assert reader.read_all().num_rows == 0
