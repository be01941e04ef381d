"""Reads a percentile from the buckets of a histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.engine.types import Floats


def percentile(bounds_ms: Floats, cumulative: Floats, share: float) -> Floats:
    """Read a percentile from cumulative counts, linear inside the bucket: ``(…, k)`` → ``(…,)``.

    The first bucket begins at 0. A percentile in the ``+Inf`` bucket is ``inf``; without counts it is ``nan``.
    """
    result: Floats = percentiles(bounds_ms, cumulative, (share,))[0]
    return result


def percentiles(bounds_ms: Floats, cumulative: Floats, shares: Sequence[float]) -> Floats:
    """Read several at once: ``(m, k)`` → ``(shares, m)``."""
    counts = np.atleast_2d(cumulative)
    total = counts[:, -1]
    # Bucket by bucket, with an empty one before the first.
    reached = np.zeros((counts.shape[1] + 1, counts.shape[0]))
    reached[1:] = counts.T
    wanted = np.multiply.outer(np.asarray(shares), total)
    at = np.minimum((reached[1:, None] < wanted).sum(axis=0), bounds_ms.size - 1)
    place = at * total.size + np.arange(total.size)
    below = reached.take(place)
    inside = reached.take(place + total.size) - below
    part = np.divide(wanted - below, inside, out=np.ones_like(inside), where=inside > 0)
    edges = np.concatenate([[0.0], bounds_ms])
    is_finite = np.isfinite(bounds_ms)
    begins = np.where(is_finite, edges[:-1], np.inf)
    widths = np.subtract(bounds_ms, edges[:-1], out=np.zeros_like(begins), where=is_finite)
    result: Floats = begins.take(at) + part * widths.take(at)
    if not total.all():
        result[:, ~(total > 0)] = np.nan
    return result
