"""Simulated fleets, factors and backtests of one target, as several tests need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from apps.engine.document import AvailabilityWindow, Backtest
from apps.engine.edges.composite import Factor
from apps.engine.series import observe
from apps.engine.simulation import fleet, latency_fleet
from apps.engine.types import CountSeries
from apps.engine.window.backtest import backtest_targets


def simple_factor(
    name: str,
    *,
    call_probability: float,
    hardness: float,
    availability: float,
    depends_on: tuple[str, ...] = (),
) -> Factor:
    """A factor for one dependency whose availability is known."""
    unavailability = 1 - availability
    return Factor(
        name, call_probability, hardness, unavailability, unavailability, unavailability, depends_on
    )


def simulate_fleet(
    seed: int,
    per_family: int,
    families: Sequence[str] = tuple(fleet.FAMILIES),
    *,
    window_days: int = fleet.WINDOW_DAYS,
) -> Iterator[fleet.SimulatedService]:
    """Simulate ``per_family`` services of each family. Each depends on its seed, family and number alone."""
    known = [*fleet.FAMILIES, *fleet.EXTRA]
    for number in range(per_family):
        for family in families:
            generator = np.random.default_rng([seed, known.index(family), number])
            yield fleet.simulate_service(
                generator, family, f"{family.replace(' ', '-')}-{number}", window_days=window_days
            )


def simulate_latencies(
    seed: int, per_family: int, families: Sequence[str] = tuple(latency_fleet.FAMILIES)
) -> Iterator[latency_fleet.SimulatedLatency]:
    """Simulate ``per_family`` services of each family. Each depends on its seed, family and number alone."""
    known = [*latency_fleet.FAMILIES, latency_fleet.MIXED]
    for number in range(per_family):
        for family in families:
            yield latency_fleet.simulate_latency(
                np.random.default_rng([seed, 13, known.index(family), number]), family
            )


def backtest_target(
    history: CountSeries | None, hourly: CountSeries | None, target: float, window_days: int, as_of: int
) -> Backtest[AvailabilityWindow]:
    """Backtest one target: ``history`` are daily counts, ``hourly`` finer ones; either may be missing."""
    observed = observe(hourly, as_of)
    return backtest_targets(observe(history, as_of), observed, [target], window_days)[0]
