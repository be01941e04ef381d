"""Pieces of a latency history (the summed counts of many bins each), from whose percentiles the features are
computed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from apps.engine.running_sums import sums_of_stretches
from apps.engine.types import Floats

REPLICATES = 200
"""Resampled windows of each kind."""


def blocks(running: Floats, width: int) -> Floats:
    """Sum as many blocks of ``width`` bins as there are; the last ends with the history."""
    return np.ascontiguousarray(sums_of_stretches(running.T, width).T)


def by_hour(counts: Floats, per_day: int) -> Floats:
    """Sum the counts of each hour of the day over whole days, ``(hours, k)``; empty without a whole day of hours."""
    days = counts.shape[0] // per_day
    if days < 1 or per_day < 2:
        return counts[:0]
    summed: Floats = counts[-days * per_day :].reshape(days, per_day, -1).sum(axis=0)
    return summed


@lru_cache(maxsize=256)
def _picks(blocks: int, wanted: int) -> Floats:
    """Return how often each block is drawn in each resampled window, the same for all histories of so many blocks;
    read-only.
    """
    generator = np.random.default_rng([blocks, wanted])
    picks = generator.multinomial(wanted, np.full(blocks, 1 / blocks), REPLICATES).astype(np.float64)
    picks.setflags(write=False)
    return picks


def resampled(day_counts: Floats, window_days: float) -> tuple[Floats, Floats]:
    """Return the counts of windows drawn as whole days, and as whole weeks (block bootstrap; Künsch 1989)."""
    by_day = day_counts[day_counts[:, -1] > 0]
    days = by_day.shape[0]
    running = np.concatenate([by_day, by_day[:6]]).cumsum(axis=0)
    length = 7 if days >= 14 else 1
    weeks = running[length - 1 : length - 1 + days].copy()
    weeks[1:] -= running[: days - 1]
    return (
        _picks(days, max(1, round(window_days))) @ by_day,
        _picks(days, max(1, round(window_days / length))) @ weeks,
    )
