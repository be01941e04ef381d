"""Random numbers that depend on their purpose, not on how many were drawn before.

A number belongs to a key (seed, name, purpose) and an index such as an hour. Drawing a range again, or in other parts,
gives the same numbers, so an extended series equals one that is drawn at once.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
#: Below this mean a count is drawn from its exact distribution, above from a corrected normal one.
_EXACT_BELOW = 16.0
_EXACT_TERMS = 64


def key(seed: int, *names: str) -> int:
    """Return the 64-bit key of a purpose."""
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def keys(seed: int, names: list[tuple[str, ...]]) -> NDArray[np.uint64]:
    """Return one key for each tuple of names, shape ``(len(names), 1)``, for broadcasting with a row of indices."""
    return np.array([key(seed, *name) for name in names], dtype=np.uint64)[:, None]


def uniform(keyed: NDArray[np.uint64], index: Ints) -> Floats:
    """Return uniform numbers in (0, 1), one for each pair of key and index (broadcast).

    The generator is SplitMix64 (Steele, Lea & Flood 2014) used as a counter: its state after ``index`` steps is
    computed directly.
    """
    with np.errstate(over="ignore"):
        z = keyed + index.astype(np.uint64) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    result: Floats = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54
    return result


def normal(keyed: NDArray[np.uint64], index: Ints) -> Floats:
    """Return standard normal numbers (Box & Muller 1958), one for each pair of key and index."""
    first = uniform(keyed, index)
    second = uniform(keyed ^ np.uint64(0xA5A5A5A5A5A5A5A5), index)
    result: Floats = np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)
    return result


def poisson(mean: Floats, keyed: NDArray[np.uint64], index: Ints) -> Floats:
    """Return Poisson counts of the given means (as floats). Large means use a Cornish–Fisher corrected
    normal.
    """
    z = normal(keyed, index)
    counts: Floats = np.maximum(0.0, np.rint(mean + z * np.sqrt(mean) + (z * z - 1.0) / 6.0))
    small = mean < _EXACT_BELOW
    counts[small] = _exact_poisson(mean[small], uniform(keyed, index)[small])
    return counts


def _exact_poisson(mean: Floats, chance: Floats) -> Floats:
    counts = np.zeros_like(mean)
    left: Ints = np.arange(mean.size)
    term = np.exp(-mean)
    passed = term.copy()
    for k in range(1, _EXACT_TERMS):
        undecided = chance > passed
        if not undecided.any():
            break
        left = left[undecided]
        term, passed, mean, chance = (a[undecided] for a in (term, passed, mean, chance))
        counts[left] = k
        term = term * mean / k
        passed = passed + term
    return counts


def binomial(trials: Floats, chance: Floats, keyed: NDArray[np.uint64], index: Ints) -> Floats:
    """Return how many of ``trials`` succeed with ``chance`` each: Poisson for a few, else a normal approximation."""
    rare = np.minimum(chance, 1.0 - chance)
    mean = trials * rare
    z = normal(keyed, index)
    counts: Floats = np.rint(mean + z * np.sqrt(mean * (1.0 - rare)))
    small = mean < _EXACT_BELOW
    counts[small] = _exact_poisson(mean[small], uniform(keyed, index)[small])
    counts = np.clip(counts, 0.0, trials)
    result: Floats = np.where(chance > 0.5, trials - counts, counts)
    return result
