"""How latencies of several services move together, and draws of requests with that dependence.

Ranks of latencies are put on the normal scale (a Gaussian copula; Sklar 1959). There each request's rank has two parts:
one set by the hour, shared by all calls to a service and correlated between services (load, time of day, a common
node), and one of its own. The size of the hour's part, and its correlation, are estimated from hourly histograms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from apps.engine.types import BucketSeries, Floats

LEAST_COMMON_HOURS = 24
"""Services seen together for fewer hours than this count as independent."""
LEAST_BETWEEN = 1e-3
"""Where the hour makes up less of the variance than this, its correlation cannot be estimated."""


@dataclass(frozen=True, slots=True)
class LatencyDistribution:
    """How long the requests of one service take: cumulative counts ``(k,)`` over ``bounds_ms`` ``(k,)``, the last
    infinite.
    """

    bounds_ms: Floats
    cumulative: Floats

    @classmethod
    def of(cls, series: BucketSeries) -> LatencyDistribution:
        """Sum the histograms of a series; bins without data count as nothing."""
        return cls(np.asarray(series.bounds_ms), np.asarray(np.nansum(series.cumulative, axis=0)))

    def __post_init__(self) -> None:
        counts = np.asarray(self.cumulative)
        if counts.shape != np.asarray(self.bounds_ms).shape or counts.size == 0 or counts[-1] <= 0:
            raise ValueError("a latency distribution needs a count for every bound, and at least one request")
        if (np.diff(counts) < 0).any() or (np.diff(self.bounds_ms) <= 0).any():
            raise ValueError("bounds must ascend, and cumulative counts must not fall")

    def quantile(self, ranks: Floats) -> Floats:
        """Return the latencies at ranks 0..1, linear inside a bucket; infinite above the highest finite bound."""
        is_finite = np.isfinite(self.bounds_ms)
        shares = self.cumulative[is_finite] / self.cumulative[-1]
        values = np.interp(
            ranks, np.concatenate([[0.0], shares]), np.concatenate([[0.0], self.bounds_ms[is_finite]])
        )
        top = shares[-1] if shares.size else 0.0
        return np.asarray(np.where(ranks > top, np.inf, values) if top < 1 else values)

    def chance_above(self, ms: float) -> float:
        """Return the share of requests slower than ``ms``, linear inside a bucket; all above the highest finite bound
        count.
        """
        is_finite = np.isfinite(self.bounds_ms)
        shares = np.concatenate([[0.0], self.cumulative[is_finite] / self.cumulative[-1]])
        return float(1 - np.interp(ms, np.concatenate([[0.0], self.bounds_ms[is_finite]]), shares))


@dataclass(frozen=True, slots=True)
class Dependence:
    """How services move together.

    ``between`` ``(n,)`` is the hour's part of the variance of each service's ranks (on the normal scale), 0..1.
    ``correlation`` ``(n, n)`` is that of the hours' parts. Two calls correlate by ``correlation · √(between ·
    between)``.
    """

    service_ids: tuple[str, ...]
    between: Floats
    correlation: Floats

    @classmethod
    def independent(cls, service_ids: Sequence[str]) -> Dependence:
        """Return the dependence of services whose requests are independent."""
        return cls(tuple(service_ids), np.zeros(len(service_ids)), np.eye(len(service_ids)))

    def among(self, service_ids: Sequence[str]) -> Dependence:
        """Return the dependence among some of the services."""
        at = [self.service_ids.index(name) for name in service_ids]
        return Dependence(tuple(service_ids), self.between[at], self.correlation[np.ix_(at, at)])

    @classmethod
    def estimated(cls, series: Mapping[str, BucketSeries]) -> Dependence:
        """Estimate from hourly histograms of the services, over the hours that they have in common.

        Chance within an hour is removed from both figures, so that few requests do not look like movement. Raises
        ``ValueError`` where the series' bins differ in width.
        """
        names = tuple(series)
        if len({each.step_seconds for each in series.values()}) > 1:
            raise ValueError("the histograms must have bins of one width")
        found = [_hourly(each) for each in series.values()]
        between = np.array([each.between for each in found])
        correlation = np.eye(len(names))
        for first in range(len(names)):
            for second in range(first):
                value = _correlation(found[first], found[second])
                correlation[first, second] = correlation[second, first] = value
        return cls(names, between, _nearest(correlation))


class Draws:
    """Draws latencies of calls: ``samples`` journeys at once, each in an hour of its own."""

    def __init__(
        self,
        generator: np.random.Generator,
        distributions: Mapping[str, LatencyDistribution],
        dependence: Dependence,
        samples: int,
    ) -> None:
        self.samples = samples
        self.generator = generator
        self._distributions = distributions
        size = len(dependence.service_ids)
        values, vectors = np.linalg.eigh(dependence.correlation)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        hours = root @ generator.standard_normal((size, samples))
        self._hours = dict(zip(dependence.service_ids, hours, strict=True))
        self._between = dict(zip(dependence.service_ids, dependence.between, strict=True))

    def call(self, service_id: str) -> Floats:
        """Draw latencies of one more call to a service, in milliseconds: shape ``(samples,)``."""
        between = float(self._between.get(service_id, 0.0))
        score = np.zeros(self.samples)
        if between > 0:
            score += np.sqrt(between) * self._hours[service_id]
        if between < 1:
            score += np.sqrt(1 - between) * self.generator.standard_normal(self.samples)
        return self._distributions[service_id].quantile(ndtr(score))

    def happens(self, probability: float) -> NDArray[np.bool_]:
        """Draw whether something with this probability happens in each journey."""
        return self.generator.random(self.samples) < probability


@dataclass(frozen=True, slots=True)
class _Hourly:
    """An hour's mean score, by number of the bin since the epoch, and its share of the variance."""

    at: NDArray[np.int64]
    score: Floats
    between: float


def _hourly(series: BucketSeries) -> _Hourly:
    rows = np.asarray(series.cumulative, dtype=np.float64)
    is_known = np.isfinite(rows).all(axis=1) & (np.nan_to_num(rows[:, -1]) > 0)
    counts = np.diff(rows[is_known], axis=1, prepend=0.0)
    at = series.start // series.step_seconds + np.flatnonzero(is_known)
    totals = counts.sum(axis=1)
    if totals.size < 2:
        return _Hourly(at, np.zeros(totals.size), 0.0)
    shares = counts.sum(axis=0) / totals.sum()
    edges = ndtri(np.clip(np.concatenate([[0.0], np.cumsum(shares)]), 0.0, 1.0))
    density = np.where(np.isfinite(edges), np.exp(-(np.where(np.isfinite(edges), edges, 0.0) ** 2) / 2), 0.0)
    # The mean of a normal variable between two limits.
    drops = (density[:-1] - density[1:]) / np.sqrt(2 * np.pi)
    scores = np.divide(drops, shares, out=np.zeros_like(shares), where=shares > 0)
    score = counts @ scores / totals
    squares = counts @ scores**2 / totals - score**2
    weights = totals / totals.sum()
    mean = float(weights @ score)
    noise = float(weights @ (squares / np.maximum(totals - 1, 1)))
    between = float(weights @ (score - mean) ** 2) - noise
    return _Hourly(at, score, float(np.clip(between, 0.0, 1.0)))


def _correlation(first: _Hourly, second: _Hourly) -> float:
    _, one, two = np.intersect1d(first.at, second.at, return_indices=True)
    if one.size < LEAST_COMMON_HOURS or min(first.between, second.between) < LEAST_BETWEEN:
        return 0.0
    a, b = first.score[one], second.score[two]
    covariance = float(((a - a.mean()) * (b - b.mean())).mean())
    return float(np.clip(covariance / np.sqrt(first.between * second.between), -1.0, 1.0))


def _nearest(correlation: Floats) -> Floats:
    """Return a correlation matrix nearby: pairs seen in different hours may contradict each other."""
    values, vectors = np.linalg.eigh(correlation)
    if values.size == 0 or values[0] >= 0:
        return correlation
    fixed = (vectors * np.maximum(values, 0.0)) @ vectors.T
    scale = np.sqrt(np.diag(fixed))
    result: Floats = fixed / scale[:, None] / scale[None, :]
    return result
