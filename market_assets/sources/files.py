"""Source `files`: a folder of CSV, CSV.GZ or Parquet files, one per symbol or one per date.

Belongs here: which files answer a request, and which moment of knowledge a file stands for. Does not belong here: what
the options may say (`files_options.py`), parsing a file (`tabular.py`).

A file per date may be a vintage: what the vendor showed that evening, for that session and some before it. With
`knowledge` in the options, `fetch_vintages` gives one result per file with its own `known_at`, oldest first, and
`fetch` the last statement for each bar. A bar that a later vintage no longer shows keeps its last statement: an absent
row is not a correction.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from market_assets.errors import ConfigError, InputError
from market_assets.sources.base import (
    Coverage,
    FetchRequest,
    FetchResult,
    PriceSource,
    SecurityRef,
    SymbolFailure,
    unknown_symbol,
)
from market_assets.sources.files_options import FIELDS, FilesOptions
from market_assets.sources.frames import (
    ACTIONS,
    ADJUSTED_CLOSE_COLUMNS,
    ADJUSTED_CLOSES,
    BAR_COLUMNS,
    BARS,
    SECURITIES,
    SHARES,
    FrameSchema,
)
from market_assets.sources.options import SourceContext, SourceOptions
from market_assets.sources.tabular import BadCell, TableFormat, read_table

if TYPE_CHECKING:
    import pyarrow as pa


class FilesSource(PriceSource):
    """Bars of a folder. Every row of a symbol that is asked for is returned, or the symbol fails with file and row."""

    authoritative = True

    def __init__(self, name: str, options: FilesOptions, context: SourceContext) -> None:
        """Raises ConfigError when the folder does not exist or holds no file of the given name."""
        self.name, self.basis, self.provides = name, options.basis, Coverage()
        self._options, self._folder = options, context.resolve(options.folder)
        self._format = TableFormat(options.mapping, options.date_format, options.delimiter, options.decimal_point)
        if not self._folder.is_dir():
            raise ConfigError("no such folder", file=name, key="folder", value=str(self._folder))
        self._actions_file = context.resolve(options.actions_file) if options.actions_file else None
        self._shares_file = context.resolve(options.shares_file) if options.shares_file else None
        if not (self._date_files if options.by_date else self._symbol_files):
            raise ConfigError(
                f"no file named like {options.file_name} in the folder",
                file=name,
                key="file_name",
                value=str(self._folder),
            )

    @classmethod
    def from_options(cls, name: str, options: SourceOptions, context: SourceContext) -> FilesSource:
        """See `PriceSource.from_options`."""
        assert isinstance(options, FilesOptions)  # noqa: S101 - the registry pairs class and options
        return cls(name, options, context)

    def known_securities(self) -> tuple[SecurityRef, ...]:
        """Symbols of the folder: by file name, or those of the newest file of a date."""
        if self._options.by_date:
            newest = max(self._date_files)
            symbols = sorted(_symbols(read_table(self._date_files[newest], self._format)[0]))
        else:
            symbols = sorted(self._symbol_files)
        return tuple(SecurityRef(symbol, self._options.exchange, self._options.currency) for symbol in symbols)

    def _fetch(self, request: FetchRequest) -> FetchResult:
        return self._fetch_dates(request) if self._options.by_date else self._fetch_symbols(request)

    def _fetch_vintages(self, request: FetchRequest) -> Iterator[FetchResult]:
        knowledge = self._options.knowledge
        if knowledge is None:
            yield self._fetch(request)
            return
        days = self._days(request)
        unseen = set(request.names)
        for day in days:
            table, bad = self._read_date(day, request)
            unseen -= _symbols(table) | {cell.symbol for cell in bad if cell.symbol}
            failures = self._bad_rows(day, bad, request)
            if day == days[-1]:
                failures |= self._never_seen(unseen, days)
            yield self._result([table], request, failures, 1, origin=str(self._date_files[day]), day=day)
        if not days:
            yield FetchResult(origin=self.name)

    def _fetch_symbols(self, request: FetchRequest) -> FetchResult:
        import pyarrow.compute as pc

        tables: list[pa.Table] = []
        first_sessions: dict[str, pd.Timestamp] = {}
        failures: dict[str, SymbolFailure] = {}
        files_read = 0
        for symbol in request.names:
            path = self._symbol_files.get(symbol)
            if path is None:
                expected = self._options.file_name.replace("{symbol}", symbol)
                failures[symbol] = unknown_symbol(self.name, symbol, f"There is no file {self._folder / expected}.")
                continue
            files_read += 1
            try:
                table = self._read_symbol(symbol, path)
            except InputError as error:
                failures[symbol] = SymbolFailure.from_error(symbol, error)
                continue
            if len(table):
                # A file holds the whole history: a day's request does not make a frame of it.
                first_sessions[symbol] = pd.Timestamp(pc.min(table.column("session")).as_py())
                tables.append(table.filter(_between(table.column("session"), request.start, request.end)))
        return self._result(tables, request, failures, files_read, origin=self.name, first_sessions=first_sessions)

    def _fetch_dates(self, request: FetchRequest) -> FetchResult:
        tables: list[pa.Table] = []
        failures: dict[str, SymbolFailure] = {}
        unseen = set(request.names)
        days = self._days(request) if request.symbols else []
        for day in days:
            table, bad = self._read_date(day, request)
            unseen -= _symbols(table) | {cell.symbol for cell in bad if cell.symbol}
            failures |= self._bad_rows(day, bad, request)
            tables.append(table)
        failures |= self._never_seen(unseen, days)
        return self._result(tables, request, failures, len(days), origin=self.name)

    def _read_symbol(self, symbol: str, path: Path) -> pa.Table:
        """The file of one symbol with its symbol column; InputError at the first bad cell or foreign row."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table, bad = read_table(path, self._format)
        if bad:
            raise InputError(bad[0].describe(path))
        if "symbol" in table.column_names:
            foreign = pc.index(pc.not_equal(table.column("symbol"), symbol), True).as_py()
            if foreign >= 0:
                found = table.column("symbol")[foreign].as_py()
                cell = BadCell(foreign + 2, self._format.columns["symbol"], found, f"is not {symbol}", symbol)
                raise InputError(cell.describe(path))
            return table
        return table.append_column("symbol", pa.repeat(symbol, len(table)))

    def _read_date(self, day: dt.date, request: FetchRequest) -> tuple[pa.Table, list[BadCell]]:
        """Rows of the asked symbols in the file of `day`, and the cells that could not be read.

        Raises:
            InputError: the file as a whole cannot be read, or holds another session than the one it is named for.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        path, midnight = self._date_files[day], dt.datetime.combine(day, dt.time())
        table, bad = read_table(path, self._format)
        if "session" not in table.column_names:
            table = table.append_column("session", pa.repeat(pa.scalar(midnight, pa.timestamp("us")), len(table)))
        elif self._options.knowledge is None:
            stray = pc.index(pc.not_equal(table.column("session"), midnight), True).as_py()
            if stray >= 0:
                found = str(table.column("session")[stray].as_py().date())
                cell = BadCell(stray + 2, self._format.columns["session"], found, f"is not {day}", None)
                raise InputError(f"{cell.describe(path)} A file that holds several sessions needs `knowledge`.")
        nameless = [cell for cell in bad if cell.symbol is None]
        if nameless:
            raise InputError(nameless[0].describe(path))
        asked = pa.array(request.names, pa.string())
        return table.filter(pc.is_in(table.column("symbol"), value_set=asked)), bad

    def _bad_rows(self, day: dt.date, bad: list[BadCell], request: FetchRequest) -> dict[str, SymbolFailure]:
        asked = set(request.names)
        return {
            cell.symbol: SymbolFailure(
                cell.symbol, InputError.__name__, cell.describe(self._date_files[day]), retryable=False
            )
            for cell in reversed(bad)
            if cell.symbol in asked and cell.symbol is not None
        }

    def _never_seen(self, unseen: set[str], days: list[dt.date]) -> dict[str, SymbolFailure]:
        if not days:
            return {}
        where = f"No row in the {len(days)} files of {days[0]} to {days[-1]} in {self._folder}."
        return {symbol: unknown_symbol(self.name, symbol, where) for symbol in sorted(unseen)}

    def _result(
        self,
        tables: list[pa.Table],
        request: FetchRequest,
        failures: dict[str, SymbolFailure],
        requests_made: int,
        origin: str,
        day: dt.date | None = None,
        first_sessions: Mapping[str, pd.Timestamp] | None = None,
    ) -> FetchResult:
        start, end = pd.Timestamp(request.start), pd.Timestamp(request.end)
        rows = self._rows(tables, failures)
        bars = rows[list(BAR_COLUMNS)]
        adjusted = rows if "adjusted_close" in rows else ADJUSTED_CLOSES.empty()
        # A file per symbol says when it was listed; files of some dates do not.
        held = set(bars["symbol"].unique()) if first_sessions is None else set(first_sessions)
        symbols = [symbol for symbol in request.names if symbol in held]
        knowledge = self._options.knowledge
        return FetchResult(
            bars=bars[bars["session"].between(start, end)],
            adjusted_closes=adjusted.loc[adjusted["session"].between(start, end), list(ADJUSTED_CLOSE_COLUMNS)],
            actions=self._actions_of(symbols, start, end),
            securities=self._securities_of(symbols, request, first_sessions or {}),
            shares=self._shares_of(symbols, start, end),
            failures=tuple(failures[symbol] for symbol in request.names if symbol in failures),
            requests_made=requests_made,
            known_at=knowledge.moment(day) if knowledge and day else None,
            origin=origin,
        )

    def _rows(self, tables: list[pa.Table], failures: dict[str, SymbolFailure]) -> pd.DataFrame:
        """BAR_COLUMNS, and adjusted_close where the files have one."""
        import pyarrow as pa

        if not tables:
            return BARS.empty()
        columns = [*FIELDS, *({"adjusted_close"} & set(self._options.mapping))]
        frame: pd.DataFrame = pa.concat_tables([table.select(columns) for table in tables]).to_pandas()
        if self._options.knowledge is not None and len(tables) > 1:
            vintage = pd.Series(range(len(tables))).repeat([len(table) for table in tables]).to_numpy()
            last = frame.assign(vintage=vintage).groupby(["symbol", "session"])["vintage"].transform("max")
            frame = frame[vintage == last]
        if failures:
            frame = frame[~frame["symbol"].isin(list(failures))]
        return frame.assign(source=self.name, currency=self._options.currency)

    def _actions_of(self, symbols: list[str], start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        table = self._actions[self._actions["symbol"].isin(symbols) & (self._actions["ex_date"] >= start)]
        return table[table["ex_date"] <= end] if self.basis == "as_traded" else table

    def _shares_of(self, symbols: list[str], start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        table = self._shares[self._shares["symbol"].isin(symbols) & (self._shares["effective_date"] <= end)]
        following = table.groupby("symbol")["effective_date"].shift(-1)
        return table[~(following <= start)]

    def _securities_of(
        self, symbols: list[str], request: FetchRequest, first_sessions: Mapping[str, pd.Timestamp]
    ) -> pd.DataFrame:
        exchange = {ref.symbol: ref.exchange for ref in request.symbols}
        frame = SECURITIES.empty().reindex(range(len(symbols)))
        return frame.assign(
            symbol=symbols,
            exchange=[exchange[symbol] for symbol in symbols],
            name=symbols,
            currency=self._options.currency,
            first_session=pd.Series(dict(first_sessions), dtype="datetime64[us]").reindex(symbols).to_numpy(),
            source=self.name,
        )

    def _days(self, request: FetchRequest) -> list[dt.date]:
        """Dates of the files that may hold bars of the range, oldest first. A vintage may restate any earlier one."""
        days = sorted(day for day in self._date_files if day >= request.start)
        return days if self._options.knowledge else [day for day in days if day <= request.end]

    @cached_property
    def _symbol_files(self) -> dict[str, Path]:
        return dict(self._matches())

    @cached_property
    def _date_files(self) -> dict[dt.date, Path]:
        form = self._options.file_date_format
        files = {}
        for text, path in self._matches():
            try:
                files[dt.datetime.strptime(text, form).date()] = path  # noqa: DTZ007 - a date, which has no zone
            except ValueError as error:
                raise InputError(
                    f"{path}: {text!r} is not a date of the form {form}. Rename or remove the file, or correct "
                    "file_date_format of the source."
                ) from error
        return files

    def _matches(self) -> Iterator[tuple[str, Path]]:
        """Each file of the folder that is named like the option says, with what stands for the placeholder."""
        before, after = re.split(r"\{(?:symbol|date)\}", self._options.file_name)
        name = re.compile(f"{re.escape(before)}(.+){re.escape(after)}")
        for path in sorted(self._folder.iterdir()):
            match = name.fullmatch(path.name)
            if match:
                yield match[1], path

    @cached_property
    def _actions(self) -> pd.DataFrame:
        defaults = {"currency": self._options.currency, "detail": None}
        return self._facts(self._actions_file, ACTIONS, defaults)

    @cached_property
    def _shares(self) -> pd.DataFrame:
        return self._facts(self._shares_file, SHARES, {})

    def _facts(self, path: Path | None, schema: FrameSchema, defaults: dict[str, str | None]) -> pd.DataFrame:
        if path is None:
            return schema.empty()
        try:
            frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read: {error}. Correct the file or the source's options.") from error
        for column, value in defaults.items():
            if column not in frame:
                frame[column] = value
        return schema.conform(frame.assign(source=self.name), str(path))


def _symbols(table: pa.Table) -> set[str]:
    return set(table.column("symbol").unique().to_pylist())


def _between(sessions: pa.ChunkedArray, start: dt.date, end: dt.date) -> pa.ChunkedArray:
    """Which of `sessions` (midnights) lie in [start, end]."""
    import pyarrow.compute as pc

    first, last = (dt.datetime.combine(day, dt.time()) for day in (start, end))
    return pc.and_(pc.greater_equal(sessions, first), pc.less_equal(sessions, last))
