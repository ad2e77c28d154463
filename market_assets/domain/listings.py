"""When a security counts as delisted. Pure functions on frames.

One vendor that does not know a symbol, or says that it ended, proves nothing: a 404 is as often a fault of the vendor,
of its symbol list or of our spelling. A delisting takes several sources that say so on several sessions, with no bar of
any source in between. A source that suddenly misses much of what it is asked for speaks about itself. Does not belong
here: what a source is asked and how its findings are kept (market_assets.ingestion.listings), sources that are believed
at once (`PriceSource.authoritative`) and the universe file, which overrule this.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

FINDINGS: Final = ("traded", "absent", "ended")
"""traded: a bar of that session. absent: the source does not know the symbol. ended: it states a last session."""

TELLING_SHARE: Final = 0.2
FEW: Final = 5
"""Unknown symbols of one request beyond which they say nothing about the symbols: this share, and at least so many."""


def is_telling(asked: int, unknown: int) -> bool:
    """Whether symbols that a source does not know say something about them, and not about the source.

    Args:
        asked: symbols of the request.
        unknown: those of them that the source does not know.
    """
    return unknown < FEW or unknown <= TELLING_SHARE * asked


def delistings(evidence: pd.DataFrame, last_bars: pd.Series, *, sources: int, sessions: int) -> pd.DataFrame:
    """Symbols whose listing has ended by the agreement of sources.

    Args:
        evidence: symbol, source, session (datetime64), finding (FINDINGS), last_session (datetime64, NaT where the
            source states none); one row for each symbol, source and session.
        last_bars: symbol -> last session with a stored bar.
        sources: sources that have to find the symbol gone.
        sessions: sessions after the last trade that was found, on which each of them has to.

    Returns:
        symbol, last_session: of a listing that ended, the session most sources state, else that of the last stored
        bar; symbols without either are left out. Ordered by symbol.
    """
    after = _last_trades(evidence).reindex(evidence["symbol"]).set_axis(evidence.index)
    gone = evidence[(evidence["finding"] != "traded") & (after.isna() | (evidence["session"] > after))]
    voices = gone.groupby(["symbol", "source"])["session"].nunique()
    agreeing = voices[voices >= sessions].groupby("symbol").size()
    stated = gone[gone["last_session"].notna()].sort_values("session")
    stated = stated.drop_duplicates(["symbol", "source"], keep="last")
    ends: dict[object, object] = {
        symbol: days.mode().max() for symbol, days in stated.groupby("symbol")["last_session"]
    }
    rows = [(symbol, ends.get(symbol, last_bars.get(symbol))) for symbol, count in agreeing.items() if count >= sources]
    found = pd.DataFrame(rows, columns=["symbol", "last_session"]).astype({"last_session": "datetime64[us]"})
    return found.dropna().sort_values("symbol", ignore_index=True)


def revived(evidence: pd.DataFrame) -> list[str]:
    """Symbols with evidence against them whose latest finding is a trade."""
    latest = evidence.groupby("symbol")["session"].max()
    traded = _last_trades(evidence)
    return sorted(map(str, traded.index[traded >= latest.reindex(traded.index)]))


def _last_trades(evidence: pd.DataFrame) -> pd.Series:
    return evidence[evidence["finding"] == "traded"].groupby("symbol")["session"].max()
