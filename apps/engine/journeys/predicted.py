"""How often a service may fail in the next window, drawn from what its recommendation says of it.

A recommendation's tiers are three quantiles of the service's unavailability in the next window, and each carries
an interval. Between them the logarithm of the unavailability runs straight over the normal score; below the
aggressive tier and above the conservative one the nearest slope goes on. The interval of the balanced tier widens
every draw: it is what the quantiles themselves are unsure by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from apps.engine.types import TIER_BREACH_PROBABILITY, Floats, TierName
from apps.engine.window.tiers import LEAST_UNAVAILABILITY

_Z90 = 1.6448536
_FAR = 6.0
_SCORES = {name: NormalDist().inv_cdf(1 - chance) for name, chance in TIER_BREACH_PROBABILITY.items()}


@dataclass(frozen=True, slots=True)
class Predicted:
    """Unavailability at each tier, and of the balanced tier's interval the better and the worse end."""

    tiers: Mapping[TierName, float]
    better: float
    worse: float

    def draw(self, windows: int, generator: np.random.Generator) -> Floats:
        """Unavailabilities of so many windows, shape ``(windows,)``, none above 1."""
        names: list[TierName] = ["aggressive", "balanced", "conservative"]
        scores = np.array([_SCORES[name] for name in names])
        logs = np.log([max(self.tiers[name], LEAST_UNAVAILABILITY) for name in names])
        logs = np.maximum.accumulate(logs)
        slopes = np.diff(logs) / np.diff(scores)
        scores = np.array([-_FAR, *scores, _FAR])
        first = logs[0] - slopes[0] * (scores[1] + _FAR)
        last = logs[-1] + slopes[-1] * (_FAR - scores[-2])
        expected = np.interp(generator.standard_normal(windows), scores, np.array([first, *logs, last]))
        spread = self.spread
        if spread > 0:
            expected = expected + spread * generator.standard_normal(windows)
        result: Floats = np.minimum(1.0, np.exp(expected))
        return result

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm that the balanced tier's 90 % interval means."""
        better, worse = max(self.better, LEAST_UNAVAILABILITY), max(self.worse, LEAST_UNAVAILABILITY)
        return max(0.0, math.log(worse / better)) / (2 * _Z90)
