"""Reading one CSV or Parquet file into a typed Arrow table, with row and column of each cell that cannot be read.

Belongs here: file formats, column mapping, dates, decimal marks. Does not belong here: which files there are, what
their names mean, and what becomes of a bad cell (`files.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from market_assets.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

NULLS: Final = ["", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None", "-"]
"""Number cells that mean "no value"; any other text is a fault. In a text column they are text: NA is a ticker."""

TEXT_COLUMNS: Final = frozenset({"symbol"})
DATE_COLUMN: Final = "session"


@dataclass(frozen=True)
class TableFormat:
    """How the files of a folder are written.

    Attributes:
        columns: name of the platform's column -> name in the file.
        date_format: strptime format of the session, None for ISO dates (2020-01-31).
        delimiter: CSV field separator.
        decimal_point: CSV decimal mark.
    """

    columns: dict[str, str]
    date_format: str | None = None
    delimiter: str = ","
    decimal_point: str = "."


@dataclass(frozen=True)
class BadCell:
    """A cell that cannot be read as what its column holds.

    Attributes:
        row: row in the file, the header being row 1 of a CSV file and no row of a Parquet file.
        column: name in the file.
        value: what stands there, as text.
        problem: why it cannot be used.
        symbol: symbol of the row where the file has one, else None.
    """

    row: int
    column: str
    value: str
    problem: str
    symbol: str | None

    def describe(self, path: Path) -> str:
        """Sentence with file, row, column and value."""
        return (
            f"{path}: row {self.row}: column {self.column} {self.problem} (found {self.value!r}). "
            "Correct the cell, or the column mapping and date format of the source."
        )


def read_table(path: Path, form: TableFormat) -> tuple[pa.Table, list[BadCell]]:
    """The mapped columns of one file, under the platform's names.

    Returns:
        (table, bad cells). session is timestamp[us] at midnight, symbol is a string, all else float64 with null for a
        missing number. Rows with a bad cell are not in the table.

    Raises:
        InputError: the file cannot be opened or decompressed, lacks a mapped column, or has rows of another width.
    """
    import pyarrow as pa

    try:
        if path.suffix == ".parquet":
            return _typed(_read_parquet(path, form), form, first_row=1)
        try:
            return _dated(_read_csv(path, form, _csv_types(form)), form, first_row=2)
        except pa.ArrowInvalid:
            # The fast reader stops at its first bad cell. Read again as text to find them all.
            text = {theirs: pa.string() for theirs in form.columns.values()}
            return _typed(_read_csv(path, form, text), form, first_row=2)
    except KeyError as error:
        raise InputError(
            f"{path}: a mapped column is missing: {error.args[0]}. The file has {', '.join(_header(path, form))}; "
            "correct `columns` of the source."
        ) from error
    except (pa.ArrowException, OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read: {error}. Replace or remove the file.") from error


def _arrow_type(ours: str) -> Any:
    import pyarrow as pa

    if ours in TEXT_COLUMNS:
        return pa.string()
    return pa.timestamp("us") if ours == DATE_COLUMN else pa.float64()


def _csv_types(form: TableFormat) -> dict[str, Any]:
    import pyarrow as pa

    types = {theirs: _arrow_type(ours) for ours, theirs in form.columns.items()}
    if form.date_format is None and DATE_COLUMN in form.columns:
        types[form.columns[DATE_COLUMN]] = pa.date32()  # parses a third faster than a timestamp
    return types


def _read_csv(path: Path, form: TableFormat, types: dict[str, Any]) -> pa.Table:
    import pyarrow.csv as pacsv

    table = pacsv.read_csv(
        path,
        # One thread: the files are small, and only then do messages carry the row.
        read_options=pacsv.ReadOptions(use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=form.delimiter),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=NULLS,
            strings_can_be_null=False,
            decimal_point=form.decimal_point,
            timestamp_parsers=[form.date_format] if form.date_format else [],
        ),
    )
    return table.rename_columns(list(form.columns))


def _read_parquet(path: Path, form: TableFormat) -> pa.Table:
    import pyarrow.parquet as papq

    names = papq.read_schema(path).names
    missing = [theirs for theirs in form.columns.values() if theirs not in names]
    if missing:
        raise KeyError(", ".join(missing))
    table = papq.read_table(path, columns=list(form.columns.values()))
    return table.select(list(form.columns.values())).rename_columns(list(form.columns))


def _header(path: Path, form: TableFormat) -> list[str]:
    import pyarrow.csv as pacsv
    import pyarrow.parquet as papq

    if path.suffix == ".parquet":
        return [str(name) for name in papq.read_schema(path).names]
    with pacsv.open_csv(path, parse_options=pacsv.ParseOptions(delimiter=form.delimiter)) as reader:
        return [str(name) for name in reader.schema.names]


def _dated(table: pa.Table, form: TableFormat, first_row: int) -> tuple[pa.Table, list[BadCell]]:
    """Fast path: everything parsed; what is left is a missing date or symbol, or a date with a time of day."""
    import pyarrow as pa
    import pyarrow.compute as pc

    clean = True
    for name in TEXT_COLUMNS & set(table.column_names):
        clean &= not pc.any(pc.equal(table.column(name), ""), min_count=0).as_py()
    if DATE_COLUMN in table.column_names:
        day = table.column(DATE_COLUMN).cast(pa.timestamp("us"))
        clean &= day.null_count == 0
        clean &= pc.all(pc.equal(day, pc.floor_temporal(day, unit="day")), min_count=0).as_py()
        table = table.set_column(table.column_names.index(DATE_COLUMN), DATE_COLUMN, day)
    return (table, []) if clean else _typed(table, form, first_row)


def _typed(table: pa.Table, form: TableFormat, first_row: int) -> tuple[pa.Table, list[BadCell]]:
    """Careful path: cast each column by itself, list what does not cast, and leave those rows out."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    frame = table.to_pandas()
    good = np.ones(len(frame), dtype=bool)
    out: dict[str, pd.Series] = {}
    bad: list[BadCell] = []
    for ours in form.columns:
        out[ours], wrong, problem = _cast(frame[ours], ours, form)
        bad.extend(_bad_cells(frame, ours, form, wrong, problem, first_row))
        good &= ~wrong
    schema = pa.schema([(ours, _arrow_type(ours)) for ours in form.columns])
    return pa.Table.from_pandas(pd.DataFrame(out)[good], schema=schema, preserve_index=False), bad


def _cast(raw: pd.Series, ours: str, form: TableFormat) -> tuple[pd.Series, npt.NDArray[np.bool_], str]:
    """The typed column, which of its cells are wrong, and what is wrong with them."""
    import pandas as pd

    if ours in TEXT_COLUMNS:
        typed = raw.astype("str")
        return typed, (typed.isna() | (typed == "")).to_numpy(), "is empty"
    if ours == DATE_COLUMN:
        days = _dates(raw, form.date_format)
        shape = f" of the form {form.date_format}" if form.date_format else ""
        return days, (days.isna() | (days != days.dt.normalize())).to_numpy(), f"is not a date{shape} without a time"
    given = raw.notna()
    if raw.dtype == "str":
        given &= ~raw.isin(NULLS)
        raw = raw.str.replace(form.decimal_point, ".", regex=False)
    numbers = pd.to_numeric(raw, errors="coerce").astype("float64")
    return numbers, (numbers.isna() & given).to_numpy(), "is not a number"


def _bad_cells(
    frame: pd.DataFrame, ours: str, form: TableFormat, wrong: npt.NDArray[np.bool_], problem: str, first_row: int
) -> Iterator[BadCell]:
    for position in wrong.nonzero()[0]:
        cell = frame.iloc[position].astype("object")
        known = {name: str(value) for name, value in cell[cell.notna()].items()}
        yield BadCell(
            int(position) + first_row, form.columns[ours], known.get(ours, ""), problem, known.get("symbol") or None
        )


def _dates(values: pd.Series, date_format: str | None) -> pd.Series[pd.Timestamp]:
    import pandas as pd

    if isinstance(values.dtype, pd.DatetimeTZDtype):
        # Whose midnight it is cannot be known: every value is refused by the caller.
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[us]")
    if len(values) and isinstance(values.iloc[0], dt.date):
        values = values.astype("str")
        date_format = None
    return pd.to_datetime(values, format=date_format or "ISO8601", errors="coerce").astype("datetime64[us]")
