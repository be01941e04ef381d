"""Evaluation on real history: past windows, each held out in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from apps.engine.evaluation.evaluate import Outcome, evaluate_service
from apps.engine.evaluation.latency import LatencyOutcome, evaluate_recorded_latency
from apps.engine.series import DAY_SECONDS
from apps.engine.types import BucketSeries, CountSeries, Floats, ServiceInput

LEAST_DAYS, MOST_DAYS = 60, 90
LEAST_COVERED_AHEAD, LEAST_COVERED_BEFORE = 0.8, 0.6


def rolling(
    service: ServiceInput, family: str, *, holdout_days: int = 28, least_days: int = LEAST_DAYS
) -> list[Outcome]:
    """Evaluate every window of ``holdout_days`` that has ``least_days`` of history before it.

    Held-out windows do not overlap, and the last ends with the history. The engine sees at most ``MOST_DAYS`` before
    each. Windows with too little data are left out.
    """
    series = service.counts
    if series is None:
        return []
    found: list[Outcome] = []
    for first, cut, end in _cuts(series.total, series.step_seconds, holdout_days, least_days):
        requests, failed = float(np.nansum(series.total[cut:end])), float(np.nansum(series.bad[cut:end]))
        if requests <= 0:
            continue
        as_of = series.start + cut * series.step_seconds
        found.append(
            evaluate_service(
                family,
                _shown(service, series.start + first * series.step_seconds, as_of),
                as_of,
                requests=requests,
                actual=failed / requests,
                futures=[failed / requests],
                oracle=None,
                window_days=holdout_days,
            )
        )
    return found


def rolling_latency(
    service: ServiceInput, family: str, *, holdout_days: int = 28, least_days: int = LEAST_DAYS
) -> list[LatencyOutcome]:
    """Evaluate the thresholds of p95 and p99 in the same way; empty where there are no histograms."""
    series = service.buckets
    if series is None:
        return []
    found: list[LatencyOutcome] = []
    for first, cut, end in _cuts(series.cumulative[:, -1], series.step_seconds, holdout_days, least_days):
        came = np.nansum(series.cumulative[cut:end], axis=0)
        if came[-1] <= 0:
            continue
        as_of = series.start + cut * series.step_seconds
        shown = _shown(service, series.start + first * series.step_seconds, as_of)
        found += evaluate_recorded_latency(shown, family, came, as_of, holdout_days)
    return found


def _cuts(
    watched: Floats, step_seconds: int, holdout_days: int, least_days: int
) -> Iterator[tuple[int, int, int]]:
    """Return the first bin shown, the first held out and the end of each window that has enough data."""
    bins = DAY_SECONDS // step_seconds
    is_known = np.isfinite(watched)
    for day in range(watched.size // bins - holdout_days, least_days - 1, -holdout_days):
        first, cut, end = max(0, day - MOST_DAYS) * bins, day * bins, (day + holdout_days) * bins
        if (
            is_known[cut:end].mean() >= LEAST_COVERED_AHEAD
            and is_known[first:cut].mean() >= LEAST_COVERED_BEFORE
        ):
            yield first, cut, end


def _shown(service: ServiceInput, start: int, end: int) -> ServiceInput:
    """Return what is known of a service in a part of its history, and of its targets in the same part."""
    return replace(
        service,
        counts=_part(service.counts, start, end),
        buckets=_part_of_buckets(service.buckets, start, end),
        dependencies=tuple(
            replace(each, edge=_part(each.edge, start, end), target=_part(each.target, start, end))
            for each in service.dependencies
        ),
    )


def _part(series: CountSeries | None, start: int, end: int) -> CountSeries | None:
    if series is None:
        return None
    rows = _rows(series.start, series.step_seconds, start, end)
    begin = series.start + rows.start * series.step_seconds
    total, bad = series.total[rows], series.bad[rows]
    return CountSeries(begin, series.step_seconds, total, bad) if total.size else None


def _part_of_buckets(series: BucketSeries | None, start: int, end: int) -> BucketSeries | None:
    if series is None:
        return None
    rows = _rows(series.start, series.step_seconds, start, end)
    begin = series.start + rows.start * series.step_seconds
    cumulative = series.cumulative[rows]
    return BucketSeries(begin, series.step_seconds, series.bounds_ms, cumulative) if cumulative.size else None


def _rows(begin: int, step_seconds: int, start: int, end: int) -> slice:
    return slice(max(0, -((begin - start) // step_seconds)), max(0, (end - begin) // step_seconds))
