"""Sources against each other: which of several closes of one symbol and session are believed. Pure functions on frames.

Belongs here: when two closes agree, and who wins when they do not. Does not belong here: reading what is stored and
writing what is held back (market_assets.ingestion.reconciling), and which of the stored bars is read (dbt's
int_golden_bar, which uses the same tolerance).

A camp is a close with every source that agrees with it. A bar is believed when no stored bar of another source
disagrees with it, or when its camp has more sources than the camp of every stored bar that does. So of two sources
that disagree the one stored first stays, of three the two that agree win, and two against two change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

RULE: Final = "disputed"
MEANING: Final = "the close differs from that of another source, and no majority of sources supports it"

DEFAULT_TICK: Final = 0.01
"""Smallest price step of an exchange that the configuration does not name, in its currency."""

RELATIVE: Final = 0.001
"""Closes this far apart, as a share of the higher one, agree: 10 basis points."""

ROUNDING: Final = 1e-9
"""A share of the price that two closes one tick apart may differ by on top, because prices are binary fractions."""

KEY: Final = ["symbol", "session"]
RESOLVED: Final = ["quarantine_id", *KEY, "source", "note"]


@dataclass(frozen=True)
class Decision:
    """What is done with an answer and with the rows it throws new light on.

    Attributes:
        reasons: for each incoming row, on its index: why it is disputed, "" for a row that may be stored.
        released: rows of `disputed` that a majority supports now: quarantine_id, note; and symbol, session, source.
        superseded: rows of `disputed` whose source has since given a bar that is believed, in the same columns.
    """

    reasons: pd.Series
    released: pd.DataFrame
    superseded: pd.DataFrame


def agree(one: npt.ArrayLike, other: npt.ArrayLike, tick: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether closes are the same price: within one tick, or within 10 basis points of the higher one.

    Args:
        one, other: float64 prices as traded, above zero, in the same currency.
        tick: price step of the exchange.
    """
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    higher = np.maximum(first, second)
    allowed = np.maximum(np.asarray(tick, dtype=float), RELATIVE * higher) + ROUNDING * higher
    result: npt.NDArray[np.bool_] = np.abs(first - second) <= allowed
    return result


def reconcile(
    incoming: pd.DataFrame, stored: pd.DataFrame, disputed: pd.DataFrame, ticks: Mapping[str, float]
) -> Decision:
    """Judge the bars of one source by those of the others, and earlier disputed rows by what is known now.

    Args:
        incoming: symbol, session, source, close: bars as traded of one source, one for each symbol and session.
        stored: the same columns: current bars of every source for these symbols and sessions, and perhaps more.
        disputed: the same and quarantine_id: rows held back under this rule and not decided about yet.
        ticks: symbol -> price step of its exchange; `DEFAULT_TICK` for others.

    A bar equal to what its own source has stored is not judged again: it changes nothing. Of several disputed rows of
    one source for a session the latest counts.
    """
    nothing = pd.DataFrame(columns=RESOLVED)
    if incoming.empty:
        return Decision(pd.Series("", index=incoming.index, dtype="str"), nothing, nothing)
    source = str(incoming["source"].iloc[0])
    disputed = _of_keys(disputed.sort_values("quarantine_id"), incoming)
    latest = disputed.drop_duplicates([*KEY, "source"], keep="last")
    others = stored[stored["source"] != source]
    candidates = incoming[[*KEY, "source", "close"]].reset_index(drop=True)
    new = ~_known(candidates, stored)
    texts = np.full(len(candidates), "", dtype=object)
    texts[new] = _against(candidates[new], others, latest[latest["source"] != source], ticks)
    reasons = pd.Series(texts, index=incoming.index, dtype="str")
    if disputed.empty:
        return Decision(reasons, nothing, nothing)
    believed, refused = candidates[texts == ""], candidates[texts != ""]
    after = pd.concat([_without(stored, believed), believed], ignore_index=True)
    waiting = latest[latest["source"] != source].reset_index(drop=True)
    votes = pd.concat([waiting, refused], ignore_index=True)
    released = waiting[_against(waiting, after, votes, ticks) == ""]
    settled = pd.concat([believed, released], ignore_index=True)[[*KEY, "source"]]
    old = disputed.merge(settled, on=[*KEY, "source"])
    old = old[~old["quarantine_id"].isin(released["quarantine_id"])]
    return Decision(
        reasons,
        _noted(released, after, ticks),
        old.assign(note="replaced: " + old["source"] + " has given a bar since that is believed")[RESOLVED],
    )


def _against(
    candidates: pd.DataFrame, stored: pd.DataFrame, waiting: pd.DataFrame, ticks: Mapping[str, float]
) -> npt.NDArray[np.object_]:
    """Why each candidate is not believed, "" for one that is.

    Args:
        candidates: symbol, session, source, close.
        stored: bars in force; those of a candidate's own source do not count.
        waiting: disputed rows that count as votes.
        ticks: symbol -> price step.
    """
    reasons = np.full(len(candidates), "", dtype=object)
    rows = candidates[[*KEY, "source", "close"]].reset_index(drop=True).reset_index(names="row")
    met = _pairs(rows, stored, ticks)
    rivals = met[~met["agrees"]]
    if rivals.empty:
        return reasons
    votes = pd.concat([stored, waiting], ignore_index=True)[[*KEY, "source", "close"]]
    camp = _camps(_pairs(rows[rows["row"].isin(rivals["row"])], votes, ticks), "row")
    # A stored bar that disagrees leads a camp of its own, to which the source that is judged does not belong.
    leaders = rivals[["row", *KEY]].assign(
        judged=rivals["source"], source=rivals["other_source"], close=rivals["other_close"], leader=range(len(rivals))
    )
    pairs = _pairs(leaders, votes, ticks)
    sizes = _camps(pairs[pairs["other_source"] != pairs["judged"]], "leader")
    opposing = leaders["leader"].map(sizes).fillna(1).groupby(leaders["row"]).max()
    lost = opposing.index[camp.reindex(opposing.index).fillna(1) <= opposing]
    listed = rivals["other_close"].map("{:g}".format) + " of " + rivals["other_source"]
    names = listed.groupby(rivals["row"]).agg(" and ".join)
    reasons[lost] = [
        f"close {close:g} of {source} against {names[row]}, and no majority of sources supports it"
        for row, source, close in rows.loc[lost, ["row", "source", "close"]].itertuples(index=False)
    ]
    return reasons


def _pairs(rows: pd.DataFrame, bars: pd.DataFrame, ticks: Mapping[str, float]) -> pd.DataFrame:
    """`rows` with each bar of another source for the same symbol and session: other_source, other_close, agrees."""
    others = bars[[*KEY, "source", "close"]].rename(columns={"source": "other_source", "close": "other_close"})
    pairs = rows.merge(others, on=KEY)
    pairs = pairs[pairs["source"] != pairs["other_source"]]
    tick = pairs["symbol"].map(dict(ticks)).fillna(DEFAULT_TICK).astype(float)
    return pairs.assign(tick=tick, agrees=agree(pairs["close"], pairs["other_close"], tick))


def _camps(pairs: pd.DataFrame, by: str) -> pd.Series:
    """Sources that agree with each close, and its own."""
    return pairs[pairs["agrees"]].groupby(by)["other_source"].nunique() + 1


def _noted(released: pd.DataFrame, stored: pd.DataFrame, ticks: Mapping[str, float]) -> pd.DataFrame:
    """`released` with a note that names who supports each row."""
    if released.empty:
        return pd.DataFrame(columns=RESOLVED)
    rows = released.reset_index(drop=True).reset_index(names="row")
    pairs = _pairs(rows, stored, ticks)
    support = pairs[pairs["agrees"]].groupby("row")["other_source"].agg(lambda names: " and ".join(sorted(set(names))))
    return rows.assign(note="close supported by " + rows["row"].map(support).fillna("no rival any more"))[RESOLVED]


def _of_keys(frame: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """Rows of `frame` whose symbol and session are among those of `keys`."""
    return frame.merge(keys[KEY], on=KEY)


def _known(candidates: pd.DataFrame, stored: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Candidates whose source has this very close stored."""
    found = candidates.merge(stored, on=[*KEY, "source", "close"], how="left", indicator="found")
    result: npt.NDArray[np.bool_] = (found["found"] == "both").to_numpy()
    return result


def _without(stored: pd.DataFrame, replaced: pd.DataFrame) -> pd.DataFrame:
    """`stored` less the rows whose key and source stand in `replaced`."""
    found = stored.merge(replaced[[*KEY, "source"]], on=[*KEY, "source"], how="left", indicator="found")
    return found.loc[found["found"] == "left_only", [*KEY, "source", "close"]]
