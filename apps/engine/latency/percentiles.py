"""Reading a percentile from the buckets of a histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.engine.types import Floats


def percentile(bounds_ms: Floats, cumulative: Floats, share: float) -> Floats:
    """Read a percentile from cumulative counts, linear inside the bucket: ``(…, k)`` → ``(…,)``.

    The first bucket begins at 0. What lies in the ``+Inf`` bucket is ``inf``; nothing counted gives ``nan``.
    """
    result: Floats = percentiles(bounds_ms, cumulative, (share,))[0]
    return result


def percentiles(bounds_ms: Floats, cumulative: Floats, shares: Sequence[float]) -> Floats:
    """Read several at once: ``(m, k)`` → ``(shares, m)``."""
    counts = np.atleast_2d(cumulative)
    total = counts[:, -1]
    columns = np.ascontiguousarray(counts.T)
    padded = np.zeros((columns.shape[0] + 1, columns.shape[1]))
    padded[1:] = columns
    edges = np.concatenate([[0.0], bounds_ms])
    rows = np.arange(counts.shape[0])
    last = bounds_ms.size - 1
    result = np.empty((len(shares), counts.shape[0]))
    for number, share in enumerate(shares):
        wanted = share * total
        at = np.minimum((columns < wanted).sum(axis=0), last)
        below, reached = padded[at, rows], padded[at + 1, rows]
        inside = reached - below
        has_some = inside > 0
        part = np.where(has_some, (wanted - below) / np.where(has_some, inside, 1.0), 1.0)
        lower, upper = edges[at], edges[at + 1]
        is_finite = np.isfinite(upper)
        value = np.where(is_finite, lower + part * (np.where(is_finite, upper, lower) - lower), np.inf)
        result[number] = np.where(total > 0, value, np.nan)
    return result
