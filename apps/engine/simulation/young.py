"""Services in their first week, whose archetype's prior is right or far off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.engine.archetypes import Archetypes
from apps.engine.simulation.fleet import (
    CUT_HOUR,
    FAMILIES,
    WINDOW_DAYS,
    Dependency,
    SimulatedService,
    draw_dependency,
    draw_traffic,
    grown,
)
from apps.engine.simulation.paths import loguniform
from apps.engine.simulation.processes import HIGHEST_RATE, Process, State
from apps.engine.simulation.traffic import Traffic
from apps.engine.types import Floats

YOUNG, WORSE, BETTER = "young", "young, much worse than its kind", "young, much better than its kind"
YOUNG_FAMILIES = (YOUNG, WORSE, BETTER)
"""Young services like any other; and ones whose level of failures is far off what is typical of the archetype."""
HOURS = (24, 7 * 24)
"""Least and (exclusive) most hours of history."""
FAR_OFF = (3.0, 300.0)
"""How many times more, or fewer, requests fail than is typical."""
WORST_LEVEL = 0.6
SHOW_WITHIN_DAYS = ("independent", "modulated", "load-dependent", "trend", "step", "low traffic", "bursts")
"""Kinds whose level shows within days: a service that is worse by one outage in months does not show it."""
_PATHS = 40
_FIRST = 4_000
"""Seeds of young services begin with a number that no other family has."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Another process with its rates multiplied."""

    process: Process
    factor: float

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        found, ends = self.process.rates(generator, count, first_hour, load, state)
        return np.minimum(HIGHEST_RATE, found * self.factor), ends


def simulate_young(
    generator: np.random.Generator, family: str, name: str, *, window_days: int = WINDOW_DAYS
) -> SimulatedService:
    """Draw a service of 1 to 6 days, its archetype, its nature, its history and one future.

    ``young`` services are of any kind except ``new``, and of no known archetype, like other simulated services. Those
    far off their kind have no dependency, which would have a level of its own.
    """
    hours = int(generator.integers(*HOURS))
    archetype = "default"
    dependency: Dependency | None = None
    if family == YOUNG:
        kinds = list(FAMILIES)[:-1]
        kind = kinds[int(generator.integers(len(kinds)))]
        process: Process = FAMILIES[kind](generator)
        traffic = draw_traffic(generator, kind)
        dependency = draw_dependency(generator, kind)
    else:
        kind = SHOW_WITHIN_DAYS[int(generator.integers(len(SHOW_WITHIN_DAYS)))]
        archetypes = Archetypes.built_in().by_name
        archetype = sorted(archetypes)[int(generator.integers(len(archetypes)))]
        typical = 1 - archetypes[archetype].typical_availability
        factor = loguniform(generator, *FAR_OFF)
        level = min(WORST_LEVEL, typical * factor) if family == WORSE else typical / factor
        as_drawn = FAMILIES[kind](generator)
        traffic = draw_traffic(generator, kind)
        process = Scaled(as_drawn, level / _level(generator, as_drawn, traffic))
    return grown(
        generator,
        family,
        name,
        traffic,
        process,
        dependency,
        past_hours=hours,
        window_days=window_days,
        archetype=archetype,
    )


def young_generator(seed: int, family: str, number: int) -> np.random.Generator:
    """Return the generator of one service, which depends on seed, family and number alone."""
    return np.random.default_rng([seed, _FIRST + YOUNG_FAMILIES.index(family), number])


def _level(generator: np.random.Generator, process: Process, traffic: Traffic) -> float:
    """Return the share of requests that fail, over many windows."""
    load = traffic.load(generator, _PATHS, CUT_HOUR, WINDOW_DAYS * 24)
    rates, _ = process.rates(generator, _PATHS, CUT_HOUR, load, None)
    load = np.broadcast_to(load, rates.shape)
    return float((rates * load).sum() / load.sum())
