"""Fleets with known call probabilities and hardnesses, to check whether intervals hold the true values.

Traffic has a daily shape, quieter weekends, a level that wanders, and hours that are unusually busy. Dependencies fail
a little all the time and in incidents of all depths, some more under load. The service has failures and incidents of
its own. A target serves other callers with a rhythm of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from apps.engine.document import Criticality
from apps.engine.simulation.fleet import HOUR_SECONDS, START
from apps.engine.types import CountSeries, DependencyInput, Floats

type Seen = Literal["edge", "target"]
"""What is seen of a dependency: the calls over the edge and its own series, or its own series alone."""


@dataclass(frozen=True, slots=True)
class KnownEdge:
    """A dependency with its true ``q`` and ``h``."""

    dependency: DependencyInput
    q: float
    h: float


def simulated_service(generator: np.random.Generator, seen: Seen) -> tuple[CountSeries, list[KnownEdge]]:
    """Simulate a service with one to four dependencies over 30 to 90 days of hours.

    The same generator gives the same service and the same truth, whatever is seen of it.
    """
    hours = 24 * int(generator.choice([30, 60, 90]))
    level = 10 ** generator.uniform(2.5, 4.5)
    total = generator.poisson(_traffic(generator, hours, level))
    bad = np.zeros(hours, dtype=np.int64)
    known: list[KnownEdge] = []
    for number in range(int(generator.integers(1, 5))):
        q = 1.0 if generator.random() < 0.3 else generator.uniform(0.05, 1)
        h = float(generator.choice([0.0, 1.0])) if generator.random() < 0.3 else generator.uniform(0, 1)
        calls = generator.binomial(total, q)
        rate = _failure_rate(generator, total / total.mean())
        failed = generator.binomial(calls, rate)
        bad += generator.binomial(failed, h)
        others = generator.poisson(_traffic(generator, hours, level * 10 ** generator.uniform(-1, 0.7)))
        edge = _series(calls, failed)
        target = _series(calls + others, failed + generator.binomial(others, rate))
        dependency = DependencyInput(
            f"d{number}",
            criticality=_declared(generator, h),
            edge=edge if seen == "edge" else None,
            target=target,
        )
        known.append(KnownEdge(dependency, q, h))
    usual = 10 ** generator.uniform(-5, -3) * generator.gamma(1.0, 1.0, hours)
    own = np.minimum(1.0, usual + _incidents(generator, hours, generator.uniform(15, 60), 0.5))
    bad += generator.binomial(np.maximum(0, total - bad), own)
    return _series(total, np.minimum(bad, total)), known


def _declared(generator: np.random.Generator, h: float) -> Criticality:
    if generator.random() < 0.2:
        return ("hard", "degraded", "soft")[int(generator.integers(3))]
    return "hard" if h > 0.6 else "degraded" if h > 0.2 else "soft"


def _traffic(generator: np.random.Generator, hours: int, level: float) -> Floats:
    at = np.arange(hours)
    daily = 1 + generator.uniform(0.2, 0.7) * np.sin((at / 24 + generator.random()) * 2 * np.pi)
    weekend = np.where((at // 24) % 7 >= 5, generator.uniform(0.6, 1.0), 1.0)
    wander = np.repeat(np.exp(generator.normal(0, 0.03, hours // 24).cumsum()), 24)
    noise = np.empty(hours)
    noise[0] = 0.0
    steps = generator.normal(0, generator.uniform(0.03, 0.1), hours)
    for hour in range(1, hours):
        noise[hour] = 0.5 * noise[hour - 1] + steps[hour]
    traffic: Floats = level * daily * weekend * wander * np.exp(noise)
    return traffic


def _failure_rate(generator: np.random.Generator, load: Floats) -> Floats:
    base = 10 ** generator.uniform(-5, -3.3) * load ** generator.choice([0, 1, 2])
    return np.minimum(1.0, base + _incidents(generator, load.size, generator.uniform(3, 15), 1.0))


def _incidents(generator: np.random.Generator, hours: int, every_days: float, deepest: float) -> Floats:
    rates = np.zeros(hours)
    for start in np.flatnonzero(generator.random(hours) < 1 / (24 * every_days)):
        lasts = int(np.ceil(generator.lognormal(0.5, 1.0)))
        rates[start : start + lasts] = generator.uniform(0.02, deepest)
    return rates


def _series(total: NDArray[np.int64], bad: NDArray[np.int64]) -> CountSeries:
    return CountSeries(START, HOUR_SECONDS, total.astype(np.float64), bad.astype(np.float64))
