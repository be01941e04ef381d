"""Lists of worlds (sorted, without repetition), and random draws of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

type Worlds = NDArray[np.int32]

NONE: Worlds = np.empty(0, dtype=np.int32)


def alone(worlds: int, chance: float, generator: np.random.Generator) -> Worlds:
    """Return the worlds in which something with this probability happens.

    Draws, with repetition, as many worlds as a Poisson variable of mean −n·ln(1 − p) says. Then each of the n worlds is
    drawn at least once with probability p, independently of the others.
    """
    if chance <= 0:
        return NONE
    if chance > 0.05:
        return np.flatnonzero(generator.random(worlds) < chance).astype(np.int32)
    struck = generator.poisson(-worlds * math.log1p(-chance))
    return distinct(generator.integers(0, worlds, struck, dtype=np.int32))


def thinned(worlds: Worlds, share: float, generator: np.random.Generator) -> Worlds:
    """Keep each world with the same probability."""
    if share >= 1.0 or not worlds.size:
        return worlds
    if share <= 0.0:
        return NONE
    return worlds[generator.random(worlds.size, dtype=np.float32) < share]


def before(worlds: Worlds, end: int) -> Worlds:
    """Return the worlds of a list that are below ``end``."""
    # A number of another type than the list's would convert the whole list.
    return worlds[: int(np.searchsorted(worlds, np.int32(end)))]


def distinct[Number: (np.int32, np.int64)](numbers: NDArray[Number]) -> NDArray[Number]:
    """Return each number once, in order: sorting is much faster here than the hashing of ``numpy.unique``."""
    if numbers.size < 2:
        return numbers
    numbers = np.sort(numbers)
    is_first = np.ones(numbers.size, dtype=np.bool_)
    is_first[1:] = numbers[1:] != numbers[:-1]
    return numbers[is_first]


def union(parts: Sequence[Worlds]) -> Worlds:
    """Return all worlds of the lists, once each, in order."""
    some = [part for part in parts if part.size]
    if not some:
        return NONE
    return some[0] if len(some) == 1 else distinct(np.concatenate(some))


def at_least(lists: Sequence[Worlds], count: int) -> Worlds:
    """Return the worlds that are in at least so many of the lists."""
    found, times = np.unique(np.concatenate(lists), return_counts=True)
    return found[times >= count]
