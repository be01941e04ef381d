"""The targets that a service would get if it had failed more, none of which may be better than its own.

The forecast learned that nearly clean services fail deeply, if at all, and that others fail as they did before. So of
two young services it may expect more of the one that failed a thousand times than of the one that failed once. A
service must not get a lower target for failing less. So in the first week its forecast is no worse than that of the
same record with failures added evenly; in the second week that fades out.
"""

from __future__ import annotations

import numpy as np

from apps.engine.forecast.evidence import FIRST_WEEK_DAYS
from apps.engine.forecast.history import History
from apps.engine.types import Floats

ADDED = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
"""Shares of all requests that are assumed to have failed in addition."""


def youth_of(history: History, days: float) -> float:
    """Return the weight of that rule for a record of so many ``days``: 1 in the first week, 0 from the end of the
    second.

    It does not apply to probed sites, whose failures never come evenly.
    """
    return 0.0 if history.is_probed else min(1.0, max(0.0, 2.0 - days / FIRST_WEEK_DAYS))


def with_more_failures(bad: Floats, total: Floats, youth: float) -> Floats:
    """Return each row of ``bad``, ``(n, hours)``, followed by copies with failures added; unchanged where ``youth`` is
    0.
    """
    if youth <= 0:
        return bad
    # Add whole failures: a fraction in each hour is a pattern that no service has.
    whole = np.floor(np.asarray(ADDED)[:, None] * np.cumsum(total) + 0.5)
    added = np.diff(whole, axis=1, prepend=0.0)
    more: Floats = np.minimum(bad[:, None, :] + added, total).reshape(-1, total.size)
    return more


def no_worse(quantiles: Floats, youth: float) -> Floats:
    """Return unavailabilities no worse than those with failures added: ``(n × added, chances)`` → ``(n, chances)``.

    Rows are those of :func:`with_more_failures`. The result is the least of a record's values; as the rule fades out,
    it approaches the record's own.
    """
    if youth <= 0:
        return quantiles
    each = quantiles.reshape(-1, len(ADDED), quantiles.shape[1])
    held: Floats = each[:, 0] ** (1 - youth) * each.min(axis=1) ** youth
    return held


def rows_of(rows: np.ndarray, youth: float) -> np.ndarray:
    """Return the numbers of all rows of :func:`with_more_failures` that belong to the records ``rows``."""
    if youth <= 0:
        return rows
    return (rows[:, None] * len(ADDED) + np.arange(len(ADDED))).ravel()
