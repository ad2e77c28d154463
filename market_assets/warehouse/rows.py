"""A frame as Arrow rows in the types of a versioned table, its keys checked: what every write begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from market_assets.errors import SchemaMismatch
from market_assets.warehouse.tables import BOOLEAN, DATE, FLOAT, INTEGER, TEXT, TIMESTAMP, VersionedTable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PIECE_BYTES = 128 * 1024
"""What fits into the buffer of a socket: one piece is encoded while the server stores the one before."""


def to_arrow(table: VersionedTable, frame: pd.DataFrame) -> pa.Table:
    """`frame` as an Arrow table in the types of `table`, keys checked.

    Raises:
        SchemaMismatch: see `VersionedWriter.write`.
    """
    import pyarrow as pa

    if set(frame.columns) != set(table.columns) or len(frame.columns) != len(table.columns):
        missing, extra = set(table.columns) - set(frame.columns), set(frame.columns) - set(table.columns)
        raise SchemaMismatch(
            f"{table.qualified}: missing columns {sorted(missing)}, unknown columns {sorted(extra)}; "
            f"it takes {list(table.columns)}"
        )
    key = list(table.key)
    nulls = frame[key].isna().any(axis=1)
    if nulls.any():
        raise SchemaMismatch(f"{table.qualified}: a key is null in row {frame[nulls].iloc[0].to_dict()}")
    doubled = frame.duplicated(key)
    if doubled.any():
        raise SchemaMismatch(
            f"{table.qualified}: {int(doubled.sum())} keys stand twice, first {frame[doubled].iloc[0][key].to_dict()}"
        )
    types = {
        TEXT: pa.string(),
        DATE: pa.date32(),
        FLOAT: pa.float64(),
        INTEGER: pa.int32(),
        "bigint": pa.int64(),
        BOOLEAN: pa.bool_(),
        TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }
    arrays = []
    for name, sql_type in table.columns.items():
        try:
            arrays.append(pa.Array.from_pandas(frame[name]).cast(types[sql_type]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise SchemaMismatch(f"{table.qualified}.{name} takes {sql_type}: {error}") from error
    return pa.Table.from_arrays(arrays, names=list(table.columns))


def in_pieces(rows: pa.Table) -> pa.RecordBatchReader:
    """`rows` as COPY is to be given them: in pieces of about PIECE_BYTES."""
    width = max(1, rows.nbytes // max(1, rows.num_rows))
    return rows.to_reader(max_chunksize=max(16, PIECE_BYTES // width))
