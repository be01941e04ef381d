"""Simulated fleets with a future that the engine does not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from apps.engine.simulation.paths import loguniform
from apps.engine.simulation.processes import (
    Bursts,
    Incidents,
    Independent,
    LoadDependent,
    Modulated,
    Process,
    State,
    Step,
    Trend,
)
from apps.engine.simulation.traffic import Traffic
from apps.engine.types import CountSeries, DependencyInput, Floats, ServiceInput

START = 1_780_272_000
"""Beginning of the longest history: a midnight (UTC)."""
PAST_DAYS = 90
WINDOW_DAYS = 28
HOUR_SECONDS = 3_600
DEPENDENCY_ID = "dependency"
CUT_HOUR = PAST_DAYS * 24

FAMILIES: Mapping[str, Callable[[np.random.Generator], Process]] = {
    "independent": Independent.draw,
    "modulated": Modulated.draw,
    "rare incidents": Incidents.draw_rare,
    "deep outages": Incidents.draw_deep,
    "load-dependent": LoadDependent.draw,
    "trend": Trend.draw,
    "step": Step.draw,
    "low traffic": Bursts.draw_quiet,
    "bursts": Bursts.draw,
    "dependency": Incidents.draw_deep,
    "new": Independent.draw,
}
"""The processes by name. In ``dependency`` most failures come from one dependency; ``new`` services are of any other
kind, with 7 to 29 days of history.
"""
FREQUENT = "frequent incidents"
"""Frequent incidents of a service or of its dependency: learned from, but not one of the eleven that are evaluated."""
SITES = "sites"
"""Sites that are up or down, seen by a few probes an hour, as on status pages: learned from, but not one of the
eleven.
"""


EXTRA: Mapping[str, Callable[[np.random.Generator], Process]] = {
    SITES: Incidents.draw_site,
    FREQUENT: Incidents.draw_frequent,
}


@dataclass(frozen=True, slots=True)
class Dependency:
    """What one dependency does to a service."""

    process: Process
    call_probability: float
    hardness: float


@dataclass(frozen=True, slots=True)
class SimulatedService:
    """One service: what may be seen of it, its next window, and its true nature."""

    family: str
    service: ServiceInput
    future_total: Floats
    future_bad: Floats
    window_days: int
    traffic: Traffic
    process: Process
    dependency: Dependency | None
    states: tuple[State, State]

    @property
    def unavailability(self) -> float:
        """Share of requests that failed in the held-out window."""
        return float(self.future_bad.sum() / self.future_total.sum())

    def futures(self, generator: np.random.Generator, count: int) -> Floats:
        """Return the unavailability of ``count`` possible windows after the history, as an oracle knows it.

        The failures of a window are drawn from the binomial distribution whose mean and variance are those of the sum
        over its hours.
        """
        hours = self.window_days * 24
        load = self.traffic.load(generator, count, CUT_HOUR, hours)
        rates, _ = self.process.rates(generator, count, CUT_HOUR, load, self.states[0])
        if self.dependency is not None:
            extra, _ = self.dependency.process.rates(generator, count, CUT_HOUR, load, self.states[1])
            share = self.dependency.call_probability * self.dependency.hardness
            rates = 1 - (1 - rates) * (1 - share * extra)
        load = np.broadcast_to(load, rates.shape)
        requests = np.maximum(1.0, np.round(load.sum(axis=1) * self.traffic.per_hour))
        first = np.einsum("kh,kh->k", load, rates) * self.traffic.per_hour
        second = np.einsum("kh,kh,kh->k", load, rates, rates) * self.traffic.per_hour
        chance = np.divide(second, first, out=np.full(count, 0.5), where=first > 0)
        trials = np.round(first / np.maximum(chance, 1e-12)).astype(np.int64)
        failed = generator.binomial(np.minimum(trials, 2**40), np.minimum(chance, 1.0))
        result: Floats = np.minimum(1.0, failed / requests)
        return result


def simulate_service(
    generator: np.random.Generator, family: str, name: str, *, window_days: int = WINDOW_DAYS
) -> SimulatedService:
    """Draw a service's nature, its history, and one future."""
    kind = family
    past_days = PAST_DAYS
    if family == "new":
        kind = list(FAMILIES)[int(generator.integers(0, len(FAMILIES) - 1))]
        past_days = int(generator.integers(7, 30))
    elif generator.random() < 0.1:
        past_days = int(generator.integers(30, PAST_DAYS))
    process = {**FAMILIES, **EXTRA}[kind](generator)
    traffic = draw_traffic(generator, kind)
    dependency = draw_dependency(generator, kind)
    return grown(
        generator,
        family,
        name,
        traffic,
        process,
        dependency,
        past_hours=past_days * 24,
        window_days=window_days,
    )


def grown(
    generator: np.random.Generator,
    family: str,
    name: str,
    traffic: Traffic,
    process: Process,
    dependency: Dependency | None,
    *,
    past_hours: int,
    window_days: int = WINDOW_DAYS,
    archetype: str = "default",
) -> SimulatedService:
    """Draw ``past_hours`` of history of a service of this nature, and one future."""
    past, future = past_hours, window_days * 24
    load = traffic.load(generator, 1, CUT_HOUR - past, past)
    total, bad, edge, states = _hours(
        generator, traffic, process, dependency, load, CUT_HOUR - past, (None, None)
    )
    load = traffic.load(generator, 1, CUT_HOUR, future)
    future_total, future_bad, _, _ = _hours(generator, traffic, process, dependency, load, CUT_HOUR, states)
    if future_total.sum() <= 0:
        future_total[0] = 1.0
    start = START + (CUT_HOUR - past) * HOUR_SECONDS
    missing = _gaps(generator, past) if generator.random() < 0.15 else None
    for series in (total, bad, *(() if edge is None else edge)):
        if missing is not None:
            series[missing] = np.nan
    dependencies: tuple[DependencyInput, ...] = ()
    if edge is not None:
        calls = CountSeries(start, HOUR_SECONDS, *edge)
        dependencies = (DependencyInput(DEPENDENCY_ID, edge=calls, target=calls),)
    service = ServiceInput(
        name,
        archetype=archetype,
        counts=CountSeries(start, HOUR_SECONDS, total, bad),
        dependencies=dependencies,
    )
    return SimulatedService(
        family, service, future_total, future_bad, window_days, traffic, process, dependency, states
    )


def draw_traffic(generator: np.random.Generator, kind: str) -> Traffic:
    """Return the traffic of a service of this kind."""
    if kind == SITES:
        return Traffic.probes(float(generator.choice([4, 6, 12, 12, 12, 60])))
    if kind == "low traffic":
        return Traffic.draw(generator, 8, 120)
    return Traffic.draw(generator, 60, 300_000)


def draw_dependency(generator: np.random.Generator, kind: str) -> Dependency | None:
    """Return the dependency of a service of this kind, if any."""
    if kind == "dependency":
        draw = (Incidents.draw_rare, Modulated.draw, Bursts.draw)[int(generator.integers(0, 3))]
        return Dependency(draw(generator), generator.uniform(0.2, 1.0), generator.uniform(0.3, 1.0))
    if kind == FREQUENT and generator.random() < 0.5:
        failing = Incidents.draw_frequent(generator)
        return Dependency(failing, generator.uniform(0.2, 1.0), generator.uniform(0.3, 1.0))
    if generator.random() < 0.15:
        return Dependency(
            Independent(loguniform(generator, 1e-6, 1e-3)),
            generator.uniform(0.05, 1),
            generator.uniform(0, 0.3),
        )
    return None


def _hours(
    generator: np.random.Generator,
    traffic: Traffic,
    process: Process,
    dependency: Dependency | None,
    load: Floats,
    first_hour: int,
    states: tuple[State | None, State | None],
) -> tuple[Floats, Floats, tuple[Floats, Floats] | None, tuple[State, State]]:
    """Return the requests and failures of each hour, the calls over the edge, and the states at the end."""
    expected = load[0] * traffic.per_hour
    requests = np.round(expected) if traffic.is_fixed else generator.poisson(expected)
    total = requests.astype(np.int64)
    rates, own_state = process.rates(generator, 1, first_hour, load, states[0])
    own = generator.binomial(total, rates[0])
    if dependency is None:
        return total.astype(np.float64), own.astype(np.float64), None, (own_state, ())
    failing, state = dependency.process.rates(generator, 1, first_hour, load, states[1])
    calls = generator.binomial(total, dependency.call_probability)
    failed = generator.binomial(calls, failing[0])
    passed_on = generator.binomial(failed, dependency.hardness)
    bad = np.minimum(total, passed_on + generator.binomial(total - passed_on, rates[0]))
    edge = (calls.astype(np.float64), failed.astype(np.float64))
    return total.astype(np.float64), bad.astype(np.float64), edge, (own_state, state)


def _gaps(generator: np.random.Generator, hours: int) -> np.ndarray:
    """Return the hours without data: single ones or stretches, up to 40 % of all; never the first or the last."""
    share = generator.uniform(0.01, 0.4)
    stretch = int(generator.choice([1, 6, 24, 72]))
    missing = np.repeat(generator.random(hours // stretch + 1) < share, stretch)[:hours]
    missing[[0, -1]] = False
    return np.asarray(missing)
