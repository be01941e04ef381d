"""Simulated fleets with known latencies, and a future that the engine does not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.percentiles import percentile
from apps.engine.simulation.fleet import CUT_HOUR, HOUR_SECONDS, PAST_DAYS, START, WINDOW_DAYS
from apps.engine.simulation.latency import (
    Behaviour,
    Hours,
    Shape,
    State,
    draw_bimodal,
    draw_incidents,
    draw_load_dependent,
    draw_mixed,
    draw_noisy,
    draw_stationary,
    draw_step,
    draw_trend,
)
from apps.engine.simulation.paths import loguniform
from apps.engine.simulation.traffic import Traffic
from apps.engine.types import BucketSeries, Floats

FAMILIES: Mapping[str, Callable[[np.random.Generator], Behaviour]] = {
    "stationary": draw_stationary,
    "load-dependent": draw_load_dependent,
    "step": draw_step,
    "trend": draw_trend,
    "slow incidents": draw_incidents,
    "cache misses": draw_bimodal,
    "noisy": draw_noisy,
    "low traffic": draw_stationary,
    "new": draw_stationary,
}
"""What moves latencies, by name. ``low traffic`` (8 to 120 requests an hour) and ``new`` services (7 to 29 days of
history) are of any of the kinds before them.
"""
MIXED = "mixed"
"""Several at once: learned from, but not one of the nine that are evaluated."""
SCHEMES = ("default", "exponential", "coarse")
DEFAULT_BOUNDS_MS = (5.0, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000)
"""The default bounds of Prometheus' client libraries and of OpenTelemetry."""
WITHIN_STEPS = 64
EXACT_STEPS = 9


@dataclass(frozen=True, slots=True)
class SimulatedLatency:
    """One service: the histograms that may be seen, its next window, and its true nature.

    ``future`` holds the summed cumulative counts of the held-out window ``(k,)``.
    """

    family: str
    scheme: str
    series: BucketSeries
    window_days: int
    future: Floats
    exact: Mapping[float, float]
    """The held-out window's true percentiles by share, in milliseconds."""
    shape: Shape
    behaviour: Behaviour
    traffic: Traffic
    state: State

    def read(self, share: float) -> float:
        """Return the held-out window's percentile as its buckets show it; infinite above the highest bound."""
        return float(percentile(self.series.bounds_ms, self.future, share)[0])

    def futures(
        self, generator: np.random.Generator, count: int, shares: Sequence[float], *, is_exact: bool = False
    ) -> tuple[Floats, Floats]:
        """Return percentiles of ``count`` possible windows, ``(count, shares)``: as read from buckets, and the true
        ones.

        The true ones are found by bisection inside their bucket, and only where ``is_exact``.
        """
        hours = self.window_days * 24
        load = self.traffic.load(generator, count, CUT_HOUR, hours)
        found, _ = self.behaviour.hours(generator, self.shape, count, CUT_HOUR, load, self.state)
        requests = np.maximum(1, np.round(load.sum(axis=1) * self.traffic.per_hour)).astype(np.int64)
        requests = np.broadcast_to(requests, (count,))
        weights = load / load.sum(axis=1, keepdims=True)
        below = np.stack(
            [self._below(found, weights, bound, count) for bound in self.series.bounds_ms[:-1]], axis=1
        )
        chances = np.diff(np.concatenate([np.zeros((count, 1)), below, np.ones((count, 1))], axis=1), axis=1)
        chances = np.maximum(chances, 0.0)
        counts = generator.multinomial(requests, chances / chances.sum(axis=1, keepdims=True))
        cumulative = np.cumsum(counts, axis=1).astype(np.float64)
        read = np.stack([percentile(self.series.bounds_ms, cumulative, share) for share in shares], axis=1)
        if not is_exact:
            return read, read
        exact = np.empty_like(read)
        for at, share in enumerate(shares):
            # The true percentiles use the same random counts as the reading.
            noise = cumulative[:, :-1] / requests[:, None] - below
            nearest = np.argmin(np.abs(below - share), axis=1)
            wanted = np.clip(share - noise[np.arange(count), nearest], 1e-6, 1 - 1e-6)
            low = np.full(count, self.shape.middle - 10.0)
            high = np.full(count, self.shape.middle + 14.0)
            for _ in range(EXACT_STEPS + 8):
                middle = (low + high) / 2
                is_below = self._below_each(found, weights, middle) < wanted
                low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
            exact[:, at] = np.exp((low + high) / 2)
        return read, exact

    def future_hours(self, generator: np.random.Generator) -> Floats:
        """Return the requests of each hour of one possible window in each bucket: ``(hours, k)``."""
        load = self.traffic.load(generator, 1, CUT_HOUR, self.window_days * 24)
        hours, _ = self.behaviour.hours(generator, self.shape, 1, CUT_HOUR, load, self.state)
        counts = _counts(generator, self.shape, hours, load[0] * self.traffic.per_hour, self.series.bounds_ms)
        return counts.astype(np.float64)

    def _below(self, hours: Hours, weights: Floats, bound: float, count: int) -> Floats:
        if bound <= 0:
            return np.zeros(count)
        shares = self.shape.below(float(np.log(bound)), hours)
        return np.broadcast_to((shares * weights).sum(axis=1), (count,))

    def _below_each(self, hours: Hours, weights: Floats, log_ms: Floats) -> Floats:
        moved = Hours(hours.shift - log_ms[:, None], hours.share, hours.slowed, hours.slow_shift)
        return np.asarray((self.shape.below(0.0, moved) * weights).sum(axis=1))


def simulate_latency(
    generator: np.random.Generator, family: str, *, window_days: int = WINDOW_DAYS
) -> SimulatedLatency:
    """Draw a service's nature, its history, and one future."""
    kinds = [*FAMILIES, MIXED]
    if family not in kinds:
        raise ValueError(f"{family!r} is no family; there are {', '.join(kinds)}")
    kind, past_days = family, PAST_DAYS
    if family in ("new", "low traffic"):
        kind = list(FAMILIES)[int(generator.integers(0, len(FAMILIES) - 2))]
    if family == "new":
        past_days = int(generator.integers(7, 30))
    elif generator.random() < 0.1:
        past_days = int(generator.integers(30, PAST_DAYS))
    behaviour = (draw_mixed if kind == MIXED else FAMILIES[kind])(generator)
    shape = Shape.draw(generator, is_bimodal=kind == "cache misses" or generator.random() < 0.1)
    scheme = SCHEMES[int(generator.integers(0, len(SCHEMES)))]
    shape, bounds = _bounds(generator, scheme, shape)
    traffic = Traffic.draw(generator, *((8, 120) if family == "low traffic" else (60, 300_000)))
    past, future = past_days * 24, window_days * 24
    load = traffic.load(generator, 1, CUT_HOUR - past, past)
    hours, state = behaviour.hours(generator, shape, 1, CUT_HOUR - past, load, None)
    counts = _counts(generator, shape, hours, load[0] * traffic.per_hour, bounds)
    cumulative = np.cumsum(counts, axis=1).astype(np.float64)
    if generator.random() < 0.15:
        cumulative[_gaps(generator, past)] = np.nan
    load = traffic.load(generator, 1, CUT_HOUR, future)
    hours, _ = behaviour.hours(generator, shape, 1, CUT_HOUR, load, state)
    expected = load[0] * traffic.per_hour
    seen = _counts(generator, shape, hours, expected, bounds)
    if seen.sum() == 0:
        seen[0, 0] = 1
    summed = seen.sum(axis=0)
    start = START + (CUT_HOUR - past) * HOUR_SECONDS
    return SimulatedLatency(
        family=family,
        scheme=scheme,
        series=BucketSeries(start, HOUR_SECONDS, bounds, cumulative),
        window_days=window_days,
        future=np.cumsum(summed).astype(np.float64),
        exact={
            share: _exact(generator, shape, hours, expected, bounds, summed, share) for share in (0.95, 0.99)
        },
        shape=shape,
        behaviour=behaviour,
        traffic=traffic,
        state=state,
    )


def _bounds(generator: np.random.Generator, scheme: str, shape: Shape) -> tuple[Shape, Floats]:
    """Return bounds as a person would choose who roughly knows how long requests take.

    They reach two to twenty times the usual p99.9. For the default bounds, the service is made to fit.
    """
    top = shape.quantile(0.999)
    if scheme == "default":
        room = loguniform(generator, 2, 60)
        if top * room > DEFAULT_BOUNDS_MS[-1]:
            moved = shape.middle - float(np.log(top * room / DEFAULT_BOUNDS_MS[-1]))
            shape = Shape(moved, shape.spread, shape.gap, shape.slow_spread, shape.share)
        return shape, np.array([*DEFAULT_BOUNDS_MS, np.inf])
    top *= loguniform(generator, 3, 20)
    least = shape.quantile(0.5) / loguniform(generator, 1.5, 10)
    if scheme == "exponential":
        factor = generator.uniform(1.25, 2.2)
        number = int(np.ceil(np.log(top / least) / np.log(factor))) + 1
        factor = max(factor, float((top / least) ** (1 / 39)))
        bounds = least * factor ** np.arange(min(40, number))
    else:
        number = int(generator.integers(5, 9))
        raw = np.exp(np.linspace(np.log(least), np.log(top), number))
        digits = 10 ** np.floor(np.log10(raw))
        bounds = np.unique(np.round(raw / digits) * digits)
    return shape, np.array([*bounds, np.inf])


def _counts(
    generator: np.random.Generator, shape: Shape, hours: Hours, expected: Floats, bounds: Floats
) -> np.ndarray:
    """Return the requests of each hour in each bucket: ``(hours, k)``."""
    size = expected.size
    below = [np.zeros(size)]
    for bound in bounds[:-1]:
        shares = shape.below(float(np.log(bound)), hours) if bound > 0 else np.zeros((1, 1))
        below.append(np.broadcast_to(shares, (1, size))[0])
    below.append(np.ones(size))
    chances = np.maximum(np.diff(np.stack(below, axis=1), axis=1), 0.0)
    chances /= chances.sum(axis=1, keepdims=True)
    return generator.multinomial(generator.poisson(expected), chances)


def _exact(
    generator: np.random.Generator,
    shape: Shape,
    hours: Hours,
    expected: Floats,
    bounds: Floats,
    summed: np.ndarray,
    share: float,
) -> float:
    """Return the true percentile of requests whose counts in the buckets are known, from finer draws inside its
    bucket.
    """
    running = np.cumsum(summed)
    wanted = int(np.ceil(share * running[-1]))
    at = int(np.searchsorted(running, wanted))
    first = float(np.log(bounds[at - 1])) if at and bounds[at - 1] > 0 else shape.middle - 8.0
    last = float(np.log(bounds[at])) if np.isfinite(bounds[at]) else first + 8.0
    edges = np.linspace(first, last, WITHIN_STEPS + 1)
    below = np.array(
        [
            float((np.broadcast_to(shape.below(edge, hours), (1, expected.size))[0] * expected).sum())
            for edge in edges
        ]
    )
    chances = np.maximum(np.diff(below), 1e-300)
    inside = np.cumsum(generator.multinomial(summed[at], chances / chances.sum()))
    rank = wanted - (running[at] - summed[at])
    cell = int(np.searchsorted(inside, rank))
    return float(np.exp((edges[cell] + edges[cell + 1]) / 2))


def _gaps(generator: np.random.Generator, hours: int) -> np.ndarray:
    """Return the hours without data: single ones or stretches, up to 40 % of all; never the first or the last."""
    share = generator.uniform(0.01, 0.4)
    stretch = int(generator.choice([1, 6, 24, 72]))
    missing = np.repeat(generator.random(hours // stretch + 1) < share, stretch)[:hours]
    missing[[0, -1]] = False
    return np.asarray(missing)
