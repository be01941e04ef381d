"""Small services with known truths, for the engine's tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.engine.types import CountSeries, DependencyInput, Floats, ServiceInput

START = 1_780_272_000
"""A midnight (UTC) in June 2026."""
HOUR = 3_600
DAY = 86_400


def hourly(total: Floats | Sequence[float], bad: Floats | Sequence[float], start: int = START) -> CountSeries:
    """Counts in hourly bins."""
    return CountSeries(start, HOUR, np.array(total, dtype=np.float64), np.array(bad, dtype=np.float64))


def steady(days: float, per_hour: float = 1_000.0, rate: float = 1e-3, seed: int = 1) -> CountSeries:
    """Counts of a service that fails at one rate, with a daily rhythm."""
    generator = np.random.default_rng(seed)
    hours = np.arange(round(days * 24))
    total = np.round(per_hour * (1 + 0.5 * np.sin(hours / 24 * 2 * np.pi))) + 1
    return hourly(total, generator.binomial(total.astype(int), rate).astype(float))


def end_of(series: CountSeries) -> int:
    """End of the last bin."""
    return series.start + series.total.size * series.step_seconds


def with_dependency(
    days: int = 60,
    *,
    call_probability: float = 0.8,
    hardness: float = 0.6,
    own_rate: float = 2e-4,
    per_hour: int = 5_000,
    seed: int = 3,
) -> tuple[CountSeries, CountSeries]:
    """A service and the calls over its one edge, which fails in bad hours: ``(service, edge)``."""
    generator = np.random.default_rng(seed)
    total = generator.poisson(per_hour, days * 24)
    calls = generator.binomial(total, call_probability)
    rate = np.where(generator.random(total.size) < 0.05, generator.uniform(0, 0.2, total.size), 1e-4)
    failed_calls = generator.binomial(calls, rate)
    bad = generator.binomial(failed_calls, hardness) + generator.binomial(total - failed_calls, own_rate)
    return (
        hourly(total.astype(float), bad.astype(float)),
        hourly(calls.astype(float), failed_calls.astype(float)),
    )


def full_service(service_id: str = "checkout", days: int = 60) -> tuple[ServiceInput, int]:
    """A service with a measured database, a published external and an asynchronous mailer; and the end of its data."""
    counts, edge = with_dependency(days)
    service = ServiceInput(
        service_id,
        counts=counts,
        dependencies=(
            DependencyInput("payments-db", edge=edge, target=edge),
            DependencyInput("card-network", is_external=True, published_sla=0.9995, calls_per_request=0.1),
            DependencyInput("mailer", mode="async", criticality="soft"),
        ),
    )
    return service, end_of(counts)
