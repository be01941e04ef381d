"""Requests an hour: a daily and a weekly rhythm, uneven days, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.engine.simulation.paths import loguniform, wandering
from apps.engine.types import Floats


@dataclass(frozen=True, slots=True)
class Traffic:
    """``per_hour`` is the mean; the load of an hour is about 1 on average."""

    per_hour: float
    daily: float
    phase: float
    weekend: float
    noise: float
    days: float
    is_fixed: bool = False
    """Whether every hour has the same number of requests, as probes have."""

    @classmethod
    def draw(cls, generator: np.random.Generator, low: float, high: float) -> Traffic:
        """Draw traffic with a mean between ``low`` and ``high`` requests an hour."""
        return cls(
            per_hour=loguniform(generator, low, high),
            daily=generator.uniform(0.0, 0.9),
            phase=generator.uniform(0, 24),
            weekend=generator.uniform(0.3, 1.1),
            noise=generator.uniform(0.0, 0.35),
            days=0.0 if generator.random() < 0.5 else generator.uniform(0.05, 0.35),
        )

    @classmethod
    def probes(cls, per_hour: float) -> Traffic:
        """Return the same number of requests for every hour."""
        return cls(per_hour, 0.0, 0.0, 1.0, 0.0, 0.0, is_fixed=True)

    def load(self, generator: np.random.Generator, count: int, first_hour: int, hours: int) -> Floats:
        """Return the load of each hour relative to the mean: shape ``(count, hours)``, or ``(1, hours)`` where all are
        alike.
        """
        at = first_hour + np.arange(hours)
        rhythm = 1 + self.daily * np.sin(2 * np.pi * (at + self.phase) / 24)
        weekly = np.where(at // 24 % 7 >= 5, self.weekend, 1.0) / (5 + 2 * self.weekend) * 7
        pattern = (rhythm * weekly)[None, :]
        if self.noise <= 0 and self.days <= 0:
            return pattern
        noise = generator.normal(-(self.noise**2) / 2, self.noise, (count, hours))
        if self.days > 0:
            days, _ = wandering(generator, count, hours // 24 + 1, spread=self.days, memory=0.5, start=None)
            noise = noise + np.repeat(days - self.days**2 / 2, 24, axis=1)[:, :hours]
        return np.asarray(pattern * np.exp(noise))
