"""What an indicator is: the record from which columns, bounds, lookback and documentation derive.

Here: the two dataclasses and the checks that keep an entry consistent. Not here: any formula (the family modules
beside this one) and the list of entries (registry.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bounds = tuple[float | None, float | None]
Kind = Literal["window", "recursive", "cumulative"]

INPUTS = ("open", "high", "low", "close", "volume", "benchmark")

PRICE = "currency per share"
RATIO = "ratio"
PERCENT = "percent"
SHARES = "shares"
SESSIONS = "sessions"
ANNUALISED = "ratio per square root of a year"


@dataclass(frozen=True, slots=True)
class Output:
    """One column of an indicator.

    Attributes:
        name: column name, unique in the registry.
        unit: unit of the value.
        description: one sentence for the column comment and the documentation.
        warm_up: leading bars of a symbol that have no value; bar number `warm_up` (from 0) has the first one.
        bounds: smallest and largest possible value, both inclusive, None where unbounded.
        price_degree: d such that prices times k give the value times k**d; the value is stored in the
            session's own basis by dividing it by price_factor**d.
        volume_degree: the same for volume.
        null_when: the condition under which a bar after the warm-up has no value; empty when there is none.
        state: True for a column that exists so that the next session can continue from it.
    """

    name: str
    unit: str
    description: str
    warm_up: int
    bounds: Bounds = (None, None)
    price_degree: int = 0
    volume_degree: int = 0
    null_when: str = ""
    state: bool = False


@dataclass(frozen=True, slots=True)
class Indicator:
    """One entry of the registry.

    Attributes:
        name: unique name, used to select the indicator.
        function: takes a `Bars` and the parameters as keywords, returns one array (n,) for each output, in the basis
            of the bars. Rows inside an output's warm-up may hold anything: the engine blanks them.
        inputs: the bar columns it reads; a bar that lacks one of them is skipped, its outputs are null.
        outputs: the columns it produces, in the order in which `function` returns them.
        formula: the definition, in plain text.
        source: where the definition was published.
        kind: `window`: depends on the last warm_up + 1 bars only. `recursive`: depends on every bar through a state
            that replaces itself. `cumulative`: through a total that keeps every bar since the first.
        parameters: keywords for `function`.
        carry: the output columns (its own or another entry's) that hold the state.
        stepwise: whether `function` walks symbols side by side, bar by bar; it is then called once for all of them.
        ascending: outputs that never decrease in this order, such as lower, middle and upper band.
    """

    name: str
    function: Callable[..., tuple[Array, ...]]
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    formula: str
    source: str
    kind: Kind = "window"
    parameters: Mapping[str, int | float] = field(default_factory=dict)
    carry: tuple[str, ...] = ()
    ascending: tuple[str, ...] = ()
    stepwise: bool = False

    def __post_init__(self) -> None:
        """Refuse an entry that contradicts itself.

        Raises:
            ValueError: naming the entry and the fault.
        """
        unknown = set(self.inputs) - set(INPUTS)
        if unknown or not self.inputs:
            raise ValueError(f"indicator {self.name}: inputs must be among {INPUTS}, found {self.inputs}")
        if (self.kind == "window") == bool(self.carry):
            raise ValueError(f"indicator {self.name}: a {self.kind} indicator with carry {self.carry}")
        missing = set(self.ascending) - {output.name for output in self.outputs}
        if missing:
            raise ValueError(f"indicator {self.name}: ascending names no output of it: {sorted(missing)}")

    @property
    def warm_up(self) -> int:
        """Bars before the last of its outputs has a value."""
        return max(output.warm_up for output in self.outputs)
