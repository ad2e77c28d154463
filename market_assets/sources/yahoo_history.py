"""The history of one security at Yahoo, asked for in as few stretches as Yahoo answers, newest first.

Belongs here: which stretches, the splits after them, and what may come from the cache. Does not belong here: one
request (`yahoo_client.py`), whether its answer is believed (`yahoo_evidence.py`), what bars and actions follow
(`yahoo.py`).

Yahoo divides prices and distributions by every split since, so the splits after the sessions that are asked for are
part of the answer. Either the newest stretch reaches to the present, which tells them; or, when that is further than
one request reaches, one small question (a row for each quarter) asks for them first. Each older stretch then has the
splits of the newer ones.

A stretch of closed history is kept under the splits that were in it: after a new split it is a different question. What
tells the latest splits is kept too, and read only if all the rest is: bars and splits are always of one moment. The
adjusted closes of a kept stretch may be of an earlier moment than those of the next: they are not compared across it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from market_assets.errors import AnswerCutOff, SourceUnavailable, TimedOut
from market_assets.fetching.cache import cache_key
from market_assets.fetching.ranges import Window, walk
from market_assets.sources.adjusted_closes import without_joints
from market_assets.sources.options import SourceContext
from market_assets.sources.yahoo_chart import Event, History
from market_assets.sources.yahoo_client import CHART_PATH, YahooClient
from market_assets.sources.yahoo_evidence import (
    QUARTER,
    SOME_DAYS,
    Evidence,
    Series,
    cut,
    require_recent,
    require_same_security,
)

FORM: Final = "series with adjusted closes"
"""What a kept stretch holds: part of its key, so that a file of another form is another question."""


@dataclass(frozen=True)
class Question:
    """One security, and the closed sessions that bars are wanted for (at least one).

    Attributes:
        symbol: Yahoo's symbol.
        zone: zone of its exchange.
        exchange: exchange_calendars name.
        sessions: ascending.
    """

    symbol: str
    zone: str
    exchange: str
    sessions: pd.DatetimeIndex


class YahooHistories:
    """Asks for histories on behalf of one source. May be used from several threads, which share what is learned.

    Args:
        source: name of the source.
        client: makes the requests.
        context: guard, cache, calendar and clock.
    """

    def __init__(self, source: str, client: YahooClient, context: SourceContext) -> None:
        self.source, self.client, self.context = source, client, context
        self.window = context.guard.window

    def of(self, question: Question) -> Series:
        """The answer to `question`.

        Raises:
            MarketError: as `YahooClient.history`; also UnexpectedPayload for another security's answer,
                SourceUnavailable for an empty one about sessions on which the security traded, CircuitOpen.
        """
        if self.context.keeps(question.exchange, question.sessions[-1].date()):
            try:
                # A window of its own: what was kept says nothing about what Yahoo answers now.
                return _Walk(self, question, Window(self.window.days), live=False).series()
            except _NotKept:
                pass
        return _Walk(self, question, self.window, live=True).series()


class _NotKept(Exception):
    """The cache does not hold a stretch."""


class _Walk:
    """One pass over the sessions of a question, newest stretch first.

    Args:
        histories: client, context and name of the source.
        question: what is asked.
        window: how far one stretch reaches.
        live: ask Yahoo for what the cache does not hold; otherwise _NotKept ends the pass.
    """

    def __init__(self, histories: YahooHistories, question: Question, window: Window, *, live: bool) -> None:
        self._source, self._client, self._context = histories.source, histories.client, histories.context
        self._question, self._window, self._live = question, window, live
        self._days = question.sessions.to_numpy("datetime64[D]")
        self._dates: list[dt.date] = self._days.tolist()
        # Splits after the stretch that comes next; None before anything is known of them.
        self._later: tuple[Event, ...] | None = None
        # Last day of the stretch that comes next: the day before the one that was answered.
        self._upto = self._dates[-1]
        self._evidence = Evidence(question.symbol)

    def series(self) -> Series:
        """The whole answer."""
        pieces = walk(self._dates, self._stretch, self._window)[::-1]
        return Series(
            np.concatenate([piece.days for piece in pieces]),
            np.concatenate([piece.bars for piece in pieces]),
            tuple(sorted({event for piece in pieces for event in piece.events} | set(self._later or ()))),
            next((piece.facts for piece in reversed(pieces) if piece.facts), {}),
            without_joints([(piece.days, piece.adjusted) for piece in pieces]),
        )

    def _stretch(self, first: dt.date, last: dt.date) -> Series:
        """The answer for the sessions from `first` to `last`, and for the days between them and the newer stretch."""
        newest = last == self._dates[-1]
        if not newest and self._evidence.unlisted(last):
            return Series.empty()
        to_present = newest and (self._context.now().date() - first).days < self._window.days
        if newest and not to_present and self._later is None:
            self._later = self._splits_after(last)
        series = self._asked(first, to_present=to_present)
        self._later = (*(event for event in series.events if event.kind == "split"), *(self._later or ()))
        self._upto = first - dt.timedelta(days=1)
        return series

    def _asked(self, first: dt.date, *, to_present: bool) -> Series:
        """One stretch, from the cache or from Yahoo."""
        question, upto = self._question, self._upto
        end = None if to_present else upto
        sessions = self._days[(self._days >= np.datetime64(first)) & (self._days <= np.datetime64(upto))]
        key = self._key(upto, start=first, end="now" if to_present else upto, form=FORM)
        # What tells the latest splits is read only in a pass that reads everything.
        kept = self._kept(key) if not (to_present and self._live) else None
        if kept is not None:
            return self._evidence.noted(Series.unpacked(kept), sessions)

        def ask() -> Series:
            history = self._client.history(question.symbol, question.zone, first, end)
            require_same_security(question.symbol, question.zone, history.metadata)
            if to_present:
                require_recent(question.symbol, history, SOME_DAYS)
            series = cut(history, first, upto)
            self._evidence.require_whole(series, sessions)
            return series

        try:
            what = f"Yahoo: {question.symbol} {first} to {upto}"
            series = self._context.guard.call(what, ask, splittable=len(sessions) > 1)
        except SourceUnavailable as error:
            if not self._evidence.explains(error):
                raise
            return self._evidence.noted(Series.empty(), sessions)
        self._keep(key, series.packed())
        return self._evidence.noted(series, sessions)

    def _splits_after(self, last: dt.date) -> tuple[Event, ...]:
        """Splits after `last`, to the present."""
        question, start = self._question, last + dt.timedelta(days=1)
        key = self._key(last, start=start, end="now", interval="3mo")
        kept = self._kept(key) if not self._live else None
        if kept is not None:
            history = self._client.later_splits(question.symbol, question.zone, start, kept=kept)
        else:

            def ask() -> History:
                history = self._client.later_splits(question.symbol, question.zone, start)
                require_same_security(question.symbol, question.zone, history.metadata)
                require_recent(question.symbol, history, QUARTER, last)
                return history

            try:
                history = self._context.guard.call(f"Yahoo: {question.symbol} splits after {last}", ask)
            except (TimedOut, AnswerCutOff) as error:
                # Not about the range that is being walked: a smaller one would not help.
                raise SourceUnavailable(str(error)) from error
            self._keep(key, history.body)
        return tuple(event for event in history.events if event.kind == "split" and event.day >= np.datetime64(start))

    def _key(self, last: dt.date, **asked: object) -> str | None:
        """Key of a stretch that ends on `last`, None when it is not kept."""
        if not self._context.keeps(self._question.exchange, last):
            return None
        return cache_key(self._source, CHART_PATH + self._question.symbol, asked, repr(sorted(self._later or ())))

    def _kept(self, key: str | None) -> bytes | None:
        """The body under `key`.

        Raises:
            _NotKept: there is none, and nothing else is to be asked.
        """
        body = None if key is None or self._context.cache is None else self._context.cache.read(key)
        if body is None and not self._live:
            raise _NotKept
        return body

    def _keep(self, key: str | None, body: bytes) -> None:
        if key is not None and self._context.cache is not None:
            self._context.cache.write(key, body)
