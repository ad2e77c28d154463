"""What a chart of Yahoo says: days, events, facts. Yahoo's JSON (v8) and yfinance's frame become one `History`.

Belongs here: reading an answer. Does not belong here: getting one (`yahoo_client.py`), believing it
(`yahoo_evidence.py`).
"""

from __future__ import annotations

import datetime as dt
import functools
import json
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from market_assets.sources.yahoo_errors import PARSING, NoResult

FACTS: Final = (
    "symbol",
    "currency",
    "exchangeTimezoneName",
    "firstTradeDate",
    "regularMarketTime",
    "longName",
    "shortName",
)
"""Keys of the metadata that are read."""

EVENTS: Final = {"splits": "split", "dividends": "cash_dividend", "capitalGains": "special_dividend"}
"""Yahoo's groups of events -> kinds of action."""


class Event(NamedTuple):
    """A split (new shares per old) or a distribution (per share, divided by the splits after it, in Yahoo's unit)."""

    day: np.datetime64
    kind: str
    value: float


@dataclass(frozen=True)
class History:
    """Yahoo's answer for a stretch of one symbol.

    Attributes:
        frame: Open, High, Low, Close, Volume of each day, split-adjusted, by midnight of the exchange-local date, in
            its zone; Adj Close, adjusted for dividends too, if Yahoo shows one. Empty when Yahoo knows the symbol but
            has no bars. yfinance adds a row without prices for an event on a day without a bar.
        events: splits and distributions of the stretch, by day.
        metadata: Yahoo's facts about the symbol, by the keys of FACTS; empty when it gave none.
        body: the answer as it came.
    """

    frame: pd.DataFrame
    events: tuple[Event, ...]
    metadata: dict[str, Any]
    body: bytes


NOTHING: Final = History(pd.DataFrame(), (), {}, b"")
"""The answer when Yahoo says that it has nothing in the stretch."""


class Answer:
    """A chart as yfinance reads one. Decoded once: the client of `requests` would guess at its encoding each time."""

    def __init__(self, content: bytes, response: Any = None) -> None:
        self.content = content
        self.url = "" if response is None else response.url
        self.status_code = 200 if response is None else response.status_code

    @functools.cached_property
    def text(self) -> str:
        """The body; JSON is UTF-8."""
        return self.content.decode("utf-8", errors="replace")

    @functools.cached_property
    def document(self) -> Any:
        """The parsed body."""
        return json.loads(self.content)

    def json(self) -> Any:
        """The document, which yfinance asks for by this name."""
        return self.document


def read(frame: pd.DataFrame | None, answer: Answer | None) -> History:
    """`frame`, or one that has only the dates, with the events and facts that stand beside it in the answer."""
    if answer is None:
        raise LookupError("there is no answer")
    results = answer.document["chart"]["result"]
    if not results:
        raise NoResult("null")
    result = results[0]
    meta = result["meta"]
    zone = ZoneInfo(str(meta["exchangeTimezoneName"]))
    if frame is None:
        stamps = pd.to_datetime(result.get("timestamp") or [], unit="s", utc=True)
        frame = pd.DataFrame(index=stamps.tz_convert(zone).normalize())
    elif "adjclose" not in result["indicators"]:
        # yfinance shows the close instead, as if no dividend were adjusted for.
        frame = frame.drop(columns="Adj Close", errors="ignore")
    facts = {key: meta.get(key) for key in FACTS}
    return History(frame, _events(result.get("events") or {}, zone), facts, answer.content)


def _events(groups: dict[str, Any], zone: ZoneInfo) -> tuple[Event, ...]:
    events = [
        Event(np.datetime64(dt.datetime.fromtimestamp(entry["date"], zone).date()), kind, _value(entry))
        for group, kind in EVENTS.items()
        for entry in groups.get(group, {}).values()
    ]
    return tuple(sorted(event for event in events if event.value > 0))


def _value(entry: dict[str, Any]) -> float:
    if "amount" in entry:
        return float(entry["amount"])
    return float(entry["numerator"]) / float(entry["denominator"])


def without_bars(answer: Answer | None) -> History | None:
    """The history of a symbol that exists but has no bars in the stretch, None when that is not what was answered."""
    try:
        history = read(None, answer)
    except (NoResult, *PARSING):
        return None
    return None if len(history.frame) else history
