"""Options of source `files`: how a folder of price files is laid out and what its numbers mean.

Belongs here: the options and what follows from them alone. Does not belong here: looking at the folder (`files.py`).
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from market_assets.domain.adjustments import PriceBasis
from market_assets.sources.options import SourceOptions

FIELDS: Final = ("symbol", "session", "open", "high", "low", "close", "volume")
"""Columns of a bar, under the platform's names. A file may hold the vendor's adjusted close as well: map it."""

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")


class KnowledgeOptions(SourceOptions):
    """When a vintage file became known: at a local time of the date in its name.

    Attributes:
        time: of day, such as 20:00.
        timezone: IANA name, such as America/New_York.
    """

    time: dt.time
    timezone: str

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("not a time zone name such as America/New_York") from error
        return value

    def moment(self, day: dt.date) -> dt.datetime:
        """The moment at which the file of `day` became known."""
        return dt.datetime.combine(day, self.time, zoneinfo.ZoneInfo(self.timezone))


class FilesOptions(SourceOptions):
    """Options of a folder of files.

    Attributes:
        folder: where the files are, absolute or below the folder of market.yaml. Not searched recursively.
        file_name: name of a file with {symbol} or {date} in it: `{symbol}_data.csv`, `{date}.csv.gz`.
        file_date_format: strptime format of {date}.
        columns: platform column -> column in the file, where they differ. The symbol column may be left out with
            {symbol} in the name, the session column with {date}. adjusted_close is the vendor's own fully adjusted
            close beside other prices: dividends are held against it, nothing else.
        date_format: strptime format of the session column; None: ISO dates.
        delimiter, decimal_point: of CSV files.
        basis: price basis of all files.
        currency: ISO 4217 code of all prices.
        exchange: exchange of the securities that the folder lists.
        knowledge: makes each file of a date a vintage.
        actions_file: CSV of corporate actions: symbol, ex_date, kind, value and optionally currency, detail.
        shares_file: CSV of share counts: symbol, effective_date, shares.
    """

    folder: Path
    file_name: str
    file_date_format: str = "%Y%m%d"
    columns: dict[
        Literal["symbol", "session", "open", "high", "low", "close", "volume", "adjusted_close"], str | None
    ] = Field(default_factory=dict)
    date_format: str | None = None
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal_point: Literal[".", ","] = "."
    basis: PriceBasis
    currency: str = Field(pattern="^[A-Z]{3}$")
    exchange: str = "XNYS"
    knowledge: KnowledgeOptions | None = None
    actions_file: Path | None = None
    shares_file: Path | None = None

    @field_validator("file_name")
    @classmethod
    def _one_placeholder(cls, value: str) -> str:
        if value.count("{symbol}") + value.count("{date}") != 1:
            raise ValueError("needs {symbol} or {date} exactly once, such as {symbol}_data.csv")
        if not value.endswith(SUFFIXES):
            raise ValueError(f"must end in one of {', '.join(SUFFIXES)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> FilesOptions:
        if self.knowledge is not None and not self.by_date:
            raise ValueError("knowledge needs {date} in file_name: the date at which a file became known")
        if self.by_date and "symbol" not in self.mapping:
            raise ValueError("columns.symbol is needed when a file holds several symbols")
        if "session" not in self.mapping and (not self.by_date or self.knowledge is not None):
            raise ValueError("columns.session is needed when a file holds several sessions")
        return self

    @property
    def by_date(self) -> bool:
        """Whether there is a file per date (else one per symbol)."""
        return "{date}" in self.file_name

    @property
    def mapping(self) -> dict[str, str]:
        """Platform column -> column in the file. A symbol column is read from a file per symbol only if it is named."""
        names: dict[str, str | None] = {field: field for field in FIELDS}
        if not self.by_date:
            names["symbol"] = None
        names.update({str(field): name for field, name in self.columns.items()})
        return {field: name for field, name in names.items() if name is not None}
