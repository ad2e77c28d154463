"""By how much stored bars were restated, read in the transaction that did it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import numpy.typing as npt

    from market_assets.warehouse.versions import VersionedWriter

SHOWN = 20
"""Largest cases that are listed."""

CASE_COLUMNS = ["symbol", "session", "source", "column", "old", "new", "change"]

_CHANGES = """
    select coalesce(abs(new.close / nullif(old.close, 0) - 1), 0) as change
    from raw.price_bar as old
    inner join raw.price_bar as new
        on new.symbol = old.symbol and new.session = old.session and new.source = old.source
        and new.known_to is null and new.changed_xid = pg_current_xact_id()
    where old.changed_xid = pg_current_xact_id() and old.known_to is not null
"""

_CASES = """
    select old.symbol, old.session, old.source, value.name as "column", value.old, value.new,
        coalesce(abs(value.new / nullif(value.old, 0) - 1), 'infinity') as change
    from raw.price_bar as old
    inner join raw.price_bar as new
        on new.symbol = old.symbol and new.session = old.session and new.source = old.source
        and new.known_to is null and new.changed_xid = pg_current_xact_id()
    cross join lateral (
        values ('open', old.open, new.open), ('high', old.high, new.high), ('low', old.low, new.low),
            ('close', old.close, new.close), ('volume', old.volume, new.volume)
    ) as value (name, old, new)
    where old.changed_xid = pg_current_xact_id() and old.known_to is not null
        and value.old is distinct from value.new
    order by change desc, 1, 2, 3, 4
    limit $1
"""


@dataclass
class Restated:
    """By how much bars were restated.

    Attributes:
        changes: |new close / old close - 1| of each restated bar, 0 where only other columns changed.
        cases: the largest changes of single values: symbol, session, source, column, old, new, change (relative).
    """

    changes: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    cases: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CASE_COLUMNS))

    @property
    def largest(self) -> float:
        """Largest relative change of a close; 0 when nothing was restated."""
        return float(self.changes.max(initial=0.0))

    @property
    def median(self) -> float:
        """Median relative change of the close; 0 when nothing was restated."""
        return float(np.median(self.changes)) if len(self.changes) else 0.0

    def add(self, other: Restated) -> None:
        """Count the restatements of another write."""
        if len(other.changes) == 0:
            return
        self.changes = np.concatenate([self.changes, other.changes])
        both = pd.concat([self.cases, other.cases]) if len(self.cases) else other.cases
        self.cases = both.sort_values("change", ascending=False, kind="stable").head(SHOWN).reset_index(drop=True)


def restated_now(writer: VersionedWriter) -> Restated:
    """What the transaction of `writer` has restated in raw.price_bar so far."""
    changes = writer.read(_CHANGES)["change"].to_numpy(dtype=float)
    return Restated(changes, writer.read(_CASES, (SHOWN,)))
