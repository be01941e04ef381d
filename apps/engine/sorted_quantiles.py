"""Quantiles read from sorted values.

numpy sorts with vector instructions but partitions without: sorting all values is several times faster than finding
one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.engine.types import Floats


def middle_of(values: Floats) -> Floats:
    """Return the median along the last axis, of at least one value, all finite."""
    return quantiles_of(values, (0.5,))[0]


def quantiles_of(values: Floats, quantiles: Sequence[float]) -> list[Floats]:
    """Return quantiles along the last axis, interpolated between neighbours, of at least one value, all finite."""
    ordered = np.sort(values, axis=-1)
    newest = ordered.shape[-1] - 1
    found: list[Floats] = []
    for quantile in quantiles:
        at = int(quantile * newest)
        below, above = ordered[..., at], ordered[..., min(at + 1, newest)]
        found.append(np.asarray(below + (above - below) * (quantile * newest - at)))
    return found
