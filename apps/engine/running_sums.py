"""Cumulative sums, from which the sum of any stretch is one subtraction."""

from __future__ import annotations

import numpy as np

from apps.engine.types import Floats


def running_sums(values: Floats) -> Floats:
    """Return cumulative sums along the last axis, beginning with 0: ``(…, n)`` → ``(…, n + 1)``."""
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    np.cumsum(values, axis=-1, out=sums[..., 1:])
    return sums


def sums_of_stretches(running: Floats, width: int) -> Floats:
    """Return sums of whole stretches of ``width`` places, as many as there are; the last ends with the newest place.

    Takes :func:`running_sums`: ``(…, n + 1)`` → ``(…, n // width)``. With fewer than ``width`` places, returns the sum
    of all.
    """
    places = running.shape[-1] - 1
    width = min(width, places)
    edges = running[..., places % width :: width]
    return edges[..., 1:] - edges[..., :-1]
