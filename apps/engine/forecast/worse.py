"""The targets that a service would get if it had failed more: as it is, it never gets lower ones.

The forecast learned that nearly clean services break deeply, if at all, and that others fail as they did. So of two
young services it may expect more of the one that failed a thousand times than of the one that failed once. A better
record is no reason for a lower target: in the first week a forecast is no worse than those of the same record with
failures added evenly, and in the second that fades out.
"""

from __future__ import annotations

import numpy as np

from apps.engine.forecast.evidence import FIRST_WEEK_DAYS
from apps.engine.forecast.history import History
from apps.engine.types import Floats

ADDED = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
"""Shares of all requests that are taken to have failed besides."""


def youth_of(history: History, days: float) -> float:
    """How far that rule holds for a record of so many ``days``: 1 in the first week, 0 from the second's end on.

    It does not hold for sites that a clock asks, whose failures never come evenly.
    """
    return 0.0 if history.is_probed else min(1.0, max(0.0, 2.0 - days / FIRST_WEEK_DAYS))


def with_more_failures(bad: Floats, total: Floats, youth: float) -> Floats:
    """Each row of ``bad``, ``(n, hours)``, followed by itself with failures added; as it is where ``youth`` is 0."""
    if youth <= 0:
        return bad
    # Whole failures: parts of one in each hour are a pattern that no service has.
    whole = np.floor(np.asarray(ADDED)[:, None] * np.cumsum(total) + 0.5)
    added = np.diff(whole, axis=1, prepend=0.0)
    more: Floats = np.minimum(bad[:, None, :] + added, total).reshape(-1, total.size)
    return more


def no_worse(quantiles: Floats, youth: float) -> Floats:
    """Unavailabilities of :func:`with_more_failures`' rows, ``(n × added, chances)``, as ``(n, chances)``: the least of
    a record's, and as that fades out its own.
    """
    if youth <= 0:
        return quantiles
    each = quantiles.reshape(-1, len(ADDED), quantiles.shape[1])
    held: Floats = each[:, 0] ** (1 - youth) * each.min(axis=1) ** youth
    return held


def rows_of(rows: np.ndarray, youth: float) -> np.ndarray:
    """Numbers of all the rows of :func:`with_more_failures` that belong to the records ``rows``."""
    if youth <= 0:
        return rows
    return (rows[:, None] * len(ADDED) + np.arange(len(ADDED))).ravel()
