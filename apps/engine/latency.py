"""Latency thresholds that a window's p95 or p99 stays under with a stated chance.

Percentiles are never averaged. From histograms, buckets of many bins are added and the percentile is read
from the sum (basis ``requests``). Where a source has only percentiles per bin, a window is judged by the
share of bins under the threshold (basis ``bins``): the distribution of the bins' values takes the place of
the requests'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from apps.engine.archetypes import Archetype
from apps.engine.blocks import block_length
from apps.engine.resampling import Plan, block_sums, draw_plan, replicate_sums, upper_quantile
from apps.engine.rounding import milliseconds
from apps.engine.tiers import COLD_START_DAYS, cold_start_weight
from apps.engine.types import TIER_BREACH_PROBABILITY, BucketSeries, Floats, LatencyBasis, PercentileSeries

NOISE_MARGIN = 0.05
"""Added to a predicted percentile: CFS quota throttling and scheduling move it without any change of the
service.
"""
BINS_SHARE = 0.95
"""Of the bins' own percentiles, this share must be under the threshold."""
MIN_ABOVE = 15.0
"""Requests (or bins) that must be expected above the percentile in a window: 300 for p95, 1,500 for p99."""
LATENCY_REPLICATES = 600
_GRID = np.concatenate([[0.0, 0.25, 0.5, 0.7], np.linspace(0.8, 1.0, 17)])
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Histograms:
    """Cumulative counts per bin with data: ``cumulative`` is ``(n, k)`` over ``bounds_ms`` ``(k,)``."""

    basis: LatencyBasis
    step_seconds: int
    bounds_ms: Floats
    cumulative: Floats
    span_days: float
    days: float


@dataclass(frozen=True, slots=True)
class Simulated:
    """Summed cumulative counts of simulated next windows and of resampled histories: ``(replicates, k)``
    each.
    """

    histograms: Histograms
    windows: Floats
    histories: Floats


def from_buckets(series: BucketSeries | None, as_of: int) -> Histograms | None:
    """Histograms of complete bins up to ``as_of``; bins that are not cumulative or not finite are left
    out.
    """
    if series is None or series.step_seconds <= 0 or series.bounds_ms.size == 0:
        return None
    complete = max(0, (as_of - series.start) // series.step_seconds)
    rows = np.array(series.cumulative[:complete], dtype=np.float64)
    if rows.size == 0:
        return None
    with np.errstate(invalid="ignore"):
        good = np.isfinite(rows).all(axis=1) & (rows[:, 0] >= 0) & (np.diff(rows, axis=1) >= 0).all(axis=1)
    where = np.flatnonzero(good)
    if where.size == 0:
        return None
    bounds = np.array(series.bounds_ms, dtype=np.float64)
    return _histograms("requests", series.step_seconds, bounds, rows[good], where)


def from_percentiles(series: PercentileSeries | None, which: str, as_of: int) -> Histograms | None:
    """The bins' own percentiles as hourly histograms over a grid of their quantiles."""
    if series is None or series.at.size == 0:
        return None
    width = HOUR_SECONDS // max(1, series.bins_per_hour)
    values = np.array(series.p95_ms if which == "p95_ms" else series.p99_ms, dtype=np.float64)
    at = np.asarray(series.at, dtype=np.int64)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(values) & (values >= 0) & (at + width <= as_of)
    if not good.any():
        return None
    values, at = values[good], at[good]
    bounds = np.unique(np.quantile(values, _GRID))
    hours = at // HOUR_SECONDS
    first = int(hours.min())
    size = int(hours.max()) - first + 1
    cell = np.minimum(np.searchsorted(bounds, values, side="left"), bounds.size - 1)
    counts = np.bincount((hours - first) * bounds.size + cell, minlength=size * bounds.size)
    cumulative = np.cumsum(counts.reshape(size, bounds.size).astype(np.float64), axis=1)
    where = np.flatnonzero(cumulative[:, -1] > 0)
    return _histograms("bins", HOUR_SECONDS, bounds, cumulative[where], where)


def _histograms(
    basis: LatencyBasis,
    step_seconds: int,
    bounds: Floats,
    rows: Floats,
    where: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
) -> Histograms:
    span = float(where[-1] - where[0] + 1) * step_seconds / DAY_SECONDS
    covered = where.size * step_seconds / DAY_SECONDS
    return Histograms(basis, step_seconds, bounds, rows, span, min(span, 2 * covered))


def simulate(histograms: Histograms, window_days: int, generator: np.random.Generator) -> Simulated:
    """Resample windows and histories by blocks; one simulation serves every percentile."""
    plan = _plan(histograms, window_days, generator)
    histories = block_sums(histograms.cumulative, plan.length)[plan.histories].sum(axis=1)
    return Simulated(histograms, replicate_sums(plan, histograms.cumulative), histories)


def percentile(bounds_ms: Floats, cumulative: Floats, share: float) -> Floats:
    """Read a percentile from cumulative counts, linear inside the bucket: ``(…, k)`` → ``(…,)``.

    The first bucket begins at 0. What lies in the ``+Inf`` bucket is ``inf``; nothing counted gives ``nan``.
    """
    counts = np.atleast_2d(cumulative)
    total = counts[:, -1]
    wanted = share * total
    at = np.minimum(np.count_nonzero(counts < wanted[:, None], axis=1), bounds_ms.size - 1)
    rows = np.arange(counts.shape[0])
    below = np.where(at > 0, counts[rows, np.maximum(at - 1, 0)], 0.0)
    lower = np.where(at > 0, bounds_ms[np.maximum(at - 1, 0)], 0.0)
    upper = bounds_ms[at]
    inside = counts[rows, at] - below
    part = np.divide(wanted - below, inside, out=np.ones_like(inside), where=inside > 0)
    finite = np.isfinite(upper)
    value = np.where(finite, lower + part * (np.where(finite, upper, 0.0) - lower), np.inf)
    return np.where(total > 0, value, np.nan)


def latency_document(
    service_id: str,
    which: str,
    simulated: Simulated | None,
    *,
    window_days: int,
    archetype: Archetype,
) -> dict[str, object]:
    """One of the two ``latency`` objects: ``which`` is ``p95_ms`` or ``p99_ms``."""
    share = 0.95 if which == "p95_ms" else 0.99
    word = which.removesuffix("_ms")
    if simulated is None:
        return _without("no_data", f"{service_id} has no latency data.", None, None)
    histograms = simulated.histograms
    if histograms.basis == "bins":
        share = BINS_SHARE
    summed = histograms.cumulative.sum(axis=0)
    observed = float(percentile(histograms.bounds_ms, summed, share)[0])
    basis = histograms.basis
    if histograms.days < 1:
        hours = histograms.days * 24
        reason = f"{service_id} has {hours:.0f} hours of latency data; a day is needed."
        return _without("insufficient_history", reason, basis, observed)
    expected = float(summed[-1]) / histograms.span_days * window_days
    needed = math.ceil(MIN_ABOVE / (1 - share) - 1e-9)
    if expected < needed:
        unit = "requests" if basis == "requests" else "bins"
        seen = f"{service_id} has {expected:,.0f} {unit} in {window_days} days"
        reason = f"{seen}; {needed:,} are needed for {word}."
        return _without("insufficient_traffic", reason, basis, observed)
    windows = percentile(histograms.bounds_ms, simulated.windows, share)
    windows = windows[~np.isnan(windows)]
    weight = cold_start_weight(histograms.days)
    thresholds = {
        name: float(upper_quantile(windows, 1 - chance))
        * (1 + NOISE_MARGIN)
        * archetype.latency_factor(1 - chance) ** weight
        for name, chance in TIER_BREACH_PROBABILITY.items()
    }
    if not all(math.isfinite(value) for value in thresholds.values()):
        top = _top_bound(histograms.bounds_ms)
        reason = (
            f"{word} of {service_id} lies above the highest bucket ({top:g} ms), where it cannot be read."
        )
        return _without("no_data", reason, basis, observed)
    low, high = _relative_interval(simulated, share)
    widen = archetype.latency_factor(0.95) ** weight
    tiers = {
        name: {
            "target": milliseconds(value),
            "breach_probability": TIER_BREACH_PROBABILITY[name],
            "interval": [milliseconds(value * low / widen), milliseconds(value * high * widen)],
        }
        for name, value in thresholds.items()
    }
    verdict = "cold_start" if histograms.days < COLD_START_DAYS else "ok"
    document = _without(verdict, _reason(verdict, histograms, word), basis, observed)
    document["bucket_ms"] = _bucket(histograms, observed)
    document["tiers"] = tiers
    return document


def _plan(histograms: Histograms, window_days: int, generator: np.random.Generator) -> Plan:
    totals = histograms.cumulative[:, -1]
    middle = histograms.cumulative[:, histograms.bounds_ms.size // 2]
    length = block_length(totals, totals - middle, histograms.step_seconds)
    coverage = totals.size * histograms.step_seconds / DAY_SECONDS / histograms.span_days
    window_bins = window_days * DAY_SECONDS / histograms.step_seconds * coverage
    return draw_plan(generator, totals.size, length, window_bins, LATENCY_REPLICATES)


def _relative_interval(simulated: Simulated, share: float) -> tuple[float, float]:
    """5 % and 95 % limits of the percentile over resampled histories, relative to their median."""
    values = percentile(simulated.histograms.bounds_ms, simulated.histories, share)
    values = values[np.isfinite(values)]
    if values.size == 0 or float(np.median(values)) <= 0:
        return 1.0, 1.0
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    return float(low / median), float(high / median)


def _reason(verdict: str, histograms: Histograms, word: str) -> str | None:
    parts: list[str] = []
    if verdict == "cold_start":
        parts.append(
            f"{histograms.days:.0f} days of latency data: thresholds are wide and of low confidence until "
            f"day {COLD_START_DAYS}."
        )
    if histograms.basis == "bins":
        parts.append(f"Judged by the share of bins whose {word} is under the threshold ({BINS_SHARE:.0%}).")
    return " ".join(parts) or None


def _bucket(histograms: Histograms, observed: float) -> list[float | None] | None:
    """The bucket in which the observed percentile lies: its width is the error of reading inside it."""
    if histograms.basis == "bins" or not math.isfinite(observed):
        return None
    bounds = histograms.bounds_ms
    at = int(np.searchsorted(bounds, observed, side="left"))
    return [milliseconds(float(bounds[at - 1]) if at else 0.0), milliseconds(float(bounds[at]))]


def _top_bound(bounds: Floats) -> float:
    finite = bounds[np.isfinite(bounds)]
    return float(finite[-1]) if finite.size else 0.0


def _without(
    verdict: str, reason: str | None, basis: LatencyBasis | None, observed: float | None
) -> dict[str, object]:
    return {
        "verdict": verdict,
        "reason": reason,
        "basis": basis,
        "observed": milliseconds(observed),
        "bucket_ms": None,
        "tiers": None,
    }
