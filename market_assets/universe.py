"""The universe file: which symbols, on which exchange, members from when to when. CSV, JSON or YAML.

Columns: symbol, exchange, name, currency, member_from, member_to (empty or absent = still a member). A symbol may have
several membership intervals; they must not overlap. Two columns may be left out: last_session, the day on which the
listing ended, and new_symbol, under which the security trades from the session after member_to.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from market_assets.errors import ConfigError, InputError

COLUMNS = ("symbol", "exchange", "name", "currency", "member_from", "member_to")
EVENTS = ("last_session", "new_symbol")
"""Columns that may be left out."""
SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.\-^=&]{0,19}")
CURRENCY = re.compile(r"[A-Z]{2}[A-Za-z]")  # GBp and ZAc are quoted in hundredths


@dataclass(frozen=True)
class Member:
    """One membership interval of one symbol, both days inclusive.

    Attributes:
        symbol: vendor-neutral ticker.
        exchange: exchange_calendars name, such as XNYS.
        name: company name.
        currency: quotation currency, ISO 4217.
        member_from: first session of membership.
        member_to: last session of membership, None while it lasts.
        last_session: last session of the listing, None while it is listed or the file does not say.
        new_symbol: what the security is called after `member_to`, "" when it keeps its symbol.
    """

    symbol: str
    exchange: str
    name: str
    currency: str
    member_from: date
    member_to: date | None
    last_session: date | None = None
    new_symbol: str = ""


@dataclass(frozen=True)
class Universe:
    """All membership intervals, ordered by (symbol, member_from)."""

    members: tuple[Member, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Distinct symbols, sorted."""
        return tuple(sorted({member.symbol for member in self.members}))

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Distinct exchanges, sorted."""
        return tuple(sorted({member.exchange for member in self.members}))

    def active(self, start: date, end: date) -> Universe:
        """The intervals that touch [start, end]."""
        return Universe(
            tuple(m for m in self.members if m.member_from <= end and (m.member_to is None or m.member_to >= start))
        )

    def frame(self) -> pd.DataFrame:
        """One row per interval in the columns of raw.universe_member (dates as datetime64, open end NaT)."""
        rows = pd.DataFrame([vars(member) for member in self.members])[list(COLUMNS)]
        for column in ("member_from", "member_to"):
            rows[column] = pd.to_datetime(rows[column])
        return rows


def load_universe(path: Path, known_exchanges: Iterable[str]) -> Universe:
    """Read and check the universe file.

    Args:
        path: .csv, .json (a list of objects) or .yaml/.yml (a list of mappings).
        known_exchanges: exchange_calendars names that are accepted.

    Raises:
        ConfigError: the file is missing or of another kind.
        InputError: a row is malformed, doubled or overlaps another; the message names file and row.
    """
    known = frozenset(known_exchanges)
    members: list[Member] = []
    rows_of: dict[str, list[tuple[int, Member]]] = {}
    for number, row in _rows(path):
        member = _member(path, number, row, known)
        for other_number, other in rows_of.get(member.symbol, []):
            if _overlap(member, other):
                raise InputError(
                    f"{path} row {number}: {member.symbol} from {member.member_from} overlaps row {other_number} "
                    f"({other.member_from} to {other.member_to or 'today'}); end one before the other begins"
                )
            if (member.exchange, member.currency) != (other.exchange, other.currency):
                raise InputError(
                    f"{path} row {number}: {member.symbol} is {member.exchange}/{member.currency} here and "
                    f"{other.exchange}/{other.currency} in row {other_number}; a symbol has one exchange and currency"
                )
        rows_of.setdefault(member.symbol, []).append((number, member))
        members.append(member)
    if not members:
        raise InputError(f"{path}: no rows; list at least one symbol with columns {', '.join(COLUMNS)}")
    return Universe(tuple(sorted(members, key=lambda m: (m.symbol, m.member_from))))


def _rows(path: Path) -> list[tuple[int, Mapping[str, object]]]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the universe: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    try:
        if path.suffix == ".csv":
            reader = csv.DictReader(io.StringIO(text, newline=""), restkey="(extra)")
            missing = [name for name in COLUMNS[:5] if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path} row 1: columns {missing} are missing; it needs {', '.join(COLUMNS)}")
            return [(reader.line_num, row) for row in reader]
        if path.suffix == ".json":
            loaded = json.loads(text)
        elif path.suffix in {".yaml", ".yml"}:
            loaded = yaml.safe_load(text)
        else:
            raise ConfigError(
                "unknown kind of universe file", file=str(path), value=path.suffix, allowed=".csv, .json, .yaml, .yml"
            )
    except (csv.Error, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not readable as {path.suffix}: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, list) or not all(isinstance(row, dict) for row in loaded):
        raise InputError(f"{path}: must be a list of objects with keys {', '.join(COLUMNS)}")
    return list(enumerate(loaded, start=1))


def _member(path: Path, number: int, row: Mapping[str, object], known: frozenset[str]) -> Member:
    where = f"{path} row {number}"
    unknown = sorted(set(map(str, row)) - {*COLUMNS, *EVENTS})
    if unknown:
        raise InputError(f"{where}: unknown columns {unknown}; allowed are {', '.join(COLUMNS + EVENTS)}")
    symbol, exchange, name, currency = (str(row.get(column) or "").strip() for column in COLUMNS[:4])
    if not SYMBOL.fullmatch(symbol):
        raise InputError(
            f"{where}: malformed symbol {symbol!r}; use capitals, digits and . - ^ = &, at most 20, such as BRK.B"
        )
    if exchange not in known:
        raise InputError(
            f"{where}: {symbol} has unknown exchange {exchange!r}; use an exchange_calendars name such as XNYS or XBOM"
        )
    if not CURRENCY.fullmatch(currency):
        raise InputError(f"{where}: {symbol} has malformed currency {currency!r}; use ISO 4217 such as USD")
    member_from = _day(where, symbol, "member_from", row.get("member_from"))
    member_to = _day(where, symbol, "member_to", row.get("member_to"))
    if member_from is None:
        raise InputError(f"{where}: {symbol} has no member_from; give the first session of membership as YYYY-MM-DD")
    if member_to is not None and member_to < member_from:
        raise InputError(f"{where}: {symbol} ends {member_to} before it begins {member_from}")
    last_session = _day(where, symbol, "last_session", row.get("last_session"))
    if last_session is not None and last_session < member_from:
        raise InputError(f"{where}: {symbol} is delisted {last_session} before its membership begins {member_from}")
    new_symbol = str(row.get("new_symbol") or "").strip()
    if new_symbol and (member_to is None or new_symbol == symbol or not SYMBOL.fullmatch(new_symbol)):
        raise InputError(
            f"{where}: {symbol} becomes {new_symbol!r}; give another symbol, and in member_to the last session under "
            "the old one"
        )
    return Member(symbol, exchange, name or symbol, currency, member_from, member_to, last_session, new_symbol)


def _day(where: str, symbol: str, column: str, value: object) -> date | None:
    if value in (None, ""):
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError as error:
        raise InputError(f"{where}: {symbol} has {column} {value!r}; write the day as YYYY-MM-DD") from error


def _overlap(one: Member, other: Member) -> bool:
    return (one.member_to is None or one.member_to >= other.member_from) and (
        other.member_to is None or other.member_to >= one.member_from
    )
