"""How often a service may fail in the next window, drawn from its recommendation.

A recommendation's tiers are three quantiles of the service's unavailability in the next window. Between them the
logarithm of the unavailability is linear in the normal score; below the aggressive tier and above the conservative one
the nearest slope continues. Services with such a history miss the tiers as often as stated, so the tiers already
include the doubt about each: the tiers' intervals do not widen the draws again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from apps.engine.document import TierName
from apps.engine.types import TIER_BREACH_PROBABILITY, Floats
from apps.engine.window.tiers import LEAST_UNAVAILABILITY

_FAR = 6.0
_SCORES = {name: NormalDist().inv_cdf(1 - chance) for name, chance in TIER_BREACH_PROBABILITY.items()}


@dataclass(frozen=True, slots=True)
class Predicted:
    """Unavailability at each tier."""

    tiers: Mapping[TierName, float]

    def draw(self, windows: int, generator: np.random.Generator) -> Floats:
        """Draw the unavailabilities of so many windows, shape ``(windows,)``, none above 1."""
        names: list[TierName] = ["aggressive", "balanced", "conservative"]
        scores = np.array([_SCORES[name] for name in names])
        logs = np.log([max(self.tiers[name], LEAST_UNAVAILABILITY) for name in names])
        logs = np.maximum.accumulate(logs)
        slopes = np.diff(logs) / np.diff(scores)
        scores = np.array([-_FAR, *scores, _FAR])
        first = logs[0] - slopes[0] * (scores[1] + _FAR)
        last = logs[-1] + slopes[-1] * (_FAR - scores[-2])
        drawn = np.interp(generator.standard_normal(windows), scores, np.array([first, *logs, last]))
        result: Floats = np.minimum(1.0, np.exp(drawn))
        return result
