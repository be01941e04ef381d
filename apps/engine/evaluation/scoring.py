"""Scores of predictions: how often a target is missed, and how tight it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.engine.types import Floats

ALMOST_ONE_FAILURE = 0.99
"""A predicted unavailability of less than this many failures means no failure at all."""


@dataclass(frozen=True, slots=True)
class MissedShare:
    """Shares of windows below their target, and at or below it.

    Where "no failure at all" is likely, the stated chance lies between the two and no target could do better. ``error``
    is one standard error.
    """

    below: float
    at_or_below: float
    error: float
    services: int

    def distance(self, chance: float) -> float:
        """How far the stated chance lies outside the two shares; 0 inside."""
        return max(0.0, self.below - chance, chance - self.at_or_below)


def missed(predicted: Floats, actual: Floats, requests: Floats, chance: float) -> MissedShare:
    """Return the share of windows whose unavailability ``actual`` exceeds the ``predicted``; all of shape ``(n,)``.

    Where the prediction allows no failure and there was none, the window is at its target.
    """
    is_none = predicted * requests < ALMOST_ONE_FAILURE
    below = np.where(is_none, actual > 0, actual > predicted)
    at_or_below = np.where(is_none, True, actual >= predicted)
    count = int(actual.size)
    return MissedShare(float(below.mean()), float(at_or_below.mean()), standard_error(chance, count), count)


def standard_error(chance: float, cases: int) -> float:
    """Return the standard error of the share of ``cases`` in which something with probability ``chance`` happens."""
    return float(np.sqrt(chance * (1 - chance) / max(1, cases)))


def pinball(predicted: Floats, actual: Floats, chance: float) -> Floats:
    """Return the pinball loss of the quantile that is exceeded with ``chance`` (Koenker and Bassett 1978),
    elementwise.
    """
    excess = actual - predicted
    result: Floats = np.where(excess > 0, (1 - chance) * excess, -chance * excess)
    return result


def share_closed(ours: float, floor: float, oracle: float) -> float | None:
    """Return the share of the gap between a baseline's loss and the oracle's that is closed; ``None`` without a gap."""
    return None if floor <= oracle else (floor - ours) / (floor - oracle)


def deciles(values: Floats) -> NDArray[np.int64]:
    """Return the decile of each value, 0 to 9."""
    edges = np.quantile(values, np.arange(1, 10) / 10)
    return np.searchsorted(edges, values, side="right").astype(np.int64)
