"""The reference files: exchange rates, free-float factors and factor scores, as CSV beside market.yaml.

    fx_rates        base,quote,session,rate             units of `quote` for one of `base`, from that day on
    free_float      symbol,effective_date,factor        share of the shares outstanding that can be bought, in (0, 1]
    factor_scores   score,symbol,effective_date,value   any number; an index weights by the positive ones

Belongs here: reading and refusing. What an index makes of the values is domain/indices.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from market_assets.errors import ConfigError, InputError
from market_assets.warehouse.tables import FACTOR_SCORE, FREE_FLOAT, FX_RATE, VersionedTable

if TYPE_CHECKING:
    from market_assets.config import MarketConfig
    from market_assets.universe import Universe

CURRENCY: Final = re.compile(r"[A-Z]{3}")
SCORE: Final = re.compile(r"\S.{0,63}")

_Cells = Mapping[str, str]
_Key = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class ReferenceData:
    """Rows of the files in the columns of their tables (days as datetime64); no rows where no file is configured."""

    fx_rates: pd.DataFrame
    free_float: pd.DataFrame
    factor_scores: pd.DataFrame


def load_reference_files(config: MarketConfig, universe: Universe) -> ReferenceData:
    """Read and check the files that `reference` of the configuration names.

    Raises:
        ConfigError: a file cannot be read.
        InputError: a row is malformed, doubled, or about a symbol that the universe does not have; the message names
            file and row.
    """
    files, symbols = config.reference, frozenset(universe.symbols)

    def rows(path: Path | None, table: VersionedTable, read: Callable[[_Cells], _Key]) -> pd.DataFrame:
        found = [] if path is None else list(_checked(config.beside(path), table, read, symbols))
        frame = pd.DataFrame(found, columns=list(table.columns))
        kinds = {"date": "datetime64[us]", "double precision": "float64", "text": "str"}
        return frame.astype({name: kinds[kind] for name, kind in table.columns.items()})

    return ReferenceData(
        rows(files.fx_rates, FX_RATE, _rate),
        rows(files.free_float, FREE_FLOAT, _factor),
        rows(files.factor_scores, FACTOR_SCORE, _score),
    )


def _checked(
    path: Path, table: VersionedTable, read: Callable[[_Cells], _Key], symbols: frozenset[str]
) -> Iterator[_Key]:
    """Values of each row, in the order of the table's columns."""
    seen: dict[_Key, int] = {}
    for number, cells in _rows(path, list(table.columns)):
        try:
            values = read(cells)
            if "symbol" in table.key:
                _require_symbol(cells["symbol"], symbols)
            key = values[: len(table.key)]
            _require_new(key, seen, table)
        except ValueError as error:
            raise InputError(f"{path} row {number}: {error}") from error
        seen[key] = number
        yield values


def _require_symbol(symbol: str, symbols: frozenset[str]) -> None:
    if not symbol:
        raise ValueError("the symbol is missing; name one of the universe")
    if symbol not in symbols:
        raise ValueError(f"{symbol} is not in the universe; add it to the universe file, or take the row out")


def _require_new(key: _Key, seen: Mapping[_Key, int], table: VersionedTable) -> None:
    if key in seen:
        raise ValueError(f"{' '.join(map(str, key))} is in row {seen[key]} already; keep one of them")
    if table is FX_RATE:
        base, quote, session = key
        if (quote, base, session) in seen:
            raise ValueError(
                f"{base}/{quote} of {session} is the inverse of row {seen[quote, base, session]}; keep one of them"
            )


def _rows(path: Path, columns: list[str]) -> Iterator[tuple[int, _Cells]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the reference file: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if sorted(reader.fieldnames or ()) != sorted(columns):
            raise InputError(
                f"{path} row 1: the columns are {', '.join(reader.fieldnames or ()) or 'none'}; they must be "
                f"{', '.join(columns)}"
            )
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"{path} row {reader.line_num}: must have {len(columns)} values: {', '.join(columns)}")
            yield reader.line_num, {name: value.strip() for name, value in row.items()}
    except csv.Error as error:
        raise InputError(f"{path} row {reader.reader.line_num}: not readable as CSV: {error}") from error


def _rate(cells: _Cells) -> _Key:
    base, quote = cells["base"], cells["quote"]
    for name in (base, quote):
        if not CURRENCY.fullmatch(name):
            raise ValueError(
                f"malformed currency {name!r}; use ISO 4217 such as GBP (a price in GBp takes a hundredth of its rate)"
            )
    if base == quote:
        raise ValueError(f"base and quote are both {base}")
    rate = _number(cells, "rate")
    if rate <= 0:
        raise ValueError(f"rate {rate:g} of {base}/{quote}; it must be above zero")
    return base, quote, _day(cells, "session"), rate


def _factor(cells: _Cells) -> _Key:
    factor = _number(cells, "factor")
    if not 0 < factor <= 1:
        raise ValueError(f"factor {factor:g} of {cells['symbol']}; it must be above 0 and at most 1")
    return cells["symbol"], _day(cells, "effective_date"), factor


def _score(cells: _Cells) -> _Key:
    if not SCORE.fullmatch(cells["score"]):
        raise ValueError(f"malformed score name {cells['score']!r}; give 1 to 64 characters, as in weighting.factor")
    return cells["score"], cells["symbol"], _day(cells, "effective_date"), _number(cells, "value")


def _day(cells: _Cells, column: str) -> date:
    try:
        return date.fromisoformat(cells[column])
    except ValueError:
        raise ValueError(f"{column} {cells[column]!r}; write the day as YYYY-MM-DD") from None


def _number(cells: _Cells, column: str) -> float:
    try:
        value = float(cells[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{column} {cells[column]!r} is not a number")
    return value
