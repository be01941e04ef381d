"""Latency thresholds that the next window's p95 or p99 stays under with a stated chance.

Percentiles are never averaged. From histograms, buckets of many bins are summed and the percentile is read from the sum
(basis ``requests``); ``forecast/latency.py`` predicts that of the next window. Where a source has only percentiles for
each bin, a window is judged by the share of bins under the threshold (basis ``bins``): the bins' values take the place
of requests, and the forecast predicts in the same way the value that 19 in 20 of them stay under.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apps.engine.archetypes import Archetype
from apps.engine.document import LatencyBasis, LatencyPart, LatencyPercentile, LatencyTier, TierName, Verdict
from apps.engine.forecast.evidence import youth
from apps.engine.forecast.latency import LatencyPrediction, built_in
from apps.engine.forecast.latency_features import LOOK_BACK_DAYS, LatencyHistory
from apps.engine.percentiles import percentile
from apps.engine.rounding import duration, milliseconds
from apps.engine.types import TIER_BREACH_PROBABILITY, BucketSeries, Floats, PercentileSeries
from apps.engine.window.tiers import COLD_START_DAYS

PRIOR_DAYS = 5.0
"""The archetype's spread counts as much as this many days of data, and for nothing from a week on."""
BINS_SHARE = 0.95
"""This share of the bins' own percentiles must be under the threshold."""
MIN_ABOVE = 15.0
"""Requests (or bins) that must be expected above the percentile in a window: 300 for p95, 1,500 for p99."""
_GRID = np.concatenate([np.linspace(0.0, 1.0, 65), [0.99, 0.995, 0.999]])
_JUST_BELOW = 1 - 1e-9
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Histograms:
    """Cumulative counts for each bin with data: ``cumulative`` is ``(n, k)`` over ``bounds_ms`` ``(k,)``.

    The arrays are read-only: they may be the input's.
    """

    basis: LatencyBasis
    step_seconds: int
    bounds_ms: Floats
    cumulative: Floats
    where: NDArray[np.int64]
    """The number of each row's bin, ascending."""
    span_days: float
    days: float

    @cached_property
    def summed(self) -> Floats:
        """Return the counts of all bins together: ``(k,)``."""
        total: Floats = self.cumulative.sum(axis=0)
        return total


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the next window may be like; ``prediction`` is ``None`` without requests in the days that the forecast
    reads.
    """

    histograms: Histograms
    prediction: LatencyPrediction | None


def from_buckets(series: BucketSeries | None, as_of: int) -> Histograms | None:
    """Return histograms of complete bins up to ``as_of``, without bins that are not cumulative or not finite."""
    if series is None or series.step_seconds <= 0 or series.bounds_ms.size == 0:
        return None
    complete = max(0, (as_of - series.start) // series.step_seconds)
    rows = np.asarray(series.cumulative[:complete], dtype=np.float64)
    if rows.size == 0:
        return None
    # What rises from 0 or more to a finite count is finite throughout.
    rises = rows[:, 1:] >= rows[:, :-1]
    good = (rows[:, 0] >= 0) & np.isfinite(rows[:, -1])
    if not rises.all():
        good &= rises.all(axis=1)
    where = np.flatnonzero(good)
    if where.size == 0:
        return None
    bounds = np.array(series.bounds_ms, dtype=np.float64)
    kept = rows if where.size == good.size else rows[good]
    return _histograms("requests", series.step_seconds, bounds, kept, where)


def from_percentiles(series: PercentileSeries | None, which: str, as_of: int) -> Histograms | None:
    """Return the bins' own percentiles as hourly histograms over a grid of their quantiles.

    Every value of the grid has a cell of its own, so that a value that many bins share is read exactly.
    """
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
    grid = np.unique(np.quantile(values, _GRID, method="nearest"))
    bounds = np.unique(np.concatenate([grid * _JUST_BELOW, grid]))
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
    where: NDArray[np.int64],
) -> Histograms:
    span = float(where[-1] - where[0] + 1) * step_seconds / DAY_SECONDS
    covered = where.size * step_seconds / DAY_SECONDS
    return Histograms(basis, step_seconds, bounds, rows, where, span, min(span, 2 * covered))


def look_ahead(histograms: Histograms, window_days: int) -> Outlook:
    """Forecast both percentiles of the next window."""
    history = history_of(histograms)
    has_requests = float(history.cumulative[:, -1].sum()) > 0
    return Outlook(histograms, built_in().predict(history, window_days) if has_requests else None)


def history_of(histograms: Histograms) -> LatencyHistory:
    """Return what the forecast reads: bins that end with the newest, an hour or more each, at most 90 days."""
    step, where, rows = histograms.step_seconds, histograms.where, histograms.cumulative
    if step < HOUR_SECONDS:
        # Bins of an hour end with the newest bin.
        where = where[-1] // (HOUR_SECONDS // step) - (where[-1] - where) // (HOUR_SECONDS // step)
        step = HOUR_SECONDS // step * step
    per_day = max(1, DAY_SECONDS // step)
    size = int(min(LOOK_BACK_DAYS * per_day, where[-1] - where[0] + 1))
    if (
        histograms.step_seconds >= HOUR_SECONDS
        and where.size >= size
        and where[-1] - where[-size] == size - 1
    ):
        # No bin is missing, which is the usual case.
        return LatencyHistory(histograms.bounds_ms, rows[-size:], np.ones(size, dtype=np.bool_), per_day)
    inside = where > where[-1] - size
    at, rows = where[inside] - (where[-1] - size + 1), rows[inside]
    cumulative = np.zeros((size, rows.shape[1]))
    if histograms.step_seconds < HOUR_SECONDS:
        np.add.at(cumulative, at, rows)
    else:
        cumulative[at] = rows
    is_known = np.zeros(size, dtype=np.bool_)
    is_known[at] = True
    return LatencyHistory(histograms.bounds_ms, cumulative, is_known, per_day)


def latency_document(
    service_id: str,
    which: LatencyPercentile,
    outlook: Outlook | None,
    *,
    window_days: int,
    archetype: Archetype,
) -> LatencyPart:
    """Return one of the two ``latency`` objects: ``which`` is ``p95_ms`` or ``p99_ms``."""
    share = 0.95 if which == "p95_ms" else 0.99
    word = which.removesuffix("_ms")
    if outlook is None:
        return _without("no_data", f"{service_id} has no latency data.", None, None)
    histograms = outlook.histograms
    read_at = BINS_SHARE if histograms.basis == "bins" else share
    summed = histograms.summed
    observed = float(percentile(histograms.bounds_ms, summed, read_at)[0])
    basis = histograms.basis
    if histograms.days < 1:
        hours = histograms.days * 24
        reason = f"{service_id} has {hours:.0f} hours of latency data; a day is needed."
        return _without("insufficient_history", reason, basis, observed)
    expected = float(summed[-1]) / histograms.span_days * window_days
    needed = math.ceil(MIN_ABOVE / (1 - read_at) - 1e-9)
    if expected < needed:
        unit = "requests" if basis == "requests" else "bins"
        seen = f"{service_id} has {expected:,.0f} {unit} in {window_days} days"
        reason = f"{seen}; {needed:,} are needed for {word}."
        return _without("insufficient_traffic", reason, basis, observed)
    if outlook.prediction is None:
        reason = f"{service_id} had no requests in its last {LOOK_BACK_DAYS} days of latency data."
        return _without("insufficient_traffic", reason, basis, observed)
    top = _top_bound(histograms.bounds_ms)
    if not math.isfinite(observed):
        reason = (
            f"{word} of {service_id} lies above the highest bucket ({top:g} ms), where it cannot be read."
            if top > 0
            else f"The histograms of {service_id} have no finite bound: {word} cannot be read from them."
        )
        return _without("no_data", reason, basis, observed)
    limits = outlook.prediction.quantiles[read_at]
    weight = PRIOR_DAYS / (PRIOR_DAYS + histograms.days) * youth(histograms.days)
    widen = archetype.latency_factor(0.95) ** weight
    tiers: dict[TierName, LatencyTier] = {}
    for name, chance in TIER_BREACH_PROBABILITY.items():
        value, low, high = (each * archetype.latency_factor(1 - chance) ** weight for each in limits[chance])
        if basis == "requests" and not value <= top:
            reason = (
                f"{word} of {service_id} may rise above the highest bucket ({top:g} ms), where it cannot be read: "
                f"no threshold can be named that is exceeded with a chance of only {chance:.0%}."
            )
            return _without("no_data", reason, basis, observed)
        tiers[name] = {
            "target": milliseconds(value),
            "breach_probability": chance,
            "interval": [milliseconds(low / widen), milliseconds(high * widen)],
        }
    verdict: Verdict = "cold_start" if histograms.days < COLD_START_DAYS else "ok"
    document = _without(verdict, _reason(verdict, histograms, word), basis, observed)
    document["bucket_ms"] = _bucket(histograms, observed)
    document["days"] = round(histograms.days, 4)
    document["tiers"] = tiers
    document["regime"] = outlook.prediction.regime
    return document


def _reason(verdict: str, histograms: Histograms, word: str) -> str | None:
    parts: list[str] = []
    if verdict == "cold_start":
        parts.append(
            f"{duration(histograms.days * DAY_SECONDS)} of latency data: thresholds are wide and of low confidence "
            f"until day {COLD_START_DAYS}."
        )
    if histograms.basis == "bins":
        parts.append(f"Judged by the share of bins whose {word} is under the threshold ({BINS_SHARE:.0%}).")
    return " ".join(parts) or None


def _bucket(histograms: Histograms, observed: float) -> list[float | None] | None:
    """Return the bucket in which the observed percentile lies: its width is the error of reading inside it."""
    if histograms.basis == "bins" or not math.isfinite(observed):
        return None
    bounds = histograms.bounds_ms
    at = int(np.searchsorted(bounds, observed, side="left"))
    return [milliseconds(float(bounds[at - 1]) if at else 0.0), milliseconds(float(bounds[at]))]


def _top_bound(bounds: Floats) -> float:
    finite = bounds[np.isfinite(bounds)]
    return float(finite[-1]) if finite.size else 0.0


def _without(
    verdict: Verdict, reason: str | None, basis: LatencyBasis | None, observed: float | None
) -> LatencyPart:
    return {
        "verdict": verdict,
        "reason": reason,
        "basis": basis,
        "observed": milliseconds(observed),
        "bucket_ms": None,
        "tiers": None,
        "regime": None,
        "days": None,
    }
