"""Random numbers that are a function of what they are for: (key, purpose, day) -> number, with no state and no order.

Belongs here: hashing, uniform and normal draws. Does not belong here: what the numbers mean.

A generator with state makes a value depend on how many were drawn before it, that is, on the range and on the other
symbols asked for. Here a bar of 2019 is the same number whatever else is asked. The mixing function is the finaliser of
SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014); normals by Box and
Muller, "A Note on the Generation of Random Normal Deviates" (1958).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
KeyArray: TypeAlias = npt.NDArray[np.uint64]
DayArray: TypeAlias = npt.NDArray[np.int64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_A: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B: Final = np.uint64(0x94D049BB133111EB)


def keys_of(seed: int, names: Iterable[str]) -> KeyArray:
    """One 64-bit key for each name under `seed`; uint64 of shape (names,)."""
    return np.array([_digest(f"{seed}:{name}") for name in names], dtype=np.uint64)


def uniform(keys: KeyArray, purpose: str, days: DayArray) -> FloatArray:
    """Uniform numbers in (0, 1), shape (days, keys): one for each key and day, independent between purposes."""
    counters = days.astype(np.uint64) * _GOLDEN
    rows = _mix(counters ^ np.uint64(_digest(purpose)))
    bits = _mix(rows[:, None] ^ keys[None, :])
    numbers: FloatArray = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54
    return numbers


def uniform_once(keys: KeyArray, purpose: str) -> FloatArray:
    """One uniform number in (0, 1) for each key, shape (keys,)."""
    return uniform(keys, purpose, np.zeros(1, np.int64)).ravel()


def normal(keys: KeyArray, purpose: str, days: DayArray) -> FloatArray:
    """Standard normal numbers, shape (days, keys)."""
    return box_muller(uniform(keys, f"{purpose}.radius", days), uniform(keys, f"{purpose}.angle", days))


def normal_once(keys: KeyArray, purpose: str) -> FloatArray:
    """One standard normal number for each key, shape (keys,)."""
    return normal(keys, purpose, np.zeros(1, np.int64)).ravel()


def box_muller(radius: FloatArray, angle: FloatArray) -> FloatArray:
    """A standard normal number from two uniform ones in (0, 1)."""
    turned: FloatArray = np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * angle)
    return turned


def _mix(bits: KeyArray) -> KeyArray:
    bits = bits + _GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX_A
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX_B
    mixed: KeyArray = bits ^ (bits >> np.uint64(31))
    return mixed


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
